#!/usr/bin/env python3
"""Fairlead beside `rsync -a --link-dest` over ssh, on one machine, in one session.

Both deploy the same tree to loopback and restart the same service: Fairlead through its agent;
rsync through an sshd that this script starts, into releases/<n> with the last release as link
destination, a `current` link renamed into place, and a restart that waits for /health. The two
take turns within each round, so that both meet the same machine. Medians of the rounds.

Nothing here asserts a time: it prints, and a person judges.
"""

import argparse
import os
import pwd
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

for folder in ("integration", "tools"):
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / folder))
from lab import Fleet, children, free_port, process_alive, program_of, wait_until  # noqa: E402
from namespaces import own_loopback  # noqa: E402

FILES, SEED = 4200, 7


# ---- the tree ----

def write_tree(path):
    """About 13 MB in 4,200 files, shaped like a Python project; the same bytes every time."""
    rng = random.Random(SEED)
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz_", k=rng.randint(3, 12)))
             for _ in range(4000)]

    def text(size):
        out, length = [], 0
        while length < size:
            line = " " * rng.choice((0, 4, 8)) + " ".join(rng.choices(words, k=rng.randint(2, 9)))
            out.append(line)
            length += len(line) + 1
        return "\n".join(out) + "\n"

    for number in range(FILES):
        kind = rng.random()
        folder = f"pkg{number % 40:02}/mod{number % 13:02}"
        size = min(int(rng.lognormvariate(7.45, 1.0)), 200_000)
        if kind < 0.80:
            name = path / "src" / folder / f"m{number:04}.py"
        elif kind < 0.90:
            name = path / "docs" / folder / f"page{number:04}.md"
        else:
            name = path / "static" / folder / f"asset{number:04}.bin"
        name.parent.mkdir(parents=True, exist_ok=True)
        if name.suffix == ".bin":
            name.write_bytes(rng.randbytes(size * 2))
        else:
            name.write_text(text(size))


def tree_facts(path):
    sizes = [file.stat().st_size for file in path.rglob("*")
             if file.is_file() and ".git" not in file.parts]
    return len(sizes), sum(sizes)


# ---- the peer ----

