"""Applications, services and logs made to do harm: what cannot be deployed is refused with its name, and what is shown
to an operator is text."""

import os
import re
import subprocess

import pytest

from lab import wait_until

# Moves the cursor, sets the title, and turns the direction of text: in UTF-8, and as C1 bytes.
POISON = "\x1b[2J\x1b]0;owned\x07\u202e\u2066\u200b\x9b31m\x7f"
HARMFUL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
DEEP = 10_000
GIANT = 10_000_000


def harmless(result):
    found = HARMFUL.search(result.out + result.err)
    assert not found, f"{found} in {(result.out + result.err)!r:.2000}"
    return result


# ---- trees ----

@pytest.fixture
def guarded(deployed):
    """Whatever is refused, the host keeps what it has."""
    before = deployed.host.release, deployed.host.pid
    yield deployed
    assert (deployed.host.release, deployed.host.pid) == before


def test_a_tree_of_ten_thousand_levels_is_refused(guarded):
    """Git takes it; nobody may run out of stack over it."""
    path = "/".join(["d"] * DEEP + ["file"])
    stream = (f"commit refs/heads/deep\ncommitter Ada <ada@example.org> 1700000000 +0000\ndata 4\ndeep\n"
              f"from refs/heads/main^0\nM 100644 inline {path}\ndata 1\nx\n")
    subprocess.run(["git", "-C", guarded.repo.path, "fast-import", "--quiet", "--force"], input=stream, text=True,
                   env=guarded.env, check=True)
    harmless(guarded.deploy("--to", "deep")).exits(2)


def test_a_folder_of_ten_thousand_levels_is_refused(guarded, tmp_path):
    folder = tmp_path / "deep"
    folder.mkdir()
    (folder / "fairlead.yaml").write_bytes((guarded.repo.path / "fairlead.yaml").read_bytes())
    home = os.getcwd()
    os.chdir(folder)
    try:
        for _ in range(DEEP):
            os.mkdir("d")
            os.chdir("d")
    finally:
        os.chdir(home)
    try:
        harmless(guarded.deploy("--from", folder)).exits(2)
    finally:    # by a program that needs no recursion for it
        subprocess.run(["rm", "-rf", folder], check=True)


LINKS = [
    ("out", "/etc/passwd"),
    ("out", "../../../etc/passwd"),
    ("out", "src/../../x"),
    ("src/out", "../src/../../x"),
]


@pytest.mark.parametrize("path, target", LINKS, ids=[f"{path} to {target}" for path, target in LINKS])
def test_a_link_that_leaves_the_release_is_refused(guarded, path, target):
    os.symlink(target, guarded.repo.path / path)
    guarded.repo.commit()
    guarded.deploy().exits(2).says(path)


def test_two_links_that_leave_together_are_refused(guarded):
    """`a` is the folder above itself, so that `a/..` would be outside: the second is refused for its dots."""
    os.symlink(".", guarded.repo.path / "a")
    os.symlink("a/../x", guarded.repo.path / "b")
    guarded.repo.commit()
    guarded.deploy().exits(2).says("b")


def test_a_link_in_the_way_of_a_folder_is_not_followed(guarded):
    """git would not make such a tree; a folder of that name beside the link is a clash."""
    (guarded.repo.path / "victim").mkdir()
    (guarded.repo.path / "victim/file").write_text("x")
    guarded.repo.commit()
    tree = guarded.repo.git("ls-tree", "HEAD")
    victim = next(line for line in tree.splitlines() if line.endswith("\tvictim"))
    run = subprocess.run(["git", "-C", guarded.repo.path, "hash-object", "-w", "--stdin"], input="/tmp", text=True,
                         env=guarded.env, check=True, capture_output=True)
    forged = tree + f"\n120000 blob {run.stdout.strip()}\tvictim\n" if victim else tree
    made = subprocess.run(["git", "-C", guarded.repo.path, "mktree"], input=forged, text=True, env=guarded.env,
                          check=True, capture_output=True)
    commit = guarded.repo.git("commit-tree", "-p", "HEAD", "-m", "forged", made.stdout.strip())
    guarded.deploy("--to", commit).exits(2).says("victim")


@pytest.mark.parametrize("mode", [0o4755, 0o2755, 0o1777, 0o666, 0o777])
def test_modes_of_a_folder_are_only_two(deployed, tmp_path, mode):
    """setuid, setgid, sticky and what others may write: none of it reaches a host."""
    folder = tmp_path / "folder"
    subprocess.run(["cp", "-r", deployed.repo.path, folder], check=True)
    subprocess.run(["rm", "-rf", folder / ".git"], check=True)
    (folder / "odd").write_text("x\n")
    (folder / "odd").chmod(mode)
    result = deployed.deploy("--from", folder)
    if result.status == 0:
        found = (deployed.host.store / "current/odd").stat().st_mode & 0o7777
        assert found in (0o644, 0o755), oct(found)
    else:
        result.exits(2).says("odd")


# ---- what is shown ----

@pytest.fixture
def kept(deployed):
    """What fails is rolled back."""
    before = deployed.host.release
    yield deployed
    assert deployed.host.release == before


def poison(fleet, line):
    fleet.repo.replace("src/server.py", 'port = int(os.environ["PORT"])', f"sys.exit({line})")
    fleet.repo.commit()


def test_last_words_of_a_service_are_shown_as_text(kept):
    poison(kept, repr("look: " + POISON))
    harmless(kept.deploy().exits(5)).says("look: ")


def test_a_giant_log_line_is_cut(kept):
    poison(kept, f'"x" * {GIANT} + "the end"')
    result = harmless(kept.deploy().exits(5))
    assert len(result.out + result.err) < 100_000


def test_a_health_answer_is_shown_as_text(kept):
    kept.repo.replace("src/server.py", "status, answer = health()",
                         f"status, answer = 503, {POISON!r} + 'x' * 100000")
    kept.repo.commit()
    result = harmless(kept.deploy().exits(5)).says("503")
    assert len(result.out + result.err) < 100_000


def test_names_of_files_and_authors_are_shown_as_text(deployed):
    name = "evil\x1b[2J\u202etxt.md"
    deployed.repo.write({name: "x"})
    deployed.repo.env["GIT_AUTHOR_NAME"] = "Eve\x1b[2J"
    deployed.repo.commit(message="message\x1b[2J\u202e")
    harmless(deployed.fairlead("plan").exits(0))
    harmless(deployed.deploy().exits(0))
    harmless(deployed.fairlead("history").exits(0))
    harmless(deployed.fairlead("status").exits(0))


def test_logs_of_a_terminal_are_text(deployed, build_dir):
    """`fairlead logs` gives a pipe the bytes as they are, and a terminal none that it would obey."""
    deployed.repo.replace("src/server.py", 'port = int(os.environ["PORT"])',
                          f'print({POISON!r} + "here", flush=True); port = int(os.environ["PORT"])')
    deployed.repo.commit()
    deployed.deploy().exits(0)
    wait_until(lambda: "here" in deployed.fairlead("logs", "web").out, "the log has the line")
    args = [str(deployed.bin / "fairlead"), "logs", "web", "-i", str(deployed.inventory), "--key",
            str(deployed.key_file)]
    run = subprocess.run(["script", "-qec", " ".join(args), "/dev/null"], cwd=deployed.repo.path, env=deployed.env,
                         stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
    text = run.stdout.decode(errors="surrogateescape").replace("\r\n", "\n")
    assert "here" in text and not HARMFUL.search(text), repr(text[-2000:])
