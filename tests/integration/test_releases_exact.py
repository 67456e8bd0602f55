"""A release on a host is the commit, byte for byte, as `git archive` writes it."""

import io
import os
import stat
import tarfile

import pytest


def archived(repo, commit):
    """(kind, executable, content or target) by path, from git itself."""
    tree = {}
    with tarfile.open(fileobj=io.BytesIO(repo.git("archive", commit, text=False)),
                      encoding="utf-8", errors="surrogateescape") as archive:
        for member in archive:
            if member.isdir():
                continue
            if member.issym():
                tree[member.name] = ("link", False, os.fsencode(member.linkname))
            else:
                content = archive.extractfile(member).read()
                tree[member.name] = ("file", bool(member.mode & 0o100), content)
    return tree


def on_disk(root, shared=("data",)):
    tree = {}
    for directory, folders, files in os.walk(root):
        for name in files + [name for name in folders if os.path.islink(f"{directory}/{name}")]:
            path = os.path.join(directory, name)
            relative = os.path.relpath(path, root)
            if relative in shared:
                continue
            info = os.lstat(path)
            if stat.S_ISLNK(info.st_mode):
                tree[relative] = ("link", False, os.fsencode(os.readlink(path)))
            else:
                assert stat.S_IMODE(info.st_mode) in (0o644, 0o755), relative
                with open(path, "rb") as file:
                    tree[relative] = ("file", bool(info.st_mode & 0o100), file.read())
    return tree


def assert_exact(fleet, commit):
    expected, actual = archived(fleet.repo, commit), on_disk(fleet.host.store / "current/")
    assert sorted(actual) == sorted(expected)
    different = [path for path in expected if actual[path] != expected[path]]
    assert not different


ODD_NAMES = [
    b"caf\xe9.bin", b"\xff\xfe", b"new\nline", b"tab\there", b" leading and trailing ", b"-rf",
    b"quote'\"", b"back\\slash", b"$(touch x)", "snow\u2603man".encode(), "rtl\u202etxt".encode(),
    b"..dots..", b"...", b"a" * 255, b"%s%n", b"*", b"git~2x", b".gitignored", b".gitmodule",
]


def write_odd_tree(path):
    odd = os.fsencode(path) + b"/odd"
    os.makedirs(odd)
    for name in ODD_NAMES:
        with open(odd + b"/" + name, "wb") as file:
            file.write(name * 3)
    (path / "empty").touch()
    (path / "crlf.txt").write_bytes(b"a\r\nb\r\n")
    (path / "zeros").write_bytes(bytes(70000))
    (path / "run.sh").write_text("#!/bin/sh\n")
    (path / "run.sh").chmod(0o755)
    deep = path.joinpath(*[f"d{number}" for number in range(90)])
    deep.mkdir(parents=True)
    (deep / "leaf").write_text("deep\n")
    (path / "link").symlink_to("src/page.html")
    (path / "odd/up").symlink_to("../README.md")
    (path / "dangling").symlink_to("not/there")
    (path / "linked-folder").symlink_to("src")


def test_odd_trees_and_what_becomes_of_them(fleet):
    write_odd_tree(fleet.repo.path)
    commit = fleet.repo.commit()
    fleet.deploy().exits(0)
    assert_exact(fleet, commit)

    # Everything that can happen to a file between two commits, at once.
    path = fleet.repo.path
    (path / "run.sh").chmod(0o644)
    (path / "src/page.html").chmod(0o755)
    (path / "link").unlink()
    (path / "link").write_text("now a file: {visits}\n")
    (path / "empty").unlink()
    (path / "empty").symlink_to("crlf.txt")
    (path / "zeros").write_bytes(b"\1" + bytes(70000))
    fleet.repo.git("rm", "-r", "-q", "d0")
    (path / "d0").write_text("a folder became a file\n")
    fleet.repo.git("rm", "-q", "crlf.txt")
    (path / "crlf.txt").mkdir()
    (path / "crlf.txt/inside").write_text("a file became a folder\n")
    (path / "README.md").rename(path / "READ.md")
    commit = fleet.repo.commit()
    fleet.deploy().exits(0)
    assert_exact(fleet, commit)


def test_attributes_and_filters_do_not_touch_contents(fleet):
    """`git archive` applies export-subst and eol; a release is the raw blob, as git stores it."""
    fleet.repo.commit({".gitattributes": "*.txt text eol=crlf\n", "lines.txt": "a\nb\n"})
    fleet.deploy().exits(0)
    assert (fleet.host.store / "current/lines.txt").read_bytes() == \
        fleet.repo.git("cat-file", "blob", "HEAD:lines.txt", text=False)


def test_a_large_file_and_one_byte_of_it(fleet):
    fleet.repo.git("config", "core.compression", "0")  # git's own time is not the point
    size = 100 * 1000 * 1000
    block = os.urandom(1 << 20)
    large = bytearray((block * (size // len(block) + 1))[:size])
    commit = fleet.repo.commit({"large.bin": bytes(large)})
    fleet.deploy().exits(0)
    assert_exact(fleet, commit)
    large[size // 2] ^= 0xff
    commit = fleet.repo.commit({"large.bin": bytes(large)})
    fleet.deploy().exits(0)
    assert_exact(fleet, commit)


def test_after_many_recycled_releases(deployed):
    deployed.repo.replace("fairlead.yaml", "keep: 5", "keep: 2")
    for number in range(8):
        deployed.repo.commit({f"docs/{number % 3}.md": f"{number}\n", "docs/same.md": "same\n",
                              f"docs/gone-{number}.md": "here for one release\n"})
        if number:
            deployed.repo.commit({f"docs/gone-{number - 1}.md": None})
        commit = deployed.repo.git("rev-parse", "HEAD")
        deployed.deploy().exits(0)
        assert_exact(deployed, commit)


def test_a_file_that_was_changed_on_the_host_is_repaired(deployed):
    """Somebody edits a release in place; the next one must still be the commit."""
    page = deployed.host.store / "releases" / deployed.host.release / "src/page.html"
    page.write_text("defaced")
    commit = deployed.repo.commit({"README.md": "# next\n"})
    deployed.deploy()
    if deployed.host.release != page.parent.parent.name:
        assert_exact(deployed, commit)
    deployed.repo.replace("src/page.html", "Hello from Fairlead", "Hello again")
    commit = deployed.repo.commit()
    deployed.deploy().exits(0)
    assert_exact(deployed, commit)


def test_a_folder_named_like_shared_data_stays_shared(deployed):
    data = deployed.host.store / "current/data"
    assert data.is_symlink() and data.resolve() == (deployed.host.store / "shared/data").resolve()


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside", "src/../../outside"])
def test_a_link_that_leaves_the_release_is_refused(deployed, target):
    before = deployed.host.release
    (deployed.repo.path / "escape").symlink_to(target)
    deployed.repo.commit()
    result = deployed.deploy().says("escape")
    assert result.status in (2, 4), str(result)
    assert deployed.host.release == before


def test_a_submodule_is_a_clear_error(deployed):
    before = deployed.host.release
    deployed.repo.git("update-index", "--add", "--cacheinfo", f"160000,{deployed.first},vendor")
    deployed.repo.git("commit", "-q", "-m", "a submodule")
    result = deployed.deploy("--allow-dirty").says("submodule", "vendor")
    assert result.status in (2, 4), str(result)
    assert deployed.host.release == before
