"""Wrong input: a clear error, nothing changed, nothing lost."""

import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from lab import ROOT

SMALL_DISK = ROOT / "tests/tools/small_disk.py"
UNCHANGED = "Hello from Fairlead"


@pytest.fixture
def guarded(deployed):
    """A served release that must still be served, by the same process, after the test."""
    release, pid = deployed.host.release, deployed.host.pid
    yield deployed
    assert (deployed.host.release, deployed.host.pid) == (release, pid)
    assert UNCHANGED in deployed.host.get()[1]


CONFIGS = [
    ("start_period: 10s", "start_period: soon", ["fairlead.yaml:24", "start_period", "soon"]),
    ("driver: process", "driver: proces", ["driver", "proces", "process"]),
    ("driver: process", "drivr: process", ["drivr", "driver"]),
    ("driver: process", "driver: compose", ["compose"]),
    ("version: 1", "version: 7", ["version"]),
    ("app: hello", "app: ../hello", ["app", "../hello"]),
    ("app: hello", "", ["app"]),
    ("keep: 5", "keep: 0", ["keep"]),
    ("class: APP_ONLY", "class: APP", ["class", "APP"]),
    ("services: [web]", "services: [wbe]", ["wbe", "web"]),
    ("dirs: [data]", "dirs: [../data]", ["../data"]),
    ("dirs: [data]", "dirs: [/data]", ["/data"]),
    ("signal: TERM", "signal: TREM", ["TREM"]),
    ("status: 200", "status: 99999", ["status"]),
    ("url: \"http", "url: \"gopher", ["url", "gopher"]),
    ("services:\n", "services: [\n", ["fairlead.yaml:"]),
    ("services:\n", "services:\n\t", ["fairlead.yaml:"]),
    ("app: hello", "app: hello\napp: hello", ["app"]),
    ("services:\n", "hooks: { befor: [bin/x] }\nservices:\n", ["hooks", "before"]),
]


@pytest.mark.parametrize("old, new, words", CONFIGS, ids=[new.strip() for _, new, _ in CONFIGS])
def test_an_invalid_config_is_status_2_with_its_place(desk, tmp_path, old, new, words):
    shutil.copytree(desk.repo.path, tmp_path / "app")
    config = tmp_path / "app/fairlead.yaml"
    text = config.read_text()
    assert old in text
    config.write_text(text.replace(old, new, 1))
    run = desk.fairlead("validate", cwd=tmp_path / "app").exits(2).says("fairlead.yaml", *words)
    assert "hint:" in run.err


def test_a_config_that_is_not_there_or_not_readable(desk, tmp_path):
    desk.fairlead("validate", cwd=tmp_path).exits(2).says("fairlead.yaml", "fairlead init")
    (tmp_path / "fairlead.yaml").mkdir()
    desk.fairlead("validate", cwd=tmp_path).exits(2).says("fairlead.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00\x01" * 100)
    desk.fairlead("validate", "-c", tmp_path / "bytes.yaml").exits(2).says("bytes.yaml")
    (tmp_path / "empty.yaml").touch()
    desk.fairlead("validate", "-c", tmp_path / "empty.yaml").exits(2).says("empty.yaml")


@pytest.mark.parametrize("change, words", [
    (("web1", "web 1"), ["web 1"]),
    (("address:", "adress:"), ["adress", "address"]),
    (("ed25519:", "rsa:"), ["key"]),
    (("labels:", "lables:"), ["lables", "labels"]),
    (("127.0.0.1:", "127.0.0.1;"), ["address"]),
])
def test_an_invalid_inventory_is_status_2_with_its_place(guarded, change, words):
    guarded.inventory.write_text(guarded.inventory.read_text().replace(*change))
    guarded.repo.commit({"README.md": "# no\n"})
    guarded.deploy().exits(2).says("fleet.yaml:2", *words)


def test_an_inventory_that_is_not_there(guarded):
    guarded.inventory.unlink()
    guarded.deploy().exits(2).says("fleet.yaml")


def test_a_limit_that_matches_no_host(guarded):
    guarded.repo.commit({"README.md": "# no\n"})
    guarded.deploy("--limit", "role=db").exits(2).says("role=db")
    guarded.deploy("--limit", "role=").exits(2)


def test_a_commit_that_is_not_there(guarded):
    guarded.deploy("--to", "deadbeef").exits(2).says("deadbeef")


def test_a_dirty_repository(guarded):
    guarded.repo.replace("src/page.html", "Hello from Fairlead", "Hello, uncommitted")
    guarded.deploy().exits(2).says("src/page.html", "--allow-dirty")


def test_a_dirty_repository_deploys_its_commit_when_allowed(deployed):
    deployed.repo.commit({"README.md": "# committed\n"})
    deployed.repo.replace("README.md", "committed", "not committed")
    deployed.deploy("--allow-dirty").exits(0)
    assert (deployed.host.store / "current/README.md").read_text() == "# committed\n"


