"""A release that does not work: the old one serves again, and the exit status says so."""

import json
import socket
import threading
from contextlib import contextmanager

import pytest

pytestmark = pytest.mark.threads


def break_page(fleet):
    fleet.repo.replace("fairlead.yaml", "start_period: 10s", "start_period: 1s")
    fleet.repo.replace("src/page.html", "{visits}", "many")
    fleet.repo.commit(message="break the page")


def assert_old_release_serves(fleet, before, text="Hello from Fairlead"):
    assert fleet.releases() == before
    for host in fleet.hosts:
        assert host.health["release"] == host.release[:12], "the process is of the old release"
        assert text in host.get()[1]


def test_a_failing_health_check_brings_every_host_back(three):
    before = three.releases()
    break_page(three)
    three.deploy().exits(5).says("503", "page.html has no {visits}")
    assert_old_release_serves(three, before)
    for host in three.hosts:
        failed, back = host.deployment_log[-2:]
        assert "[DEPLOY-FAILED] APP_ONLY" in failed and "[ROLLBACK] APP_ONLY" in back


def test_one_bad_host_brings_all_three_back(three):
    before = three.releases()
    three.repo.replace("src/server.py", 'if "{visits}" not in PAGE:',
                       'if (VISITS.parent / "broken").exists():')
    three.repo.commit()
    broken = three.hosts[1]
    (broken.store / "shared/data/broken").touch()
    result = three.deploy().exits(5).says("web2")
    assert_old_release_serves(three, before)
    assert "web2" in result.out + result.err


def test_the_next_good_release_deploys_after_a_failure(deployed):
    before = deployed.releases()
    break_page(deployed)
    deployed.deploy().exits(5)
    assert_old_release_serves(deployed, before)
    deployed.repo.replace("src/page.html", "many", "{visits}")
    deployed.repo.replace("src/page.html", "Hello from Fairlead", "Hello again")
    deployed.repo.commit()
    deployed.deploy().exits(0)
    assert "Hello again" in deployed.host.get()[1]


def test_a_release_that_failed_is_not_tried_again_unasked(deployed):
    before = deployed.releases()
    break_page(deployed)
    deployed.deploy().exits(5)
    result = deployed.deploy().says("--retry-bad")
    assert result.status not in (0, 5), str(result)
    assert_old_release_serves(deployed, before)
    deployed.deploy("--retry-bad").exits(5)
    assert_old_release_serves(deployed, before)


def test_a_failing_first_deployment_leaves_nothing_running(fleet):
    break_page(fleet)
    fleet.deploy().exits(5)
    assert fleet.host.release is None
    assert fleet.host.get()[0] == 0


def test_a_health_check_that_never_answers_times_out(deployed):
    before = deployed.releases()
    deployed.repo.replace("fairlead.yaml", "start_period: 10s", "start_period: 100ms")
    deployed.repo.replace("src/server.py", "status, answer = health()",
                          "threading.Event().wait()")
    deployed.repo.commit()
    deployed.deploy().exits(5).says("no HTTP answer after")
    assert_old_release_serves(deployed, before)


def test_a_service_that_exits_at_once_shows_its_last_words(deployed):
    before = deployed.releases()
    deployed.repo.replace("src/server.py", 'port = int(os.environ["PORT"])',
                          'sys.exit("the moon is in the wrong phase")')
    deployed.repo.commit()
    deployed.deploy().exits(5).says("the moon is in the wrong phase")
    assert_old_release_serves(deployed, before)


@pytest.mark.parametrize("command", ["src/nothere", "/nonexistent/program", "no-such-program"])
def test_a_command_that_does_not_exist_is_found_before_anything_changes(deployed, command):
    before, pid = deployed.releases(), deployed.host.pid
    deployed.repo.replace("fairlead.yaml", '"src/server.py"', f'"{command}"')
    deployed.repo.commit()
    deployed.deploy().exits(4).says(command)
    assert_old_release_serves(deployed, before)
    assert deployed.host.pid == pid


@contextmanager
def squatter(port, answer):
    """Occupy a port and answer every connection with these bytes."""
    with socket.create_server(("127.0.0.1", port)) as server:
        def serve():
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(4096)
                    connection.sendall(answer)
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.mark.parametrize("status", ["200 OK", "404 Not Found"])
def test_a_port_in_use_fails_even_when_the_squatter_answers(fleet, status):
    answer = f"HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nhi".encode()
    with squatter(fleet.host.service_port, answer):
        fleet.deploy().exits(5).says("address already in use")
    assert fleet.host.release is None


def test_a_failure_in_json_names_the_hosts_and_the_outcome(deployed):
    break_page(deployed)
    lines = deployed.deploy("--json").exits(5).ndjson
    assert "rolled_back" in json.dumps(lines)


def test_killing_the_coordinator_midway_leaves_a_whole_release(three):
    before = three.releases()
    three.repo.replace("fairlead.yaml", "min_healthy: 200ms", "min_healthy: 700ms")
    three.repo.replace("src/page.html", "Hello from Fairlead", "Hello again")
    three.repo.commit()
    _, process = three.popen("deploy")
    for line in process.stderr:
        if "web1" in line:
            break
    process.kill()
    process.communicate()
    three.fairlead("status").exits(0)
    for host, old in zip(three.hosts, before):
        assert (host.store / "releases" / host.release / "src/page.html").exists()
        assert host.release == old or "Hello again" in host.get()[1]
