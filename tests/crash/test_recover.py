"""`fairlead-agent recover` is killed at every durable act while it undoes a release whose core died before it was
confirmed; the next `recover`, or the next agent, brings it to the same end."""

import functools

import pytest

from crash import new_bed
from recover import Abandoned
from sweep import Sweep


@pytest.fixture(scope="module")
def healthy(shared_scratch, build_dir):
    """Which durable act of an update makes it known that the host is healthy."""
    bed = new_bed(shared_scratch / "healthy", build_dir, revisions=20)
    first = bed.strike.count
    bed.run(["deploy", "--to", bed.revision()], [], "stays")
    acts = bed.strike.acts(first + 1)
    switch = acts.index("renameat to current")
    syncs = [number for number, act in enumerate(acts, 1) if number > switch and act == "fdatasync journal"]
    bed.close()
    return syncs[1]  # the first is of `restarted`


@pytest.mark.parametrize("heir", ["recover", "agent"])
def test_every_point_of_a_recovery(scratch, build_dir, healthy, tally, heir):
    bed = new_bed(scratch / "counts", build_dir, revisions=20)
    # A second recovery finds nothing to do: its acts are the same at each start, and not counted.
    acts = Abandoned(healthy, 0, heir="agent").suffer(bed)
    bed.close()
    points = [Abandoned(healthy, number, heir=heir) for number in range(1, len(acts) + 1)]
    make = functools.partial(new_bed, build_dir=build_dir, revisions=3 * len(points) + 20)
    results = Sweep(scratch, make, points, build_dir.name).run()
    missed = [str(point) for point, hit in results if not hit]
    assert len(missed) <= len(points) // 10, f"never came to {missed}"
    tally["crash points of `recover` swept"] += len(results) - len(missed)
