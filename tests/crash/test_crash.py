"""The agent's core is killed at every durable act of a deployment; whatever it was doing, it ends
on one whole release, says which, and takes the next deployment.

A failure prints how to replay it:  /usr/bin/python3 -B -m pytest tests/crash --replay 'crash update stays 7 after'
Times and ports differ from run to run, so an act's number may shift by one or two.
"""

import functools

import pytest

from crash import CrashBed, Point, new_bed
from disk import check_journal
from scenario import SCENARIOS, warm
from sweep import Sweep

PARTS = 6  # of the pairs: tests that workers take side by side


@pytest.fixture(scope="module")
def counts(shared_scratch, build_dir):
    """How many durable acts each deployment has when nobody disturbs it."""
    bed = new_bed(shared_scratch / "counts", build_dir, revisions=50)
    found = {}
    # The first deployment last: it leaves nothing to update.
    for name in sorted(SCENARIOS, key=lambda name: name == "first"):
        SCENARIOS[name].begin(bed)
        args, _ = SCENARIOS[name].args(bed)
        before = bed.strike.count
        bed.run(args, [], "stays")
        bed.check()
        found[name] = bed.strike.count - before
    bed.close()
    return found


def sweep(scratch, build_dir, points):
    make = functools.partial(new_bed, build_dir=build_dir, revisions=2 * len(points) + 20)
    return Sweep(scratch, make, points, build_dir.name).run()


@pytest.mark.parametrize("coordinator", ["stays", "leaves"])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_point(scratch, build_dir, counts, tally, scenario, coordinator):
    points = [Point(scenario, [(number, "after")], coordinator)
              for number in range(1, counts[scenario] + 1)]
    hits = sweep(scratch, build_dir, points)
    missed = [str(point) for point, hit in hits if not hit]
    # The very last acts are the pruning's, and how much there is to prune varies.
    assert len(missed) <= len(points) // 10, f"never came to {missed}"
    tally["crash points swept"] += len(hits) - len(missed)


@pytest.mark.parametrize("part", range(PARTS))
def test_pairs(scratch, build_dir, counts, tally, pytestconfig, part):
    """A second crash while the first is being recovered from."""
    seed = pytestconfig.getoption("--crash-seed")
    numbers = range(part, pytestconfig.getoption("--crash-pairs"), PARTS)
    hits = sweep(scratch, build_dir, [Point.random(f"{seed}/{number}", counts) for number in numbers])
    tally["pairs of crashes"] += sum(len(hit) == 2 for _, hit in hits)
    tally["pairs of crashes, of which only the first was reached"] += sum(
        len(hit) == 1 for _, hit in hits)


def test_a_step_is_taken_up_three_times_and_then_left(scratch, build_dir):
    """What kills the agent each time must not keep it from ever coming back."""
    bed = warm(CrashBed(scratch / "bed", build_dir, revisions=20))

    def act_after(name, first):
        return bed.strike.acts(first + 1).index(name) + 1
    before = bed.strike.count
    bed.run(["deploy", "--to", bed.revision()], [], "stays")
    switch = act_after("renameat to current", before)
    before = bed.strike.count
    bed.run(["deploy", "--to", bed.revision()], [(switch, "after")], "stays")
    again = act_after("renameat to current", before + switch)
    for recoveries, state in ((3, "committed"), (4, "failed_safe")):
        strikes = [(switch, "after")] + [(again, "after")] * (recoveries - 1)
        assert bed.run(["deploy", "--to", bed.revision()], strikes, "stays") == \
            ["renameat to current"] * recoveries
        assert bed.records[-1].state == state
    check_journal(bed.records)
    assert bed.host.logged("ALARM")
    bed.deploy_calmly(bed.revision())
    bed.quiet()
    bed.check()
    bed.close()
