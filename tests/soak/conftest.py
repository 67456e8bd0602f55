"""The soak measures memory, so it runs on the dev build alone: a sanitizer's own would be measured."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / "integration"))


def pytest_collection_modifyitems(config, items):
    left_out = [item for item in items if HERE in item.path.parents
                and item.callspec.params["preset"] in ("asan", "tsan")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]