def test_an_empty_repository_and_none_at_all(guarded, tmp_path):
    for name in ("empty", "none"):
        (tmp_path / name).mkdir()
        shutil.copy(guarded.repo.path / "fairlead.yaml", tmp_path / name)
    guarded.repo.git("init", "-q", str(tmp_path / "empty"))
    guarded.deploy(cwd=tmp_path / "empty").exits(2).says("no commit")
    guarded.deploy(cwd=tmp_path / "none").exits(2).says("repository", "--from")


def test_a_shallow_clone_without_the_base_is_a_loud_full_restart(deployed, tmp_path):
    pid = deployed.host.pid
    deployed.repo.commit({"README.md": "# one\n"})
    deployed.repo.commit({"README.md": "# two\n"})
    clone = tmp_path / "clone"
    deployed.repo.git("clone", "-q", "--depth", "1", f"file://{deployed.repo.path}", str(clone))
    deployed.deploy(cwd=clone).exits(0).says("FULL_RESTART", "shallow", deployed.first[:7])
    assert deployed.host.pid != pid


def test_a_base_that_was_force_pushed_away_is_a_loud_full_restart(deployed):
    pid = deployed.host.pid
    deployed.repo.git("commit", "-q", "--amend", "-m", "rewritten")
    deployed.repo.git("reflog", "expire", "--expire=now", "--all")
    deployed.repo.git("gc", "-q", "--prune=now")
    deployed.repo.commit({"README.md": "# rewritten\n"})
    deployed.deploy().exits(0).says("FULL_RESTART", deployed.first[:7])
    assert deployed.host.pid != pid


def test_an_unreachable_host_is_status_4_and_the_others_do_not_change(three):
    three.hosts[2].stop()
    before, pids = three.releases(), three.pids()
    three.repo.replace("src/page.html", "Hello from Fairlead", "Hello again")
    three.repo.commit()
    three.deploy().exits(4).says("web3", "refused")
    assert three.releases() == before and three.pids() == pids


def test_who_is_skipped_and_why_is_said_also_when_there_is_nothing_to_do(three):
    config = (three.repo.path / "fairlead.yaml").read_text()
    three.repo.commit({"fairlead.yaml": config + "strategy: { unreachable: skip }\n"})
    three.deploy().exits(0)
    three.hosts[2].stop()
    three.deploy().exits(11).says("nothing to do", "skipped", "web3", "refused")
    for host in three.hosts[:2]:
        host.stop()
    three.deploy().exits(4).says("web1", "refused")
    three.fairlead("rollback", three.releases()[0][:12]).exits(4).says("web1", "refused")


def test_a_host_that_accepts_and_never_answers_is_status_4(guarded):
    with socket.create_server(("127.0.0.1", 0)) as mute:
        text = guarded.inventory.read_text()
        guarded.inventory.write_text(text.replace(str(guarded.host.port),
                                                  str(mute.getsockname()[1])))
        guarded.deploy().exits(4).says("web1")


def test_a_stranger_who_speaks_http_does_not_disturb_the_agent(guarded):
    for noise in (b"GET / HTTP/1.1\r\n\r\n", b"\0" * 70000, b"\xff" * 4, b""):
        with socket.create_connection(("127.0.0.1", guarded.host.port)) as stranger:
            try:
                stranger.sendall(noise)
            except OSError:
                pass
    guarded.fairlead("status").exits(0)


def test_a_full_disk_during_prepare_changes_nothing(make_fleet):
    fleet = make_fleet()
    host = fleet.host
    host.start([SMALL_DISK, host.root, "8m", fleet.bin / "fairlead-agent", host.config])
    # The disk is seen from inside the agent's namespace only.
    host.root = Path(f"/proc/{host.agent.pid}/root{host.root}")
    fleet.deploy().exits(0)
    release, pid = host.release, host.pid
    fleet.repo.commit({"src/large.bin": os.urandom(12 << 20)})
    fleet.deploy().exits(4).says("no space")
    assert (host.release, host.pid) == (release, pid)
    fleet.repo.commit({"src/large.bin": None, "README.md": "# fits\n"})
    fleet.deploy().exits(0)
    assert host.pid == pid


@pytest.mark.parametrize("text, words", [
    ("version: 1\nlisten: 127.0.0.1:0\n", ["root"]),
    ("version: 1\nlsten: 127.0.0.1:0\n", ["lsten", "listen"]),
    ("", ["agent.yaml"]),
    (None, ["agent.yaml"]),
])
def test_an_invalid_agent_config_is_said_and_the_agent_ends(desk, tmp_path, text, words):
    config = tmp_path / "agent.yaml"
    if text is not None:
        config.write_text(text)
    run = subprocess.run([desk.bin / "fairlead-agent", "run", "--config", config], env=desk.env,
                         capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 2, run.stderr
    for word in words:
        assert word in run.stderr
