"""What a power loss may leave on a disk, and hosts that begin again from it.

A run of a deployment is written down once (power.c). A cut is a number of its entries that have happened; of
them, what was synced is there, and of the rest any part may be. A folder's entries are made durable by a
sync of the folder, a rename by that of the folder it goes to, content and mode by that of the file; a rename
is whole or not at all, a write may be torn. Inodes move with their names, so the record of installed files
(`.stat`) is rewritten to those of the new disk, where they are the same file."""

import contextlib
import mmap
import os
import random
import shutil
import signal
import stat
import struct
import uuid

from bed import Bed
from disk import Journal, checksums
from lab import processes_below, wait_until
from scenario import SCENARIOS, warm

MAKE, LINK, UNLINK, RENAME, WRITE, TRUNCATE, CHMOD, SYNC, SYNC_ALL = range(1, 10)
HEAD = struct.Struct("<IIQQQqqIIII")
STAT_HEAD, STAT_RECORD = 40, struct.Struct("<QQ")


class Entry:
    """One of power.c: an act, by inodes."""

    def __init__(self, head, name, to_name, data):
        (self.kind, self.mode, self.inode, self.folder, self.to, self.offset, self.mtime) = head[:7]
        self.name, self.to_name, self.data = name, to_name, data

    def is_made_durable_by(self, sync):
        if sync.kind == SYNC_ALL:
            return True
        if self.kind in (WRITE, TRUNCATE, CHMOD):
            return sync.inode == self.inode
        return sync.inode == (self.to if self.kind == RENAME else self.folder)


def read_log(data):
    entries, at = [], 0
    while at < len(data):
        head = HEAD.unpack_from(data, at)
        at += HEAD.size
        name, to_name = (data[at:at + head[7]], data[at + head[7]:at + head[7] + head[8]])
        at += head[7] + head[8]
        entries.append(Entry(head, os.fsdecode(name), os.fsdecode(to_name), data[at:at + head[9]]))
        at += head[9]
    return entries


class Node:
    def __init__(self, mode, mtime, content=b""):
        self.mode, self.mtime, self.content, self.names = mode, mtime, content, {}

    def copy(self):
        node = Node(self.mode, self.mtime, self.content)
        node.names = dict(self.names)
        return node


def look(path, nodes):
    """Put the tree at path into nodes, by inode; the inode of path."""
    status = os.lstat(path)
    if status.st_ino in nodes:
        return status.st_ino
    node = nodes[status.st_ino] = Node(status.st_mode, status.st_mtime_ns)
    if stat.S_ISDIR(status.st_mode):
        for name in os.listdir(path):
            node.names[name] = look(os.path.join(path, name), nodes)
    elif stat.S_ISLNK(status.st_mode):
        node.content = os.fsencode(os.readlink(path))
    elif stat.S_ISREG(status.st_mode):
        with open(path, "rb") as file:
            node.content = file.read()
    return status.st_ino


