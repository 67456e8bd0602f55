"""A core that died and never came back, and `fairlead-agent recover` in its place, which is killed too."""

import subprocess
import time

from bed import SETTLE_S
from disk import check_journal, check_receipts, checksums
from lab import wait_until


class Abandoned:
    """A deployment whose core is killed when it has become healthy, and then a recovery that is killed too."""

    def __init__(self, healthy, number, how="after", heir="recover"):
        self.healthy, self.number, self.how, self.heir = healthy, number, how, heir

    def __str__(self):
        return f"recover {self.healthy} {self.number} {self.how} {self.heir}"

    @classmethod
    def parse(cls, words):
        return cls(int(words[0]), int(words[1]), *words[2:])

    def abandon(self, bed):
        """Its time is over, and nobody was there."""
        bed.before = checksums(bed.dir, bed.volatile)
        bed.strike.arm(self.healthy, "after")
        _, coordinator = bed.popen("deploy", "--to", bed.revision())
        wait_until(lambda: bed.host.agent.poll() is not None, "the agent is dead", SETTLE_S)
        coordinator.kill()
        coordinator.communicate()
        bed.strike.disarm()
        deadline = bed.records[-1].deadline
        assert bed.records[-1].state == "healthy" and deadline
        wait_until(lambda: time.time() * 1000 > deadline, "its time is over")

    def recover(self, bed):
        env = [f"{name}={value}" for name, value in bed.tap.env.items()]
        with bed.host.log.open("ab") as log:
            return subprocess.run(["env", *env, *bed.host.command("recover")], env=bed.env, check=False,
                                  stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                  timeout=SETTLE_S).returncode

    def suffer(self, bed):
        """Returns the act that was hit, or None."""
        if bed.tap.is_full:
            bed.host.stop()
            bed.tap.reset()
            bed.start_agent()
        old = bed.host.release
        self.abandon(bed)
        if self.number:
            bed.strike.arm(self.number, self.how)
        first = bed.strike.count
        status = self.recover(bed)
        hit = bed.strike.last_act if bed.strike.struck else None
        assert status == (-9 if hit else 0), f"recover ended with {status}"
        bed.strike.disarm()
        if self.heir == "recover":
            assert self.recover(bed) == 0
        acts = bed.strike.acts(first + 1)
        bed.start_agent()
        wait_until(bed.settled, "the host has settled")
        bed.quiet()
        check_journal(bed.records)
        check_receipts(bed.records)
        assert bed.records[-1].state == "rolled_back" and bed.host.release == old, bed.records[-1]
        bed.check()
        bed.check_next(bed.revision())
        return hit if self.number else acts
