"""The shape of the source tree: who may use whom, and that the documents say what is there."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# A side of the house may include these; proto/ is generated and comes as fairlead/v1/.
MAY_USE = {
    "common": {"common", "fairlead"},
    "agent": {"agent", "common", "fairlead"},
    "coordinator": {"coordinator", "common", "fairlead"},
}
# A third-party library stays behind the door of the room that wraps it.
BELONGS_TO = {
    "nng/": "common/link/",
    "curl/": "agent/probe/",
    "git2.h": "coordinator/plan/",
    "sqlite3.h": "coordinator/ledger/",
    "libfyaml.h": "common/config/",
    "zstd": "common/release/",
    "uv.h": "agent/",
}
QUOTED = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)
ANGLED = re.compile(r"^\s*#\s*include\s+<([^>]+)>", re.M)


def sources(*folders):
    return sorted(path for folder in folders for suffix in ("*.c", "*.h")
                  for path in (ROOT / folder).rglob(suffix))


def relative(path):
    return str(path.relative_to(ROOT))


def test_the_sides_include_only_what_they_may():
    wrong = [f"{relative(path)} includes {name}"
             for side, allowed in MAY_USE.items() for path in sources(side)
             for name in QUOTED.findall(path.read_text())
             if name.split("/")[0] not in allowed]
    assert not wrong


def test_each_library_stays_in_its_room():
    wrong = [f"{relative(path)} includes <{name}>"
             for path in sources(*MAY_USE) for name in ANGLED.findall(path.read_text())
             for library, room in BELONGS_TO.items()
             if name.startswith(library) and not relative(path).startswith(room)]
    assert not wrong


def test_the_core_of_the_agent_has_no_network_library(bin_dir):
    """It runs as root; what parses the network's bytes lives in programs that hold nothing."""
    needed = subprocess.run(["ldd", bin_dir / "fairlead-agent"], check=True, capture_output=True,
                            text=True).stdout
    assert not re.search(r"libnng|libcurl|libpq", needed), needed


@pytest.mark.parametrize("side", sorted(MAY_USE))
def test_every_room_is_in_the_architecture_page(side):
    page = (ROOT / "docs/architecture.md").read_text()
    rooms = {f"{side}/{path.name}" for path in (ROOT / side).iterdir() if path.is_dir()}
    assert {room for room in rooms if f"`{room}`" not in page} == set()
    named = set(re.findall(rf"^\| `({side}/[a-z]+)` \|", page, re.M))
    assert named - rooms == set(), "rooms of the page that are not there"


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "docs/architecture.md"])
def test_documents_name_only_verbs_and_files_that_exist(document):
    text = (ROOT / document).read_text()
    verbs = set(re.findall(r"^#: ([a-z]+)", (ROOT / "dev").read_text(), re.M))
    assert set(re.findall(r"\./dev ([a-z]+)", text)) <= verbs
    folder = (ROOT / document).parent
    links = [link for link in re.findall(r"\]\(([^)#:]+)\)", text)]
    assert not [link for link in links if not (folder / link).exists()]


def has_test(place, name):
    """`common/link/wire`: a unit test; `integration/test_x.py`: a Python test; `fuzz`: a target."""
    if place == "fuzz":
        return (ROOT / f"tests/fuzz/{name}.c").exists() and any((ROOT / f"tests/fuzz/corpus/{name}").iterdir())
    if place.endswith(".py"):
        file, pattern = ROOT / "tests" / place, rf"^def {name}\("
    else:
        room, _, noun = place.rpartition("/")
        file, pattern = ROOT / f"tests/unit/{room}/test_{noun}.c", rf"^static void {name}\(void \*\*state\)"
    return file.exists() and re.search(pattern, file.read_text(), re.M)


def test_every_hostile_input_has_its_test():
    page = (ROOT / "docs/hostile-input.md").read_text()
    tests = re.findall(r"`([a-z_/.]+): ([a-z0-9_]+)`", page)
    assert len(tests) > 60
    assert not [f"{place}: {name}" for place, name in tests if not has_test(place, name)]
    rows = [line for line in page.splitlines() if line.startswith("| ") and not line.startswith("| case")]
    assert not [row for row in rows if not re.search(r"`[a-z_/.]+: [a-z0-9_]+`", row)], "a case without a test"


def test_sources_are_formatted():
    run = subprocess.run(["clang-format", "--dry-run", "-Werror", *sources(*MAY_USE, "tests")],
                         capture_output=True, text=True, check=False)
    unformatted = sorted(set(re.findall(rf"^{ROOT}/([^:]+):", run.stderr, re.M)))
    assert not unformatted, "./dev fmt formats them"
