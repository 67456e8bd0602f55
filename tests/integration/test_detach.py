"""Ctrl-C, SIGTERM and --detach: what a coordinator leaves behind."""

import signal

import pytest

from hooks import Hooks, running
from lab import wait_until
from terminal import Terminal
from test_resume import HASTY, PATIENT, assert_new, change, settled

CTRL_C = "\x03"


@pytest.fixture
def ready(three):
    """Three hosts on their first release, and a second one committed that takes its time."""
    three.old = three.releases()
    change(three, PATIENT)
    return three


def hold(host):
    host.agent.send_signal(signal.SIGSTOP)


def let_go(host):
    host.agent.send_signal(signal.SIGCONT)


def assert_old(fleet):
    assert fleet.releases() == fleet.old
    for host in fleet.hosts:
        assert "Hello from Fairlead" in host.get()[1]


def slow(fleet):
    """Health takes long, so that there is time to press a key."""
    fleet.repo.replace("fairlead.yaml", "min_healthy: 200ms", "min_healthy: 6s")
    fleet.repo.commit()
    return fleet


def switched(fleet):
    return all(new != old for new, old in zip(fleet.releases(), fleet.old))


def asked(fleet):
    terminal = Terminal(slow(fleet), "deploy")
    wait_until(lambda: switched(fleet), "every host has switched")
    terminal.type(CTRL_C)
    terminal.wait_for("detach")
    terminal.wait_for("abort")
    return terminal


def test_ctrl_c_asks_and_a_aborts(ready):
    terminal = asked(ready)
    terminal.type("a\n")
    assert terminal.ends() == 10, terminal.screen
    assert_old(ready)


def test_ctrl_c_twice_aborts(ready):
    terminal = asked(ready)
    terminal.type(CTRL_C)
    assert terminal.ends() == 10, terminal.screen
    assert "aborting" in terminal.screen
    assert_old(ready)


def test_ctrl_c_and_d_detaches_and_resume_finishes(ready):
    terminal = asked(ready)
    terminal.type("d\n")
    assert terminal.ends() == 12, terminal.screen
    assert "fairlead resume" in terminal.screen
    ready.fairlead("resume").exits(0)
    assert_new(ready)


def test_ctrl_c_and_enter_goes_on(ready):
    terminal = asked(ready)
    terminal.type("\n")
    assert terminal.ends() == 0, terminal.screen
    assert "going on" in terminal.screen
    assert_new(ready)


def test_with_yes_nobody_is_asked(ready):
    terminal = Terminal(slow(ready), "deploy", "--yes")
    wait_until(lambda: switched(ready), "every host has switched")
    terminal.type(CTRL_C)
    assert terminal.ends() == 10, terminal.screen
    assert "detach: leave" not in terminal.screen
    assert_old(ready)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM], ids=["int", "term"])
def test_without_a_terminal_a_signal_aborts(ready, how):
    _, process = slow(ready).popen("deploy")
    wait_until(lambda: switched(ready), "every host has switched")
    process.send_signal(how)
    out, err = process.communicate(timeout=90)
    assert process.returncode == 10, out + err
    assert_old(ready)


def test_a_second_signal_leaves_at_once(ready):
    """The third host does not answer, so the abort cannot end; nor is it waited for."""
    _, process = slow(ready).popen("deploy")
    wait_until(lambda: switched(ready), "every host has switched")
    hold(ready.hosts[2])
    process.send_signal(signal.SIGINT)
    for line in process.stderr:
        if "aborting" in line:
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=90)
    assert process.returncode == 10 and "resume" in out, out + err
    let_go(ready.hosts[2])
    # Whatever it came to by then: it is ended, and nobody is on the new release.
    ready.fairlead("abort").exits(0)
    wait_until(lambda: settled(ready), "all have ended")
    assert_old(ready)


def test_detach_leaves_once_all_have_switched(ready):
    left = slow(ready).deploy("--detach").exits(12).says("fairlead resume")
    assert switched(ready), left
    ready.fairlead("resume").exits(0)
    assert_new(ready)


def test_detach_does_not_leave_while_the_hooks_before_the_switch_run(fleet):
    fleet.deploy().exits(0)
    fleet.old = fleet.releases()
    hooks = Hooks(fleet)
    wait = 'while [ ! -e "{gate}" ]; do sleep 0.05; done'
    hooks.use(PATIENT, before=[hooks.script("wait", wait)])
    _, coordinator = fleet.popen("deploy", "--detach")
    wait_until(lambda: (running(fleet) or {}).get("state") == "activating", "the hook runs")
    hooks.gate.touch()
    out, err = coordinator.communicate(timeout=90)
    assert coordinator.returncode == 12, out + err
    assert switched(fleet), out + err


def test_detached_and_never_confirmed_goes_back(three):
    three.old = three.releases()
    change(three, HASTY)
    slow(three).deploy("--detach").exits(12)
    wait_until(lambda: settled(three), "all have gone back", timeout=90)
    assert_old(three)
    three.fairlead("resume").exits(5).says("rolled back", "nobody confirmed")
