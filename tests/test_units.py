"""The C unit tests and the short runs of the fuzz targets, as CTest lists them, each one test."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def ctest_names(preset):
    listing = subprocess.run(
        ["ctest", "--test-dir", ROOT / "build" / preset, "--show-only=json-v1"],
        capture_output=True, check=True)
    return [test["name"] for test in json.loads(listing.stdout)["tests"]]


def pytest_generate_tests(metafunc):
    presets = metafunc.config.getoption("--presets").split(",")
    units = [(preset, name) for preset in presets for name in ctest_names(preset)]
    metafunc.parametrize("unit", units, ids=["-".join(unit) for unit in units])


def test_unit(unit, sanitizer_env, tally):
    preset, name = unit
    run = subprocess.run(
        ["ctest", "--test-dir", ROOT / "build" / preset, "--verbose",
         "--no-tests=error", "-R", f"^{name}$"],
        capture_output=True, text=True, errors="replace", env={**os.environ, **sanitizer_env})
    if run.returncode:
        pytest.fail(run.stdout + run.stderr, pytrace=False)
    # What a unit test has counted, it prints as "tally WHAT: NUMBER".
    for what, number in re.findall(r"^\d+: tally (.+): (\d+)$", run.stdout, re.M):
        tally[what] += int(number)
