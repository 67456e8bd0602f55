from pathlib import Path

import pytest

from lab import build_fleet

HERE = Path(__file__).resolve().parent


def pytest_collection_modifyitems(config, items):
    """ThreadSanitizer is for what has threads: the link and whatever speaks over it. The core of the agent,
    its workers, the shim and the stores have one thread each."""
    left_out = [item for item in items if HERE in item.path.parents and not item.get_closest_marker("threads")
                and item.callspec.params.get("preset") == "tsan"]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]



@pytest.fixture
def make_fleet(tmp_path, bin_dir, sanitizer_env):
    """make_fleet(hosts=N): agents that are configured but not started."""
    fleets = []

    def make(hosts=1):
        fleets.append(build_fleet(tmp_path / f"fleet{len(fleets)}", bin_dir, sanitizer_env, hosts))
        return fleets[-1]

    yield make
    for fleet in fleets:
        fleet.close()


@pytest.fixture
def fleet(make_fleet):
    """One host whose agent runs; nothing deployed."""
    return make_fleet(hosts=1).start()


@pytest.fixture
def deployed(fleet):
    """One host that serves the first release."""
    fleet.deploy().exits(0)
    return fleet


@pytest.fixture
def three(make_fleet):
    """Three hosts that serve the first release."""
    fleet = make_fleet(hosts=3).start()
    fleet.deploy().exits(0)
    return fleet


@pytest.fixture(scope="module")
def served(tmp_path_factory, bin_dir, sanitizer_env):
    """One host that serves the first release, for all tests of a module: they leave it as it was."""
    fleet = build_fleet(tmp_path_factory.mktemp("served"), bin_dir, sanitizer_env, hosts=1).start()
    fleet.deploy().exits(0)
    yield fleet
    fleet.close()


@pytest.fixture(scope="module")
def desk(tmp_path_factory, bin_dir, sanitizer_env):
    """A repository, a key and an inventory, with no agent running: for verbs that reach no host."""
    fleet = build_fleet(tmp_path_factory.mktemp("desk"), bin_dir, sanitizer_env, hosts=1)
    yield fleet
    fleet.close()
