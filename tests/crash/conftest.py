"""Crash tests run on the dev build alone: what is preloaded does not go with a sanitizer.

Their hosts live in memory where that is possible: a disk's syncs would be most of their time."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / "integration"))

MEMORY, ROOM_BYTES = "/dev/shm", 2 << 30


def pytest_collection_modifyitems(config, items):
    replays = config.getoption("--replay") is not None
    left_out = [item for item in items if HERE in item.path.parents
                and (item.callspec.params["preset"] in ("asan", "tsan")
                     or (item.originalname == "test_replay") != replays)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def is_in_memory(path):
    if not os.path.isdir(path) or not os.access(path, os.W_OK | os.X_OK):
        return False
    kind = subprocess.run(["stat", "-f", "-c", "%T", path], capture_output=True, text=True, check=False)
    return kind.stdout.strip() == "tmpfs" and shutil.disk_usage(path).free >= ROOM_BYTES


def new_scratch(fallback):
    if not is_in_memory(MEMORY):
        yield fallback
        return
    directory = Path(tempfile.mkdtemp(dir=MEMORY, prefix="fairlead-test-"))
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def scratch(tmp_path):
    """A folder in memory, if there is room; else as tmp_path."""
    yield from new_scratch(tmp_path)


@pytest.fixture(scope="module")
def shared_scratch(tmp_path_factory):
    yield from new_scratch(tmp_path_factory.mktemp("crash"))
