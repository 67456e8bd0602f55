"""What an agent uses: memory, descriptors, processes, threads and disk."""

import os
from dataclasses import dataclass
from pathlib import Path

from lab import processes_below, program_of, read_if_allowed

PROGRAMS = ("fairlead-agent", "fairlead-gateway", "fairlead-probe", "fairlead-shim")


@dataclass
class Program:
    """One of the agent's programs. Memory is what it has written to: shared pages cost nobody."""

    count: int = 0
    anonymous_kb: int = 0
    fds: int = 0
    threads: int = 0

    def add(self, pid):
        rollup = {line.split(b":")[0]: int(line.split()[1])
                  for line in read_if_allowed(Path(f"/proc/{pid}/smaps_rollup")).splitlines()[1:]}
        self.count += 1
        self.anonymous_kb += rollup[b"Anonymous"]
        self.fds += len(os.listdir(f"/proc/{pid}/fd"))
        self.threads += len(os.listdir(f"/proc/{pid}/task"))


def family(pid):
    """The process and all that came from it."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(one for child in children for one in family(int(child)))]


@dataclass
class Use:
    programs: dict
    processes: int
    files: int
    disk_bytes: dict

    @property
    def total_bytes(self):
        return sum(self.disk_bytes.values())

    def __str__(self):
        lines = [f"{name}: {program}" for name, program in self.programs.items()]
        lines += [f"{name}: {size} bytes" for name, size in sorted(self.disk_bytes.items())]
        return "\n".join([*lines, f"{self.processes} processes, {self.files} files"])


def measure(fleet):
    host = fleet.host
    pids = set(family(host.agent.pid)) | {int(line.split()[0]) for line in processes_below(fleet.dir)}
    programs = {name: Program() for name in PROGRAMS}
    for pid in pids:
        name = program_of(pid)
        if name in programs:
            programs[name].add(pid)
    return Use(programs, len(pids), *measure_disk(host.root, host.dir / "state"))


def measure_disk(*folders):
    """Entries of any kind, and bytes by where they are: state/journal, releases, …"""
    entries, sizes = 0, {}
    for folder in folders:
        for parent, names, files in os.walk(folder):
            entries += len(names) + len(files)
            for file in files:
                path = Path(parent, file)
                # <root>/<app>-<environment>/<room>/…
                room = "/".join(path.relative_to(folder).parts[1:3 if "state" in path.parts else 2])
                sizes[room] = sizes.get(room, 0) + path.lstat().st_size
    return entries, sizes
