"""The simulation has one thread, so there is nothing in it for ThreadSanitizer."""

from pathlib import Path

HERE = Path(__file__).resolve().parent


def pytest_collection_modifyitems(config, items):
    left_out = [item for item in items
                if HERE in item.path.parents and item.callspec.params["preset"] == "tsan"]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]
