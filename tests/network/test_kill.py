"""The agent's programs are killed at chosen and at random moments of a deployment: the core starts its gateway and
its probe again, the gateway does not outlive its core, and the deployment ends in a declared outcome."""

import contextlib
import os
import random
import signal
import threading

import pytest

from lab import children, process_alive, wait_until
from phases import PHASES, random_point
from proxy import Fault

BURSTS = 6


def gateway_of(host):
    return children(host.agent.pid).get("fairlead-gateway")


def deploy_with(lane, action, point, may_miss=False):
    """One deployment in which the action comes at a point of it."""
    lane.change()
    fault = Fault(action, point)
    lane.proxy.suffer(fault)
    result = lane.deploy_proxied()
    assert fault.begun or may_miss, f"it did not come about:\n{result}"
    return result


def kill_gateway(lane):
    os.kill(gateway_of(lane.host), signal.SIGKILL)


@pytest.mark.parametrize("phase", PHASES)
def test_a_killed_gateway_is_started_again(lane, tally, phase):
    first = gateway_of(lane.host)
    result = deploy_with(lane, lambda: kill_gateway(lane), PHASES[phase](lane))
    lane.check(result)
    lane.recover()
    assert gateway_of(lane.host) != first
    tally["programs killed"] += 1


def test_a_gateway_that_is_killed_again_and_again(lane, tally):
    """The core backs off, and comes back."""
    killed = set()
    for _ in range(BURSTS):
        wait_until(lambda: gateway_of(lane.host) not in {None, *killed}, "there is a new gateway")
        killed.add(gateway_of(lane.host))
        with contextlib.suppress(ProcessLookupError):
            kill_gateway(lane)
    assert lane.host.logged("starting it again in 400 ms")
    lane.change()
    wait_until(lambda: lane.deploy().status == 0, "a deployment commits")
    tally["programs killed"] += BURSTS


class CoreDeath:
    """SIGKILL to the core, and what its operator's service manager does then: start it again."""

    def __init__(self, lane):
        self.lane, self.gateway, self.again = lane, None, None

    def __call__(self):
        host = self.lane.host
        self.gateway = gateway_of(host)
        os.kill(host.agent.pid, signal.SIGKILL)
        self.again = threading.Thread(target=self.restart)
        self.again.start()

    def restart(self):
        self.lane.host.agent.wait()
        # Nobody tells the gateway but the socket that is closed.
        wait_until(lambda: not process_alive(self.gateway), "the gateway has ended by itself")
        self.lane.host.start()

    def over(self):
        if self.again:
            self.again.join()


@pytest.mark.parametrize("phase", PHASES)
def test_a_killed_core_takes_its_gateway_along(lane, tally, phase):
    death = CoreDeath(lane)
    result = deploy_with(lane, death, PHASES[phase](lane))
    death.over()
    lane.check(result)
    lane.recover()
    tally["programs killed"] += 1


def test_random_deaths(lane, tally, pytestconfig):
    """Gateway or core, at any byte of a deployment."""
    for seed in range(pytestconfig.getoption("--network-seeds") // 4):
        dice = random.Random(seed)
        victim, point = dice.choice(["gateway", "core"]), random_point(dice)
        death = CoreDeath(lane) if victim == "core" else lambda: kill_gateway(lane)
        result = deploy_with(lane, death, point, may_miss=True)
        if victim == "core":
            death.over()
        try:
            lane.check(result)
            lane.recover()
        except AssertionError as problem:
            raise AssertionError(f"seed {seed}, the {victim}: {problem}\n{result}") from problem
        tally["programs killed"] += 1


def test_a_killed_probe_is_started_again(lane, tally):
    """Its questions count as not answered, and are asked again."""
    lane.change()
    config = lane.repo.path / "fairlead.yaml"
    config.write_text(config.read_text().replace(
        "{ running: { min: 10ms, interval: 10ms } }",
        '{ http: { url: "http://127.0.0.1:${PORT}/", interval: 50ms, start_period: 20s, '
        'retries: 20, min_healthy: 1s } }'))
    lane.repo.write({"run": '#!/bin/sh\nexec /usr/bin/python3 -m http.server --bind 127.0.0.1 "$PORT"\n'})
    lane.repo.commit()
    args, process = lane.popen("deploy")
    killed = set()

    def kill_one():
        probe = children(lane.host.agent.pid).get("fairlead-probe")
        if probe and probe not in killed:
            with contextlib.suppress(ProcessLookupError):
                os.kill(probe, signal.SIGKILL)
                killed.add(probe)
        return len(killed) >= BURSTS or process.poll() is not None

    wait_until(kill_one, "the probe was killed a few times")
    assert len(killed) > 1, "it was not started again"
    lane.check(lane.finish(args, process).exits(0))
    tally["programs killed"] += len(killed)
