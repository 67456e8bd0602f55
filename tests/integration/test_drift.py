"""`fairlead drift`: what on the disk is not as it was deployed is named, and nothing else is."""

import os
import signal
import time

import pytest

from lab import children, process_alive, wait_until


def release_dir(host):
    return host.store / "releases" / host.release


def drift(fleet, *args):
    """{path: kind}, of the one host."""
    [said] = fleet.fairlead("drift", *args, "--json").ndjson
    assert said["total"] == len(said["drift"])
    return {item["path"]: item["kind"] for item in said["drift"]}


@pytest.fixture
def kept(deployed):
    """A release with shared paths, a link, and folders."""
    deployed.repo.write({"lib/a.txt": "a\n", "lib/deep/b.txt": "b\n", "tool": "#!/bin/sh\n", "notes": "note\n"})
    (deployed.repo.path / "tool").chmod(0o755)
    os.symlink("notes", deployed.repo.path / "latest")
    deployed.repo.replace("fairlead.yaml", "dirs: [data] }", "dirs: [data], files: [secret.env] }")
    deployed.repo.commit()
    deployed.deploy().exits(0)
    return deployed


def test_what_was_deployed_is_as_deployed(kept):
    kept.fairlead("drift").exits(0).says("web1: as deployed")
    assert drift(kept) == {}
    (kept.host.store / "shared" / "data" / "written.txt").write_text("by the service\n")
    (kept.host.store / "shared" / "secret.env").write_text("A=1\n")
    kept.fairlead("drift", "web1").exits(0)


def test_every_kind_is_named(kept):
    tree = release_dir(kept.host)
    (tree / "lib/a.txt").write_text("b\n")
    (tree / "lib/deep/b.txt").unlink()
    (tree / "tool").chmod(0o644)
    (tree / "notes").unlink()
    (tree / "notes").mkdir()
    (tree / "latest").unlink()
    os.symlink("/etc/passwd", tree / "latest")
    (tree / "lib/new.txt").write_text("mine\n")
    (tree / "empty").mkdir()
    (tree / "data").unlink()
    os.symlink("/tmp", tree / "data")
    wanted = {"lib/a.txt": "changed", "lib/deep/b.txt": "missing", "tool": "mode", "notes": "type",
              "latest": "target", "lib/new.txt": "extra", "empty": "extra", "data": "target"}
    run = kept.fairlead("drift").exits(6).says("web1: 8 of release", *wanted)
    assert drift(kept) == wanted
    shown = [line.split()[1] for line in run.out.splitlines()[1:]]
    assert shown == sorted(wanted)


def test_mode_and_content_are_two_things(kept):
    tree = release_dir(kept.host)
    (tree / "tool").chmod(0o600)
    (tree / "tool").write_text("#!/bin/rm\n")
    [said] = kept.fairlead("drift", "--json").exits(6).ndjson
    assert [(item["path"], item["kind"]) for item in said["drift"]] in (
        [("tool", "changed"), ("tool", "mode")], [("tool", "mode"), ("tool", "changed")])


def test_a_change_that_keeps_size_and_time_is_seen(kept):
    """A stat walk would not see it."""
    path = release_dir(kept.host) / "lib/a.txt"
    times = path.stat()
    path.write_text("x\n")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert drift(kept) == {"lib/a.txt": "changed"}


def test_a_folder_that_became_a_link_is_named(kept):
    tree = release_dir(kept.host)
    os.rename(tree / "lib", kept.dir / "lib")
    os.symlink(kept.dir / "lib", tree / "lib")
    assert drift(kept) == {"lib": "extra", "lib/a.txt": "missing", "lib/deep/b.txt": "missing"}


def test_a_flood_of_files_is_counted_and_cut(kept):
    tree = release_dir(kept.host)
    for number in range(1500):
        (tree / f"lib/{number:05}{'x' * 200}").write_text("")
    [said] = kept.fairlead("drift", "--json").exits(6).ndjson
    assert said["total"] == 1500 and 100 < len(said["drift"]) < 1500
    kept.fairlead("drift").exits(6).says("more")
    (tree / "one\x1b[31m\nline").write_text("")
    run = kept.fairlead("drift").exits(6)
    assert "\x1b" not in run.out


