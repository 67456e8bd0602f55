"""One host with a proxy in front of it, short deadlines, and what must be true after whatever happened between."""

import os
import subprocess
import threading

from disk import FINAL, Journal, check_journal, check_receipts, check_release
from lab import Fleet, Result, wait_until
from proxy import Proxy

CONFIG = """\
version: 1
app: hello
releases: { keep: 2 }
services:
  web:
    driver: process
    command: ["./run"]
    restart: { policy: "no" }
    stop: { timeout: 2s }
    health: [ { running: { min: 10ms, interval: 10ms } } ]
strategy: { confirm_timeout: 5s, activate_timeout: 20s, lease: 5s }
"""
RUN = "#!/bin/sh\nexec sleep 1000000\n"
BLOB = 600_000
# Longer than anything a coordinator waits for: its link gives up after 30 s of silence, it tries to reach the
# host again for 20 s, and has a margin of 30 s over the host's own deadlines.
DEADLINE_S = 180
SETTLED_S = 60
OLD, NEW = "the old release", "the new release"
# What each exit status promises of the one host; those that are not here must not come out of a bad network.
PROMISES = {0: {NEW}, 4: {OLD}, 5: {OLD}, 6: {OLD, NEW}, 8: {OLD}}


class Lane(Fleet):
    def __init__(self, directory, bin_dir, sanitizer_env):
        env = {name: f"{value}:log_path={directory / 'sanitizer.log'}" for name, value in sanitizer_env.items()}
        super().__init__(directory, bin_dir, 1, env)
        self.repo.git("rm", "-rqf", ".")
        self.proxy, self.counter = None, 0
        self.journal, self.lock = Journal(self.host.store / "state" / "journal"), threading.Lock()
        self.proxied = directory / "proxied.yaml"

    def begin(self, **settings):
        if settings:
            self.host.write_config(**settings)
        self.host.start()
        self.change()
        self.deploy().exits(0)
        self.proxy = Proxy(self.host.port)
        self.proxied.write_text(self.inventory.read_text().replace(f":{self.host.port}\"", f":{self.proxy.port}\""))
        return self

    def change(self):
        """Something to deploy: more than fits the buffers between the programs."""
        self.counter += 1
        self.repo.write({"fairlead.yaml": CONFIG, "run": RUN, "blob": os.urandom(BLOB),
                         "version": f"{self.counter}\n"})
        (self.repo.path / "run").chmod(0o755)
        self.repo.commit()

    def popen_proxied(self, *args):
        args = [*args, "-i", str(self.proxied), "--key", str(self.key_file)]
        return args, self.popen(*args, plain=True)[1]

    def finish(self, args, process):
        try:
            out, err = process.communicate(timeout=DEADLINE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise AssertionError(f"no end within {DEADLINE_S} s: {process.communicate()}") from None
        return Result(args, subprocess.CompletedProcess(args, process.returncode, out, err))

    def deploy_proxied(self):
        return self.finish(*self.popen_proxied("deploy"))

    # ---- what the host says ----

    @property
    def records(self):
        with self.lock:     # the proxy's thread asks too
            return list(self.journal.records())

    def state(self):
        """Of the deployment that runs; None when none does."""
        records = self.records
        return records[-1].state if records and records[-1].state not in FINAL else None

    @property
    def version(self):
        """Which change the current release holds."""
        return int((self.host.store / "current/version").read_text())

    # ---- what must be true ----

    def check(self, result):
        """The exit status told the truth, and the host is whole."""
        assert result.status in PROMISES, f"an exit status that is not declared for this:\n{result}"
        wait_until(lambda: self.state() is None, "the host has ended the deployment by itself", SETTLED_S)
        records = self.records
        check_journal(records)
        check_receipts(records)
        check_release(self.host.store, self.host.release)
        there = NEW if self.version == self.counter else OLD
        if there == OLD:
            assert self.version == self.counter - 1, f"the release of change {self.version}, not {self.counter - 1}"
        assert there in PROMISES[result.status], f"{result}\nbut the host has {there}"
        if there == NEW:
            assert records[-1].state == "committed", records[-1]

    def recover(self):
        """Without the fault everything is as ever."""
        self.proxy.heal()
        wait_until(lambda: self.fairlead("status").status == 0, "the host answers")
        self.change()
        self.deploy().exits(0)
        assert self.version == self.counter

    def close(self):
        if self.proxy:
            self.proxy.close()
        super().close()
