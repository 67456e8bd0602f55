"""Hooks for the tests: scripts of the release, and the section of fairlead.yaml that names them."""

import json
import signal
from pathlib import Path

from lab import process_alive, wait_until

TRACE = """\
echo "$FAIRLEAD_HOOK $FAIRLEAD_ACTION {name} ${{FAIRLEAD_OUTCOME:-}}" >> "{trace}"
"""

# Children that try to get away: of another session, left to init, deaf to TERM. Each notes itself;
# the script waits for all of them, so that its last line says that they are there.
RUNAWAYS = """\
note='echo $$ >> "$1"; [ "$2" = deaf ] && trap "" TERM; while :; do sleep 1; done'
setsid sh -c "$note" x "{pids}" &
( sh -c "$note" x "{pids}" & )
( setsid sh -c "$note" x "{pids}" deaf & ) &
echo $$ >> "{pids}"
while [ "$(wc -l < "{pids}")" -lt 4 ]; do sleep 0.05; done
echo ready >> "{pids}"
"""


class Hooks:
    """The hooks of a fleet's application, and what they left in a file outside the release."""

    def __init__(self, fleet):
        self.fleet = fleet
        self.trace, self.pids = fleet.dir / "trace", fleet.dir / "pids"
        self.gate = fleet.dir / "gate"

    def script(self, name, body="", status=0):
        """A script that notes its run, does `body` and exits with a status."""
        text = "#!/bin/sh\n" + TRACE.format(name=name, trace=self.trace) + body.format(
            pids=self.pids, gate=self.gate) + f"\nexit {status}\n"
        self.fleet.repo.write({f"bin/{name}": text})
        (self.fleet.repo.path / "bin" / name).chmod(0o755)
        return f"bin/{name}"

    def use(self, more="", **phases):
        """Write the section (a phase is a list of JSON values), change the source, commit."""
        path = self.fleet.repo.path / "fairlead.yaml"
        text = path.read_text().split("\nhooks:")[0].rstrip() + "\n"
        phases = {name: [list(value) if isinstance(value, tuple) else value for value in values]
                  for name, values in phases.items()}
        path.write_text(f"{text}\nhooks: {json.dumps(phases)}\n{more}\n")
        page = self.fleet.repo.path / "src/page.html"
        page.write_text(page.read_text() + "<!-- -->\n")
        self.fleet.repo.commit()

    @property
    def runs(self):
        """What ran, in order: 'before deploy preflight'."""
        lines = self.trace.read_text().splitlines() if self.trace.exists() else []
        return [line.strip() for line in lines]

    def wait_ready(self):
        """The processes of the runaways, when all of them are there."""
        def ready():
            return self.pids.exists() and "ready" in self.pids.read_text()
        wait_until(ready, "the hook's processes are there")
        pids = [int(line) for line in self.pids.read_text().split() if line != "ready"]
        assert len(pids) == 4 and all(process_alive(pid) for pid in pids), pids
        return pids

    def assert_ended(self, pids):
        wait_until(lambda: not [pid for pid in pids if process_alive(pid)],
                   f"all of {pids} have ended")

    def runner(self, pids):
        """The process of the agent that looks after them: an ancestor of each."""
        pid = pids[0]
        while Path(f"/proc/{pid}/comm").read_text().strip() != "fairlead-hook":
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        return pid


def running(fleet):
    """The deployment under way, as `fairlead status --json` shows it."""
    [status] = fleet.fairlead("status", "--json").exits(0).ndjson
    return status["running"]


def last(fleet):
    [status] = fleet.fairlead("status", "--json").exits(0).ndjson
    return status["last"]


def kill(host):
    host.stop(signal.SIGKILL)
