"""The power is lost at every moment of a deployment, and of what was not synced any part survives. The host starts
again, in a new boot and without its services, ends on one whole release, says which, runs it, and takes
the next deployment.

`--power all` is every moment with nothing, everything and each single act that was pending; a number is the size of a
sample that has every moment, half of it with parts that are drawn by lot, also torn writes. A failure prints how to
replay it: /usr/bin/python3 -B -m pytest tests/crash --replay 'power update 57 only-41'
"""

import functools

import pytest

from power import every_loss, new_bed, sample
from sweep import Sweep

PARTS = 4


@pytest.fixture(scope="module")
def losses(shared_scratch, build_dir):
    bed = new_bed(shared_scratch / "traces", build_dir, revisions=50)
    found = every_loss(bed.traces)
    bed.close()
    return found


@pytest.mark.parametrize("part", range(PARTS))
def test_power_losses(scratch, build_dir, losses, tally, pytestconfig, part):
    size, seed = pytestconfig.getoption("--power"), pytestconfig.getoption("--crash-seed")
    chosen = losses if size == "all" else sample(losses, int(size), seed)
    chosen = chosen[part::PARTS]
    make = functools.partial(new_bed, build_dir=build_dir, revisions=len(chosen) + 50)
    results = Sweep(scratch, make, chosen, build_dir.name).run()
    tally["power losses"] += sum(pending is not None for _, pending in results)