def test_nothing_deployed_is_said(fleet):
    fleet.fairlead("drift").exits(2).says("web1")


# ---- comparisons that take their time ----

def workers(host):
    """The agent's children that are forks of itself, by state."""
    found = {}
    for task in (f"/proc/{host.agent.pid}/task",):
        for thread in os.listdir(task):
            with open(f"{task}/{thread}/children", encoding="ascii") as file:
                for pid in file.read().split():
                    try:
                        if os.readlink(f"/proc/{pid}/exe").endswith("/fairlead-agent"):
                            found[int(pid)] = process_alive(pid)
                    except OSError:
                        continue
    return {pid for pid, alive in found.items() if alive}


def stop_at_work(host, pid):
    """Stop it where it has a file of the release open; one that has only just been forked has not yet bound its
    life to the agent's, and must not be kept from that."""
    try:
        os.kill(pid, signal.SIGSTOP)
        wait_until(lambda: program_state(pid) in "TtZX", "it has stopped")
        if any(str(host.store / "releases") in os.readlink(f"/proc/{pid}/fd/{fd}")
               for fd in os.listdir(f"/proc/{pid}/fd")):
            return True
        os.kill(pid, signal.SIGCONT)
    except OSError:
        pass
    return False


def program_state(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        return file.read().rpartition(")")[2].split()[0]


def stopped_comparison(fleet):
    """A comparison that has begun and does not go on: (client, its worker). The worker is caught at work; one
    that was too fast is tried again."""
    before = workers(fleet.host)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        args, client = fleet.popen("drift")
        while client.poll() is None:
            for pid in workers(fleet.host) - before:
                if stop_at_work(fleet.host, pid):
                    return client, pid
        assert client.returncode == 0, client.communicate()
    raise AssertionError(f"no worker of {args} could be caught")


@pytest.fixture
def slow(deployed):
    """A release that takes a while to hash: time to catch the worker."""
    deployed.repo.commit({"big": os.urandom(24 * 1024 * 1024)})
    deployed.deploy().exits(0)
    return deployed


def gone(pid):
    """Ended and collected: not even a zombie."""
    return not os.path.exists(f"/proc/{pid}")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM],
                         ids=["kill", "interrupt", "terminate"])
def test_a_client_that_goes_away_ends_its_comparison(slow, how):
    client, worker = stopped_comparison(slow)
    client.send_signal(how)
    client.communicate(timeout=60)
    wait_until(lambda: gone(worker), "the worker has ended and was collected", 60)
    slow.fairlead("drift").exits(0)
    assert slow.host.agent.poll() is None


def test_a_third_at_once_is_refused(slow):
    first, second = stopped_comparison(slow), stopped_comparison(slow)
    slow.fairlead("drift").exits(4).says("2 releases already", "repeat")
    # The agent goes on meanwhile.
    slow.fairlead("status").exits(0)
    os.kill(first[1], signal.SIGCONT)
    out, err = first[0].communicate(timeout=60)
    assert first[0].returncode == 0, out + err
    slow.fairlead("drift").exits(0)
    os.kill(second[1], signal.SIGCONT)
    assert second[0].wait(60) == 0
    second[0].communicate()


def test_a_worker_that_dies_is_an_error_and_frees_its_place(slow):
    client, worker = stopped_comparison(slow)
    os.kill(worker, signal.SIGKILL)
    out, err = client.communicate(timeout=60)
    assert client.returncode == 1 and "died" in err, out + err
    slow.fairlead("drift").exits(0)


def test_a_gateway_that_dies_ends_the_comparison(slow):
    client, worker = stopped_comparison(slow)
    os.kill(children(slow.host.agent.pid)["fairlead-gateway"], signal.SIGKILL)
    client.communicate(timeout=60)
    assert client.returncode != 0
    wait_until(lambda: gone(worker), "the worker has ended and was collected", 60)
    wait_until(lambda: slow.fairlead("drift").status == 0, "the host answers again", 60)


def test_an_agent_that_is_killed_takes_its_worker_along(slow):
    client, worker = stopped_comparison(slow)
    slow.host.stop(signal.SIGKILL)
    wait_until(lambda: not process_alive(worker), "the worker has ended", 60)
    client.communicate(timeout=60)
    slow.host.start()
    slow.fairlead("drift").exits(0)
