"""A hook of class `once` that was cut off is never run twice unasked: the host holds for a decision."""

import signal
import time

import pytest

from hooks import Hooks, kill, last, running
from lab import wait_until

DEADLINE_S = 10
# Once its gate is there it ends by itself.
GATED = 'echo $$ > "{pids}"; while [ ! -e "{gate}" ]; do sleep 0.05; done'


@pytest.fixture
def hooks(deployed):
    return Hooks(deployed)


def cut_off(hooks, phase, more="", coordinator="leaves"):
    """Kill the agent in the middle of the hook; returns the coordinator."""
    hooks.use(more, **{phase: [{"run": hooks.script("migrate", GATED), "class": "once"},
                               hooks.script("next")],
                       "on_failure": [hooks.script("look")]})
    _, process = hooks.fleet.popen("deploy")
    wait_until(hooks.pids.exists, "the hook runs")
    if coordinator == "leaves":
        process.kill()
        process.communicate()
    kill(hooks.fleet.host)
    hooks.gate.touch()
    return process


def hold(hooks, phase, **how):
    """A host that holds because its agent was killed in the middle of the hook."""
    process = cut_off(hooks, phase, **how)
    hooks.fleet.host.start()
    state = "held_" + phase
    wait_until(lambda: (running(hooks.fleet) or {}).get("state") == state, f"the host is {state}")
    return process


def assert_holds(hooks, phase):
    assert running(hooks.fleet)["state"] == "held_" + phase
    assert hooks.runs == [f"{phase} deploy migrate"]


def resolve(hooks, decision):
    return hooks.fleet.fairlead("resume", running(hooks.fleet)["id"], "--resolve", decision)


@pytest.mark.parametrize("phase", ["before", "after"])
def test_a_host_that_holds_says_so_and_takes_nothing_else(hooks, phase):
    fleet, old = hooks.fleet, hooks.fleet.host.release
    hold(hooks, phase)
    status = fleet.fairlead("status").exits(0).says("held_" + phase, "bin/migrate", "--resolve done")
    assert running(fleet)["id"] in status.out and running(fleet)["held_step"] == "bin/migrate"
    assert fleet.host.logged("ALARM")
    fleet.deploy().exits(6).says("held_" + phase, "--resolve done")  # the same, taken up
    fleet.repo.commit({"src/other.py": "# another\n"})
    fleet.deploy().exits(3).says("held_" + phase)
    result = fleet.fairlead("abort", running(fleet)["id"]).says("--resolve")
    assert result.status != 0, str(result)
    assert_holds(hooks, phase)
    assert (fleet.host.release == old) == (phase == "before")
    assert fleet.host.health["release"] == fleet.host.release[:12], "what served serves on"


def test_neither_time_nor_another_crash_ends_a_hold(hooks):
    """The deadline of the activation passes while no agent runs, which otherwise undoes a deployment."""
    fleet = hooks.fleet
    cut_off(hooks, "before", f"strategy: {{ activate_timeout: {DEADLINE_S}s, confirm_timeout: 1s }}")
    over = time.monotonic() + DEADLINE_S
    wait_until(lambda: time.monotonic() > over, "the deadline is over")
    assert "left alone" in fleet.host.run_any("recover").stderr
    fleet.host.start()
    assert_holds(hooks, "before")
    kill(fleet.host)
    fleet.host.start()
    assert_holds(hooks, "before")


def test_done_goes_on_after_the_step(hooks):
    fleet, old = hooks.fleet, hooks.fleet.host.release
    hold(hooks, "before")
    resolve(hooks, "done").exits(0)
    assert hooks.runs == ["before deploy migrate", "before deploy next"]
    assert fleet.host.release != old and last(fleet)["state"] == "committed"


def test_redo_runs_it_again(hooks):
    fleet, old = hooks.fleet, hooks.fleet.host.release
    hold(hooks, "after")
    resolve(hooks, "redo").exits(0)
    assert hooks.runs == ["after deploy migrate", "after deploy migrate", "after deploy next"]
    assert fleet.host.release != old and last(fleet)["state"] == "committed"


@pytest.mark.parametrize("phase, outcome", [("before", "aborted"), ("after", "rolled_back")])
def test_undo_goes_back(hooks, phase, outcome):
    fleet, old = hooks.fleet, hooks.fleet.host.release
    hold(hooks, phase)
    resolve(hooks, "undo")
    assert last(fleet)["state"] == outcome
    assert hooks.runs == [f"{phase} deploy migrate", f"on_failure deploy look {outcome}"]
    assert fleet.host.release == old and fleet.host.health["release"] == old[:12]
    hooks.use()
    fleet.deploy().exits(0)


def test_a_decision_is_for_a_host_that_holds(hooks):
    fleet = hooks.fleet
    fleet.fairlead("resume", "--resolve", "done").exits(4).says("no host holds")
    fleet.fairlead("resume", "--resolve", "maybe").exits(2).says("done", "redo", "undo")


def test_a_coordinator_that_is_there_is_told_and_decides_nothing(hooks):
    process = hold(hooks, "before", coordinator="stays")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 6 and "--resolve" in out + err, f"{process.returncode} {out}{err}"
    assert_holds(hooks, "before")
    resolve(hooks, "done").exits(0)


def test_a_hook_that_ended_before_the_agent_did_is_not_held(hooks):
    """Only what was cut off is: the end was journalled, so the agent knows."""
    fleet = hooks.fleet
    hooks.use(before=[{"run": hooks.script("migrate"), "class": "once"},
                      hooks.script("slow", GATED)])
    _, process = fleet.popen("deploy")
    wait_until(hooks.pids.exists, "the second hook runs")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    kill(fleet.host)
    hooks.gate.touch()
    fleet.host.start()
    fleet.fairlead("resume").exits(0)
    assert hooks.runs == ["before deploy migrate"] + ["before deploy slow"] * 2
