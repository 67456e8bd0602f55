"""The agent's core is killed at a chosen durable act, once or again while it recovers."""

import random

from bed import SETTLE_S, Bed
from disk import FINAL, checksums
from lab import wait_until
from scenario import SCENARIOS, warm
from strike import HOW, Strike


class CrashBed(Bed):
    def __init__(self, directory, build_dir, revisions):
        super().__init__(directory, build_dir, revisions, Strike)
        self.strike = self.tap

    def keep_running(self):
        """Start the agent again if it was struck; it has no other reason to end."""
        status = self.host.agent.poll()
        if status is None:
            return
        assert status == -9 and self.strike.struck, \
            f"the agent ended with {status}:\n{self.host.log.read_text()[-2000:]}"
        self.start_agent()

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
            raise AssertionError(f"{problem}\n{said}") from problem
        process.communicate()
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


def new_bed(directory, build_dir, revisions):
    return warm(CrashBed(directory, build_dir, revisions))


class Point:
    """What a run is to suffer; its text replays it."""

    def __init__(self, scenario, strikes, coordinator):
        self.scenario, self.strikes, self.coordinator = scenario, strikes, coordinator

    def __str__(self):
        strikes = " ".join(f"{number} {how}" for number, how in self.strikes)
        return f"crash {self.scenario} {self.coordinator} {strikes}"

    @classmethod
    def parse(cls, words):
        scenario, coordinator, *words = words
        strikes = [(int(number), how) for number, how in zip(words[::2], words[1::2])]
        return cls(scenario, strikes, coordinator)

    @classmethod
    def random(cls, seed, counts):
        """A first strike anywhere in the deployment, a second soon after the restart."""
        dice = random.Random(seed)
        scenario = dice.choice(sorted(counts))
        strikes = [(dice.randint(1, counts[scenario]), dice.choice(HOW)),
                   (dice.randint(1, 40), dice.choice(HOW))]
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
            raise AssertionError(f"{', '.join(hit) or 'no strike'}: {problem}") from problem
        return hit
