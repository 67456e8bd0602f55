"""`fairlead audit`: whatever is done to what a host wrote, the first record that does not fit is named."""

import shutil
import sqlite3

import pytest

from evidence import Tampering, chain, journal_path, payload_of, receipt_of, split
from lab import build_fleet, wait_until
from wire import replaced

RECEIPT = (7, 23)   # JournalRecord.status.receipt


@pytest.fixture(scope="module")
def audited(tmp_path_factory, bin_dir, sanitizer_env):
    """Two hosts with a few deployments behind them, one of which failed; tests put back what they change."""
    fleet = build_fleet(tmp_path_factory.mktemp("audited"), bin_dir, sanitizer_env, hosts=2).start()
    fleet.deploy().exits(0)
    fleet.repo.replace("src/page.html", "Hello from Fairlead", "Hello again")
    fleet.repo.commit()
    fleet.deploy().exits(0)
    broken = fleet.repo.commit({"src/server.py": "raise SystemExit(1)\n"})
    fleet.deploy("--to", broken).exits(5)
    fleet.repo.git("reset", "-q", "--hard", "HEAD~1")
    fleet.fairlead("rollback").exits(0)
    wait_until(lambda: all(not status["running"] for status in fleet.fairlead("status", "--json").ndjson),
               "all have ended")
    yield fleet
    fleet.close()


def names(fleet, record, *words, file="journal", host="web1"):
    """The audit of this host names this record, with these words; as text, as JSON, and by its exit status."""
    run = fleet.fairlead("audit", host, "--json").exits(8)
    [said] = run.ndjson
    assert said["host"] == host and not said["verified"]
    assert said["finding"]["file"] == file and said["finding"]["record"] == record, run
    for word in words:
        assert word in said["finding"]["what"], run
    fleet.fairlead("audit", host).exits(8).says(host, f"record {record} of '{file}'")


def test_what_nobody_touched_verifies(audited):
    run = audited.fairlead("audit", "--json").exits(0)
    assert [said["host"] for said in run.ndjson] == ["web1", "web2"]
    for said in run.ndjson:
        assert said["verified"] and said["finding"] is None
        assert said["receipts"] == 4 and said["compared"] == 4 and said["first_record"] == 1
    audited.fairlead("audit", "--all").exits(0).says("web1: verified", "web2: verified", "4 receipts")
    for host in audited.hosts:
        assert "verified" in host.run("audit").stdout


def test_only_named_hosts_are_audited(audited):
    run = audited.fairlead("audit", "web2", "--json").exits(0)
    assert [said["host"] for said in run.ndjson] == ["web2"]
    audited.fairlead("audit", "web2", "--all").exits(2).says("--all")
    audited.fairlead("audit", "web2", "-l", "role=web").exits(2).says("--limit")
    audited.fairlead("audit", "nobody").exits(2)


@pytest.mark.parametrize("part", [0, 9, 20, 50, 60, -1])
def test_a_flipped_byte_is_named(audited, part):
    """In the magic, the number, the link, the check, the payload, the digest of some record in the middle."""
    with Tampering(audited.host) as journal:
        middle = len(journal.records) // 2
        record = bytearray(journal.records[middle - 1])
        record[part] ^= 0x40
        journal.write(journal.records[:middle - 1] + [bytes(record)] + journal.records[middle:])
        names(audited, middle, "does not verify")
        run = audited.host.run_any("audit")
        assert run.returncode == 1 and f"record {middle}" in run.stdout


def test_a_dropped_record_is_named(audited):
    with Tampering(audited.host) as journal:
        journal.write(journal.records[:4] + journal.records[5:])
        names(audited, 5, "record 6 is in its place")


def test_records_in_another_order_are_named(audited):
    with Tampering(audited.host) as journal:
        third, fourth = journal.records[2:4]
        journal.write(journal.records[:2] + [fourth, third] + journal.records[4:])
        names(audited, 3, "record 4 is in its place")


def test_a_chain_written_anew_is_told_by_the_next_receipt(audited):
    """All checksums are right; only the host's key is missing."""
    with Tampering(audited.host) as journal:
        payloads = [payload_of(record) for record in journal.records]
        first = next(number for number, record in enumerate(journal.records, 1) if receipt_of(record))
        # Without its second record everything moves up by one.
        journal.write(chain(payloads[:1] + payloads[2:]))
        names(audited, first - 1, "another history")


def test_another_hosts_receipt_is_named(audited):
    """The same deployment's, so that only the signature tells."""
    other = split(journal_path(audited.hosts[1]).read_bytes())
    with Tampering(audited.host) as journal:
        payloads = [payload_of(record) for record in journal.records]
        at = next(i for i, record in enumerate(journal.records) if receipt_of(record))
        theirs = receipt_of(next(filter(receipt_of, other)))
        payloads[at] = replaced(payloads[at], RECEIPT, theirs)
        journal.write(chain(payloads))
        names(audited, at + 1, "not by this host's key")