class Disk:
    """Nodes by inode, from a base; what happens is applied entry by entry."""

    def __init__(self, root, base, entries):
        self.root, self.nodes = root, {inode: node.copy() for inode, node in base.items()}
        # An inode may be written before its name is durable, and without it ever being.
        for entry in entries:
            if entry.kind == MAKE:
                content = entry.data if stat.S_ISLNK(entry.mode) else b""
                self.nodes[entry.inode] = Node(entry.mode, entry.mtime, content)

    def drop(self, folder, name, inode):
        if folder in self.nodes and self.nodes[folder].names.get(name) == inode:
            del self.nodes[folder].names[name]

    def put(self, folder, name, inode):
        if folder not in self.nodes or inode not in self.nodes:
            return
        if stat.S_ISDIR(self.nodes[inode].mode):  # it has one place only
            for node in self.nodes.values():
                for other in [other for other, at in node.names.items() if at == inode]:
                    del node.names[other]
        self.nodes[folder].names[name] = inode

    def apply(self, entry, torn=None):
        """Torn: how many bytes of a write arrive, and whether the rest is zeros."""
        if entry.kind in (MAKE, LINK):
            self.put(entry.folder, entry.name, entry.inode)
        elif entry.kind == UNLINK:
            self.drop(entry.folder, entry.name, entry.inode)
        elif entry.kind == RENAME:
            self.drop(entry.folder, entry.name, entry.inode)
            self.put(entry.to, entry.to_name, entry.inode)
        elif entry.inode in self.nodes:
            self.change(self.nodes[entry.inode], entry, torn)

    def change(self, node, entry, torn):
        if entry.kind == CHMOD:
            node.mode = entry.mode
            return
        node.mtime = entry.mtime
        if entry.kind == TRUNCATE:
            node.content = node.content[:entry.offset].ljust(entry.offset, b"\0")
            return
        data = entry.data
        if torn:
            data = data[:torn[0]] + bytes(len(data) - torn[0] if torn[1] else 0)
        before = node.content[:entry.offset].ljust(entry.offset, b"\0")
        node.content = before + data + node.content[entry.offset + len(data):]

    def write(self, path):
        """Make it below path, an empty folder."""
        places = {}
        self.write_node(self.root, os.fspath(path), places)
        inodes = {inode: os.lstat(place).st_ino for inode, place in places.items()}
        for inode, place in places.items():
            if place.endswith(".stat") and "/meta/" in place:
                with open(place, "r+b") as file:
                    file.write(self.moved(self.nodes[inode].content, inodes))
        for inode, place in places.items():
            mtime = self.nodes[inode].mtime
            os.utime(place, ns=(mtime, mtime), follow_symlinks=False)

    def write_node(self, inode, path, places):
        node = self.nodes[inode]
        if stat.S_ISSOCK(node.mode):
            return
        if inode in places:
            os.link(places[inode], path, follow_symlinks=False)
            return
        places[inode] = path
        if stat.S_ISLNK(node.mode):
            os.symlink(node.content, path)
            return
        if stat.S_ISDIR(node.mode):
            os.makedirs(path, exist_ok=True)
            for name, child in node.names.items():
                self.write_node(child, os.path.join(path, name), places)
        else:
            with open(path, "wb") as file:
                file.write(node.content)
        os.chmod(path, stat.S_IMODE(node.mode))

    @staticmethod
    def moved(content, inodes):
        """A record of installed files (agent/store/stat_index.c), for the inodes of this disk."""
        moved = bytearray(content)
        at = STAT_HEAD
        while at + STAT_RECORD.size <= len(moved):
            inode, mtime = STAT_RECORD.unpack_from(moved, at)
            if inode not in inodes:
                break  # the shared paths follow; or a file that is not there
            STAT_RECORD.pack_into(moved, at, inodes[inode], mtime)
            at += STAT_RECORD.size
        return bytes(moved)


class Trace:
    """The disk before a deployment, and everything that it did to it."""

    def __init__(self, base, root, entries, revision):
        self.base, self.root, self.entries, self.revision = base, root, entries, revision

    def pending(self, cut):
        """Which of the first `cut` entries may be lost."""
        found = []
        for number, entry in enumerate(self.entries[:cut]):
            if entry.kind in (SYNC, SYNC_ALL):
                found = [other for other in found if not self.entries[other].is_made_durable_by(entry)]
            else:
                found.append(number)
        return found

    def disk(self, cut, survivors, torn=None):
        """As after a power loss at the cut: what was durable, and the survivors of what was not."""
        lost = set(self.pending(cut)) - set(survivors)
        entries = self.entries[:cut]
        disk = Disk(self.root, self.base, entries)
        for number, entry in enumerate(entries):
            if number not in lost:
                disk.apply(entry, (torn or {}).get(number))
        return disk

    def ways(self, cut):
        """The names of what may survive, but for those drawn by lot."""
        return ["none", "all"] + [f"only-{number}" for number in self.pending(cut)]

    def survivors(self, cut, way):
        """What `way` says, as the arguments of disk()."""
        kind, _, rest = way.partition("-")
        pending = self.pending(cut)
        if kind == "none":
            return [], {}
        if kind == "all":
            return pending, {}
        if kind == "only":
            return [int(rest)], {}
        dice = random.Random(rest)
        chosen = [number for number in pending if dice.random() < 0.5]
        torn = {number: (dice.randrange(len(self.entries[number].data)), dice.random() < 0.5)
                for number in chosen if self.entries[number].kind == WRITE and dice.random() < 0.5}
        return chosen, torn


class Recorder:
    """The tap of a PowerBed: the other side of power.c."""

    is_full = False

    def __init__(self, path, tools):
        self.path, self.library = path, tools / "power.so"
        self.log, self.boot = path.with_suffix(".log"), path.with_suffix(".boot")
        path.write_bytes(bytes(8))
        with path.open("r+b") as file:
            self.map = mmap.mmap(file.fileno(), 0)
        self.log.write_bytes(b"")
        self.reboot()

    @property
    def env(self):
        return {"LD_PRELOAD": str(self.library), "FAIRLEAD_POWER_CONTROL": str(self.path),
                "FAIRLEAD_POWER_LOG": str(self.log), "FAIRLEAD_POWER_BOOT": str(self.boot)}

    @property
    def count(self):
        return struct.unpack_from("<I", self.map, 4)[0]

    def reboot(self):
        self.boot.write_text(f"{uuid.uuid4()}\n")

    def arm(self):
        self.log.write_bytes(b"")
        struct.pack_into("<I", self.map, 0, 1)

    def disarm(self):
        struct.pack_into("<I", self.map, 0, 0)

    def reset(self):
        self.disarm()