def service_serves(port, release):
    """The release that /health names is the one wanted."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1) as answer:
            return release in answer.read().decode()
    except OSError:
        return False


class Sshd:
    """An sshd of our own on loopback: own configuration, host key and user key."""

    def __init__(self, directory):
        self.dir, self.port = directory, free_port()
        directory.mkdir()
        for name in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", directory / name],
                           check=True)
        shutil.copy(directory / "user.pub", directory / "authorized")
        (directory / "sshd_config").write_text(
            f"ListenAddress 127.0.0.1:{self.port}\nHostKey {directory}/host\n"
            f"AuthorizedKeysFile {directory}/authorized\nPidFile {directory}/pid\n"
            "StrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\n"
            "MaxStartups 100\n")
        user = pwd.getpwuid(os.geteuid()).pw_name
        (directory / "ssh_config").write_text(
            f"Host peer\n  HostName 127.0.0.1\n  Port {self.port}\n  User {user}\n"
            f"  IdentityFile {directory}/user\n  IdentitiesOnly yes\n"
            f"  UserKnownHostsFile {directory}/known\n  StrictHostKeyChecking accept-new\n"
            "  LogLevel ERROR\n")
        self.config = directory / "ssh_config"
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)  # sshd insists on its privilege separation folder
        self.process = subprocess.Popen(
            ["/usr/sbin/sshd", "-D", "-e", "-f", directory / "sshd_config"],
            stderr=(directory / "log").open("wb"))
        wait_until(lambda: b"Server listening" in (directory / "log").read_bytes(), "sshd listens")

    def stop(self):
        if (self.dir / "mux").exists():
            subprocess.run(["ssh", "-F", self.config, "-o", f"ControlPath={self.dir}/mux",
                            "-O", "exit", "peer"], check=False, capture_output=True)
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


class Rsync:
    """A careful script's way: rsync with --link-dest, switch, restart, wait for /health."""

    # It waits for silence on the port, not for the pid, which may stay a zombie for a while.
    RESTART = (
        'cd {root}; [ ! -f pid ] || {{ kill $(cat pid); '
        'while curl -s -o /dev/null http://127.0.0.1:{port}/health; do sleep 0.01; done; }}; '
        'cd current/; '
        'PORT={port} setsid src/server.py >>{root}/log 2>&1 </dev/null & echo $! >{root}/pid; '
        'until curl -sf http://127.0.0.1:{port}/health | grep -q {release}; do sleep 0.01; done')

    def __init__(self, sshd, root, source, warm):
        self.root, self.source, self.number, self.port = root, source, 0, free_port()
        root.mkdir()
        (root / "releases").mkdir()
        (root / "data").mkdir()
        options = ["-o", f"ControlPath={sshd.dir}/mux", "-o", "ControlMaster=auto",
                   "-o", "ControlPersist=yes"] if warm else []
        self.ssh = ["ssh", "-F", str(sshd.config), *options]

    def remote(self, script):
        subprocess.run([*self.ssh, "peer", script], check=True, stdin=subprocess.DEVNULL)

    def deploy(self, restart):
        """Seconds from the start to a switched, and if asked restarted and healthy, release."""
        started = time.perf_counter()
        self.number += 1
        release = f"r{self.number:06}"
        link = [f"--link-dest=../r{self.number - 1:06}"] if self.number > 1 else []
        subprocess.run(
            ["rsync", "-a", "--exclude=.git", *link, "-e", " ".join(self.ssh),
             f"{self.source}/", f"peer:{self.root}/releases/{release}/"],
            check=True, stdin=subprocess.DEVNULL)
        script = (f"cd {self.root} && ln -sfn {self.root}/data releases/{release}/data && "
                  f"ln -sfn releases/{release} tmp && mv -T tmp current")
        if restart:
            script += "; " + self.RESTART.format(root=self.root, port=self.port, release=release)
        self.remote(script)
        return time.perf_counter() - started

    def reset(self):
        self.stop()
        shutil.rmtree(self.root / "releases")
        (self.root / "releases").mkdir()
        self.number = 0

    def stop(self):
        pid = self.root / "pid"
        if pid.exists():
            os.kill(int(pid.read_text()), signal.SIGTERM)
            wait_until(lambda: not process_alive(int(pid.read_text())), "the service ends")
            pid.unlink()


# ---- Fairlead ----

def loopback_bytes():
    """Bytes that crossed the loopback device so far."""
    for line in Path("/proc/net/dev").read_text().splitlines():
        if line.strip().startswith("lo:"):
            return int(line.split(":")[1].split()[0])
    raise RuntimeError("no loopback device")


def measured(deploy):
    """(seconds, bytes over loopback with all headers) of a deployment."""
    before = loopback_bytes()
    seconds = deploy()
    return seconds, loopback_bytes() - before


def fairlead_deploy(fleet):
    def deploy():
        started = time.perf_counter()
        fleet.deploy("-q").exits(0)
        return time.perf_counter() - started
    return deploy


# ---- what is measured ----

