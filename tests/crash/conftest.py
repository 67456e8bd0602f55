"""Crash tests run on the dev build alone: what is preloaded does not go with a sanitizer."""

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / "integration"))

swept = {"points": 0, "pairs": 0}


def pytest_collection_modifyitems(config, items):
    replays = config.getoption("--crash-replay") is not None
    left_out = [item for item in items if HERE in item.path.parents
                and (item.callspec.params["preset"] in ("asan", "tsan")
                     or (item.originalname == "test_replay") != replays)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


@pytest.fixture
def tally():
    return swept


def pytest_terminal_summary(terminalreporter):
    if any(swept.values()):
        terminalreporter.write_line(
            f"crash points swept: {swept['points']}, pairs: {swept['pairs']}")
