"""`fairlead releases`: the state of each, failed ones in quarantine, and pins that outlive pruning."""

import pytest

from lab import wait_until

BROKEN = {"src/server.py": "raise SystemExit(1)\n"}


def releases(fleet, *args):
    return fleet.fairlead("releases", "--json", *args).exits(0).ndjson


def settled(fleet):
    """Nothing is pruned any more: a pruning only ever follows a deployment, and removes what is in tmp/ last."""
    tmp = fleet.host.store / "tmp"
    wait_until(lambda: not list(tmp.glob("prune-*")), "the pruning is over")


def next_release(fleet, number, keep=1, keep_failed=1):
    config = (fleet.repo.path / "fairlead.yaml").read_text().replace(
        "releases: { keep: 5 }", f"releases: {{ keep: {keep}, keep_failed: {keep_failed} }}")
    return fleet.repo.commit({"fairlead.yaml": config, "src/number.txt": f"{number}\n"})


def test_states(deployed):
    first = deployed.first
    second = next_release(deployed, 2, keep=5)
    deployed.deploy().exits(0)
    broken = deployed.repo.commit(BROKEN)
    deployed.deploy("--to", broken).exits(5)
    listed = {row["commit"]: row for row in releases(deployed)}
    assert set(listed) == {first, second, broken}
    states = ("current", "previous", "verified", "failed", "pinned")
    assert [listed[second][state] for state in states] == [True, False, True, False, False]
    assert [listed[first][state] for state in states] == [False, True, True, False, False]
    assert [listed[broken][state] for state in states] == [False, False, False, True, False]
    assert "web" in listed[broken]["failed_reason"]
    assert listed[second]["services"] == ["web"] and listed[first]["services"] == []
    run = deployed.fairlead("releases").exits(0)
    rows = {line.split()[2]: line for line in run.out.splitlines() if line.startswith("web1")}
    assert "current" in rows[second[:7]] and "web" in rows[second[:7]].split("current")[1]
    assert "previous" in rows[first[:7]] and "failed" in rows[broken[:7]]
    run.says("service 'web'")


def test_a_failed_release_is_refused_until_it_is_asked_for(deployed):
    broken = deployed.repo.commit(BROKEN)
    deployed.deploy().exits(5)
    deployed.deploy().exits(4).says("failed on this host before", "--retry-bad")
    deployed.deploy("--retry-bad").exits(5)
    # What works after all is no longer quarantined.
    deployed.repo.git("rm", "-q", "--cached", "src/server.py")
    deployed.repo.git("reset", "-q", "--hard", "HEAD~1")
    next_release(deployed, 2, keep=5)
    deployed.deploy().exits(0)
    assert [row["failed"] for row in releases(deployed) if row["commit"] == broken] == [True]


@pytest.mark.parametrize("keep_failed", [1, 3])
def test_failed_releases_are_pruned(deployed, keep_failed):
    for number in range(4):
        next_release(deployed, number, keep=5, keep_failed=keep_failed)
        deployed.repo.commit({**BROKEN, "src/number.txt": f"broken {number}\n"})
        deployed.deploy().exits(5)
        deployed.repo.git("reset", "-q", "--hard", "HEAD~1")
        deployed.deploy().exits(0)
    settled(deployed)
    # One more is due for pruning, and waits to become the next stage.
    wait_until(lambda: sum(row["failed"] for row in releases(deployed)) in (keep_failed, keep_failed + 1),
               "the older ones are gone")


def test_a_pinned_release_outlives_all_others(deployed):
    first = deployed.host.release
    deployed.fairlead("releases", "--pin", deployed.first[:8]).exits(0).says("pinned")
    deployed.fairlead("audit").exits(0)
    for number in range(5):
        next_release(deployed, number)
        deployed.deploy().exits(0)
    settled(deployed)
    assert (deployed.host.store / "releases" / first).is_dir()
    listed = {row["commit"]: row for row in releases(deployed)}
    assert listed[deployed.first]["pinned"] and len(listed) <= 4
    # It is as it was, and a rollback goes there.
    deployed.fairlead("rollback", deployed.first[:8]).exits(0)
    deployed.fairlead("drift").exits(0)
    deployed.deploy().exits(0)
    deployed.fairlead("releases", "--unpin", first[:8]).exits(0)
    for number in range(5, 10):
        next_release(deployed, number)
        deployed.deploy().exits(0)
    settled(deployed)
    wait_until(lambda: not (deployed.host.store / "releases" / first).exists(), "it has been pruned or recycled")


def test_a_pin_outlives_the_agent_and_its_deployment_again(deployed):
    deployed.fairlead("releases", "--pin", deployed.first).exits(0)
    deployed.host.stop()
    deployed.host.start()
    assert [row["pinned"] for row in releases(deployed)] == [True]
    next_release(deployed, 2)
    deployed.deploy().exits(0)
    deployed.deploy("--to", deployed.first).exits(0)
    assert [row["pinned"] for row in releases(deployed) if row["commit"] == deployed.first] == [True]


def test_pins_that_cannot_be_set(deployed, tmp_path):
    deployed.fairlead("releases", "--pin", "ffffffff").exits(2).says("has not kept a release 'ffffffff'")
    deployed.fairlead("releases", "--pin", "").exits(2)
    deployed.fairlead("releases", "--pin", "a", "--unpin", "b").exits(2)
    reader = tmp_path / "reader.key"
    deployed.host.write_policy({"ci": {"key": deployed.signer},
                                "eye": {"key": deployed.new_key(reader), "roles": "[observe]"}})
    deployed.host.stop()
    deployed.host.start()
    deployed.fairlead("releases", key=reader).exits(0)
    deployed.fairlead("drift", key=reader).exits(0)
    deployed.fairlead("audit", key=reader).exits(0)
    deployed.fairlead("releases", "--pin", deployed.first, key=reader).exits(8).says("eye", "pin")
    assert [row["pinned"] for row in releases(deployed)] == [False]


def test_a_rollback_removes_nothing(deployed):
    """It does not say how many releases are to stay."""
    for number in range(3):
        next_release(deployed, number, keep=5)
        deployed.deploy().exits(0)
    before = {row["commit"] for row in releases(deployed)}
    deployed.fairlead("rollback").exits(0)
    settled(deployed)
    assert {row["commit"] for row in releases(deployed)} == before
