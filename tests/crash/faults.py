"""One call of one program fails, once: which calls there are, with what they may fail, and what must
be true afterwards."""

import mmap
import os
import random
import struct
import time

from bed import SETTLE_S, Bed
from disk import FINAL, checksums
from lab import wait_until
from scenario import SCENARIOS, warm

PROGRAMS = ("core", "worker", "shim", "launch", "fairlead")
CALLS_MAX, NAME_SIZE, WHERE_SIZE, SHORT = 96, 24, 256, 9999
COUNTS_AT = 7 * 4
WHERE_AT = COUNTS_AT + 4 * len(PROGRAMS) * CALLS_MAX
NAMES_AT = WHERE_AT + WHERE_SIZE
CPU_S = 5  # of all programs in one case: who needs more spins

NUMBERS = {"EINTR": 4, "EIO": 5, "EAGAIN": 11, "ENOMEM": 12, "EMFILE": 24, "ENOSPC": 28, "SHORT": SHORT}
OPENS, CHANGES, LOOKS = "EIO EMFILE ENOSPC EINTR", "EIO ENOSPC", "EIO"
# What Linux may answer; a call without a row is counted and left alone. Absent on purpose: epoll_ctl, and
# pipe2 in a worker (which libuv calls there), on whose failure libuv itself aborts.
ERRNOS = {
    "open": OPENS, "openat": OPENS, "openat2": OPENS, "opendir": "EIO EMFILE", "fdopendir": "EIO",
    "readdir": "EIO", "close": "EIO EINTR",
    "read": "EIO EINTR SHORT", "pread": "EIO EINTR SHORT",
    "write": "EIO ENOSPC EINTR SHORT", "pwrite": "EIO ENOSPC EINTR SHORT",
    "fsync": "EIO ENOSPC EINTR", "fdatasync": "EIO ENOSPC EINTR", "syncfs": "EIO ENOSPC",
    "ftruncate": "EIO ENOSPC EINTR", "lseek": "EIO",
    "rename": CHANGES, "renameat": CHANGES, "unlink": CHANGES, "unlinkat": CHANGES, "rmdir": CHANGES,
    "symlinkat": CHANGES, "linkat": CHANGES, "mkdir": CHANGES, "mkdirat": CHANGES,
    "chmod": CHANGES, "fchmod": CHANGES, "fchmodat": CHANGES, "fchownat": CHANGES,
    "stat": LOOKS, "lstat": LOOKS, "fstat": LOOKS, "fstatat": LOOKS, "access": LOOKS,
    "faccessat": LOOKS, "readlink": LOOKS, "readlinkat": LOOKS, "chdir": LOOKS,
    "flock": "EIO EINTR", "mmap": "ENOMEM", "memfd_create": "EMFILE ENOSPC",
    "dup2": "EMFILE EINTR", "fcntl": "EMFILE", "pipe2": "EMFILE",
    "socket": "EMFILE", "socketpair": "EMFILE", "bind": "EIO ENOSPC", "listen": "EIO",
    "connect": "EIO EINTR", "accept4": "EIO EMFILE EINTR", "setsockopt": "ENOMEM",
    "sendmsg": "EIO EINTR", "recvmsg": "EIO EINTR", "send": "EIO EINTR SHORT", "recv": "EIO EINTR SHORT",
    "epoll_create1": "EMFILE", "eventfd": "EMFILE", "signalfd": "EMFILE", "pidfd_open": "EMFILE",
    "epoll_wait": "EINTR", "epoll_pwait": "EINTR", "poll": "EINTR",
    "fork": "EAGAIN ENOMEM", "waitpid": "EINTR", "waitid": "EINTR", "execve": "EIO EMFILE ENOMEM",
    "getpwnam": "EIO EMFILE",
    "proc_open": OPENS, "proc_read": "EIO EINTR SHORT", "proc_close": "EIO", "proc_readdir": "EIO",
}
PROC_MOST = 4  # of a walk over the machine's processes


