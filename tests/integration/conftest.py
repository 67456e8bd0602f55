import pytest

from lab import Fleet


def build_fleet(directory, bin_dir, sanitizer_env, hosts):
    # Into files, so that a finding in any process of the tree is seen (Fleet.close).
    env = {name: f"{value}:log_path={directory / 'sanitizer.log'}"
           for name, value in sanitizer_env.items()}
    return Fleet(directory, bin_dir, hosts, env)


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
