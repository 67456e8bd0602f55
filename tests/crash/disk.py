"""What an agent has on its disk, read without any of its code: so it can be wrong on its own."""

import hashlib
import os
import stat
import struct

STATES = ("unspecified accepted fetched staged built backed_up prepared migrated switched restarted "
          "healthy committed aborted rolling_back rolled_back failed_safe").split()
FINAL = {"committed", "aborted", "rolled_back", "failed_safe"}
NEXT = {
    "accepted": {"fetched", "aborted"},
    "fetched": {"staged", "aborted"},
    "staged": {"prepared", "aborted"},
    "prepared": {"switched", "aborted"},
    "switched": {"restarted", "rolling_back", "aborted", "failed_safe"},
    "restarted": {"healthy", "rolling_back", "failed_safe"},
    "healthy": {"committed", "rolling_back"},
    "rolling_back": {"rolled_back", "failed_safe"},
}


def blake2b(data):
    return hashlib.blake2b(data, digest_size=32).digest()


def fields(data):
    """A protobuf message: {field: [value, …]}, values int or bytes."""
    found, at = {}, 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7f) << shift
            shift += 7
            if byte < 0x80:
                return value
    while at < len(data):
        key = varint()
        value = varint()
        if key & 7 == 2:
            value, at = data[at:at + value], at + value
        else:
            assert key & 7 == 0, f"wire type {key & 7}"
        found.setdefault(key >> 3, []).append(value)
    return found


class Record:
    """A JournalRecord of proto/fairlead/v1/record.proto."""

    def __init__(self, payload):
        record = fields(payload)
        self.id = record[2][0].hex()
        self.state = STATES[record.get(3, [0])[0]]
        self.step = record.get(4, [b""])[0].decode()
        self.accepted = fields(record[5][0]) if 5 in record else None
        self.error = fields(record[6][0]) if 6 in record else None
        self.status = fields(record[7][0]) if 7 in record else None
        self.deadline = record.get(8, [0])[0]
        self.sequence = record.get(10, [0])[0]

    def __repr__(self):
        step = f" ({self.step})" if self.step else ""
        return f"{self.id[:8]} {self.state}{step} sequence {self.sequence}"


def read_journal(path):
    """Every record; the last may be torn. The chain is checked."""
    data = path.read_bytes() if path.exists() else b""
    records, at, previous = [], 0, bytes(32)
    while len(data) - at >= 56:
        magic, length, number = struct.unpack_from("<IIQ", data, at)
        total = 56 + length + 32
        assert magic == 0x314a4c46, f"record {len(records) + 1} has no magic"
        if at + total > len(data):
            break
        assert number == len(records) + 1 and data[at + 16:at + 48] == previous, "a broken chain"
        assert data[at + 48:at + 56] == blake2b(data[at:at + 48])[:8], "a wrong head"
        previous = data[at + total - 32:at + total]
        assert previous == blake2b(data[at:at + total - 32]), "a wrong digest"
        records.append(Record(data[at + 56:at + total - 32]))
        at += total
    return records


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
        if record.state in ("switched", "committed"):
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
