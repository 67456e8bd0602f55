"""An abort, a deadline or the death of the agent ends a hook with everything that it started."""

import os
import signal

import pytest

from hooks import RUNAWAYS, Hooks, kill, last, running
from lab import process_alive, wait_until

FOREVER = RUNAWAYS + "while :; do sleep 1; done"


@pytest.fixture(params=["cgroup", "subreaper"])
def hooks(request, make_fleet):
    """With a control group for each hook, where this machine lets us have one, and without."""
    fleet = make_fleet(hosts=1)
    if request.param == "subreaper":
        fleet.env["FAIRLEAD_CGROUP"] = "off"
    fleet.start()
    fleet.deploy().exits(0)
    return Hooks(fleet)


def begin(hooks, phase, more="", **how):
    """A deployment that has come to a hook which never ends."""
    slow = {"run": hooks.script("slow", FOREVER), **how}
    hooks.use(more, **{phase: [slow], "on_failure": [hooks.script("look")]})
    _, coordinator = hooks.fleet.popen("deploy")
    return coordinator, hooks.wait_ready()


@pytest.mark.parametrize("phase", ["before", "after"])
def test_an_abort_ends_the_whole_tree_before_it_is_answered(hooks, phase):
    fleet, old = hooks.fleet, hooks.fleet.host.release
    coordinator, pids = begin(hooks, phase)
    coordinator.send_signal(signal.SIGINT)
    out, err = coordinator.communicate(timeout=60)
    assert coordinator.returncode == 10, out + err
    assert not [pid for pid in pids if process_alive(pid)], "answered before the tree had ended"
    assert fleet.host.release == old and fleet.host.health["release"] == old[:12]
    outcome = "aborted" if phase == "before" else "rolled_back"
    assert hooks.runs == [f"{phase} deploy slow", f"on_failure deploy look {outcome}"]


def test_the_deadline_of_the_activation_ends_it(hooks):
    fleet, old = hooks.fleet, hooks.fleet.host.release
    coordinator, pids = begin(hooks, "before", "strategy: { activate_timeout: 2s }")
    out, err = coordinator.communicate(timeout=60)
    assert coordinator.returncode == 4, out + err
    assert "the hooks before the switch did not end" in out + err
    assert not [pid for pid in pids if process_alive(pid)]
    assert fleet.host.release == old


def test_an_agent_that_is_told_to_stop_does_not_wait_for_a_hook(hooks):
    coordinator, pids = begin(hooks, "before")
    coordinator.kill()
    coordinator.communicate()
    hooks.fleet.host.stop()
    hooks.assert_ended(pids)
    hooks.fleet.host.start()


@pytest.mark.parametrize("runner", ["lives", "is killed too"])
def test_nothing_of_a_hook_outlives_a_killed_agent(hooks, runner):
    """The new agent finds it dead, or kills it before anything else; then it goes on."""
    fleet = hooks.fleet
    coordinator, pids = begin(hooks, "before")
    coordinator.kill()
    coordinator.communicate()
    parent = hooks.runner(pids)
    if runner == "is killed too":
        os.kill(fleet.host.agent.pid, signal.SIGSTOP)  # it must not see how its runner ends
        os.kill(parent, signal.SIGKILL)
    kill(fleet.host)
    hooks.pids.unlink()
    fleet.host.start()
    assert not [pid for pid in pids if process_alive(pid)], "the agent serves, and they still run"
    again = hooks.wait_ready()  # the class of the hook lets it be run again
    assert hooks.runs == ["before deploy slow"] * 2
    fleet.host.stop()
    hooks.assert_ended(again)
    fleet.host.start()


def test_a_runner_that_is_killed_fails_the_hook_and_leaves_nothing(hooks):
    fleet, old = hooks.fleet, hooks.fleet.host.release
    coordinator, pids = begin(hooks, "before")
    os.kill(hooks.runner(pids), signal.SIGKILL)
    out, err = coordinator.communicate(timeout=60)
    assert coordinator.returncode == 4 and "was killed" in out + err, out + err
    assert not [pid for pid in pids if process_alive(pid)]
    assert fleet.host.release == old


def test_a_hook_is_taken_up_three_times_and_then_left(hooks):
    """What ends the agent each time must not keep it from ever coming back."""
    fleet, old = hooks.fleet, hooks.fleet.host.release
    coordinator, pids = begin(hooks, "before")
    coordinator.kill()
    coordinator.communicate()
    for again in range(4):
        hooks.pids.unlink()
        kill(fleet.host)
        fleet.host.start()
        hooks.assert_ended(pids)
        if again < 3:
            pids = hooks.wait_ready()
    wait_until(lambda: running(fleet) is None, "the host has given up")
    assert last(fleet)["state"] == "failed_safe" and fleet.host.logged("ALARM")
    assert hooks.runs == ["before deploy slow"] * 4 + ["on_failure deploy look failed_safe"]
    assert fleet.host.release == old
