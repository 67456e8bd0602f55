"""What an agent has on its disk, read without any of its code: so it can be wrong on its own."""

import hashlib
import os
import stat
import struct

from wire import fields

STATES = ("unspecified accepted fetched staged built backed_up prepared migrated switched restarted "
          "healthy committed aborted rolling_back rolled_back failed_safe activating serving held_before "
          "held_after").split()
FINAL = {"committed", "aborted", "rolled_back", "failed_safe"}
NEXT = {
    "accepted": {"fetched", "aborted"},
    "fetched": {"staged", "aborted"},
    "staged": {"prepared", "aborted"},
    "prepared": {"activating", "switched", "aborted"},
    "activating": {"switched", "aborted", "held_before", "failed_safe"},
    "held_before": {"activating", "aborted"},
    "switched": {"restarted", "rolling_back", "aborted", "failed_safe"},
    "restarted": {"serving", "healthy", "rolling_back", "failed_safe"},
    "serving": {"healthy", "rolling_back", "held_after", "failed_safe"},
    "held_after": {"serving", "rolling_back"},
    "healthy": {"committed", "rolling_back"},
    "rolling_back": {"rolled_back", "failed_safe"},
}


def blake2b(data):
    return hashlib.blake2b(data, digest_size=32).digest()


class Record:
    """A JournalRecord of proto/fairlead/v1/record.proto."""

    def __init__(self, payload, number=0, head=bytes(32)):
        record = fields(payload)
        self.number, self.head = number, head  # its own, and the digest of the record before
        self.segment = fields(record[24][0]) if 24 in record else None
        self.pin = fields(record[25][0]) if 25 in record else None
        self.id = record.get(2, [b""])[0].hex()
        self.state = STATES[record.get(3, [0])[0]]
        self.step = record.get(4, [b""])[0].decode()
        self.accepted = fields(record[5][0]) if 5 in record else None
        self.error = fields(record[6][0]) if 6 in record else None
        self.status = fields(record[7][0]) if 7 in record else None
        self.deadline = record.get(8, [0])[0]
        self.sequence = record.get(10, [0])[0]

    @property
    def receipt(self):
        """The signed one: {1: payload, 2: signature}; None before the end."""
        return fields(self.status[23][0]) if self.status and 23 in self.status else None

    def __repr__(self):
        step = f" ({self.step})" if self.step else ""
        return f"{self.id[:8]} {self.state}{step} sequence {self.sequence}"


def journal_files(path):
    """The old ones, oldest first, and the newest; an interrupted turn has given that a second name."""
    files = sorted(path.parent.glob(path.name + ".[0-9]*"))
    if files and path.exists() and files[-1].samefile(path):
        files.pop()
    return files + [path]


def read_files(path):
    """The content of each file, all of one moment: the agent may turn a page while we read."""
    while True:
        files = journal_files(path)
        try:
            read = [file.read_bytes() for file in files if file.exists()]
        except FileNotFoundError:
            continue
        if journal_files(path) == files:
            return read


class Journal:
    """Every record of all its files, the last of which may be torn; the chain is checked, across files
    too. What a file begins with is checked and left out, as are pins: the rest is the deployments.
    What was read once is not read again."""

    def __init__(self, path):
        self.path = path
        self.forget()

    def forget(self):
        self.known, self.found, self.previous = b"", [], bytes(32)
        self.number = self.sequence = 0

    def records(self):
        starts, data = set(), b""
        for content in read_files(self.path):
            starts.add(len(data))
            data += content
        if not data.startswith(self.known):
            self.forget()
        at = len(self.known)
        while len(data) - at >= 56:
            magic, length = struct.unpack_from("<II", data, at)
            total = 56 + length + 32
            assert magic == 0x314a4c46, f"record {self.number + 1} has no magic"
            if at + total > len(data):
                break
            self.take(data[at:at + total], at in starts)
            at += total
        self.known = data[:at]
        return self.found

    def take(self, record, first_of_file):
        number, before = struct.unpack_from("<Q", record, 8)[0], record[16:48]
        if self.number == 0:
            self.number, self.previous = number - 1, before  # what came earlier is no longer kept
            assert number > 1 or before == bytes(32), "the first record follows another"
        assert number == self.number + 1 and before == self.previous, f"a broken chain at {number}"
        assert record[48:56] == blake2b(record[:48])[:8], "a wrong head"
        self.number, self.previous = number, record[-32:]
        assert self.previous == blake2b(record[:-32]), "a wrong digest"
        read = Record(record[56:-32], number, before)
        assert (read.segment is not None) == (first_of_file and number > 1), f"a file begins wrongly at {number}"
        if read.segment:
            assert self.sequence in (0, read.segment.get(2, [0])[0]), "a new file forgets the sequence"
        self.sequence = max(self.sequence, read.sequence)
        if not read.segment and not read.pin:
            self.found.append(read)


