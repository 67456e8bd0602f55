"""A host that is at it for ever: whatever it says, its coordinator comes to a declared end, and says what to do."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from false_host import FalseHost
from lab import Fleet, free_port
from test_hostile_host import app, error, status
from wire import data, latest, number

PREPARED, SWITCHED, HEALTHY, ROLLING_BACK = 6, 8, 10, 13
UNREACHABLE = [], error("unreachable", "gone", status=14)
STRATEGY = "strategy: { confirm_timeout: 1s, activate_timeout: 1s, lease: 1s }\n"
UNKNOWN = 6     # the exit status of a fleet of which not all is known


class Endless:
    """Well-formed answers about whatever deployment it is asked for, which is in this state for ever."""

    def __init__(self, state, **answers):
        self.state, self.deployment = state, bytes(16)
        self.table = {"Describe": self.describe, "Prepare": self.prepare, "Status": self.tell, **answers}

    def describe(self, _):
        return [data(1, "web1") + number(4, 1 << 40)], None

    def prepare(self, request):
        chunk = latest(request)
        if 1 in chunk:
            self.deployment = latest(latest(chunk[1])[2])[5]
        return [status(state=PREPARED, deployment=self.deployment)], None

    def tell(self, _):
        return [data(1, "hello") + data(2, "production")
                + data(4, status(state=self.state, deployment=self.deployment))], None


class Told(Endless):
    """Found so by whoever takes the deployment up."""

    def __init__(self, state, **answers):
        super().__init__(state, **answers)
        self.deployment = bytes(range(16))

    def describe(self, request):
        return [super().describe(request)[0][0] + data(6, self.tell(request)[0][0])], None


def refuse(_):
    return [], error("failed", "no")


def break_off(_):
    return UNREACHABLE


HOSTS = {
    "goes back for ever": (("deploy",), Endless(ROLLING_BACK, Activate=refuse), "rolling_back after"),
    "breaks off whenever it is asked to go on":
        (("deploy",), Endless(SWITCHED, Activate=break_off, Abort=break_off), "switched after"),
    "breaks off whenever it is confirmed":
        (("deploy",), Endless(HEALTHY, Activate=lambda _: ([status(state=HEALTHY)], None), Confirm=break_off),
         "healthy after"),
    "breaks off whenever it is called back": (("resume",), Told(ROLLING_BACK, Abort=break_off), "rolling_back after"),
    "receives for ever": (("resume",), Told(1, Prepare=lambda _: None), "accepted after"),
}


@pytest.fixture
def lied_to(tmp_path, bin_dir, sanitizer_env):
    fleet = Fleet(tmp_path, bin_dir, 1, {name: f"{value}:log_path={tmp_path / 'sanitizer.log'}"
                                         for name, value in sanitizer_env.items()})
    config = fleet.repo.path / "fairlead.yaml"
    config.write_text(config.read_text() + STRATEGY)
    fleet.repo.commit()
    yield fleet
    fleet.close()


def test_a_coordinator_comes_to_an_end(lied_to):
    """All at once, since each waits for longer than a host may take."""
    def suffer(name):
        verb, host, saying = HOSTS[name]
        port = free_port()
        false = FalseHost(lied_to.bin, port, lied_to.env, host.table)
        try:
            inventory = lied_to.dir / f"{port}.yaml"
            inventory.write_text(f'hosts:\n  web1: {{ address: "127.0.0.1:{port}", key: "{false.key}" }}\n')
            return lied_to.fairlead(*verb, "-i", inventory, "--key", lied_to.key_file, "--ledger",
                                    lied_to.dir / f"{port}.db", plain=True), saying
        finally:
            false.close()

    with ThreadPoolExecutor(len(HOSTS)) as pool:
        ended = dict(zip(HOSTS, pool.map(suffer, HOSTS)))
    for name, (result, saying) in ended.items():
        said = result.err + result.out
        assert result.status == UNKNOWN, f"{name}: {result}"
        assert f"is still {saying}" in said and "deadlines allow" in said, f"{name}: {result}"
        assert "restart the agent" in said, f"{name}: {result}"
