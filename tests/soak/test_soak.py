"""A thousand deployments against one agent leave it as it was: memory, descriptors, processes, threads and disk.

What is kept in a ring (events, journal, logs) is full at half time; the second half is compared with it.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from lab import Fleet, wait_until
from meter import measure

CONFIG = """\
version: 1
app: hello
releases: {{ keep: 3 }}
classify:
  rules:
    - {{ match: ["docs/**"], class: NO_RESTART }}
    - {{ match: ["answer"], class: APP_ONLY, services: [web] }}
services:
  web:
    driver: process
    command: ["{serve}"]
    restart: {{ policy: "no" }}
    stop: {{ timeout: 5s }}
    health:
      - running: {{ min: 10ms, interval: 10ms }}
      - http: {{ url: "http://127.0.0.1:${{PORT}}/", start_period: 30s, interval: 10ms, timeout: 10s, min_healthy: 0s }}
strategy: {{ confirm_timeout: 60s, activate_timeout: 60s, lease: 60s }}
"""
SAMPLES = 10

# The bounds. A leak of 200 bytes a deployment is seen (smaller ones hide in what the heap has free).
GROWTH_KB = 32  # of the anonymous memory of each program, from half time on
ANONYMOUS_KB = {"fairlead-agent": 2048, "fairlead-gateway": 1024, "fairlead-probe": 2048, "fairlead-shim": 512}
DISK_BYTES = 2 << 20  # of root and state in all, whenever it is looked at
DISK_FILES = 16       # of a release more or less, which waits for its pruning


def data(text):
    return f"data {len(text)}\n{text}\n"


def history(count, config):
    """A stream for git fast-import. Every third commit changes the service, the others its documents; each
    51st is broken, and mended by the next."""
    stream = []
    for number in range(1, count + 1):
        changes = [("docs/page", f"{number}\n")]
        if number % 3 == 1 or is_broken(number - 1):
            changes.append(("answer", f"{'broken' if is_broken(number) else 'release'} {number}\n"))
        if number == 1:
            changes.append(("fairlead.yaml", config))
        stream.append(f"commit refs/heads/main\nmark :{number}\n"
                      f"committer Ada <ada@example.org> {1700000000 + number} +0000\n{data(str(number))}"
                      + ("deleteall\n" if number == 1 else "")
                      + "".join(f"M 100644 inline {path}\n{data(text)}" for path, text in changes))
    return "".join(stream)


def is_broken(number):
    return number % 51 == 49


@pytest.fixture
def directory(tmp_path):
    """In memory if there is a file system for it: a thousand deployments are some ten thousand syncs."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK) or shutil.disk_usage(memory).free < 256 << 20:
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="fairlead-soak-", dir=memory) as name:
        Path(name).chmod(0o755)
        yield Path(name)


class Soak(Fleet):
    """One host, and a commit for each deployment to come."""

    def __init__(self, directory, build_dir, count):
        super().__init__(directory, build_dir / "bin")
        marks = directory / "marks"
        shutil.rmtree(self.repo.path)
        self.repo.path.mkdir()
        self.repo.git("init", "-q", "-b", "main")
        config = CONFIG.format(serve=build_dir / "tools" / "serve")
        subprocess.run(["git", "-C", self.repo.path, "fast-import", "--quiet", f"--export-marks={marks}"],
                       input=history(count, config), text=True, env=self.env, check=True)
        self.repo.git("reset", "-q", "--hard")
        # So small that it turns its pages all the time.
        self.host.write_config(journal={"segment": "64K", "keep": 2})
        self.commits = dict(line.split() for line in marks.read_text().splitlines())

    def step(self, number):
        """The number-th deployment; a broken one is undone by the host, every fortieth by hand."""
        self.deploy("--to", self.commits[f":{number}"]).exits(5 if is_broken(number) else 0)
        if number % 40 == 0:
            self.fairlead("rollback").exits(0)

    def measure(self):
        """Once the last deployment's pruning has ended: it is the core's only child of its own name."""
        wait_until(lambda: measure(self).programs["fairlead-agent"].count == 1, "the workers have ended")
        return measure(self)


@pytest.fixture
def fleet(directory, build_dir, pytestconfig):
    """Ended whether or not the test fails: it must not leave an agent behind."""
    soak = Soak(directory / "fleet", build_dir, pytestconfig.getoption("--soak"))
    yield soak
    soak.close()


def test_a_thousand_deployments(fleet, tally, pytestconfig):
    count = pytestconfig.getoption("--soak")
    fleet.start()
    uses = []
    for number in range(1, count + 1):
        fleet.step(number)
        if number % (count // SAMPLES) == 0:
            uses.append(fleet.measure())
    half, *later = uses[SAMPLES // 2 - 1:]
    check(half, later)
    tally["soak: deployments"] += count
    for name, program in later[-1].programs.items():
        tally[f"soak: {name}, anonymous kB"] += program.anonymous_kb
    tally["soak: disk kB"] += max(use.total_bytes for use in later) // 1024


def check(half, later):
    said = "\n\n".join(["at half time:", str(half), "and later:", *map(str, later)])
    for use in later:
        for name, program in use.programs.items():
            before = half.programs[name]
            assert program.anonymous_kb <= before.anonymous_kb + GROWTH_KB, f"{name} grows\n{said}"
            assert program.anonymous_kb <= ANONYMOUS_KB[name], f"{name} is large\n{said}"
            assert program.fds == before.fds, f"{name} leaks descriptors\n{said}"
            assert (program.count, program.threads) == (before.count, before.threads), f"{name}\n{said}"
        assert use.processes == half.processes, f"processes are left\n{said}"
        assert abs(use.files - half.files) <= DISK_FILES, f"files are left\n{said}"
        assert use.total_bytes <= DISK_BYTES, f"the disk fills\n{said}"
