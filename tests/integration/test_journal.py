"""The journal on a host's disk: what is torn is cut, what is damaged stops the agent with an alarm that says where,
and a journal that has turned its page forgets nothing."""

import subprocess

import pytest

from evidence import journal_path, number_of, split
from lab import PATIENCE_S, wait_until


def start_fails(host):
    """The agent does not start; what it says."""
    run = subprocess.run(host.command("run"), env=host.fleet.env, capture_output=True, text=True,
                         stdin=subprocess.DEVNULL, timeout=PATIENCE_S, check=False)
    assert run.returncode == 1, run.stderr
    assert "ALARM" in run.stderr and "Nothing was changed" in run.stderr and "docs/journal.md" in run.stderr
    return run.stderr


def settled(fleet):
    """The newest record is the epilogue of the deployment, or the beginning of a new page."""
    path = journal_path(fleet.host)
    wait_until(lambda: path.stat().st_size and any(word in split(path.read_bytes())[-1]
                                                   for word in (b"CONCLUDED", b"\xc2\x01")), "it is concluded")


@pytest.mark.parametrize("part", [1, 60, -1])
def test_a_torn_end_is_cut(deployed, part):
    settled(deployed)
    host, path = deployed.host, journal_path(deployed.host)
    host.stop()
    whole = path.read_bytes()
    last = split(whole)[-1]
    path.write_bytes(whole + last[:part])
    host.start()
    assert path.read_bytes() == whole
    deployed.repo.commit({"README.md": "# next\n"})
    deployed.deploy().exits(0)
    deployed.fairlead("audit").exits(0)


def test_damage_stops_the_agent_and_is_named(deployed):
    settled(deployed)
    host, path, pid = deployed.host, journal_path(deployed.host), deployed.host.pid
    host.stop()
    whole = path.read_bytes()
    records = split(whole)
    damaged = bytearray(whole)
    damaged[len(records[0]) + 70] ^= 1
    path.write_bytes(damaged)
    assert "'journal' is damaged at record 2" in start_fails(host)
    assert path.read_bytes() == bytes(damaged)
    path.write_bytes(records[0] + b"".join(records[2:]))
    assert "'journal' has another record in the place of record 2" in start_fails(host)
    # `recover` touches nothing either, and the service runs on.
    assert host.run_any("recover").returncode == 1
    assert host.pid == pid
    path.write_bytes(whole)
    host.start()
    deployed.fairlead("audit").exits(0)


@pytest.fixture
def paged(make_fleet):
    """Each deployment turns the page; three of them."""
    fleet = make_fleet()
    fleet.host.write_config(journal={"segment": 1, "keep": 5})
    fleet.start()
    for number in range(3):
        fleet.repo.commit({"README.md": f"# {number}\n"})
        fleet.deploy().exits(0)
    wait_until(lambda: len(old_files(fleet.host)) == 3, "three pages were turned")
    return fleet


def old_files(host):
    return sorted(journal_path(host).parent.glob("journal.0*"))


def test_damage_in_an_old_file_stops_the_agent_and_is_named(paged):
    host = paged.host
    host.stop()
    old = old_files(host)[1]
    whole = old.read_bytes()
    record = split(whole)[3]
    old.write_bytes(whole.replace(record, record[:80] + bytes([record[80] ^ 1]) + record[81:]))
    assert f"'{old.name}' is damaged at record {number_of(record)}" in start_fails(host)
    old.write_bytes(whole[:-1])
    assert f"'{old.name}' ends in the middle of record {number_of(split(whole)[-1])}" in start_fails(host)
    old.rename(paged.dir / "away")
    first_of_next = number_of(split(old_files(host)[1].read_bytes())[0])
    assert old_files(host)[1].name in start_fails(host) and first_of_next
    (paged.dir / "away").rename(old)
    old.write_bytes(whole)
    host.start()
    paged.deploy().exits(0)


def test_a_turned_page_forgets_nothing(paged):
    """The outcome, the sequence of commands and the numbers of events go on, across a restart too."""
    host = paged.host
    [before] = paged.fairlead("status", "--json").exits(0).ndjson
    assert len(split(journal_path(host).read_bytes())) == 1
    host.stop()
    (host.store / "state" / "events").unlink()
    host.start()
    [after] = paged.fairlead("status", "--json").exits(0).ndjson
    assert after["last"] == before["last"] and after["last"]["state"] == "committed"
    paged.repo.commit({"README.md": "# four\n"})
    paged.deploy().exits(0)
    paged.fairlead("rollback").exits(0)
    paged.fairlead("audit").exits(0).says("5 receipts")


def test_old_files_are_bounded(paged):
    for number in range(3, 9):
        paged.repo.commit({"README.md": f"# {number}\n"})
        paged.deploy().exits(0)
    wait_until(lambda: [path.name for path in old_files(paged.host)] == [f"journal.{n:06}" for n in range(5, 10)],
               "the newest five stay")
    paged.host.stop()
    paged.host.start()
    paged.fairlead("audit").exits(0)


def test_a_journal_that_did_not_turn_goes_on(deployed):
    """No room for the new name: the old file takes the records as before."""
    settled(deployed)
    host = deployed.host
    host.stop()
    host.write_config(journal={"segment": 1, "keep": 5})
    host.start()
    # A folder in the place of the new file cannot be opened for writing.
    (journal_path(host).parent / "journal.new").mkdir()
    deployed.repo.commit({"README.md": "# two\n"})
    deployed.deploy().exits(0)
    wait_until(lambda: host.logged("the journal was not turned"), "it is said")
    assert not old_files(host)
    (journal_path(host).parent / "journal.new").rmdir()
    deployed.repo.commit({"README.md": "# three\n"})
    deployed.deploy().exits(0)
    wait_until(lambda: len(old_files(host)) == 1, "the page is turned")
    deployed.fairlead("audit").exits(0)
