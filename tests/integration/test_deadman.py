"""The dead-man's switch: an activation that nobody confirms is undone, also when the core does not come back,
and when the host was rebooted. Real processes; a reboot is all processes of the host killed, and another boot's
id in the file that agent.yaml names."""

import os
import shutil
import signal
import subprocess
import time

import pytest

from lab import ROOT, processes_below, wait_until


def kill_all(host):
    """Everything of this host but nothing else: the agent, its helpers, shims and services."""
    host.agent.kill()
    host.agent.wait()
    host.agent = None
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        pids = [int(line.split()[0]) for line in processes_below(host.dir) + shims(host)]
        if not pids:
            return
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
    raise AssertionError("the processes of the host do not end")


def shims(host):
    """Those whose service's release is below this host; their own arguments do not say."""
    found = []
    for line in processes_below(host.fleet.dir):
        pid, _, command = line.partition(" ")
        if "fairlead-shim" in command or "fairlead-gateway" in command or "fairlead-probe" in command:
            found.append(line)
    return found


def reboot(host, boot):
    kill_all(host)
    host.boot.write_text(f"{boot}\n")


@pytest.fixture
def booted(make_fleet):
    """One host that serves the first release, whose boot id is in a file of the test."""
    fleet = make_fleet()
    host = fleet.host
    host.boot = host.dir / "boot_id"
    host.boot.write_text("first\n")
    host.write_config(boot_id=host.boot)
    fleet.start()
    fleet.deploy().exits(0)
    return fleet


def activated(fleet, confirm="2s", min_healthy="200ms", activate="60s"):
    """The second release is live and waits for its confirmation; the coordinator is gone. Returns the first."""
    before = fleet.host.release
    fleet.host.mark = fleet.host.log.stat().st_size
    fleet.repo.replace("src/page.html", "Hello from Fairlead", "Hello again")
    config = (fleet.repo.path / "fairlead.yaml").read_text().replace("min_healthy: 200ms",
                                                                    f"min_healthy: {min_healthy}")
    fleet.repo.commit({"fairlead.yaml": config + f"strategy: {{ confirm_timeout: {confirm}, activate_timeout: {activate} }}\n"})
    _, coordinator = fleet.popen("deploy")
    wait_until(lambda: fleet.host.release != before, "the switch")
    coordinator.kill()
    coordinator.communicate()
    return before


def journal_says(host, state):
    """Since the mark."""
    return host.logged(f"-> {state}", getattr(host, "mark", 0))


def recover(host):
    run = host.run_any("recover")
    assert run.returncode == 0, run.stderr
    return run.stderr


def assert_back(fleet, before):
    host = fleet.host
    assert host.release == before
    wait_until(lambda: "Hello from Fairlead" in host.get()[1], "the first release serves")
    assert host.health["release"] == before[:12]


@pytest.mark.parametrize("state", ["restarted", "healthy"])
def test_a_core_that_never_comes_back(booted, state):
    """Killed after the activation; `recover` leaves it alone while it has time, and then undoes it."""
    before = activated(booted, confirm="15s", min_healthy="200ms" if state == "healthy" else "40s",
                       activate="60s" if state == "healthy" else "15s")
    host = booted.host
    wait_until(lambda: journal_says(host, state), f"it is {state}")
    host.stop(signal.SIGKILL)
    new = host.release
    said = recover(host)
    if "left alone" in said:  # unless the machine was so slow that its time is over
        assert f"it is {state}, and has time until 20" in said
        assert host.release == new != before
    wait_until(lambda: "rolled_back" in recover(host), "it is undone in the end", 120)
    assert_back(booted, before)
    said = recover(host)
    assert "left alone" not in said and "->" not in said, said
    assert_back(booted, before)
    host.start()
    [status] = booted.fairlead("status", "--json").exits(0).ndjson
    assert status["last"]["state"] == "rolled_back" and status["running"] is None
    booted.fairlead("audit").exits(0)
    config = (booted.repo.path / "fairlead.yaml").read_text()
    booted.repo.commit({"fairlead.yaml": config.split("strategy:")[0].replace("min_healthy: 40s", "min_healthy: 200ms")})
    booted.deploy().exits(0)


def test_recover_does_nothing_where_nothing_is_to_be_done(booted):
    host, pid = booted.host, booted.host.pid
    host.stop()
    assert recover(host) == recover(host)
    assert host.pid == pid
    host.start()


def test_recover_is_refused_while_the_core_lives(booted):
    before = activated(booted)
    run = booted.host.run_any("recover")
    assert run.returncode == 3 and "another agent runs" in run.stderr, run.stderr
    wait_until(lambda: journal_says(booted.host, "rolled_back"), "the agent undoes it itself", 60)
    assert_back(booted, before)


