"""The simulation: seeds in which nothing may go wrong. More of them:  ./dev test sim --seeds 1000000"""

import re
import subprocess

import pytest

PARTS = 4  # side by side
TALLY = re.compile(r"^tally (.+): (\d+)$", re.M)


def play(build_dir, env, *args):
    return subprocess.run([build_dir / "tests" / "sim" / "sim", *map(str, args)], capture_output=True,
                          text=True, env=env, check=False)


@pytest.fixture
def seeds(pytestconfig, preset):
    """A sanitizer is slow, and looks for what every seed would show."""
    count = pytestconfig.getoption("--seeds")
    return count if preset == "dev" else count // 10


@pytest.mark.parametrize("part", range(PARTS))
def test_no_seed_fails(build_dir, sanitizer_env, seeds, part, tally):
    count = seeds // PARTS
    run = play(build_dir, sanitizer_env, "--from", 1 + part * count, "--seeds", count)
    assert run.returncode == 0, run.stdout + run.stderr
    for name, number in TALLY.findall(run.stdout):
        tally[name] += int(number)


def test_a_seed_is_the_same_history_each_time(build_dir, sanitizer_env):
    for seed in (7, 42, 1000003):
        first, second = (play(build_dir, sanitizer_env, "--seed", seed, "--trace").stdout for _ in range(2))
        assert first == second
        assert "host 0: the agent starts" in first
    assert first != play(build_dir, sanitizer_env, "--seed", seed + 1, "--trace").stdout
