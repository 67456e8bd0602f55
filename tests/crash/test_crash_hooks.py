"""The agent's core is killed at every durable act of a deployment with hooks: none of class `once` runs
twice unasked, and whatever is decided about it, the host ends as it does without hooks."""

import functools

import pytest

from bed import CONFIG
from crash import CrashBed
from lab import wait_until
from scenario import warm
from sweep import Sweep

HELD = {"held_before", "held_after"}
HOOKS = """\
hooks:
  before: [ {{ run: [sh, -c, "echo once >> {runs}"], class: once }}, [sh, -c, "echo again >> {runs}"] ]
  after: [ [sh, -c, "echo after >> {runs}"] ]
"""


class HookBed(CrashBed):
    def __init__(self, directory, build_dir, revisions):
        super().__init__(directory, build_dir, revisions)
        self.log = directory / "runs"
        self.hooked = directory / "hooked.yaml"
        self.hooked.write_text(CONFIG + HOOKS.format(runs=self.log))

    @property
    def volatile(self):
        return super().volatile | {str(self.log)}

    @property
    def held(self):
        records = self.records
        return bool(records) and records[-1].state in HELD

    def settled(self):
        return super().settled() or self.held

    def calm(self):
        return self.held or super().calm()

    def runs(self, name):
        return self.log.read_text().split().count(name) if self.log.exists() else 0

    def deploy_hooked(self, strikes, coordinator):
        self.log.unlink(missing_ok=True)
        return self.run(["deploy", "--to", self.revision(), "-c", self.hooked], strikes, coordinator)


class HookPoint:
    """A strike after one durable act, and what is decided when the host holds."""

    def __init__(self, number, coordinator):
        self.number, self.coordinator = number, coordinator
        self.decision = "done" if number % 2 else "undo"

    def __str__(self):
        return f"hooks {self.coordinator} {self.number}: {self.decision}"

    def suffer(self, bed):
        hit = bed.deploy_hooked([(self.number, "after")], self.coordinator)
        held = bed.held
        assert bed.runs("once") <= 1, "a step that may run once ran twice"
        if held:
            assert bed.host.logged("ALARM")
            bed.fairlead("resume", "--resolve", self.decision, "-c", bed.hooked)
            wait_until(lambda: bed.settled() and not bed.held, "the decision was carried out")
            bed.quiet()
            assert bed.runs("once") <= 1, "a decision ran it again"
        if bed.records[-1].state == "committed":
            assert bed.runs("once") == 1 or held, "committed without its step"
            assert bed.runs("again") >= 1 and bed.runs("after") >= 1
        bed.check()
        bed.deploy("--to", bed.revision()).exits(0)
        bed.quiet()
        bed.check()
        return held if hit else None


def make_bed(directory, build_dir, revisions):
    return warm(HookBed(directory, build_dir, revisions))


@pytest.mark.parametrize("coordinator, every", [("leaves", 1), ("stays", 3)])
def test_points_of_a_deployment_with_hooks(scratch, build_dir, tally, coordinator, every):
    bed = make_bed(scratch / "counts", build_dir, 20)
    before = bed.strike.count
    bed.deploy_hooked([], "stays")
    bed.check()
    count = bed.strike.count - before
    assert (bed.runs("once"), bed.runs("again"), bed.runs("after")) == (1, 1, 1)
    bed.close()
    points = [HookPoint(number, coordinator) for number in range(1, count + 1, every)]
    make = functools.partial(make_bed, build_dir=build_dir, revisions=3 * len(points) + 20)
    held = [held for _, held in Sweep(scratch, make, points, build_dir.name).run()]
    # The very last acts are the pruning's, and how much there is to prune varies.
    assert held.count(None) <= len(points) // 10
    assert any(held) or every > 1, "no strike came between the begin and the end of the step that runs once"
    tally["crash points swept, with hooks"] += len(points) - held.count(None)
    tally["hosts that held, and were decided about"] += held.count(True)
