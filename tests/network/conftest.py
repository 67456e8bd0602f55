"""Network tests run on loopback, under dev; what floods and lies also under asan. Names `bed`, `disk` and `lab` come
from the folders of the tests they were made for."""

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
for folder in ("integration", "crash"):
    sys.path.append(str(HERE.parent / folder))

from lane import Lane  # noqa: E402  pylint: disable=wrong-import-position


def pytest_collection_modifyitems(config, items):
    """Faults of the network are about time and order, and a sanitizer would only stretch both. A replay is the only
    test of its run."""
    replay = config.getoption("--network-replay") is not None
    left_out = [item for item in items if HERE in item.path.parents
                and (item.callspec.params["preset"] == "tsan" and not item.get_closest_marker("threads")
                     or item.callspec.params["preset"] == "asan" and item.path.name == "test_network.py"
                     or (item.originalname == "test_replay") != replay)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


@pytest.fixture
def make_lane(tmp_path, bin_dir, sanitizer_env):
    """make_lane(): a host with one release deployed, and a proxy in front of it. Any thread may ask."""
    lanes = []

    def make(**settings):
        # No name is the beginning of another: what is left of a lane is found by it.
        lane = Lane(tmp_path / f"lane{len(lanes):03}", bin_dir, sanitizer_env)
        lanes.append(lane)
        return lane.begin(**settings)

    yield make
    problems = []
    for lane in lanes:
        try:
            lane.close()
        except AssertionError as problem:
            problems.append(str(problem))
    assert not problems, "\n".join(problems)


@pytest.fixture
def lane(make_lane):
    return make_lane()
