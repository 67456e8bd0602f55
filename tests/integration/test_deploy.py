"""The main job: what is restarted, what is served, what is left alone."""

import re
import tempfile
from pathlib import Path

import pytest

from watch import names_made_in

pytestmark = pytest.mark.threads

LOG_LINE = re.compile(
    r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00 \[(DEPLOY|ROLLBACK|DEPLOY-FAILED)\] "
    r"(NO_RESTART|APP_ONLY|FULL_RESTART): (none|[0-9a-f]{7}) → [0-9a-f]{7} \(.*\d+m?s\)$")


def test_the_first_deployment_is_a_full_restart_on_every_host(make_fleet):
    fleet = make_fleet(hosts=3).start()
    fleet.deploy().exits(0).says("FULL_RESTART", "first")
    for host in fleet.hosts:
        assert host.health["release"] == host.release[:12]
        assert "Hello from Fairlead" in host.get()[1]
    assert len(set(fleet.releases())) == 1, "the same tree has the same name on every host"


def test_a_readme_change_restarts_nothing(three):
    pids, releases = three.pids(), three.releases()
    three.repo.commit({"README.md": "# hello\n\nNow with fewer words.\n"})
    three.deploy().exits(0).says("NO_RESTART")
    assert three.pids() == pids
    assert three.releases() != releases
    for host in three.hosts:
        assert (host.store / "current/README.md").read_text().endswith("fewer words.\n")


def test_a_source_change_restarts_the_service_and_keeps_its_data(three):
    pids = three.pids()
    for host in three.hosts:
        host.get()
        assert "visited 2 times" in host.get()[1]
    three.repo.replace("src/page.html", "Hello from Fairlead", "Hello again")
    three.repo.commit()
    three.deploy().exits(0).says("APP_ONLY")
    for host, pid in zip(three.hosts, pids):
        assert host.pid != pid
        body = host.get()[1]
        assert "Hello again" in body and "visited 3 times" in body


def test_a_dependency_change_is_a_full_restart(deployed):
    pid = deployed.host.pid
    deployed.repo.commit({"requirements.txt": "flask\n"})
    deployed.deploy().exits(0).says("FULL_RESTART")
    assert deployed.host.pid != pid


def test_the_strongest_class_wins(deployed):
    deployed.repo.commit({"README.md": "# other\n", "src/new.py": "", "requirements.txt": "x\n"})
    deployed.deploy().exits(0).says("FULL_RESTART")


def test_nothing_changed_does_nothing(deployed):
    pid, release, log = deployed.host.pid, deployed.host.release, deployed.host.deployment_log
    deployed.deploy().exits(0).says("nothing")
    assert (deployed.host.pid, deployed.host.release) == (pid, release)
    assert deployed.host.deployment_log == log


def test_changes_that_cancel_out_do_not_count(deployed):
    pid = deployed.host.pid
    deployed.repo.commit({"src/extra.py": "x = 1\n"})
    deployed.repo.commit({"src/extra.py": None})
    deployed.deploy().exits(0)
    assert deployed.host.pid == pid


def test_a_service_that_died_is_started_even_when_nothing_changed(deployed):
    deployed.host.stop_services()
    assert deployed.host.get()[0] == 0
    deployed.deploy().exits(0)
    assert deployed.host.get("/health")[0] == 200


def test_a_forced_type_is_done_and_said(deployed):
    pid = deployed.host.pid
    deployed.deploy("--type", "full").exits(0).says("FULL_RESTART")
    assert deployed.host.pid != pid


def test_a_lowered_type_is_allowed_shown_and_leaves_the_process(deployed):
    pid = deployed.host.pid
    deployed.repo.replace("src/page.html", "Hello from Fairlead", "Hello again")
    deployed.repo.commit()
    deployed.deploy("--type", "no-restart").exits(0).says("NO_RESTART", "APP_ONLY")
    assert deployed.host.pid == pid
    assert "Hello from Fairlead" in deployed.host.get()[1], "the running process has the old page"


def test_an_older_commit_can_be_deployed(deployed):
    deployed.repo.replace("src/page.html", "Hello from Fairlead", "Hello again")
    deployed.repo.commit()
    deployed.deploy().exits(0)
    deployed.deploy("--to", deployed.first).exits(0)
    assert "Hello from Fairlead" in deployed.host.get()[1]


def test_a_limit_leaves_the_other_hosts_alone(three):
    before = three.releases()
    three.repo.commit({"README.md": "# limited\n"})
    three.deploy("--limit", "web2").exits(0)
    after = three.releases()
    assert after[1] != before[1]
    assert (after[0], after[2]) == (before[0], before[2])


def test_each_host_is_compared_with_its_own_release(three):
    three.repo.replace("src/page.html", "Hello from Fairlead", "Hello again")
    three.repo.commit()
    three.deploy("--limit", "web1").exits(0)
    pids = three.pids()
    three.repo.commit({"README.md": "# hello\n"})
    three.deploy().exits(0)
    after = three.pids()
    assert after[0] == pids[0], "web1 had only the README to catch up with"
    assert after[1] != pids[1] and after[2] != pids[2]


def test_the_deployment_log_has_its_exact_form(deployed):
    deployed.repo.commit({"README.md": "# log\n"})
    head = deployed.repo.git("rev-parse", "--short=7", "HEAD")
    deployed.deploy().exits(0)
    log = deployed.host.deployment_log
    assert len(log) == 2
    for line in log:
        assert LOG_LINE.match(line), line
    assert f"[DEPLOY] NO_RESTART: {deployed.first[:7]} → {head} (" in log[1]


def test_old_releases_are_pruned_and_the_current_one_stays(deployed):
    deployed.repo.replace("fairlead.yaml", "keep: 5", "keep: 2")
    for number in range(6):
        deployed.repo.commit({"README.md": f"# {number}\n"})
        deployed.deploy().exits(0)
    releases = {path.name for path in (deployed.host.store / "releases").iterdir()}
    assert deployed.host.release in releases
    assert len(releases) <= 4, "two kept, one that a service was started from, one to be recycled"
    assert deployed.host.get("/health")[0] == 200


def test_two_deployments_at_once_collide_safely(three):
    three.repo.replace("src/page.html", "Hello from Fairlead", "Hello again")
    three.repo.commit()
    runs = [three.popen("deploy") for _ in range(2)]
    results = [(process.communicate(timeout=60), process.returncode) for _, process in runs]
    statuses = sorted(status for _, status in results)
    # [0, 0]: the second came when the first had ended.
    assert statuses in ([0, 0], [0, 3]), results
    assert len(set(three.releases())) == 1
    for host in three.hosts:
        assert "Hello again" in host.get()[1]


def test_a_coordinator_leaves_no_file_whenever_it_is_killed(deployed):
    """Its bundle has no name at any moment. In memory, which knows such files everywhere."""
    with tempfile.TemporaryDirectory(prefix="fairlead-test-", dir="/dev/shm") as temporary:
        deployed.env["TMPDIR"] = temporary
        deployed.repo.replace("src/page.html", "Hello from Fairlead", "Hello again")
        deployed.repo.commit()
        with names_made_in(Path(temporary)) as made:
            deployed.deploy().exits(0).says("APP_ONLY")
        # ThreadSanitizer keeps a file of its own there.
        assert [name for name in made if not name.startswith("tsan.")] == []
