"""A host whose key is right and whose every word is a lie: `fairlead` ends with a declared exit status, claims no
success that it has not seen, and shows text."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from false_host import FalseHost, data, number
from lab import Fleet, free_port
from test_hostile import POISON, harmless

METHODS = ["Describe", "Prepare", "Activate", "Confirm", "Abort", "Rollback", "Status", "Releases", "Watch", "Logs",
           "Manifest"]
HUGE = POISON + "x" * 200_000
SHORT = b"\x01\x02\x03"
STATES = {"prepared": 6, "healthy": 10, "committed": 11}


def error(code="denied", message="no", hint="", status=7):
    return status, data(1, code) + data(2, message) + data(3, hint)


def status(text="", state=6, digest=bytes(32), deployment=bytes(16)):
    """A DeploymentStatus with this in all its strings."""
    return (data(1, deployment) + number(2, state) + data(3, digest) + data(4, digest) + data(5, text) + data(6, text)
            + number(7, 1) + data(10, data(1, "failed") + data(2, text) + data(3, text)) + data(11, text)
            + data(13, text))


def release(text="", digest=bytes(32)):
    return data(1, digest) + data(2, text) + number(4, 1) + number(20, 1) + data(23, text) + data(24, text)


def service(text=""):
    return data(1, text) + data(2, text) + data(3, text) + number(4, (1 << 64) - 1) + data(8, text)


def app(text="", digest=bytes(32), state=11):
    return (data(1, text) + data(2, text) + data(3, release(text, digest)) + data(5, status(text, state, digest))
            + data(6, service(text)) + number(7, (1 << 64) - 1) + number(8, (1 << 64) - 1))


def event(text="", state=10):
    return number(1, (1 << 64) - 1) + data(3, bytes(16)) + number(4, state) + data(5, text) + data(6, text)


def replies(text="", digest=bytes(32), state=6):
    """A whole and well-formed answer to each method."""
    of_status = status(text, state, digest)
    return {
        "Describe": data(1, text) + data(2, text) + data(5, text) + number(4, 1 << 40)
                    + data(6, app(text, digest, state)),
        "Prepare": of_status, "Activate": of_status, "Confirm": of_status, "Abort": of_status, "Rollback": of_status,
        "Status": app(text, digest, state), "Releases": data(1, release(text, digest)) * 3,
        "Watch": event(text, state), "Logs": data(1, text or "x"), "Manifest": data(1, text or "x"),
    }


def always(answers):
    return {method: lambda request, reply=reply: ([reply], None) for method, reply in answers.items()}


def every(answer):
    return {method: lambda request: answer for method in METHODS}


LIES = {
    "poisoned errors": every(([], error(message=POISON, hint=POISON))),
    "huge errors": every(([], error(message=HUGE[:100_000], hint=HUGE[:100_000]))),
    "an unknown error": every(([], error(code=POISON, status=99))),
    "an error without words": every(([], (5, None))),
    "poison in every string": always(replies(POISON)),
    "huge strings": always(replies(HUGE[:3000])),
    "digests too short": always(replies("x", SHORT)),
    "no digests": always(replies("x", b"")),
    "states that are none": always(replies("x", state=99)),
    "negative states": always(replies("x", state=(1 << 64) - 1)),
    "random bytes": {method: lambda request: ([os.urandom(300)], None) for method in METHODS},
    "empty messages": every(([b""], None)),
    "no reply": every(([], None)),
    "two replies": {method: lambda request, reply=reply: ([reply, reply], None)
                    for method, reply in replies("x").items()},
    "committed at once": {**always(replies("x", state=STATES["committed"])),
                          "Describe": lambda request: ([data(1, "web1") + number(4, 1 << 40)], None)},
    "another's deployment": {**always(replies("x", state=STATES["prepared"])),
                             "Describe": lambda request: ([data(1, "web1") + number(4, 1 << 40)], None)},
}
# Short, for a host that says that it goes on: the coordinator waits 30 s longer than the host may take.
STRATEGY = "strategy: { confirm_timeout: 1s, activate_timeout: 5s, lease: 1s }\n"
ASKING = [("status",), ("releases",), ("plan",), ("logs", "web")]
CHANGING = [("deploy",), ("rollback",)]


@pytest.fixture(scope="module")
def lied_to(tmp_path_factory, bin_dir, sanitizer_env):
    """A repository and a key; its host is a false one."""
    directory = tmp_path_factory.mktemp("lied")
    fleet = Fleet(directory, bin_dir, 1, {name: f"{value}:log_path={directory / 'sanitizer.log'}"
                                          for name, value in sanitizer_env.items()})
    config = fleet.repo.path / "fairlead.yaml"
    config.write_text(config.read_text() + STRATEGY)
    fleet.repo.commit()
    yield fleet
    fleet.close()


@pytest.fixture
def false_host(lied_to):
    """false_host(lie): the inventory that has it."""
    hosts = []

    def begin(lie):
        port = free_port()
        hosts.append(FalseHost(lied_to.bin, port, lied_to.env, LIES[lie]))
        inventory = lied_to.dir / f"{port}.yaml"
        inventory.write_text(f'hosts:\n  web1: {{ address: "127.0.0.1:{port}", key: "{hosts[-1].key}" }}\n')
        return hosts[-1], inventory

    yield begin
    for host in hosts:
        host.close()


def hear(fleet, inventory, verb):
    """What comes of it: a status of the documented table, and text."""
    result = harmless(fleet.fairlead(*verb, "-i", inventory, "--key", fleet.key_file, plain=True))
    assert 0 <= result.status <= 11, str(result)
    assert len(result.out + result.err) < 400_000
    return result


@pytest.mark.parametrize("lie", LIES)
def test_what_a_host_says_is_shown_as_text(lied_to, false_host, lie):
    host, inventory = false_host(lie)
    for verb in ASKING:
        del host.asked[:]
        result = hear(lied_to, inventory, verb)
        assert host.asked, f"nothing was asked of the host:\n{result}"


def test_no_deployment_is_claimed_that_was_not_seen(lied_to, false_host):
    """All lies at once, since a coordinator waits for who says that it goes on."""
    inventories = {lie: false_host(lie)[1] for lie in LIES}

    def change(lie):
        for verb in CHANGING:
            result = hear(lied_to, inventories[lie], verb)
            assert result.status != 0, f"{lie}: it claims what it has not seen:\n{result}"

    with ThreadPoolExecutor(len(LIES)) as pool:
        for change_made in [pool.submit(change, lie) for lie in LIES]:
            change_made.result()
