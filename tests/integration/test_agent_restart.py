"""The agent comes and goes; services stay, and a deployment is never left half done."""

import os
import signal
import subprocess

import pytest

from lab import children, process_alive, wait_until

pytestmark = pytest.mark.threads

ENDINGS = pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["term", "kill"])


@ENDINGS
def test_services_survive_the_agent_and_it_takes_the_next_deployment(deployed, how):
    host, pid = deployed.host, deployed.host.pid
    host.stop(how)
    assert host.pid == pid
    host.start()
    assert host.pid == pid
    deployed.fairlead("status").exits(0).says(str(pid))
    deployed.repo.commit({"README.md": "# still here\n"})
    deployed.deploy().exits(0).says("NO_RESTART")
    assert host.pid == pid
    deployed.repo.replace("src/page.html", "Hello from Fairlead", "Hello again")
    deployed.repo.commit()
    deployed.deploy().exits(0)
    assert host.pid != pid and "Hello again" in host.get()[1]


def deploy_until_the_switch(fleet):
    """A deployment that has switched, and still has a second of health checks to go."""
    before = fleet.host.release
    fleet.repo.replace("fairlead.yaml", "min_healthy: 200ms", "min_healthy: 1s")
    fleet.repo.replace("src/page.html", "Hello from Fairlead", "Hello again")
    fleet.repo.write({"fairlead.yaml": (fleet.repo.path / "fairlead.yaml").read_text() +
                      "strategy: { confirm_timeout: 3s }\n"})
    fleet.repo.commit()
    _, coordinator = fleet.popen("deploy")
    wait_until(lambda: fleet.host.release != before, "the switch")
    return before, coordinator


def settled(fleet):
    """The host has no deployment in progress and its service is healthy."""
    [status] = fleet.fairlead("status", "--json").exits(0).ndjson
    return status["running"] is None and fleet.host.get("/health")[0] == 200


def assert_whole(fleet, text):
    assert text in fleet.host.get()[1]
    assert fleet.host.health["release"] == fleet.host.release[:12]
    fleet.repo.commit({"README.md": "# the next one\n"})
    fleet.deploy("--retry-bad").exits(0)


@ENDINGS
def test_an_agent_that_comes_back_goes_on_and_so_does_the_coordinator(deployed, how):
    before, coordinator = deploy_until_the_switch(deployed)
    deployed.host.stop(how)
    deployed.host.start()
    out, err = coordinator.communicate(timeout=60)
    assert coordinator.returncode == 0, out + err
    assert deployed.host.release != before
    assert_whole(deployed, "Hello again")


@ENDINGS
def test_without_a_coordinator_an_interrupted_deployment_is_undone(deployed, how):
    """Nobody is left who would confirm, so the host returns to the release that was verified."""
    before, coordinator = deploy_until_the_switch(deployed)
    coordinator.kill()
    coordinator.communicate()
    deployed.host.stop(how)
    deployed.host.start()
    wait_until(lambda: settled(deployed), "the host has settled")
    assert deployed.host.release == before
    assert_whole(deployed, "Hello from Fairlead")


def test_a_service_that_crashes_is_started_again(deployed):
    host, pid = deployed.host, deployed.host.pid
    # SIGKILL, so that the exit counts as a failure.
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: host.get("/health")[0] == 200 and host.pid != pid, "a new process")


def test_a_service_that_crashes_while_the_agent_is_away_is_started_again(deployed):
    host, pid = deployed.host, deployed.host.pid
    host.stop()
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: host.get("/health")[0] == 200 and host.pid != pid, "a new process")
    host.start()
    deployed.fairlead("status").exits(0).says(str(host.pid))


def test_stopping_the_services_leaves_none(deployed):
    pid = deployed.host.pid
    deployed.host.stop_services()
    assert not process_alive(pid)
    deployed.fairlead("status").exits(0).says("stopped")


def test_stopping_the_services_is_refused_while_the_agent_runs(deployed):
    pid = deployed.host.pid
    run = subprocess.run(deployed.host.command("stop-services"), env=deployed.env,
                         capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode != 0 and run.stderr
    assert deployed.host.pid == pid


def test_a_second_agent_on_the_same_state_is_refused(deployed):
    second = subprocess.run(deployed.host.command("run"), env=deployed.env, capture_output=True,
                            text=True, timeout=60, check=False)
    assert second.returncode != 0
    assert deployed.fairlead("status").status == 0


def test_the_gateway_dies_and_is_replaced(deployed):
    """The core holds no network; without its gateway it starts another one."""
    gateway = children(deployed.host.agent.pid)["fairlead-gateway"]
    os.kill(gateway, signal.SIGKILL)
    wait_until(lambda: deployed.fairlead("status").status == 0, "the host answers again")
    assert deployed.host.agent.poll() is None