# When interrupted they go on, as they do after a part. A file that cannot be opened or synced because of a
# signal may be reported instead.
TAKEN_UP = ("read", "pread", "write", "pwrite", "send", "recv", "sendmsg", "recvmsg", "poll", "epoll_wait",
            "epoll_pwait", "waitpid", "waitid", "proc_read")


def causes(errno):
    """The words for it: the C library's, and nng's."""
    also = {"EMFILE": ["Out of files"], "ENOMEM": ["Out of memory"], "EINTR": ["Interrupted"]}
    return [os.strerror(NUMBERS[errno]), *also.get(errno, [])]


class Control:
    """The tap of a FaultBed: the other side of faults.c."""

    is_full = False

    def __init__(self, path, tools):
        self.path, self.library = path, tools / "faults.so"
        with path.open("w+b") as file:
            file.truncate(NAMES_AT + CALLS_MAX * NAME_SIZE)
            self.map = mmap.mmap(file.fileno(), 0)

    @property
    def env(self):
        return {"LD_PRELOAD": str(self.library), "FAIRLEAD_FAULTS_CONTROL": str(self.path)}

    def word(self, index, value=None):
        if value is not None:
            struct.pack_into("<I", self.map, 4 * index, value)
        return struct.unpack_from("<I", self.map, 4 * index)[0]

    def text(self, at, size):
        return self.map[at:at + size].split(b"\0")[0].decode(errors="replace")

    @property
    def count(self):
        return self.word(0)

    def reset(self):
        self.disarm()

    def disarm(self):
        self.word(1, 0)

    @property
    def calls(self):
        """Their names, once a program has run."""
        return [self.text(NAMES_AT + number * NAME_SIZE, NAME_SIZE) for number in range(CALLS_MAX)]

    def arm(self, program=None, call=None, number=0, how=0):
        """Count from here; without arguments no call fails."""
        self.map[COUNTS_AT:WHERE_AT] = bytes(WHERE_AT - COUNTS_AT)
        self.word(2, PROGRAMS.index(program) if program else 0)
        self.word(3, self.calls.index(call) if call else 0)
        self.word(4, number)
        self.word(5, how)
        self.word(6, 0)
        self.word(1, 1)

    @property
    def struck(self):
        return self.word(6) != 0

    @property
    def where(self):
        return self.text(WHERE_AT, WHERE_SIZE)

    @property
    def counts(self):
        """How often each call was made since arm, by (program, call)."""
        calls, found = self.calls, {}
        for p, program in enumerate(PROGRAMS):
            for c, call in enumerate(calls):
                count = self.word(7 + p * CALLS_MAX + c)
                if call and count:
                    found[program, call] = count
        return found


