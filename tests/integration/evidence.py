"""The journal of a host as bytes: to change them as somebody with a hand on the disk would."""

import hashlib
import struct

from wire import fields

HEAD, DIGEST = 56, 32


def blake2b(data):
    return hashlib.blake2b(data, digest_size=32).digest()


def journal_path(host, name="journal"):
    return host.store / "state" / name


def split(data):
    """The whole records of a file."""
    records, at = [], 0
    while at < len(data):
        _, length = struct.unpack_from("<II", data, at)
        records.append(data[at:at + HEAD + length + DIGEST])
        at += len(records[-1])
    return records


def number_of(record):
    return struct.unpack_from("<Q", record, 8)[0]


def payload_of(record):
    return record[HEAD:-DIGEST]


def chain(payloads):
    """Records with right numbers and checksums, from payloads: what somebody can write who has all but the
    host's key."""
    records, previous = [], bytes(32)
    for number, payload in enumerate(payloads, 1):
        head = struct.pack("<IIQ", 0x314a4c46, len(payload), number) + previous
        record = head + blake2b(head)[:8] + payload
        previous = blake2b(record)
        records.append(record + previous)
    return records


def holds_receipt(record):
    """Does it hold a signed receipt?"""
    return b"fairlead/receipt" not in record and record_field(payload_of(record), 7) is not None


def record_field(message, wanted):
    """The first length-delimited field of that number; None if it is not there."""
    return next((value for value in fields(message).get(wanted, []) if isinstance(value, bytes)), None)


def receipt_of(record):
    """The bytes of its SignedReceipt, None without one."""
    status = record_field(payload_of(record), 7)
    return record_field(status, 23) if status is not None else None


class Tampering:
    """Write other journal files below a running agent, which does not read them again; put them back."""

    def __init__(self, host, name="journal"):
        self.path = journal_path(host, name)
        self.before = self.path.read_bytes()
        self.records = split(self.before)

    def write(self, data):
        self.path.write_bytes(data if isinstance(data, bytes) else b"".join(data))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.path.write_bytes(self.before)
