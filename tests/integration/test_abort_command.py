"""`fairlead abort` from another terminal."""

import signal

import pytest

from lab import wait_until
from pace import Paced, phase
from test_resume import PATIENT, change, settled

pytestmark = pytest.mark.threads


@pytest.fixture
def ready(three):
    """Three hosts on their first release, and a second one committed that takes its time."""
    three.old = three.releases()
    three.repo.replace("fairlead.yaml", "min_healthy: 200ms", "min_healthy: 30s")
    change(three, PATIENT)
    return three


def switched(fleet):
    return all(new != old for new, old in zip(fleet.releases(), fleet.old))


def assert_old(fleet):
    assert fleet.releases() == fleet.old
    for host in fleet.hosts:
        assert "Hello from Fairlead" in host.get()[1]


def test_it_brings_every_host_back_and_its_coordinator_says_so(ready):
    _, process = ready.popen("deploy")
    wait_until(lambda: switched(ready), "every host has switched")
    ready.fairlead("abort").exits(0).says("aborted", "another coordinator follows it")
    assert_old(ready)
    out, err = process.communicate(timeout=90)
    assert process.returncode == 10, out + err
    ready.fairlead("history").exits(0).says("aborted")


def test_nothing_to_abort(three):
    three.fairlead("abort").exits(0).says("nothing to do")
    three.fairlead("abort", "abcdef012345").exits(2).says("abcdef012345")


def test_a_host_that_cannot_be_told_is_named(ready):
    _, process = ready.popen("deploy")
    wait_until(lambda: switched(ready), "every host has switched")
    process.kill()
    process.communicate()
    last = ready.hosts[2]
    last.stop(signal.SIGKILL)
    ready.fairlead("abort").exits(6).says("web3", "not known")
    assert ready.releases()[:2] == ready.old[:2]
    last.start()
    ready.fairlead("abort").exits(0)
    wait_until(lambda: settled(ready), "web3 has gone back")
    assert_old(ready)


def test_who_may_only_look_may_not_abort(ready):
    other = ready.new_key(ready.dir / "other.key")
    for host in ready.hosts:
        host.stop()
        host.write_policy({"ci": {"key": ready.signer}, "eve": {"key": other, "roles": "[observe]"}})
        host.start()
    _, process = ready.popen("deploy")
    wait_until(lambda: switched(ready), "every host has switched")
    ready.fairlead("abort", key=ready.dir / "other.key").exits(8).says("web1")
    assert switched(ready)
    ready.fairlead("abort").exits(0)
    process.communicate(timeout=90)
    assert process.returncode == 10


def test_before_anything_is_live(ready, build_dir):
    if not (build_dir / "tools" / "pace.so").exists():
        pytest.skip("nothing can be preloaded under a sanitizer")
    coordinator = Paced(ready, "deploy")
    coordinator.run_until(phase("activating"))
    ready.fairlead("abort").exits(0)
    assert coordinator.finish() == 10, coordinator.lines
    assert_old(ready)
