"""What appears in a folder, also what is gone again at once: inotify(7)."""

import contextlib
import ctypes
import os
import struct

LIBC = ctypes.CDLL(None, use_errno=True)
IN_CREATE, IN_MOVED_TO = 0x100, 0x80
HEAD = struct.Struct("iIII")


@contextlib.contextmanager
def names_made_in(folder):
    """A list that has, after the block, every name that was made or moved there meanwhile."""
    names = []
    fd = LIBC.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
    assert fd >= 0, os.strerror(ctypes.get_errno())
    try:
        watched = LIBC.inotify_add_watch(fd, os.fsencode(folder), IN_CREATE | IN_MOVED_TO)
        assert watched >= 0, os.strerror(ctypes.get_errno())
        yield names
        with contextlib.suppress(BlockingIOError):
            while data := os.read(fd, 1 << 16):
                names += names_of(data)
    finally:
        os.close(fd)


def names_of(data):
    while data:
        *_, length = HEAD.unpack_from(data)
        yield os.fsdecode(data[HEAD.size:HEAD.size + length].rstrip(b"\0"))
        data = data[HEAD.size + length:]
