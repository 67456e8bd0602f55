"""One host whose agent is killed at a chosen durable act, and what must be true afterwards."""

import json
import os
import random
import shutil
import subprocess
import time
from pathlib import Path

from disk import (FINAL, check_journal, check_release, checksums, read_journal, release_record)
from lab import FINDINGS, Fleet, wait_until
from strike import Strike

QUIET_S = 0.05
SETTLE_S = 30
CONFIG = """\
version: 1
app: hello
releases: { keep: 2 }
shared: { dirs: [data] }
services:
  web:
    driver: process
    command: ["./run"]
    restart: { policy: "no" }
    stop: { timeout: 2s }
    health: [ { running: { min: 10ms, interval: 10ms } } ]
strategy: { confirm_timeout: 1s, activate_timeout: 20s, lease: 2s }
"""
GOOD, BAD = "#!/bin/sh\nexec sleep 1000000\n", "#!/bin/sh\necho broken; exit 7\n"


def history(count):
    """A stream for git fast-import: a line of good commits, and below each a bad one."""
    def data(text):
        return f"data {len(text)}\n{text}\n"

    def file(mode, path, text):
        return f"M {mode} inline {path}\n{data(text)}"

    def commit(branch, mark, parent, changes):
        return (f"commit refs/heads/{branch}\nmark :{mark}\n"
                f"committer Ada <ada@example.org> {1700000000 + mark} +0000\n{data(str(mark))}"
                + (f"from :{parent}\n" if parent else "deleteall\n") + changes)

    stream = []
    for number in range(1, count + 1):
        changes = file(100644, "version", f"{number}\n") + file(100644, f"lib/new/{number}", "new\n")
        if number == 1:
            changes += (file(100644, "fairlead.yaml", CONFIG) + file(100755, "run", GOOD)
                        + file(120000, "latest", "version") + file(100644, "lib/same", "same\n"))
        else:
            changes += f"D lib/new/{number - 1}\n"
        stream += [commit("main", 2 * number, 2 * number - 2 if number > 1 else 0, changes),
                   commit("bad", 2 * number + 1, 2 * number, file(100755, "run", BAD))]
    return "".join(stream)