def cpu_seconds(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except OSError:
        return 0


class FaultBed(Bed):
    """Its agents and `fairlead` are under faults; `said` is what the last run of fairlead printed."""

    def __init__(self, directory, build_dir, revisions):
        super().__init__(directory, build_dir, revisions, Control)
        self.log_from, self.ends = 0, []

    @property
    def log(self):
        with self.host.log.open("rb") as file:
            file.seek(self.log_from)
            return file.read().decode(errors="replace")

    def keep_running(self):
        """An agent that a fault has ended says so by its status; the next one must run."""
        status = self.host.agent.poll()
        if status is None:
            return
        assert self.tap.struck, f"the agent ended with {status} on its own"
        assert status > 0, f"the agent was ended by signal {-status}"
        self.ends.append(status)
        assert len(self.ends) == 1, f"the agent ended again, with {status}"
        self.start_agent()

    def start_agent(self):
        super().start_agent()
        self.cpu_before = cpu_seconds(self.host.agent.pid)
        return self

    def run(self, args):
        """Returns fairlead's exit status."""
        process = subprocess_of(self, args)
        try:
            wait_until(lambda: self.keep_running() or process.poll() is not None,
                       "fairlead has ended", 2 * SETTLE_S)
            wait_until(self.settled, "the host has settled", SETTLE_S)
            self.quiet()
            self.keep_running()
        except AssertionError as problem:
            process.kill()
            raise AssertionError(f"{problem}\n{''.join(process.communicate())}") from problem
        self.said = "".join(process.communicate())
        spent = cpu_seconds(self.host.agent.pid) - self.cpu_before
        assert spent < CPU_S, f"the agent spins: {spent} s"
        return process.returncode

    def begin(self):
        self.log_from = self.host.log.stat().st_size
        self.ends, self.said = [], ""
        self.cpu_before = cpu_seconds(self.host.agent.pid)
        self.before = checksums(self.dir, self.volatile)


def subprocess_of(bed, args):
    env, bed.env = bed.env, {**bed.env, **bed.tap.env}
    try:
        return bed.popen(*args)[1]
    finally:
        bed.env = env


class Fault:
    """What is to fail in a run; its text replays it."""

    def __init__(self, scenario, program, call, number, errno):
        self.scenario, self.program, self.call = scenario, program, call
        self.number, self.errno = number, errno

    def __str__(self):
        return f"fault {self.scenario} {self.program} {self.call} {self.number} {self.errno}"

    @classmethod
    def parse(cls, words):
        scenario, program, call, number, errno = words
        return cls(scenario, program, call, int(number), errno)

    @property
    def kind(self):
        return self.program, self.call, self.errno

    def suffer(self, bed):
        """Returns what it failed at; None when there were not so many calls."""
        scenario = SCENARIOS[self.scenario]
        scenario.begin(bed)
        args, revision = scenario.args(bed)
        bed.begin()
        bed.tap.arm(self.program, self.call, self.number, NUMBERS[self.errno])
        try:
            status = bed.run(args)
            struck, where = bed.tap.struck, bed.tap.where
            bed.tap.disarm()
            if struck:
                self.judge(bed, status)
            bed.check()
            bed.check_next(revision)
        except AssertionError as problem:
            raise AssertionError(f"at '{bed.tap.where}': {problem}\nfairlead said:\n{bed.said}") from problem
        return where if struck else None

    def judge(self, bed, status):
        """The outcome is one that is declared; if it is not the one without the fault, the cause is
        named to whoever asks."""
        assert 0 <= status <= 11, f"fairlead ended with {status}"
        undisturbed = status == (5 if self.scenario == "failing" else 0) and not bed.ends
        if undisturbed:
            return
        how = f"exit status {status}, the agent's {bed.ends}"
        assert self.errno != "SHORT" and (self.errno != "EINTR" or self.call not in TAKEN_UP), \
            f"it must be taken up, but {how}"
        named = any(cause in bed.said + bed.log for cause in causes(self.errno))
        assert named or (self.program, self.call) in NAMELESS, \
            f"nobody says {causes(self.errno)}: {how}"


# Who makes the call does not tell why it failed: libgit2 of what it cannot look at, nng of a socket.
NAMELESS = {("fairlead", call) for call in ("stat", "lstat", "access", "fcntl", "setsockopt")}
ABORTS = {("worker", "pipe2")}


def every_fault(scenario, counts):
    return [Fault(scenario, program, call, number, errno)
            for (program, call), count in sorted(counts.items()) if (program, call) not in ABORTS
            for number in range(1, (min(count, PROC_MOST) if call.startswith("proc_") else count) + 1)
            for errno in ERRNOS.get(call, "").split()]


def sample(faults, size, seed):
    """Each kind of fault once at least, and so many in all."""
    dice = random.Random(seed)
    faults = dice.sample(faults, len(faults))
    first = {}
    for fault in faults:
        first.setdefault(fault.kind, fault)
    rest = [fault for fault in faults if first[fault.kind] is not fault]
    return list(first.values()) + rest[:max(0, size - len(first))]


def new_bed(directory, build_dir, revisions):
    return warm(FaultBed(directory, build_dir, revisions))