RECEIPT_FIELDS = {2: "app", 3: "environment", 4: "deployment", 5: "outcome", 6: "from", 7: "to", 11: "code",
                  12: "reason", 17: "journal_number", 18: "journal_head", 19: "number", 20: "previous"}


def read_receipt(signed):
    """A receipt by name; its signature is for `fairlead-agent audit` to judge."""
    receipt = fields(signed[1][0])
    return {name: receipt.get(field, [b""])[0] for field, name in RECEIPT_FIELDS.items()}


def check_receipts(records):
    """One for each end, in the very record of it, about it, and following the one before."""
    number = previous = None
    for record in records:
        if not record.status:
            assert record.state not in FINAL or record.step, f"{record} ends without its status"
            continue
        signed = record.receipt
        assert signed and len(signed[2][0]) == 64, f"{record} has no receipt"
        receipt = read_receipt(signed)
        assert receipt["deployment"].hex() == record.id and STATES[receipt["outcome"]] == record.state
        assert receipt["from"] == record.status.get(3, [b""])[0] and receipt["to"] == record.status[4][0]
        assert (receipt["journal_number"] or 0) == record.number - 1 and receipt["journal_head"] == record.head, \
            f"the receipt of {record} is about another journal"
        if number is not None:
            assert receipt["number"] == number + 1 and receipt["previous"] == previous, \
                f"the receipt of {record} does not follow the one before"
        number, previous = receipt["number"], blake2b(signed[1][0])


def check_journal(records):
    """Every deployment goes the ways of the machine; the sequence rises; confirm is a command."""
    sequence, state, running = 0, None, None
    for record in records:
        if record.sequence:
            assert record.sequence > sequence, f"the sequence goes back at {record}"
            sequence = record.sequence
        if record.accepted:
            assert running is None or state in FINAL, f"{record} begins while {running} is {state}"
            assert record.state == "accepted", record
            running, state = record.id, "accepted"
            continue
        assert record.id == running, f"{record} is not of {running}"
        if record.state == state:
            assert record.step, f"{record} was entered twice"
            continue
        assert state not in FINAL and record.state in NEXT[state], f"from {state} to {record}"
        if record.state == "committed" or state in ("prepared", "held_before", "held_after") \
                and record.state not in FINAL:
            assert record.sequence, f"{record} without a command"
        state = record.state


def read_manifest(path):
    data = path.read_bytes()
    assert data[:8] == b"FLMANIF\x01", f"{path} is no manifest"
    assert blake2b(data).hex() == path.name.removesuffix(".manifest"), f"{path} is not its digest"
    entries, at = {}, 12
    for _ in range(struct.unpack_from("<I", data, 8)[0]):
        length, mode, size = struct.unpack_from("<HBQ", data, at)
        name = os.fsdecode(data[at + 43:at + 43 + length])
        entries[name] = (mode, size, data[at + 11:at + 43])
        at += 43 + length
    assert at == len(data), f"{path} goes on after its end"
    return entries


def look(path):
    """What a manifest would say of it."""
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        target = os.fsencode(os.readlink(path))
        return 2, len(target), blake2b(target)
    content = path.read_bytes()
    mode = {0o644: 0, 0o755: 1}[stat.S_IMODE(status.st_mode)]
    return mode, len(content), blake2b(content)


def check_release(store, digest, shared=()):
    """Complete, unchanged, and nothing that the manifest does not know but the shared paths."""
    tree = store / "releases" / digest
    wanted = read_manifest(store / "meta" / f"{digest}.manifest")
    found = {}
    for folder, folders, files in os.walk(tree):
        for name in files + [name for name in folders if os.path.islink(os.path.join(folder, name))]:
            path = os.path.relpath(os.path.join(folder, name), tree)
            found[path] = look(tree / path)
    for path in shared:
        assert path in found and (tree / path).is_dir(), f"the shared path {path} is missing"
        assert os.path.samefile(tree / path, store / "shared" / path), f"{path} leads elsewhere"
        del found[path]
    assert found == wanted, f"release {digest[:12]} is not its manifest"


def release_record(store, digest):
    record = fields((store / "meta" / digest).read_bytes())
    return {"verified": record.get(4, [0])[0], "failed": record.get(5, [0])[0]}


def checksums(directory, leave_out):
    """Content by path of everything below, without what is to be left out."""
    found = {}
    for folder, folders, files in os.walk(directory):
        folders[:] = [name for name in folders if os.path.join(folder, name) not in leave_out]
        for name in files:
            path = os.path.join(folder, name)
            if path not in leave_out:
                with open(path, "rb") as file:
                    found[path] = blake2b(file.read())
    return found
