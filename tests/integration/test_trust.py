"""Who may do what: every refusal is status 8, and the host did nothing.

What `fairlead` itself would never send (altered, replayed, back-dated commands) comes from
tests/tools/rawcall.c, through a real link.
"""

import os
import secrets
import subprocess
import time

import pytest

pytestmark = pytest.mark.threads

ACTIONS = {"Abort": 5, "Rollback": 6, "Status": 7}
MINUTE_MS = 60_000


@pytest.fixture(scope="module")
def wire(served, build_dir):
    """A host that has two releases, and the means to send it anything."""
    served.repo.replace("src/page.html", "Hello from Fairlead", "Hello again")
    served.repo.commit()
    served.deploy().exits(0)
    return Wire(served, build_dir / "tools" / "rawcall")


class Wire:
    def __init__(self, fleet, program):
        self.fleet, self.host, self.program = fleet, fleet.host, program
        self.target = next(path.name for path in (self.host.store / "releases").iterdir()
                           if path.name != self.host.release)
        self.sequence = time.time_ns()  # far above all that `fairlead` has used

    def run(self, *args, given=b""):
        run = subprocess.run([self.program, *map(str, args)], input=given, env=self.fleet.env,
                             capture_output=True, timeout=60, check=False)
        assert run.returncode == 0, run.stderr.decode()
        return run.stdout

    def sign(self, action, deployment="", sequence=None, times=(0, 0), host_key=None, key=None):
        if sequence is None and action != "Status":
            self.sequence += 1
        return self.run("sign", key or self.fleet.key_file, host_key or self.host.key,
                        ACTIONS[action], deployment,
                        self.sequence if sequence is None else sequence, *times, self.target)

    def send(self, method, command, key=None):
        """How the call ended: 'ok STATE_…' or 'code: message'."""
        return self.run("send", key or self.fleet.key_file, self.host.key,
                        f"127.0.0.1:{self.host.port}", f"/fairlead.v1.Agent/{method}",
                        given=command).decode().strip()


def now_ms():
    return int(time.time() * 1000)


def test_a_good_command_is_obeyed(wire):
    """What the refusals below are measured against."""
    before = wire.host.release
    deployment = secrets.token_hex(16)
    assert wire.send("Rollback", wire.sign("Rollback", deployment)).startswith("ok STATE_PREPARED")
    assert wire.send("Abort", wire.sign("Abort", deployment)).startswith("ok STATE_ABORTED")
    assert wire.host.release == before


@pytest.mark.parametrize("where", [-1, -40, 2, 30, 60], ids=lambda at: f"byte {at}")
def test_an_altered_command_is_refused(wire, where):
    command = bytearray(wire.sign("Rollback", secrets.token_hex(16)))
    command[where] ^= 1
    answer = wire.send("Rollback", bytes(command))
    assert answer.startswith(("auth:", "invalid:")), answer


def test_a_truncated_or_extended_command_is_refused(wire):
    command = wire.sign("Rollback", secrets.token_hex(16))
    for bad in (command[:-1], command[:40], b"", command + b"\x7a\x01x", command * 2, os.urandom(200)):
        assert wire.send("Rollback", bad).startswith(("auth:", "invalid:"))


def test_a_replayed_command_does_nothing_again(wire):
    deployment = secrets.token_hex(16)
    command = wire.sign("Rollback", deployment)
    assert wire.send("Rollback", command).startswith("ok STATE_PREPARED")
    assert wire.send("Abort", wire.sign("Abort", deployment)).startswith("ok STATE_ABORTED")
    before = wire.host.release, wire.host.pid
    assert "aborted" in wire.send("Rollback", command).lower(), "the recorded outcome"
    assert (wire.host.release, wire.host.pid) == before


def test_a_replayed_command_is_remembered_over_a_restart(wire):
    deployment = secrets.token_hex(16)
    begin, end = wire.sign("Rollback", deployment), wire.sign("Abort", deployment)
    assert wire.send("Rollback", begin).startswith("ok")
    assert wire.send("Abort", end).startswith("ok")
    wire.host.stop()
    wire.host.start()
    assert "aborted" in wire.send("Rollback", begin).lower()
    stale = wire.sign("Rollback", secrets.token_hex(16), sequence=wire.sequence)
    assert wire.send("Rollback", stale).startswith("auth:")


def test_a_stale_sequence_is_refused(wire):
    for sequence in (0, 1, 2):
        command = wire.sign("Rollback", secrets.token_hex(16), sequence=sequence)
        answer = wire.send("Rollback", command)
        assert answer.startswith(("auth:", "invalid:")), answer


def test_another_command_for_a_known_deployment_is_refused(wire):
    deployment = secrets.token_hex(16)
    assert wire.send("Rollback", wire.sign("Rollback", deployment)).startswith("ok")
    assert wire.send("Abort", wire.sign("Abort", deployment)).startswith("ok")
    assert wire.send("Rollback", wire.sign("Rollback", deployment)).startswith("denied:")


def test_a_command_for_another_host_is_refused(wire, tmp_path):
    other = wire.fleet.new_key(tmp_path / "other.key")
    command = wire.sign("Rollback", secrets.token_hex(16), host_key=other)
    assert wire.send("Rollback", command).startswith("auth:")