class PowerBed(Bed):
    """A host that has one run of each scenario written down, and begins again from what is left of it."""

    def __init__(self, directory, build_dir, revisions):
        super().__init__(directory, build_dir, revisions, Recorder)
        self.traces = {}

    @property
    def volatile(self):
        return super().volatile | {str(self.tap.log), str(self.tap.boot)}

    def keep_running(self):
        status = self.host.agent.poll()
        assert status is None, f"the agent ended with {status}"

    def record(self, scenario):
        SCENARIOS[scenario].begin(self)
        args, revision = SCENARIOS[scenario].args(self)
        base = {}
        root = look(self.host.root, base)
        self.tap.arm()
        self.deploy(*args[1:]) if args[0] == "deploy" else self.fairlead(*args)
        wait_until(self.settled, "the deployment has ended")
        self.quiet()
        self.tap.disarm()
        self.traces[scenario] = Trace(base, root, read_log(self.tap.log.read_bytes()), revision)

    def lose_power(self, disk):
        """Everything stops at once; the host starts again with that disk, in a new boot."""
        for process in processes_below(self.dir):
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(process.split()[0]), signal.SIGKILL)
        self.host.agent.wait()
        for path in self.host.root.iterdir():
            shutil.rmtree(path)
        disk.write(self.host.root)
        self.tap.reboot()
        self.journal.forget()

    def check_processes(self, current):
        """Between the end of a recovery and the next deployment a service may be on its way up."""
        wait_until(lambda: self.processes() == ([current] if current else []),
                   f"the service runs from {current}")


def whole_records(path):
    """Of a journal whose end the power loss may have torn; no part of that was ever answered for."""
    journal = Journal(path)
    with contextlib.suppress(AssertionError):
        journal.records()
    return journal.found


def new_bed(directory, build_dir, revisions):
    """Recorded is what follows a warm host; the first deployment last, for it leaves nothing."""
    bed = warm(PowerBed(directory, build_dir, revisions))
    for scenario in sorted(SCENARIOS, key=lambda name: name == "first"):
        bed.record(scenario)
    return bed


class Loss:
    """A power loss: at which entry of which deployment, and what survives it. Its text replays it."""

    def __init__(self, scenario, cut, way):
        self.scenario, self.cut, self.way = scenario, cut, way

    def __str__(self):
        return f"power {self.scenario} {self.cut} {self.way}"

    @classmethod
    def parse(cls, words):
        return cls(words[0], int(words[1]), words[2])

    def suffer(self, bed):
        """Returns how many entries were pending; None when the cut is beyond the end of this bed's run."""
        trace = bed.traces[self.scenario]
        pending = trace.pending(self.cut)
        survivors, torn = trace.survivors(self.cut, self.way)
        if self.cut > len(trace.entries) or not set(survivors) <= set(pending):
            return None
        bed.lose_power(trace.disk(self.cut, survivors, torn))
        known = whole_records(bed.journal.path)
        bed.before = checksums(bed.dir, bed.volatile)
        bed.start_agent()
        wait_until(bed.settled, "the host has settled")
        bed.quiet()
        assert [str(record) for record in bed.records[:len(known)]] == [str(record) for record in known], \
            "the journal has lost a record"
        bed.check()
        bed.check_next(trace.revision)
        return len(pending)


def every_loss(traces):
    return [Loss(scenario, cut, way) for scenario, trace in traces.items()
            for cut in range(len(trace.entries) + 1) for way in trace.ways(cut)]


def sample(losses, size, seed):
    """Every cut with nothing and with everything that is pending; the rest by lot, and for each three of
    these a part drawn by lot."""
    dice = random.Random(seed)
    first = [loss for loss in losses if loss.way == "none"]
    rest = [loss for loss in losses if loss.way != "none"]
    drawn = [Loss(loss.scenario, loss.cut, f"lot-{seed}.{number}") for number, loss
             in enumerate(dice.choices(losses, k=max(0, size - len(first)) // 2))]
    room = max(0, size - len(first) - len(drawn))
    return first + dice.sample(rest, min(room, len(rest))) + drawn
