"""Programs of the release around its activation: before, after, and on failure."""

import os

import pytest

from hooks import RUNAWAYS, Hooks
from lab import process_alive


@pytest.fixture
def hooks(deployed):
    return Hooks(deployed)


def test_hooks_run_in_their_order_around_the_switch(hooks):
    fleet, old = hooks.fleet, hooks.fleet.host.release
    look = f'readlink {fleet.host.store}/current | xargs basename >> "$(dirname "{hooks.trace}")/at"'
    hooks.use(before=[hooks.script("one", look), (hooks.script("two"), "x y")],
              after=[hooks.script("three", look)], on_failure=[hooks.script("never")])
    fleet.deploy().exits(0).says("hook bin/one: running before")
    assert hooks.runs == ["before deploy one", "before deploy two", "after deploy three"]
    assert (fleet.dir / "at").read_text().split() == [old, fleet.host.release]


def test_a_hook_knows_what_it_is_run_for(hooks):
    fleet, old = hooks.fleet, hooks.fleet.host.release
    hooks.use(before=[["sh", "-c", f'env > {fleet.dir}/env; pwd > {fleet.dir}/pwd; cat >> {fleet.dir}/in']])
    fleet.deploy().exits(0)
    env = dict(line.split("=", 1) for line in (fleet.dir / "env").read_text().splitlines())
    wanted = {"FAIRLEAD_HOOK": "before", "FAIRLEAD_ACTION": "deploy", "FAIRLEAD_APP": "hello",
              "FAIRLEAD_ENVIRONMENT": "production", "FAIRLEAD_RELEASE": fleet.host.release,
              "FAIRLEAD_PREVIOUS_RELEASE": old, "FAIRLEAD_PREVIOUS_COMMIT": fleet.first,
              "FAIRLEAD_COMMIT": fleet.repo.git("rev-parse", "HEAD"), "LANG": "C.UTF-8",
              "PORT": str(fleet.host.service_port)}
    assert {name: env.get(name) for name in wanted} == wanted
    assert len(env["FAIRLEAD_DEPLOYMENT"]) == 32 and "FAIRLEAD_OUTCOME" not in env
    assert not set(env) & set(os.environ) - {"PATH", "HOME", "USER", "LANG", "PWD", "SHLVL", "_", "PORT"}
    assert (fleet.dir / "pwd").read_text().strip() == str(fleet.host.store / "releases" / fleet.host.release)
    assert (fleet.dir / "in").read_text() == ""


def test_a_failing_before_hook_leaves_everything_as_it_was(hooks):
    fleet, old, pid = hooks.fleet, hooks.fleet.host.release, hooks.fleet.host.pid
    hooks.use(before=[hooks.script("bad", "echo the moon is wrong", 3), hooks.script("next")],
              on_failure=[hooks.script("look")])
    fleet.deploy().exits(4).says("hook `before`: 'bin/bad' exited with status 3", "the moon is wrong")
    assert fleet.host.release == old and fleet.host.pid == pid
    assert hooks.runs == ["before deploy bad", "on_failure deploy look aborted"]
    hooks.script("bad")
    fleet.repo.commit()
    fleet.deploy().exits(0)  # nothing is said against the release, so it needs no --retry-bad


def test_a_failing_after_hook_brings_the_host_back(hooks):
    fleet, old = hooks.fleet, hooks.fleet.host.release
    hooks.use(before=[hooks.script("fine")], after=[hooks.script("smoke", "echo it smokes", 1)],
              on_failure=[hooks.script("look", "echo what I saw")])
    fleet.deploy().exits(5).says("'bin/smoke' exited with status 1", "it smokes", "what I saw")
    assert fleet.host.release == old and fleet.host.health["release"] == old[:12]
    assert hooks.runs[-2:] == ["after deploy smoke", "on_failure deploy look rolled_back"]
    fleet.deploy().exits(4).says("--retry-bad")


def test_what_runs_on_failure_cannot_change_the_outcome(hooks):
    fleet, old = hooks.fleet, hooks.fleet.host.release
    hooks.use(after=[hooks.script("bad", status=1)],
              on_failure=[hooks.script("worse", status=9), hooks.script("next")])
    fleet.deploy().exits(5)
    assert fleet.host.release == old
    assert [run.split()[2] for run in hooks.runs] == ["bad", "worse", "next"]


@pytest.mark.parametrize("phase", ["before", "after", "on_failure"])
def test_a_hook_that_cannot_be_run_is_found_before_anything_changes(hooks, phase):
    fleet, pid = hooks.fleet, hooks.fleet.host.pid
    good = hooks.script("good")
    hooks.use(**{"before": [good], phase: ["bin/nothere"]})
    fleet.deploy().exits(4).says(f"hook `{phase}`", "bin/nothere")
    assert fleet.host.pid == pid and hooks.runs == []


def test_a_hook_has_its_time_and_what_it_started_has_no_more(hooks):
    fleet, old = hooks.fleet, hooks.fleet.host.release
    slow = hooks.script("slow", RUNAWAYS + "while :; do sleep 1; done")
    hooks.use(before=[{"run": slow, "timeout": "3s"}])
    fleet.deploy().exits(4).says("did not end within its 3000 ms")
    assert fleet.host.release == old
    pids = [int(line) for line in hooks.pids.read_text().split() if line != "ready"]
    assert not [pid for pid in pids if process_alive(pid)], "the answer came before they had ended"


def test_what_a_hook_leaves_behind_ends_with_it(hooks):
    hooks.use(before=[hooks.script("starter", RUNAWAYS)])
    hooks.fleet.deploy().exits(0)
    pids = [int(line) for line in hooks.pids.read_text().split() if line != "ready"]
    assert len(pids) == 4 and not [pid for pid in pids if process_alive(pid)]


def test_output_is_shown_escaped_and_bounded(hooks):
    hooks.use(before=[hooks.script("loud", r"""
printf 'red \033[31m and \342\200\256 back\n'
i=0; while [ $i -lt 5000 ]; do echo "line $i of the many"; i=$((i+1)); done
head -c 300000 /dev/zero | tr '\0' x; exit 1""".replace("{", "{{").replace("}", "}}"))])
    result = hooks.fleet.deploy().exits(4).says(r"\x1b[31m", r"\u{202e}", "more output is not shown")
    text = result.out + result.err
    assert "\x1b[31m" not in text and "\u202e" not in text
    assert "line 3000 of" not in text and len(text) < 200000


def test_a_rollback_runs_the_hooks_of_where_it_goes_but_none_twice(hooks):
    fleet = hooks.fleet
    hooks.use(before=[{"run": hooks.script("migrate"), "class": "once"}, hooks.script("warm")],
              after=[hooks.script("smoke")])
    fleet.deploy().exits(0)
    hooks.use()
    fleet.deploy().exits(0)
    hooks.trace.unlink()
    fleet.fairlead("rollback").exits(0)
    assert hooks.runs == ["before rollback warm", "after rollback smoke"]


def test_hooks_are_of_an_environment(hooks):
    text = (hooks.fleet.repo.path / "fairlead.yaml").read_text()
    name = hooks.script("special")
    hooks.fleet.repo.write({"fairlead.yaml": f"{text}\nhooks: {{ before: [bin/nothere] }}\n"
                            f"environments: {{ production: {{ hooks: {{ before: [{name}] }} }} }}\n"})
    hooks.fleet.repo.commit()
    hooks.fleet.deploy().exits(0)
    assert hooks.runs == ["before deploy special"]
