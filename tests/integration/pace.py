"""`fairlead` stopped after every line it says (tests/tools/pace.c), so that a test can kill it at an exact point.

Real time goes on for the hosts meanwhile, as it would for a coordinator that was killed."""

import json
import os
import signal

from lab import wait_until


class Paced:
    def __init__(self, fleet, *args, **how):
        library = fleet.bin.parent / "tools" / "pace.so"
        env, fleet.env = fleet.env, {**fleet.env, "LD_PRELOAD": str(library)}
        try:
            self.args, self.process = fleet.popen(*args, "--json", **how)
        finally:
            fleet.env = env
        self.lines, self.rest = [], b""
        os.set_blocking(self.process.stdout.fileno(), False)

    def read(self):
        try:
            data = os.read(self.process.stdout.fileno(), 1 << 20)
        except BlockingIOError:
            data = b""
        *lines, self.rest = (self.rest + data).split(b"\n")
        said = [json.loads(line) for line in lines]
        self.lines += said
        return said

    def stopped(self):
        """True when it has stopped itself, False when it has ended; None before."""
        found = os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WEXITED | os.WNOHANG | os.WNOWAIT)
        return found and found.si_code == os.CLD_STOPPED

    def step(self):
        """The lines it said until it stopped; None when it has ended."""
        stopped = wait_until(lambda: (self.stopped(),) if self.stopped() is not None else None,
                             "the coordinator says something", timeout=120)[0]
        if stopped:
            os.waitid(os.P_PID, self.process.pid, os.WSTOPPED)
        said = self.read()
        return said if stopped else None

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def run_until(self, wanted):
        """Let it go on to the line that is wanted, and leave it stopped there."""
        while (said := self.step()) is not None:
            for line in said:
                if wanted(line):
                    return line
            self.go_on()
        raise AssertionError(f"ended before: {self.lines} {self.process.stderr.read()}")

    def kill(self):
        self.process.kill()
        self.process.wait(30)
        self.read()
        self.process.stdout.close()
        self.process.stderr.close()
        return self.lines

    def finish(self):
        """From a stop to the end, at its own pace but for further stops."""
        self.go_on()
        while self.step() is not None:
            self.go_on()
        return self.process.wait(30)


def phase(name, host=None):
    return lambda line: line["event"] == "phase" and line["phase"] == name and host in (None, line["host"])


def state(name, host=None):
    return lambda line: line["event"] == "agent" and line["state"] == name and host in (None, line["host"])


def events(lines):
    """Numbers of the hosts' events, by host, in the order they were said; and those said again perhaps."""
    numbers, again = {}, {}
    for line in lines:
        if line["event"] != "agent":
            continue
        assert "missed" not in line, line
        into = again if line.get("perhaps_shown_before") else numbers
        into.setdefault(line["host"], []).append(line["number"])
    return numbers, again


def assert_each_once(before, after, hosts):
    """No event of the deployment is missing, none is said twice without being marked, and all come in order."""
    shown, _ = events(before)
    then, again = events(after)
    for host in hosts:
        first, second = shown.get(host, []), then.get(host, [])
        assert first + second == sorted(set(first + second)), (host, first, second)
        everything = set(first) | set(second) | set(again.get(host, []))
        assert everything == set(range(min(everything), max(everything) + 1)), (host, first, second)
        # Only what was said since the last note in the ledger: no number that is older than one that was noted.
        assert not again.get(host) or min(again[host]) > max((n for n in first if n not in again[host]), default=0), \
            (host, first, again)