class Bed(Fleet):
    """A fleet of one, its agent under strike, its repository full of releases to deploy."""

    def __init__(self, directory, build_dir, revisions):
        super().__init__(directory, build_dir / "bin")
        self.strike = Strike(directory / "strike", build_dir / "tools" / "crash.so")
        self.newest = 0
        shutil.rmtree(self.repo.path)
        self.repo.path.mkdir()
        self.repo.git("init", "-q", "-b", "main")
        marks = directory / "marks"
        subprocess.run(["git", "-C", self.repo.path, "fast-import", "--quiet", "--force",
                        f"--export-marks={marks}"], input=history(revisions), text=True,
                       env=self.env, check=True)
        self.revisions = dict(line.split() for line in marks.read_text().splitlines())
        self.repo.git("reset", "-q", "--hard")
        self.before = None

    def good(self):
        self.newest += 1
        return self.revisions[f":{2 * self.newest}"]

    def bad(self):
        self.newest += 1
        return self.revisions[f":{2 * self.newest + 1}"]

    # ---- the agent ----

    def start_agent(self):
        """Returns once it listens, or has been struck."""
        host = self.host
        before = host.log.stat().st_size if host.log.exists() else 0
        env = [f"{name}={value}" for name, value in self.strike.env.items()]
        with host.log.open("ab") as log:
            host.agent = subprocess.Popen(
                ["env", *env, *host.command("run")], env=self.env, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log)
        wait_until(lambda: host.agent.poll() is not None or host.logged("listening on", before),
                   "the agent listens")
        return self

    def keep_running(self):
        """Start the agent again if it was struck; it has no other reason to end."""
        status = self.host.agent.poll()
        if status is None:
            return
        assert status == -9 and self.strike.struck, \
            f"the agent ended with {status}:\n{self.host.log.read_text()[-2000:]}"
        self.start_agent()

    @property
    def records(self):
        return read_journal(self.host.store / "state" / "journal")

    def settled(self):
        self.keep_running()
        records = self.records
        return not records or records[-1].state in FINAL

    def quiet(self):
        """Nothing durable has happened for a while."""
        deadline = time.monotonic() + SETTLE_S
        count = self.strike.count
        while True:
            time.sleep(QUIET_S)
            if self.strike.count == count:
                return
            count = self.strike.count
            assert time.monotonic() < deadline, "the agent does not come to rest"

    def clear(self):
        """A host on which nothing was ever deployed."""
        self.host.stop()
        self.host.run("stop-services")
        for path in self.host.root.iterdir():
            shutil.rmtree(path)
        self.strike.reset()
        self.start_agent()

    # ---- one run ----

    def run(self, args, strikes, coordinator):
        """Run `fairlead`; the first strike counts from there, each other from the restart before it.

        Returns the acts that were hit.
        """
        self.before = checksums(self.dir, self.volatile)
        if strikes:
            self.strike.arm(*strikes[0])
        _, process = self.popen(*args)
        try:
            hit = self.endure(process, list(strikes[1:]), coordinator)
        except AssertionError as problem:
            process.kill()
            said = "".join(process.communicate())
            raise AssertionError(f"{problem}\n{said}{self.host.log.read_text()[-1500:]}") from problem
        self.quiet()
        return hit

    def endure(self, process, strikes, coordinator):
        hit = []
        wait_until(lambda: self.host.agent.poll() is not None or process.poll() is not None,
                   "the coordinator ends, or the agent")
        if process.poll() is not None:
            self.quiet()
        while self.strike.struck:
            wait_until(lambda: self.host.agent.poll() is not None, "the agent is dead")
            hit.append(self.strike.last_act)
            if coordinator == "leaves":
                process.kill()
            self.strike.disarm()
            if strikes:
                self.strike.arm(*strikes.pop(0))
            self.start_agent()
            wait_until(lambda: self.strike.struck or process.poll() is not None and self.calm(),
                       f"the deployment has ended after {hit}", SETTLE_S)
        self.strike.disarm()
        assert process.wait(SETTLE_S) >= 0 or coordinator == "leaves", "fairlead died"
        wait_until(self.settled, f"the host has settled after {hit}", SETTLE_S)
        return hit

    def calm(self):
        if self.strike.struck:
            return True
        records = self.records
        if records and records[-1].state not in FINAL:
            return False
        self.quiet()
        return True

    @property
    def volatile(self):
        host = self.host
        return {str(path) for path in (
            host.root, host.log, self.strike.path, self.repo.path, Path(self.env["HOME"]) / ".cache",
            Path(self.env["HOME"]) / ".local")}

    # ---- what must be true ----

    def processes(self):
        """Where the processes of the service run from: the names of their releases."""
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                cwd = os.readlink(entry / "cwd")
            except OSError:
                continue
            if cwd.startswith(f"{self.host.root}/"):
                found.append(os.path.basename(cwd))
        return found

    def check(self):
        store, records = self.host.store, self.records
        check_journal(records)
        current = self.host.release
        if current:
            check_release(store, current, ["data"])
        last = records[-1] if records else None
        outcomes = {record.id: record for record in records if record.status}
        if last:
            self.check_outcome(records, current)
        assert self.processes() == ([current] if current else []), \
            f"the service runs from {self.processes()}, current is {current}"
        self.check_log(outcomes)
        known = {"releases", "meta", "shared", "tmp", "state", "current", "deployment.log",
                 "deployment.log.json"}
        if store.exists():
            assert set(os.listdir(store)) <= known, f"{store} has {set(os.listdir(store)) - known}"
        assert set(os.listdir(self.host.root)) <= {store.name}
        now = checksums(self.dir, self.volatile)
        assert now == self.before, f"changed outside the roots: {now.items() ^ self.before.items()}"

    def check_outcome(self, records, current):
        """`current` and what is remembered of the release say the same as the journal."""
        final = next(record for record in reversed(records) if record.status)
        start = next(r for r in reversed(records) if r.accepted and r.id == final.id)
        assert final.state == records[-1].state, f"{final} is not the end"
        old = start.accepted.get(4, [b""])[0].hex() or None
        new = final.status[4][0].hex()
        assert current == (new if final.state == "committed" else old), \
            f"{final.state} from {old} to {new}, and current is {current}"
        if not (self.host.store / "meta" / new).exists():
            assert final.state == "aborted", "nothing is known of the release"
            return
        release = release_record(self.host.store, new)
        if final.state == "committed":
            assert release["verified"] and not release["failed"], f"committed, but {release}"
        blamed = final.error and b"service 'web'" in final.error.get(2, [b""])[0]
        if final.state == "rolled_back":
            assert bool(release["failed"]) == bool(blamed), f"{final.error}, but {release}"

    def check_log(self, outcomes):
        """One line for each end; a rollback of its own has two: what failed, and what it did."""
        path = self.host.store / "deployment.log"
        lines = path.read_text().splitlines() if path.exists() else []
        path = self.host.store / "deployment.log.json"
        said = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        assert len(lines) == len(said), f"{lines} but {said}"
        for line, record in zip(lines, said):
            assert f"[{record['event']}]" in line, f"{line} but {record}"
        wanted = sorted((id, state) for id, record in outcomes.items() for state in
                        [record.state] * (2 if record.state == "rolled_back" else 1))
        found = sorted((record["deployment"], record["outcome"]) for record in said)
        assert found == wanted, f"the log has {found}, the journal {wanted}"

    def check_next(self, revision):
        """The deployment after works: the same release again, or the next one."""
        committed = self.records and self.records[-1].state == "committed"
        self.deploy("--to", self.good() if committed else revision).exits(0)
        wait_until(self.settled, "the next deployment has ended")
        self.quiet()
        self.check()

    def close(self):
        """Only the strike's own ends are forgiven; see Fleet.close."""
        self.strike.disarm()
        if self.host.agent and self.host.agent.poll() is not None:
            self.host.agent = None
        super().close()


