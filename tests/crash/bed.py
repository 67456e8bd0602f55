"""One host whose agent is killed at a chosen durable act, and what must be true afterwards."""

import json
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

from disk import (FINAL, Journal, check_journal, check_receipts, check_release, checksums,
                  release_record)
from lab import Fleet, processes_below, wait_until

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
strategy: { confirm_timeout: 2s, activate_timeout: 30s, lease: 4s }
"""
RUNNING = "{ running: { min: 10ms, interval: 10ms } }"
# Nobody listens there, on any host: a failure that does not depend on who is faster.
FAILS = "{ tcp: { port: 1, start_period: 0s, interval: 10ms, retries: 1 } }"
RUN = "#!/bin/sh\nexec sleep 1000000\n"


TIMES = "confirm_timeout: 2s, activate_timeout: 30s, lease: 4s"
PATIENT_TIMES = "confirm_timeout: 60s, activate_timeout: 60s, lease: 60s"


def history(count):
    """A stream for git fast-import: a line of commits."""
    def data(text):
        return f"data {len(text)}\n{text}\n"

    def file(mode, path, text):
        return f"M {mode} inline {path}\n{data(text)}"

    stream = []
    for number in range(1, count + 1):
        stream.append(f"commit refs/heads/main\nmark :{number}\n"
                      f"committer Ada <ada@example.org> {1700000000 + number} +0000\n{data(str(number))}")
        if number == 1:
            stream += [file(100644, "fairlead.yaml", CONFIG), file(100755, "run", RUN),
                       file(120000, "latest", "version"), file(100644, "lib/same", "same\n")]
        else:
            stream += [f"from :{number - 1}\n", f"D lib/new/{number - 1}\n"]
        stream += [file(100644, "version", f"{number}\n"), file(100644, f"lib/new/{number}", "new\n")]
    return "".join(stream)


class Bed(Fleet):
    """A fleet of one, what is preloaded into its agent (its tap), and a repository full of releases
    to deploy."""

    def __init__(self, directory, build_dir, revisions, tap):
        super().__init__(directory, build_dir / "bin")
        # The journal turns a page after every deployment, so that this is struck too; nothing is dropped.
        self.host.write_config(journal={"segment": 1, "keep": 1000})
        self.tap = tap(directory / "tap", build_dir / "tools")
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
        # For the deployment after: nothing disturbs it, so only a busy machine can keep it waiting.
        self.patient = directory / "patient.yaml"
        self.patient.write_text(CONFIG.replace(TIMES, PATIENT_TIMES))
        self.failing = directory / "failing.yaml"
        self.failing.write_text(CONFIG.replace(RUNNING, FAILS))
        self.before = None
        self.journal = Journal(self.host.store / "state" / "journal")

    def revision(self):
        """One that was not deployed yet."""
        self.newest += 1
        return self.revisions[f":{self.newest}"]

    # ---- the agent ----

    def start_agent(self):
        """Returns once it listens, or has ended."""
        host = self.host
        before = host.log.stat().st_size if host.log.exists() else 0
        env = [f"{name}={value}" for name, value in self.tap.env.items()]
        with host.log.open("ab") as log:
            host.agent = subprocess.Popen(
                ["env", *env, *host.command("run")], env=self.env, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log)
        wait_until(lambda: host.agent.poll() is not None or host.logged("listening on", before),
                   "the agent listens")
        return self

    @property
    def records(self):
        return self.journal.records()

    def settled(self):
        self.keep_running()
        records = self.records
        return not records or records[-1].state in FINAL and records[-1].step == "CONCLUDED"

    def quiet(self):
        """Nothing durable has happened for a while."""
        deadline = time.monotonic() + SETTLE_S
        count = self.tap.count
        while True:
            time.sleep(QUIET_S)
            if self.tap.count == count:
                return
            count = self.tap.count
            assert time.monotonic() < deadline, "the agent does not come to rest"

    def clear(self):
        """A host on which nothing was ever deployed."""
        self.host.stop()
        self.host.run("stop-services")
        for path in self.host.root.iterdir():
            shutil.rmtree(path)
        self.tap.reset()
        self.start_agent()

    @property
    def verified(self):
        """Names of the releases that can be gone back to."""
        meta = self.host.store / "meta"
        names = [name for name in os.listdir(meta) if len(name) == 64] if meta.exists() else []
        return [name for name in names if release_record(self.host.store, name)["verified"]]

    @property
    def volatile(self):
        host = self.host
        return {str(path) for path in (
            host.root, host.log, self.tap.path, self.repo.path, Path(self.env["HOME"]) / ".cache",
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
        check_receipts(records)
        current = self.host.release
        if current:
            check_release(store, current, ["data"])
        last = records[-1] if records else None
        outcomes = {record.id: record for record in records if record.status}
        if last:
            self.check_outcome(records, current)
        self.check_processes(current)
        self.check_log(outcomes)
        known = {"releases", "meta", "shared", "tmp", "state", "current", "deployment.log",
                 "deployment.log.json", "deployment.log.1", "deployment.log.json.1"}
        if store.exists():
            assert set(os.listdir(store)) <= known, f"{store} has {set(os.listdir(store)) - known}"
        assert set(os.listdir(self.host.root)) <= {store.name}
        now = checksums(self.dir, self.volatile)
        assert now == self.before, f"changed outside the roots: {now.items() ^ self.before.items()}"

    def check_processes(self, current):
        assert self.processes() == ([current] if current else []), \
            f"the service runs from {self.processes()}, current is {current}"
        wait_until(lambda: len(self.supervisors()) <= 1, "a supervisor of what has ended has ended too")

    def supervisors(self):
        return [process for process in processes_below(self.dir) if "fairlead-shim" in process]

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
        blamed = final.error and b"service 'web'" in final.error.get(2, [b""])[0] \
            and final.error[1][0] not in (b"internal", b"io", b"no_space")
        if final.state == "rolled_back":
            assert bool(release["failed"]) == bool(blamed), f"{final.error}, but {release}"

    def check_log(self, outcomes):
        """One line for each end; a rollback of its own has two: what failed, and what it did."""
        def lines_of(name):
            paths = [self.host.store / f"{name}.1", self.host.store / name]
            return [line for path in paths if path.exists() for line in path.read_text().splitlines()]
        lines = lines_of("deployment.log")
        said = [json.loads(line) for line in lines_of("deployment.log.json")]
        assert len(lines) == len(said), f"{lines} but {said}"
        for line, record in zip(lines, said):
            assert f"[{record['event']}]" in line, f"{line} but {record}"
        wanted = sorted((id, state) for id, record in outcomes.items() for state in
                        [record.state] * (2 if record.state == "rolled_back" else 1))
        found = sorted((record["deployment"], record["outcome"]) for record in said)
        assert found == wanted, f"the log has {found}, the journal {wanted}"

    def story(self):
        """What is known of the last deployment, for somebody who has to find out."""
        try:
            records = self.records
            lines = [str(record) for record in records if record.id == records[-1].id]
        except (AssertionError, OSError) as problem:
            lines = [f"the journal: {problem}"]
        logs = [self.host.log, *self.host.store.glob("state/logs/*.log")]
        return "\n".join(lines + [f"{log.name}:\n{log.read_text(errors='replace')[-2000:]}" for log in logs])

    def is_reachable(self):
        try:
            with socket.create_connection(("127.0.0.1", self.host.port), timeout=SETTLE_S):
                return True
        except ConnectionRefusedError:
            return False

    def deploy_calmly(self, revision):
        """Undisturbed, and only when a gateway that was ended has been started again."""
        wait_until(self.is_reachable, "the gateway listens")
        self.deploy("--to", revision, "-c", self.patient).exits(0)

    def check_next(self, revision):
        """The deployment after works: the same release again, or the next one."""
        committed = self.records and self.records[-1].state == "committed"
        self.deploy_calmly(self.revision() if committed else revision)
        wait_until(self.settled, "the next deployment has ended")
        self.quiet()
        self.check()

    def close(self):
        """An agent that has ended was meant to; see Fleet.close."""
        self.tap.disarm()
        if self.host.agent and self.host.agent.poll() is not None:
            self.host.agent = None
        super().close()
