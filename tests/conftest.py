"""Every test that needs built programs runs once for each preset of --presets.

Figures for docs/reliability.md are counted by the fixture `tally` and printed at the end of a run, summed over
all workers."""

import os
import signal
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def pytest_configure():
    """Programs under test inherit their signals from here: a job in the background ignores SIGINT, and what is ignored
    stays so in the programs that are executed, where nobody could interrupt them."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def pytest_addoption(parser):
    parser.addoption("--presets", default="dev", help="built presets to test, comma-separated")
    parser.addoption("--crash-pairs", type=int, default=2200, help="random pairs of crashes to try")
    parser.addoption("--crash-seed", default="1", help="which pairs")
    parser.addoption("--soak", type=int, default=1000, help="deployments of the soak, 1000 or more")
    parser.addoption("--seeds", type=int, default=20000, help="seeds of the simulation")
    parser.addoption("--power", default="1600", help="how many power losses to try, or all")
    parser.addoption("--faults", default="500", help="how many calls to fail, or all")
    parser.addoption("--fault-only", default="", help="those with these words: 'update worker'")
    parser.addoption("--replay", help="one case, as a failure of tests/crash prints it")
    parser.addoption("--network-seeds", type=int, default=40, help="random faults of the network to try")
    parser.addoption("--network-replay", help="one of them, as a failure of tests/network prints it")


def pytest_generate_tests(metafunc):
    if "preset" in metafunc.fixturenames:
        # The fuzz preset is for its own targets, which test_units.py runs.
        # Interned: pytest makes a fixture anew for each value that is not the very same object.
        presets = [sys.intern(preset) for preset in metafunc.config.getoption("--presets").split(",")
                   if preset != "fuzz"]
        # Indirectly: only so is it one value for all tests, and fixtures that rest on it are shared.
        metafunc.parametrize("preset", presets, scope="session", indirect=True)


@pytest.fixture(scope="session")
def preset(request):
    return request.param


@pytest.fixture(scope="session")
def build_dir(preset):
    return ROOT / "build" / preset


@pytest.fixture(scope="session")
def bin_dir(build_dir):
    """Where the programs are; FAIRLEAD_BIN tests an installation instead of a build."""
    return Path(os.environ.get("FAIRLEAD_BIN") or build_dir / "bin")


@pytest.fixture(scope="session")
def sanitizer_env(tmp_path_factory):
    """Make a sanitizer's finding an abort, wherever in the tree of processes it happens."""
    options = {
        "ASAN_OPTIONS": "detect_leaks=1:halt_on_error=1:abort_on_error=1:detect_stack_use_after_return=1",
        "UBSAN_OPTIONS": "halt_on_error=1:abort_on_error=1:print_stacktrace=1",
        "TSAN_OPTIONS": "halt_on_error=1:abort_on_error=1:second_deadlock_stack=1",
    }
    suppressions = ROOT / "tests" / "tsan.supp"
    if suppressions.exists():
        options["TSAN_OPTIONS"] += f":suppressions={suppressions}"
    return options


class Tally:
    """tally["points swept"] += 12: such counts travel with the test's report, so also from a worker."""

    def __init__(self, properties):
        self.properties, self.counts = properties, Counter()

    def __getitem__(self, name):
        return self.counts[name]

    def __setitem__(self, name, count):
        self.counts[name] = count

    def close(self):
        self.properties.extend((f"tally {name}", count) for name, count in self.counts.items())


@pytest.fixture
def tally(request):
    counts = Tally(request.node.user_properties)
    yield counts
    counts.close()


def pytest_terminal_summary(terminalreporter):
    sums = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", None) == "teardown":
                sums.update({name[len("tally "):]: count for name, count in report.user_properties
                             if name.startswith("tally ")})
    for name in sorted(sums):
        terminalreporter.write_line(f"{name}: {sums[name]}")
