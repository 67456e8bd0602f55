"""A flood of strangers: deployments go on, and what the gateway holds for strangers stays within its bound."""

import os
from pathlib import Path

import pytest

from lab import children, wait_until
from strangers import KINDS, Strangers

# docs/protocol.md: a handshake in progress costs the gateway less than so much, and 256 are possible. Of connections
# that were hung up on as many wait to be taken down, by us and then by nng.
HANDSHAKES, HANDSHAKE_KIB = 256, 8
BOUND_KIB = 2 * HANDSHAKES * HANDSHAKE_KIB
BOUND_FILES = 3 * HANDSHAKES
MANY = 3000


def anonymous_kib(pid):
    """Memory of its own, as the kernel counts it."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Anonymous:"))


def open_files(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def gateway_of(host):
    return children(host.agent.pid)["fairlead-gateway"]


def came(strangers, count):
    wait_until(lambda: strangers.count >= count, f"{count} strangers have come", timeout=120)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_deployment_during_a_flood_commits(lane, tally, kind):
    lane.change()
    with Strangers(lane.host.port, [kind]) as strangers:
        came(strangers, 300 if kind == "slow" else 1000)
        lane.deploy().exits(0)
        came(strangers, strangers.count + 100)
    tally["strangers turned away"] += strangers.count
    assert lane.version == lane.counter


def test_a_running_deployment_is_not_touched_by_a_flood(lane, tally):
    """The flood comes when the deployment has its link; it is held until the flood is there."""
    lane.repo.replace("run", "exec", "until [ -e ../../go ]; do sleep 0.01; done; exec")
    lane.change()
    config = lane.repo.path / "fairlead.yaml"
    config.write_text(config.read_text().replace("min: 10ms", "min: 2s"))
    lane.repo.commit()
    args, process = lane.popen("deploy")
    wait_until(lambda: lane.state() in ("switched", "restarted"), "the deployment is under way")
    with Strangers(lane.host.port, sorted(KINDS)) as strangers:
        came(strangers, 1000)
        lane.finish(args, process).exits(0)
    tally["strangers turned away"] += strangers.count
    assert lane.version == lane.counter


def test_a_flood_from_the_operators_own_address(lane, tally):
    """Behind the same address: they push out each other, and hardly whoever is quick."""
    lane.change()
    with Strangers(lane.host.port, sorted(KINDS), addresses=["127.0.0.1"]) as strangers:
        came(strangers, 1000)
        # Any single try may lose its place, and says so.
        wait_until(lambda: lane.deploy().status == 0, "a deployment commits", timeout=120)
    tally["strangers turned away"] += strangers.count


def test_memory_and_files_stay_within_their_bounds(lane, tally, preset):
    gateway = gateway_of(lane.host)
    files, memory = open_files(gateway), anonymous_kib(gateway)
    most_files = most_memory = 0

    def look(count):
        nonlocal most_files, most_memory
        most_files = max(most_files, open_files(gateway) - files)
        most_memory = max(most_memory, anonymous_kib(gateway) - memory)
        return strangers.count >= count

    with Strangers(lane.host.port, sorted(KINDS), at_once=600,
                   addresses=[f"127.0.0.{last}" for last in range(2, 12)]) as strangers:
        wait_until(lambda: look(MANY), f"{MANY} strangers have come", timeout=120)
        # The same again: what it grows by at first must not go on growing.
        first = most_memory
        wait_until(lambda: look(2 * MANY), f"{2 * MANY} strangers have come", timeout=120)
    assert most_files <= BOUND_FILES, f"{most_files} more open files"
    if preset == "dev":     # a sanitizer keeps what was freed for a while
        assert most_memory <= BOUND_KIB, f"{most_memory} KiB more, {first} KiB of it at first"
    tally["strangers turned away"] += strangers.count
    print(f"{most_memory} KiB and {most_files} files more")
    wait_until(lambda: open_files(gateway) <= files + 2, "all files are closed again")
    lane.change()
    lane.deploy().exits(0)


def test_the_limits_of_the_configuration_hold(make_lane):
    """Six handshakes in all, two from one address."""
    lane = make_lane()
    host = lane.host
    host.stop()
    host.config.write_text(host.config.read_text() + "limits: { handshakes: 6, handshakes_per_address: 2 }\n")
    host.start()
    gateway = gateway_of(host)
    files = open_files(gateway)
    with Strangers(host.port, ["silent"], at_once=30,
                   addresses=[f"127.0.0.{last}" for last in range(2, 7)]) as strangers:
        came(strangers, 200)
    assert open_files(gateway) <= files + BOUND_FILES - HANDSHAKES + 6
    lane.change()
    lane.deploy().exits(0)


def test_a_known_key_beyond_its_limit_reads_why(make_lane):
    lane = make_lane()
    host = lane.host
    host.stop()
    host.config.write_text(host.config.read_text() + "limits: { connections: 1 }\n")
    host.start()
    lane.change()
    _, process = lane.popen("logs", "web", "-f")
    assert process.stdout.readline(), "it follows the log, so the place is taken"
    lane.deploy().exits(4).says("has 1 connections already", "limits.connections")
    process.terminate()
    process.communicate()
    wait_until(lambda: lane.deploy().status == 0, "the place is free again")