class Scenario:
    """A deployment of one kind; `begin` brings a bed into the state before it."""

    def __init__(self, begin, args):
        self.begin, self.args = begin, args


def begin_first(bed):
    bed.clear()


def begin_again(bed):
    if bed.strike.count > 50000:
        bed.host.stop()
        bed.strike.reset()
        bed.start_agent()


def to_good(bed):
    revision = bed.good()
    return ["deploy", "--to", revision], revision


def to_bad(bed):
    return ["deploy", "--to", bed.bad()], bed.good()


def back(bed):
    return ["rollback"], bed.good()


SCENARIOS = {
    "first": Scenario(begin_first, to_good),
    "update": Scenario(begin_again, to_good),
    "failing": Scenario(begin_again, to_bad),
    "rollback": Scenario(begin_again, back),
}


def warm(bed):
    """A host with a few releases behind it, so that the next one recycles the oldest."""
    bed.start_agent()
    for _ in range(4):
        bed.deploy("--to", bed.good()).exits(0)
    wait_until(bed.settled, "the first deployments have ended")
    bed.quiet()


class Point:
    """What a run is to suffer; its text replays it."""

    def __init__(self, scenario, strikes, coordinator):
        self.scenario, self.strikes, self.coordinator = scenario, strikes, coordinator

    def __str__(self):
        strikes = " ".join(f"{number} {how}" for number, how in self.strikes)
        return f"{self.scenario} {self.coordinator} {strikes}"

    @classmethod
    def parse(cls, text):
        scenario, coordinator, *words = text.split()
        strikes = [(int(number), how) for number, how in zip(words[::2], words[1::2])]
        return cls(scenario, strikes, coordinator)

    @classmethod
    def random(cls, seed, counts):
        """A first strike anywhere in the deployment, a second soon after the restart."""
        dice = random.Random(seed)
        scenario = dice.choice(sorted(counts))
        strikes = [(dice.randint(1, counts[scenario]), dice.choice(["before", "after", "torn"])),
                   (dice.randint(1, 40), dice.choice(["before", "after", "torn"]))]
        return cls(scenario, strikes, dice.choice(["stays", "leaves"]))

    def suffer(self, bed):
        """Returns the acts that were hit."""
        SCENARIOS[self.scenario].begin(bed)
        args, revision = SCENARIOS[self.scenario].args(bed)
        hit = bed.run(args, self.strikes, self.coordinator)
        try:
            bed.check()
            bed.check_next(revision)
        except AssertionError as problem:
            raise AssertionError(f"{self} ({', '.join(hit) or 'no strike'}): {problem}") from problem
        return hit
