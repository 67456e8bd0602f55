"""`fairlead deploy --from DIR`: a plain folder, for example a build's output."""

import shutil

import pytest

from lab import HELLO


@pytest.fixture
def folder(tmp_path):
    shutil.copytree(HELLO, tmp_path / "built")
    return tmp_path / "built"


def test_a_folder_is_deployed_and_named_by_its_digest(fleet, folder):
    fleet.deploy("--from", folder, cwd=folder).exits(0).says("FULL_RESTART")
    assert fleet.host.health["release"] == fleet.host.release[:12]
    fleet.fairlead("status", cwd=folder).exits(0).says("dir-")


def test_a_changed_folder_is_classified_like_a_commit(fleet, folder):
    fleet.deploy("--from", folder, cwd=folder).exits(0)
    pid = fleet.host.pid
    (folder / "README.md").write_text("# built\n")
    fleet.deploy("--from", folder, cwd=folder).exits(0).says("NO_RESTART")
    assert fleet.host.pid == pid
    (folder / "src/page.html").write_text("<h1>Built</h1> {visits}\n")
    fleet.deploy("--from", folder, cwd=folder).exits(0).says("APP_ONLY")
    assert fleet.host.pid != pid and "Built" in fleet.host.get()[1]


def test_the_same_folder_again_is_nothing_to_do(fleet, folder):
    fleet.deploy("--from", folder, cwd=folder).exits(0)
    pid = fleet.host.pid
    fleet.deploy("--from", folder, cwd=folder).exits(0).says("nothing")
    assert fleet.host.pid == pid


def test_a_folder_after_a_commit_of_the_same_tree_is_nothing_to_do(deployed, folder):
    pid = deployed.host.pid
    deployed.deploy("--from", folder, cwd=folder).exits(0).says("nothing")
    assert deployed.host.pid == pid


def test_a_commit_can_follow_a_folder(fleet, folder):
    fleet.deploy("--from", folder, cwd=folder).exits(0)
    fleet.repo.replace("src/page.html", "Hello from Fairlead", "Hello again")
    fleet.repo.commit()
    fleet.deploy().exits(0)
    assert "Hello again" in fleet.host.get()[1]


def test_a_folder_that_is_not_there(fleet, tmp_path):
    fleet.deploy("--from", tmp_path / "nothere").exits(2).says("nothere")
    assert fleet.host.release is None
