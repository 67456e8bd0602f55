"""`fairlead plan`: every file with the rule that decided, and no host touched."""

import pytest


def plan_between(desk, files):
    """The plan's JSON for one commit on top of the example."""
    desk.repo.git("checkout", "-q", "-B", "scratch", desk.first)
    commit = desk.repo.commit(files)
    run = desk.fairlead("plan", "--from", desk.first, "--to", commit, "--json").exits(0)
    return run.json


@pytest.mark.parametrize("path, expected", [
    ("README.md", "NO_RESTART"),
    ("docs/guide/index.html", "NO_RESTART"),
    ("CHANGELOG.rst", "NO_RESTART"),
    ("notes.txt", "NO_RESTART"),
    ("LICENSE", "NO_RESTART"),
    (".gitignore", "NO_RESTART"),
    ("config/.env.template", "NO_RESTART"),
    ("src/server.py", "APP_ONLY"),
    ("src/README.md", "NO_RESTART"),
    ("worker.py", "APP_ONLY"),
    ("prompts/hello.j2", "APP_ONLY"),
    ("no-rule-knows-this.bin", "APP_ONLY"),
    ("requirements.txt", "FULL_RESTART"),
    ("requirements-dev.txt", "FULL_RESTART"),
    ("docker-compose.yml", "FULL_RESTART"),
    ("compose.prod.yaml", "FULL_RESTART"),
    ("Dockerfile", "FULL_RESTART"),
    ("Dockerfile.worker", "FULL_RESTART"),
    ("package-lock.json", "FULL_RESTART"),
    ("poetry.lock", "FULL_RESTART"),
    ("db/schema.sql", "FULL_RESTART"),
    ("sql_scripts/001.sh", "FULL_RESTART"),
    ("migrations/0001_init.py", "FULL_RESTART"),
    (".env.production", "FULL_RESTART"),
])
def test_the_class_of_a_file(desk, path, expected):
    plan = plan_between(desk, {path: "changed\n"})
    assert plan["class"] == expected
    [row] = plan["files"]
    assert row["path"] == path and row["class"] == expected and row["rule"]
    assert row["status"] in ("added", "changed")


def test_every_file_is_listed_once_and_the_strongest_class_wins(desk):
    plan = plan_between(desk, {"README.md": "x\n", "src/a.py": "x\n", "Dockerfile": "FROM x\n"})
    assert plan["class"] == "FULL_RESTART"
    assert [row["path"] for row in plan["files"]] == ["Dockerfile", "README.md", "src/a.py"]


def test_a_removed_file_counts_and_a_rename_counts_twice(desk):
    desk.repo.git("checkout", "-q", "-B", "scratch", desk.first)
    desk.repo.git("mv", "src/page.html", "docs-page.html")
    commit = desk.repo.commit()
    plan = desk.fairlead("plan", "--from", desk.first, "--to", commit, "--json").exits(0).json
    assert {row["path"]: row["status"] for row in plan["files"]} == \
        {"docs-page.html": "added", "src/page.html": "removed"}


def test_the_same_input_gives_the_same_bytes(desk):
    desk.repo.git("checkout", "-q", "-B", "scratch", desk.first)
    commit = desk.repo.commit({"src/a.py": "x\n", "b.py": "y\n"})
    runs = {desk.fairlead("plan", "--from", desk.first, "--to", commit, "--json").out
            for _ in range(3)}
    assert len(runs) == 1


def test_it_explains_in_words(desk):
    desk.repo.git("checkout", "-q", "-B", "scratch", desk.first)
    commit = desk.repo.commit({"src/a.py": "x\n", "notes.txt": "y\n", "odd.bin": "z\n"})
    desk.fairlead("plan", "--from", desk.first, "--to", commit).exits(0) \
        .says("src/a.py", "fairlead.yaml:", "notes.txt", "built-in", "odd.bin", "no rule")


def test_between_a_commit_and_itself_there_is_nothing(desk):
    desk.fairlead("plan", "--from", desk.first, "--to", desk.first).exits(0).says("nothing")


def test_a_plan_for_hosts_changes_none_of_them(deployed):
    release, pid = deployed.host.release, deployed.host.pid
    deployed.repo.commit({"requirements.txt": "x\n"})
    deployed.fairlead("plan").exits(0).says("FULL_RESTART", "web1", "requirements.txt")
    assert (deployed.host.release, deployed.host.pid) == (release, pid)


def test_a_dry_run_changes_nothing(deployed):
    release = deployed.host.release
    deployed.repo.commit({"README.md": "# dry\n"})
    deployed.deploy("--dry-run").exits(0).says("NO_RESTART")
    assert deployed.host.release == release


def test_a_commit_that_is_not_there(desk):
    desk.fairlead("plan", "--from", desk.first, "--to", "deadbeef").exits(2).says("deadbeef")