def test_prepared_is_kept_until_its_lease_ends(booted):
    """Nothing live is touched, so there is nothing to hurry about."""
    host = booted.host
    before, pid = host.release, host.pid
    for attempt in range(20):
        host.mark = host.log.stat().st_size
        config = (booted.repo.path / "fairlead.yaml").read_text().split("strategy:")[0]
        booted.repo.commit({"src/new.py": f"{attempt}\n", "fairlead.yaml": config + "strategy: { lease: 10s }\n"})
        _, coordinator = booted.popen("deploy")
        wait_until(lambda: journal_says(host, "accepted"), "it has begun")
        coordinator.send_signal(signal.SIGSTOP)  # so that nobody activates
        wait_until(lambda: journal_says(host, "prepared"), "it is prepared")
        if not journal_says(host, "activating") and not journal_says(host, "switched"):
            break
        coordinator.send_signal(signal.SIGCONT)  # it was too fast: the next one
        coordinator.communicate(timeout=120)
        before, pid = host.release, host.pid
    host.stop(signal.SIGKILL)
    coordinator.kill()
    coordinator.communicate()
    said = recover(host)
    assert "aborted" in said or "left alone: it is prepared, and has time until 20" in said
    wait_until(lambda: "left alone" not in recover(host), "its lease is over", 120)
    assert host.release == before and host.pid == pid
    host.start()
    [status] = booted.fairlead("status", "--json").exits(0).ndjson
    assert status["running"] is None and status["last"]["state"] == "aborted"


# ---- reboots ----

def test_services_are_started_again_after_a_reboot(booted):
    host = booted.host
    reboot(host, "second")
    assert host.get()[0] == 0
    host.start()
    wait_until(lambda: host.get("/health")[0] == 200, "the service runs again")
    assert host.health["release"] == host.release[:12]
    pid = host.pid
    # In the same boot the agent leaves services to their supervisors.
    host.stop()
    host.start()
    assert host.pid == pid
    booted.fairlead("status").exits(0).says(str(pid))
    host.stop_services()
    assert host.get()[0] == 0
    reboot(host, "third")
    host.start()
    wait_until(lambda: host.get("/health")[0] == 200, "the service runs again")


def test_a_killed_service_is_not_taken_for_a_reboot(booted):
    """The id decides: whoever stopped a service by hand finds it stopped."""
    host = booted.host
    kill_all(host)
    host.start()
    assert host.get()[0] == 0
    booted.fairlead("status").exits(0).says("stopped")


def test_recover_starts_the_services_after_a_reboot_too(booted):
    """The agent itself may not come back."""
    host = booted.host
    reboot(host, "second")
    assert "starting service 'web'" in recover(host)
    wait_until(lambda: host.get("/health")[0] == 200, "the service runs again")
    pid = host.pid
    host.start()
    assert host.pid == pid


@pytest.mark.parametrize("who", ["agent", "recover"])
def test_a_reboot_in_the_middle_of_an_activation(booted, who):
    """What was live and not confirmed is undone at once, whatever time it had; all services run then."""
    before = activated(booted, confirm="10m")
    host = booted.host
    reboot(host, "second")
    assert host.release != before
    if who == "recover":
        assert "rolled_back" in recover(host)
    host.start()
    wait_until(lambda: host.release == before, "the first release is current")
    assert_back(booted, before)
    wait_until(lambda: booted.fairlead("status", "--json").ndjson[0]["running"] is None, "it has ended")
    [status] = booted.fairlead("status", "--json").exits(0).ndjson
    assert status["last"]["state"] == "rolled_back" and "rebooted" in status["last"]["error"]
    # The release is not to blame.
    booted.deploy().exits(0)


def test_an_overdue_activation_after_a_reboot(booted):
    before = activated(booted, confirm="1s")
    host = booted.host
    reboot(host, "second")
    host.start()
    wait_until(lambda: host.release == before, "the first release is current")
    assert_back(booted, before)


# ---- the units ----

UNITS = ROOT / "deploy" / "systemd"


@pytest.fixture
def units(tmp_path, bin_dir):
    """As an installation has them, with programs that exist."""
    for path in UNITS.iterdir():
        if path.suffix in (".timer", ".in"):
            text = path.read_text().replace("@CMAKE_INSTALL_FULL_BINDIR@", str(bin_dir))
            (tmp_path / path.name.removesuffix(".in")).write_text(text)
    return sorted(path for path in tmp_path.iterdir() if path.suffix in (".timer", ".service"))


def test_units_are_what_systemd_understands(units):
    assert [unit.name for unit in units] == [
        "fairlead-agent-deadman.service", "fairlead-agent-deadman.timer", "fairlead-agent-recover.service",
        "fairlead-agent.service"]
    verify = shutil.which("systemd-analyze")
    if not verify:
        pytest.skip("systemd-analyze is not here; the test below reads the units")
    run = subprocess.run([verify, "verify", "--man=no", *units], capture_output=True, text=True, check=False,
                         env={"PATH": "/usr/bin:/bin", "SYSTEMD_LOG_LEVEL": "warning"})
    ours = [line for line in run.stderr.splitlines() if "fairlead" in line]
    assert not ours, "\n".join(ours)


def test_units_call_recover_at_boot_and_by_a_timer(units):
    text = {unit.name: unit.read_text() for unit in units}
    for name in ("fairlead-agent-recover.service", "fairlead-agent-deadman.service"):
        assert "/fairlead-agent recover " in text[name] and "KillMode=process" in text[name]
        assert "SuccessExitStatus=3" in text[name]
    assert "Before=fairlead-agent.service" in text["fairlead-agent-recover.service"]
    assert "WantedBy=multi-user.target" in text["fairlead-agent-recover.service"]
    assert "OnUnitInactiveSec=45s" in text["fairlead-agent-deadman.timer"]
    assert "WantedBy=timers.target" in text["fairlead-agent-deadman.timer"]
