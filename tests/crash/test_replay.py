"""One case again, as a failure prints it; only with --replay, and then it is the only test."""

import crash
import faults
import power
import recover
from sweep import throw_away

# By the first word of a case: how to make its bed, and the case.
KINDS = {
    "crash": (crash.new_bed, crash.Point.parse),
    "power": (power.new_bed, power.Loss.parse),
    "recover": (crash.new_bed, recover.Abandoned.parse),
    "fault": (faults.new_bed, faults.Fault.parse),
}


def test_replay(scratch, build_dir, pytestconfig):
    kind, *words = pytestconfig.getoption("--replay").split()
    new_bed, parse = KINDS[kind]
    bed = new_bed(scratch / "bed", build_dir, revisions=50)
    try:
        print(parse(words).suffer(bed))
    finally:
        throw_away(bed)
