"""The agent's core is killed at every durable act of a deployment; whatever it was doing, it ends
on one whole release, says which, and takes the next deployment.

A failure prints how to replay it:  /usr/bin/python3 -m pytest tests/crash --crash-replay 'update stays 7 after'
Times and ports differ from run to run, so an act's number may shift by one or two.
"""

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from bed import SCENARIOS, Bed, Point, warm
from disk import check_journal

BEDS = 4       # a killed agent is mostly waited for
ENOUGH = 5     # failures, then a sweep ends early
REPLAY = "/usr/bin/python3 -m pytest tests/crash --presets {} --crash-replay '{}'"


class Sweep:
    """Points from one source, taken by several beds at once."""

    def __init__(self, directory, build_dir, points):
        self.directory, self.build_dir, self.points = directory, build_dir, iter(points)
        self.revisions = 2 * len(points) + 20
        self.lock, self.names = threading.Lock(), itertools.count()
        self.failures, self.hits = [], []

    def new_bed(self):
        with self.lock:
            name = next(self.names)
        bed = Bed(self.directory / f"bed{name}", self.build_dir, self.revisions)
        warm(bed)
        return bed

    def next(self):
        with self.lock:
            return None if len(self.failures) >= ENOUGH else next(self.points, None)

    def fail(self, point, problem):
        replay = REPLAY.format(self.build_dir.name, point)
        with self.lock:
            self.failures.append(f"{problem}\nreplay: {replay}")

    def work(self):
        bed = self.new_bed()
        while point := self.next():
            try:
                hit = point.suffer(bed)
            except Exception as problem:  # pylint: disable=broad-except  # of a thread
                self.fail(point, problem)
                throw_away(bed)
                bed = self.new_bed()
                continue
            with self.lock:
                self.hits.append((point, hit))
        bed.close()

    def run(self):
        with ThreadPoolExecutor(BEDS) as pool:
            for worker in [pool.submit(self.work) for _ in range(BEDS)]:
                worker.result()
        assert not self.failures, "\n\n".join(self.failures)
        return self.hits


def throw_away(bed):
    """After a failure anything may be wrong with it, and what was wrong has been said."""
    try:
        bed.close()
    except Exception:  # pylint: disable=broad-except
        pass


@pytest.fixture(scope="module")
def counts(tmp_path_factory, build_dir):
    """How many durable acts each deployment has when nobody disturbs it."""
    bed = Bed(tmp_path_factory.mktemp("counts"), build_dir, revisions=50)
    warm(bed)
    found = {}
    # The first deployment last: it leaves nothing to update.
    for name in ("update", "failing", "rollback", "first"):
        SCENARIOS[name].begin(bed)
        args, _ = SCENARIOS[name].args(bed)
        before = bed.strike.count
        bed.run(args, [], "stays")
        bed.check()
        found[name] = bed.strike.count - before
    bed.close()
    return found


@pytest.mark.parametrize("coordinator", ["stays", "leaves"])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_point(tmp_path, build_dir, counts, tally, scenario, coordinator):
    points = [Point(scenario, [(number, "after")], coordinator)
              for number in range(1, counts[scenario] + 1)]
    hits = Sweep(tmp_path, build_dir, points).run()
    missed = [str(point) for point, hit in hits if not hit]
    # The very last acts are the pruning's, and how much there is to prune varies.
    assert len(missed) <= len(points) // 10, f"never came to {missed}"
    tally["points"] += len(hits) - len(missed)


def test_pairs(tmp_path, build_dir, counts, tally, pytestconfig):
    """A second crash while the first is being recovered from."""
    seed = pytestconfig.getoption("--crash-seed")
    points = [Point.random(f"{seed}/{number}", counts)
              for number in range(pytestconfig.getoption("--crash-pairs"))]
    hits = Sweep(tmp_path, build_dir, points).run()
    tally["pairs"] += sum(len(hit) == 2 for _, hit in hits)


def test_a_step_is_taken_up_three_times_and_then_left(tmp_path, build_dir):
    """What kills the agent each time must not keep it from ever coming back."""
    bed = Bed(tmp_path / "bed", build_dir, revisions=20)
    warm(bed)

    def act_after(name, first):
        return bed.strike.acts(first + 1).index(name) + 1
    before = bed.strike.count
    bed.run(["deploy", "--to", bed.good()], [], "stays")
    switch = act_after("renameat to current", before)
    before = bed.strike.count
    bed.run(["deploy", "--to", bed.good()], [(switch, "after")], "stays")
    again = act_after("renameat to current", before + switch)
    for recoveries, state in ((3, "committed"), (4, "failed_safe")):
        strikes = [(switch, "after")] + [(again, "after")] * (recoveries - 1)
        assert bed.run(["deploy", "--to", bed.good()], strikes, "stays") == \
            ["renameat to current"] * recoveries
        assert bed.records[-1].state == state
    check_journal(bed.records)
    assert bed.host.logged("ALARM")
    bed.deploy("--to", bed.good()).exits(0)
    bed.quiet()
    bed.check()
    bed.close()


def test_replay(tmp_path, build_dir, pytestconfig):
    """Only with --crash-replay, and then it is the only one (conftest.py)."""
    bed = Bed(tmp_path / "bed", build_dir, revisions=50)
    warm(bed)
    try:
        print(Point.parse(pytestconfig.getoption("--crash-replay")).suffer(bed))
    finally:
        throw_away(bed)
