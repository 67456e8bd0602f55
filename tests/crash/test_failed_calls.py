"""One call of the core, a worker, a supervisor or `fairlead` fails once. The host ends on one whole
release, says which; whoever does not do what was asked says why; and the next deployment works.

`--faults all` is every call of each scenario with every errno of faults.py; a number is the size of a sample
that has each kind. A failure prints how to replay it:
/usr/bin/python3 -B -m pytest tests/crash --replay 'fault update core fdatasync 3 EIO'
"""

import functools

import pytest

from faults import every_fault, new_bed, sample
from scenario import SCENARIOS
from sweep import Sweep

PARTS = 4


@pytest.fixture(scope="module")
def faults(shared_scratch, build_dir):
    """Every fault, from what each deployment calls when nobody disturbs it."""
    bed = new_bed(shared_scratch / "counts", build_dir, revisions=50)
    found = []
    # The first deployment last: it leaves nothing to update.
    for name in sorted(SCENARIOS, key=lambda name: name == "first"):
        SCENARIOS[name].begin(bed)
        args, _ = SCENARIOS[name].args(bed)
        bed.begin()
        bed.tap.arm()
        bed.run(args)
        bed.check()
        found += every_fault(name, bed.tap.counts)
    bed.close()
    return found


@pytest.mark.parametrize("part", range(PARTS))
def test_faults(scratch, build_dir, faults, tally, pytestconfig, part):
    size, seed = pytestconfig.getoption("--faults"), pytestconfig.getoption("--crash-seed")
    chosen = faults if size == "all" else sample(faults, int(size), seed)
    words = pytestconfig.getoption("--fault-only").split()
    chosen = [fault for fault in chosen if all(word in str(fault).split() for word in words)][part::PARTS]
    make = functools.partial(new_bed, build_dir=build_dir, revisions=2 * len(chosen) + 20)
    results = Sweep(scratch, make, chosen, build_dir.name).run()
    tally["faults injected"] += sum(where is not None for _, where in results)
    tally["faults whose call was not reached"] += sum(where is None for _, where in results)
