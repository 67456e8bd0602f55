"""The command line: help from the tables, statuses, JSON."""

import json
import subprocess

import pytest

VERBS = ["init", "validate", "plan", "deploy", "resume", "abort", "rollback", "status", "releases", "history", "logs",
         "drift", "audit",
         "key", "hosts", "version"]


def test_help_lists_every_verb(desk):
    run = desk.fairlead("--help", plain=True).exits(0)
    for verb in VERBS:
        assert f" {verb} " in run.out, run.out


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_on_stdout(desk, verb):
    run = desk.fairlead(verb, "--help", plain=True).exits(0)
    assert run.out.startswith("usage: fairlead") and verb in run.out and "--json" in run.out
    assert run.err == ""


@pytest.mark.parametrize("args, words", [
    (["deplyo"], ["deplyo", "deploy"]),
    (["deploy", "--tpye", "full"], ["--tpye", "--type"]),
    (["deploy", "--type", "some"], ["some", "app-only"]),
    (["deploy", "--type"], ["--type"]),
    (["rollback", "a", "b"], ["rollback"]),
    (["logs"], ["logs"]),
    ([], ["usage"]),
])
def test_a_wrong_command_line_is_status_2(desk, args, words):
    run = desk.fairlead(*args, plain=True).exits(2).says(*words)
    assert run.out == "", "stdout is data"


@pytest.mark.parametrize("args", [["version"], ["validate"], ["plan"], ["status"], ["releases"],
                                  ["history"], ["hosts", "list"], ["hosts", "ping"],
                                  ["key", "show"]])
def test_json_parses(deployed, args):
    run = deployed.fairlead(*args, "--json").exits(0)
    assert run.ndjson


def test_the_json_of_a_deployment_is_a_line_per_event(deployed):
    deployed.repo.replace("src/page.html", "Hello from Fairlead", "Hello again")
    head = deployed.repo.commit()
    run = deployed.deploy("--json").exits(0)
    assert len(run.ndjson) > 2
    assert "committed" in json.dumps(run.ndjson) and head[:7] in json.dumps(run.ndjson)


def test_an_error_in_json_is_on_stdout_with_a_code_and_a_hint(desk):
    run = desk.fairlead("plan", "--to", "deadbeef", "--from", desk.first, "--json").exits(2)
    error = run.ndjson[-1]["error"]
    assert error["code"] == "not_found" and "deadbeef" in error["message"] and error["hint"]


def test_output_that_is_not_a_terminal_has_no_escapes(deployed):
    deployed.repo.commit({"README.md": "# plain\n"})
    run = deployed.deploy().exits(0)
    assert "\x1b" not in run.out + run.err and "\r" not in run.out + run.err


def test_a_terminal_gets_a_live_line(deployed):
    deployed.repo.commit({"README.md": "# live\n"})
    command = " ".join(str(word) for word in [
        deployed.bin / "fairlead", "deploy", "-i", deployed.inventory, "--key", deployed.key_file])
    run = subprocess.run(["script", "-qec", command, "/dev/null"], cwd=deployed.repo.path,
                         env={**deployed.env, "TERM": "xterm"}, stdin=subprocess.DEVNULL,
                         capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stdout
    assert "\x1b[" in run.stdout and "web1" in run.stdout


def test_status_releases_history_and_logs_tell_what_happened(three):
    pids = three.pids()
    head = three.repo.commit({"README.md": "# told\n"})
    three.deploy().exits(0)
    status = three.fairlead("status").exits(0)
    status.says("web1", "web2", "web3", "running", head[:7], *map(str, pids))
    three.fairlead("releases").exits(0).says(head[:7], three.first[:7])
    three.fairlead("history").exits(0).says("NO_RESTART", "FULL_RESTART", head[:7])
    three.fairlead("logs", "web", "-l", "web1").exits(0).says("hello: release", str(pids[0]))


def test_history_knows_failures(deployed):
    deployed.repo.replace("src/page.html", "{visits}", "many")
    deployed.repo.commit()
    deployed.deploy().exits(5)
    deployed.fairlead("history").exits(0).says("rolled_back")


def test_init_writes_a_file_that_validates(desk, tmp_path):
    (tmp_path / "server.py").write_text("print()\n")
    desk.fairlead("init", plain=True, cwd=tmp_path).exits(0)
    desk.fairlead("validate", plain=True, cwd=tmp_path).exits(0)
    before = (tmp_path / "fairlead.yaml").read_text()
    desk.fairlead("init", plain=True, cwd=tmp_path).exits(2).says("fairlead.yaml")
    assert (tmp_path / "fairlead.yaml").read_text() == before


def test_the_example_validates(desk):
    desk.fairlead("validate").exits(0)


def test_c_and_directory_options(desk, tmp_path):
    desk.fairlead("-C", desk.repo.path, "validate", cwd=tmp_path).exits(0)
    desk.fairlead("validate", "-c", desk.repo.path / "fairlead.yaml", cwd=tmp_path).exits(0)


def test_a_full_pipe_or_a_closed_one_is_not_a_crash(desk):
    run = subprocess.run(f"'{desk.bin}/fairlead' --help | true", shell=True, env=desk.env,
                         capture_output=True, text=True, timeout=60, check=False)
    assert run.stderr == ""
    full = subprocess.run(f"'{desk.bin}/fairlead' --help > /dev/full", shell=True, env=desk.env,
                          capture_output=True, text=True, timeout=60, check=False)
    assert full.returncode != 0


def test_a_decision_that_is_none_reaches_no_host(desk):
    desk.fairlead("resume", "--resolve", "maybe").exits(2).says("'maybe' is no decision", "done", "redo", "undo")


@pytest.mark.parametrize("args, words", [
    (["resume", "zz"], ["'zz' is not the id of a deployment", "32 hex digits"]),
    (["resume", "zz", "--resolve", "undo"], ["'zz' is not the id of a deployment"]),
    (["resume", ""], ["'' is not the id of a deployment"]),
    (["resume", "0" * 33], ["is not the id of a deployment"]),
    (["abort", "ABCDEF"], ["'ABCDEF' is not the id of a deployment", "0-9 and a-f"]),
    (["abort", "dir-12"], ["is not the id of a deployment"]),
    (["rollback", "zz"], ["'zz' is not the name of a release", "hex digits", "fairlead releases"]),
    (["rollback", ""], ["'' is not the name of a release"]),
    (["rollback", "0" * 65], ["is not the name of a release"]),
    (["rollback", "dir-xy"], ["is not the name of a release"]),
    (["releases", "--pin", "HEAD"], ["'HEAD' is not the name of a release"]),
    (["releases", "--unpin", ""], ["'' is not the name of a release"]),
])
def test_what_can_be_no_id_or_release_reaches_no_host(desk, args, words):
    """No agent runs at the desk: asking it would end with status 4."""
    desk.fairlead(*args).exits(2).says(*words)


@pytest.mark.parametrize("args", [["resume", "0a"], ["abort", "0" * 32], ["rollback", "dir-0a"],
                                  ["rollback", "f" * 64], ["releases", "--pin", "0a"]])
def test_what_can_be_one_is_asked_of_the_hosts(desk, args):
    desk.fairlead(*args).exits(4)