def test_a_command_for_another_method_is_refused(wire):
    assert wire.send("Rollback", wire.sign("Status")).startswith(("invalid:", "auth:"))


@pytest.mark.parametrize("start, end", [(-20, -10), (10, 20)], ids=["expired", "not yet"])
def test_a_command_outside_its_time_is_refused(wire, start, end):
    times = now_ms() + start * MINUTE_MS, now_ms() + end * MINUTE_MS
    assert wire.send("Status", wire.sign("Status", times=times)).startswith("auth:")


def test_a_command_signed_by_someone_else_is_refused(wire, tmp_path):
    """The link is a trusted signer's; the command inside it is not."""
    wire.fleet.new_key(tmp_path / "mallory.key")
    command = wire.sign("Rollback", secrets.token_hex(16), key=tmp_path / "mallory.key")
    assert wire.send("Rollback", command).startswith("auth:")


def test_a_method_that_does_not_exist(wire):
    assert wire.send("Format", wire.sign("Status")).startswith("unsupported:")


# ---- through `fairlead` ----

@pytest.fixture
def guarded(deployed):
    """Whatever is refused, the host keeps what it has."""
    deployed.repo.replace("src/page.html", "Hello from Fairlead", "Hello again")
    deployed.repo.commit()
    before = deployed.host.release, deployed.host.pid
    yield deployed
    assert (deployed.host.release, deployed.host.pid) == before


def test_a_wrong_host_key_is_status_8(guarded, tmp_path):
    guarded.write_inventory(web1=guarded.new_key(tmp_path / "other.key"))
    guarded.deploy().exits(8).says("web1", "key")


def test_an_unknown_signer_is_status_8(guarded, tmp_path):
    guarded.new_key(tmp_path / "mallory.key")
    guarded.deploy(key=tmp_path / "mallory.key").exits(8).says("web1")


@pytest.mark.parametrize("limits, words", [
    ({"expires": "2020-01-01T00:00:00Z"}, ["expired"]),
    ({"roles": "[observe]"}, ["ci"]),
    ({"apps": "[other]"}, ["hello"]),
    ({"environments": "[staging]"}, ["production"]),
], ids=["expired", "role", "app", "environment"])
def test_a_signer_who_may_not_is_status_8(guarded, limits, words):
    guarded.host.stop()
    guarded.host.write_policy({"ci": {"key": guarded.signer, **limits}})
    guarded.host.start()
    guarded.deploy().exits(8).says("web1", *words)


def test_an_observer_may_look(deployed):
    deployed.host.stop()
    deployed.host.write_policy({"ci": {"key": deployed.signer, "roles": "[observe]"}})
    deployed.host.start()
    deployed.fairlead("status").exits(0).says("web1")
    deployed.repo.commit({"README.md": "# not by an observer\n"})
    deployed.deploy().exits(8)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_a_key_that_others_can_read_is_refused(guarded, mode):
    guarded.key_file.chmod(mode)
    guarded.deploy().exits(8).says("deploy.key", "chmod")


def test_a_new_key_is_private_and_never_overwrites(desk, tmp_path):
    desk.new_key(tmp_path / "key")
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    before = (tmp_path / "key").read_bytes()
    desk.fairlead("key", "new", "--key", tmp_path / "key", plain=True).exits(2)
    assert (tmp_path / "key").read_bytes() == before


def test_a_key_that_is_missing_or_no_key(guarded, tmp_path):
    guarded.deploy(key=tmp_path / "none").exits(2).says("key new")
    (tmp_path / "junk").write_text("not a key\n")
    (tmp_path / "junk").chmod(0o600)
    guarded.deploy(key=tmp_path / "junk").exits(2).says("junk")


def agent_refuses(host, *words):
    run = subprocess.run(host.command("run"), env=host.fleet.env, capture_output=True, text=True,
                         timeout=60, check=False)
    assert run.returncode != 0
    for word in words:
        assert word in run.stderr, run.stderr


def test_an_agent_refuses_a_policy_that_others_can_write(make_fleet):
    host = make_fleet().host
    (host.trust / "policy.yaml").chmod(0o666)
    agent_refuses(host, "policy.yaml")
    (host.trust / "policy.yaml").chmod(0o644)


def test_an_agent_refuses_its_key_when_others_can_read_it(make_fleet):
    host = make_fleet().host
    keys = [path for path in host.dir.rglob("*") if path.is_file()
            and b"fairlead-ed25519-seed:" in path.read_bytes()]
    assert len(keys) == 1 and keys[0].stat().st_mode & 0o777 == 0o600
    keys[0].chmod(0o644)
    agent_refuses(host, keys[0].name)
    keys[0].chmod(0o600)


def test_nothing_of_the_key_is_in_a_process_list_or_a_log(deployed):
    secret = deployed.key_file.read_text().split("fairlead-ed25519-seed:")[1].split()[0].encode()
    for path in deployed.host.dir.rglob("*"):
        if path.is_file():
            assert secret not in path.read_bytes(), path
