"""The page that shows the states of a deployment is what the agent's table says, byte for byte."""

import subprocess
from pathlib import Path

PAGE = Path(__file__).resolve().parent.parent / "docs" / "deployment-states.md"


def test_the_page_of_states_is_drawn_from_the_table(build_dir):
    drawn = subprocess.run([build_dir / "tools" / "states"], check=True, capture_output=True).stdout
    assert PAGE.read_bytes() == drawn, "run: build/dev/tools/states > docs/deployment-states.md"
