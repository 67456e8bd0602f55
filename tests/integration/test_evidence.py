"""What is on the disk is compared with the manifest before the switch, after it, and on the way back."""

import pytest

from hooks import Hooks
from test_failure import break_page


@pytest.fixture
def hooks(deployed):
    return Hooks(deployed)


def test_a_tree_that_changed_after_it_was_prepared_is_not_switched_to(hooks):
    fleet, old, pid = hooks.fleet, hooks.fleet.host.release, hooks.fleet.host.pid
    hooks.use(before=[hooks.script("meddler", "echo more >> src/page.html")])
    fleet.deploy().exits(5).says("src/page.html", "was changed since it was installed")
    assert fleet.host.release == old and fleet.host.pid == pid, "no service was touched"


def test_a_release_that_changes_itself_is_not_kept(deployed):
    before = deployed.host.release
    deployed.repo.replace("src/server.py", 'port = int(os.environ["PORT"])',
                          'open("config/settings.json", "a").write(" ");'
                          ' port = int(os.environ["PORT"])')
    deployed.repo.commit({"config/settings.json": "{}"})
    deployed.deploy().exits(5).says("config/settings.json", "was changed since it was installed")
    assert deployed.host.release == before and deployed.host.health["release"] == before[:12]


def test_a_release_to_go_back_to_that_is_damaged_is_said_to_be(deployed):
    page = deployed.host.store / "releases" / deployed.host.release / "src/page.html"
    break_page(deployed)
    with page.open("a") as file:
        file.write("damage")
    deployed.deploy().exits(7).says("the release to go back to is not what it was", "src/page.html")
