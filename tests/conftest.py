"""Every test that needs built programs runs once for each preset of --presets."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def pytest_addoption(parser):
    parser.addoption("--presets", default="dev", help="built presets to test, comma-separated")
    parser.addoption("--crash-pairs", type=int, default=150, help="random pairs of crashes to try")
    parser.addoption("--crash-seed", default="1", help="which pairs")
    parser.addoption("--crash-replay", help="one point, as a failure of tests/crash prints it")


def pytest_generate_tests(metafunc):
    if "preset" in metafunc.fixturenames:
        # The fuzz preset is for its own targets, which test_units.py runs.
        presets = [preset for preset in metafunc.config.getoption("--presets").split(",")
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