class Bench:
    def __init__(self, directory, bin_dir):
        self.fleet = Fleet(directory / "fairlead", bin_dir)
        self.repo, self.dir = self.fleet.repo, directory
        write_tree(self.repo.path)
        self.repo.replace("fairlead.yaml", "interval: 100ms", "interval: 10ms")
        self.repo.replace("fairlead.yaml", "min_healthy: 200ms", "min_healthy: 0s")
        self.repo.replace("fairlead.yaml", 'match: ["src/**"]', 'match: ["src/**", "static/**"]')
        self.commit = self.repo.commit(message="tree")
        self.sshd = Sshd(directory / "ssh")
        self.peers = {
            "rsync, warm ssh": Rsync(self.sshd, directory / "warm", self.repo.path, warm=True),
            "rsync, cold ssh": Rsync(self.sshd, directory / "cold", self.repo.path, warm=False)}
        for peer in self.peers.values():
            peer.remote("true")
        self.round = 0

    def first(self):
        """A host that has nothing yet; both serve /health at the end."""
        host = self.fleet.host
        host.stop()
        host.run("stop-services")
        shutil.rmtree(host.root)
        host.root.mkdir()
        host.start()
        yield "Fairlead", measured(fairlead_deploy(self.fleet))
        for name, peer in self.peers.items():
            peer.reset()
            yield name, measured(lambda peer=peer: peer.deploy(restart=True))

    def change(self, path, restart):
        """One line more in one file."""
        self.round += 1
        file = self.repo.path / path
        self.repo.commit({path: file.read_text() + f"# round {self.round}\n"})
        turns = [("Fairlead", fairlead_deploy(self.fleet))] + [
            (name, lambda peer=peer: peer.deploy(restart)) for name, peer in self.peers.items()]
        for name, deploy in turns[self.round % 3:] + turns[:self.round % 3]:
            yield name, measured(deploy)

    def docs(self):
        return self.change("README.md", restart=False)

    def one_file(self):
        return self.change("src/server.py", restart=True)

    def close(self):
        for peer in self.peers.values():
            peer.stop()
        self.sshd.stop()
        self.fleet.close()


CASES = [("first deployment", Bench.first), ("docs only", Bench.docs),
         ("one source file, restart, health", Bench.one_file)]


def process_status(pid):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":", 1) for line in lines)


def memory(pid):
    """(RSS, anonymous part of it) in kB."""
    status = process_status(pid)
    return tuple(int(status[name].split()[0]) for name in ("VmRSS", "RssAnon"))


def print_memory(fleet):
    agent = fleet.host.agent.pid
    programs = {"fairlead-agent": agent, **children(agent)}
    shim = int(process_status(fleet.host.pid)["PPid"])
    programs[program_of(shim)] = shim
    print("\nmemory of each program of the agent, at rest\n")
    print(f"  {'program':18} {'RSS':>10} {'anonymous':>12}")
    for name, pid in programs.items():
        rss, anonymous = memory(pid)
        print(f"  {name:18} {rss:>7} kB {anonymous:>9} kB")


def print_case(title, rows):
    """rows: (seconds, bytes) by name; Fairlead's first."""
    base_time, base_bytes = (statistics.median(column) for column in zip(*rows["Fairlead"]))
    print(f"\n{title}\n")
    print(f"  {'':18} {'median':>9} {'fastest':>9} {'on the wire':>12}   Fairlead / this one")
    for name, values in rows.items():
        times, sizes = zip(*values)
        wire = statistics.median(sizes)
        ratio = "" if name == "Fairlead" else \
            f"{base_time / statistics.median(times):.2f} of the time, {base_bytes / wire:.3f} of the bytes"
        print(f"  {name:18} {statistics.median(times):>7.3f} s {min(times):>7.3f} s "
              f"{wire / 1000:>9.1f} kB   {ratio}")


def main():
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__.split("\n\n", 1)[0])
    parser.add_argument("--bin", type=Path, required=True, help="where the programs are")
    parser.add_argument("--rounds", type=int, default=7, help="rounds of each case (default 7)")
    options = parser.parse_args()
    own_loopback()  # so that its counters count nobody else's bytes
    with tempfile.TemporaryDirectory(prefix="fairlead-bench-") as directory:
        bench = Bench(Path(directory), options.bin.resolve())
        try:
            files, size = tree_facts(bench.repo.path)
            print(f"{files} files, {size / 1e6:.1f} MB; one host on loopback; medians of "
                  f"{options.rounds} rounds; wire bytes counted on the loopback device, with all "
                  "headers and acknowledgements, health checks included")
            for title, case in CASES:
                rows = {"Fairlead": []}
                for _ in range(options.rounds):
                    for name, value in case(bench):
                        rows.setdefault(name, []).append(value)
                print_case(title, rows)
            print_memory(bench.fleet)
        finally:
            bench.close()


if __name__ == "__main__":
    main()
