"""A gateway or probe that somebody has taken over: it can stop traffic, and nothing else. The core goes on, within its
memory, and serves again as soon as the real program is back."""

import os
import shutil
import signal
from pathlib import Path

import pytest

import liar
from lab import children, process_alive, wait_until

LIAR = Path(liar.__file__)
# agent/core: 1 MiB of answers before it stops listening, 16 MiB before it takes the gateway for dead; and the calls.
BOUND_KIB = 24 * 1024

ENDED = [liar.say_nonsense, liar.say_too_much, liar.pass_files, liar.be_ready_twice, liar.be_ready_elsewhere,
         liar.be_ready_nowhere, liar.end_at_once]
BORNE = [liar.ask_and_not_listen, liar.ask_for_keys_to_be_let_in, liar.open_calls, liar.forge_commands, liar.be_silent]


def anonymous_kib(pid):
    """Memory of its own, as the kernel counts it."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Anonymous:"))


class Stage:
    """A host whose programs can be exchanged for the liar and back, one after the other."""

    def __init__(self, lane):
        self.lane, self.host = lane, lane.host
        self.folder = lane.dir / "libexec"
        self.folder.mkdir()
        for program in ("gateway", "probe", "shim"):
            self.put_real(program)
        self.host.stop()
        # As root it would become somebody who cannot reach this folder.
        config = "".join(line for line in self.host.config.read_text().splitlines(True)
                         if not line.startswith("users:"))
        self.host.config.write_text(f'{config}libexec: "{self.folder}"\nusers: {{ gateway: root, probe: root }}\n')
        self.host.start()

    def put_real(self, program):
        path = self.folder / f"fairlead-{program}"
        path.unlink(missing_ok=True)
        path.symlink_to(self.lane.bin / f"fairlead-{program}")

    def put_liar(self, program, how):
        path = self.folder / f"fairlead-{program}"
        path.unlink()
        shutil.copy(LIAR, path)
        (self.folder / "how").write_text(how.__name__)

    def kill(self, program):
        pid = self.pid(program)
        if pid:
            os.kill(pid, signal.SIGKILL)

    def pid(self, program):
        """Of the program; a script is known by its interpreter."""
        found = children(self.host.agent.pid)
        return found.get(f"fairlead-{program}") or found.get("python3")

    def count(self):
        path = self.folder / "count"
        return int(path.read_text() or 0) if path.exists() else 0

    def well_again(self, tally):
        assert process_alive(self.host.agent.pid), self.host.log.read_text()[-2000:]
        self.put_real("gateway")
        self.kill("gateway")
        wait_until(lambda: self.lane.fairlead("status").status == 0, "the host answers")
        self.lane.change()
        self.lane.deploy().exits(0)
        assert self.lane.version == self.lane.counter
        tally["lies told to the core"] += max(1, self.count())


@pytest.fixture
def stage(lane):
    return Stage(lane)


@pytest.mark.parametrize("how", ENDED, ids=lambda how: how.__name__)
def test_a_gateway_that_makes_no_sense_is_ended(stage, tally, how):
    stage.put_liar("gateway", how)
    before = stage.host.log.stat().st_size
    stage.kill("gateway")
    wait_until(lambda: stage.host.logged("starting it again in 400 ms", before), "it was started and ended thrice")
    stage.well_again(tally)


@pytest.mark.parametrize("how", BORNE, ids=lambda how: how.__name__)
def test_a_gateway_that_lies_is_borne(stage, tally, how, preset):
    core = stage.host.agent.pid
    before = anonymous_kib(core)
    stage.put_liar("gateway", how)
    stage.kill("gateway")
    most = 0

    def enough():
        nonlocal most
        most = max(most, anonymous_kib(core) - before)
        # Without listening, the liar itself is stopped by the full socket after a while.
        wanted = {"be_silent": 1, "ask_and_not_listen": 256, "open_calls": 20000}.get(how.__name__, 4000)
        return stage.count() >= wanted
    wait_until(enough, "it has lied a lot", timeout=120)
    assert stage.host.release, "the release is untouched"
    stage.well_again(tally)
    if preset == "dev":     # a sanitizer keeps what was freed for a while
        assert most <= BOUND_KIB, f"{most} KiB more"


@pytest.mark.parametrize("how", [liar.answer_what_was_not_asked, liar.answer_at_length, liar.say_nonsense,
                                 liar.end_at_once], ids=lambda how: how.__name__)
def test_a_probe_that_lies_commits_nothing(stage, tally, how):
    """Nothing it says makes a release healthy that no service answers for."""
    lane = stage.lane
    lane.change()
    config = lane.repo.path / "fairlead.yaml"
    config.write_text(config.read_text().replace(
        "{ running: { min: 10ms, interval: 10ms } }",
        '{ http: { url: "http://127.0.0.1:${PORT}/", interval: 50ms, timeout: 300ms, start_period: 100ms } }'))
    lane.repo.commit()
    stage.put_liar("probe", how)
    result = lane.deploy()
    assert result.status == 5, str(result)
    assert "\x1b" not in result.out + result.err
    assert len(result.out + result.err) < 20_000
    assert lane.version == lane.counter - 1
    stage.put_real("probe")
    stage.well_again(tally)