def test_a_whole_journal_of_another_host_is_named(audited):
    other = journal_path(audited.hosts[1]).read_bytes()
    with Tampering(audited.host) as journal:
        journal.write(other)
        first = next(number for number, record in enumerate(split(other), 1) if receipt_of(record))
        names(audited, first, "not by this host's key")


def test_a_cut_off_end_is_told_by_the_ledger(audited):
    with Tampering(audited.host) as journal:
        last = max(number for number, record in enumerate(journal.records, 1) if receipt_of(record))
        journal.write(journal.records[:last - 1])
        names(audited, last, "the ledger has its receipt")
        # Offline nothing is wrong with what is there.
        assert "verified" in audited.host.run("audit").stdout


def test_an_end_in_the_middle_of_a_record_is_named(audited):
    with Tampering(audited.host) as journal:
        journal.write(journal.before[:-10])
        names(audited, len(journal.records), "cut off")


def test_a_journal_that_is_gone_is_told_by_the_ledger(audited):
    with Tampering(audited.host) as journal:
        first = next(number for number, record in enumerate(journal.records, 1) if receipt_of(record))
        journal.write(b"")
        names(audited, first, "the ledger has its receipt")


def test_a_host_with_one_more_does_not_hide_the_one_that_does_not_fit(audited):
    with Tampering(audited.hosts[1]) as journal:
        journal.write(journal.records[:2] + journal.records[3:])
        run = audited.fairlead("audit").exits(8)
        run.says("web1: verified", "web2: DOES NOT VERIFY at record 3")


def test_a_ledger_that_knows_nothing_learns(audited, tmp_path):
    """Another operator's first audit; what he then knows tells a cut-off end."""
    ledger = tmp_path / "ledger.db"
    [said] = audited.fairlead("audit", "web1", "--json", "--ledger", ledger).exits(0).ndjson
    assert said["verified"] and said["compared"] == 0
    [said] = audited.fairlead("audit", "web1", "--json", "--ledger", ledger).exits(0).ndjson
    assert said["compared"] == 4
    with Tampering(audited.host) as journal:
        journal.write(journal.records[:3])
        run = audited.fairlead("audit", "web1", "--ledger", ledger).exits(8)
        run.says("the ledger has its receipt")


def test_another_receipt_in_the_ledger_is_named(audited, tmp_path):
    """As if the host had signed its history anew."""
    known = next((audited.dir / "home").rglob("ledger.db"))
    ledger = tmp_path / "ledger.db"
    source, copy = sqlite3.connect(known), sqlite3.connect(ledger)
    source.backup(copy)
    [(number,)] = copy.execute("SELECT min(journal_number) FROM receipts WHERE host = 'web1'").fetchall()
    copy.execute("UPDATE receipts SET payload = x'00' WHERE host = 'web1' AND journal_number = ?", (number,))
    copy.commit()
    copy.close()
    source.close()
    run = audited.fairlead("audit", "web1", "--ledger", ledger).exits(8)
    run.says(f"record {number + 1}", "not the one that the ledger holds")


def test_an_unreachable_host_does_not_hide_the_others(audited):
    audited.hosts[1].stop()
    try:
        audited.fairlead("audit").exits(4).says("web1: verified", "web2")
    finally:
        audited.hosts[1].start()


def test_the_journal_of_many_files_is_audited(make_fleet):
    """Each deployment gets a file; old ones go, and what is older is only counted."""
    fleet = make_fleet()
    host = fleet.host
    host.write_config(journal={"segment": 1, "keep": 2})
    fleet.start()
    for number in range(5):
        fleet.repo.commit({"README.md": f"# {number}\n"})
        fleet.deploy().exits(0)
    wait_until(lambda: len(list(journal_path(host).parent.glob("journal.0*"))) == 2, "two old files")
    [said] = fleet.fairlead("audit", "--json").exits(0).ndjson
    assert said["files"] == 3 and said["first_record"] > 1 and said["receipts"] == 2
    assert said["compared"] == 2 and said["older"] == 3
    host.stop()
    host.start()
    fleet.fairlead("audit").exits(0)
    old = sorted(journal_path(host).parent.glob("journal.0*"))
    with Tampering(host, old[1].name) as journal:
        record = bytearray(journal.records[2])
        record[70] ^= 1
        journal.write(journal.records[:2] + [bytes(record)] + journal.records[3:])
        number = int.from_bytes(record[8:16], "little")
        names(fleet, number, "does not verify", file=old[1].name)
    shutil.move(old[1], fleet.dir / "away")
    names(fleet, int.from_bytes(split((fleet.dir / "away").read_bytes())[0][8:16], "little"))
    shutil.move(fleet.dir / "away", old[1])


def test_receipts_are_chained_across_files_and_restarts(make_fleet):
    fleet = make_fleet()
    fleet.host.write_config(journal={"segment": 1, "keep": 9})
    fleet.start()
    fleet.deploy().exits(0)
    fleet.host.stop()
    fleet.host.start()
    fleet.repo.commit({"README.md": "# two\n"})
    fleet.deploy().exits(0)
    [said] = fleet.fairlead("audit", "--json").exits(0).ndjson
    assert said["receipts"] == 2 and said["compared"] == 2
