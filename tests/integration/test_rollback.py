"""`fairlead rollback`: the same pipeline backwards, with the same checks."""

import pytest

pytestmark = pytest.mark.threads


def with_three_releases(fleet):
    """Digests of three releases, oldest first; the last one is served."""
    digests = [fleet.host.release]
    for text in ("second", "third"):
        page = (fleet.repo.path / "src/page.html").read_text()
        fleet.repo.commit({"src/page.html": page.replace("<h1>", f"<h1>{text} ")})
        fleet.deploy().exits(0)
        digests.append(fleet.host.release)
    return digests


def test_without_an_argument_it_returns_to_the_release_before(deployed):
    digests = with_three_releases(deployed)
    deployed.fairlead("rollback").exits(0)
    assert deployed.host.release == digests[1]
    assert "<h1>second" in deployed.host.get()[1]
    assert "[ROLLBACK]" in deployed.host.deployment_log[-1]


def test_to_a_commit_that_is_kept(deployed):
    digests = with_three_releases(deployed)
    deployed.fairlead("rollback", deployed.first[:10]).exits(0)
    assert deployed.host.release == digests[0]
    assert deployed.host.health["release"] == digests[0][:12]


def test_on_every_host(three):
    before = three.releases()
    three.repo.replace("src/page.html", "Hello from Fairlead", "Hello again")
    three.repo.commit()
    three.deploy().exits(0)
    three.fairlead("rollback").exits(0)
    assert three.releases() == before
    for host in three.hosts:
        assert "Hello from Fairlead" in host.get()[1]


def test_the_data_folder_is_not_rolled_back(deployed):
    deployed.host.get()
    with_three_releases(deployed)
    deployed.fairlead("rollback").exits(0)
    assert "visited 2 times" in deployed.host.get()[1]


def test_forward_again_after_a_rollback(deployed):
    digests = with_three_releases(deployed)
    deployed.fairlead("rollback").exits(0)
    deployed.deploy().exits(0)
    assert deployed.host.release == digests[2]
    assert "third" in deployed.host.get()[1]


def test_a_release_that_no_host_keeps_is_an_error(deployed):
    before, pid = deployed.host.release, deployed.host.pid
    result = deployed.fairlead("rollback", "0123456789abcdef").says("0123456789abcdef")
    assert result.status in (2, 4), str(result)
    assert (deployed.host.release, deployed.host.pid) == (before, pid)


def test_without_an_earlier_release_it_is_an_error(deployed):
    before, pid = deployed.host.release, deployed.host.pid
    result = deployed.fairlead("rollback")
    assert result.status in (2, 4), str(result)
    assert (deployed.host.release, deployed.host.pid) == (before, pid)


def test_a_release_that_no_longer_works_is_not_kept(deployed):
    """The old release's health depends on the data folder, which a rollback does not change."""
    deployed.repo.replace("src/server.py", 'if "{visits}" not in PAGE:',
                          'if (VISITS.parent / "broken").exists():')
    deployed.repo.commit()
    deployed.deploy().exits(0)
    deployed.repo.replace("src/server.py", "VISITS.parent", "VISITS.parent.parent")
    deployed.repo.commit()
    deployed.deploy().exits(0)
    newest = deployed.host.release
    (deployed.host.store / "shared/data/broken").touch()
    deployed.fairlead("rollback").exits(5)
    assert deployed.host.release == newest
    assert deployed.host.health["release"] == newest[:12]
