"""A part of the machine for one process and its children, without privilege.

As root a namespace alone; as an ordinary user inside a user namespace in which the user stays who it is.
"""

import ctypes
import fcntl
import os
import socket
import struct

MOUNT, NETWORK, USER = 0x20000, 0x40000000, 0x10000000  # CLONE_NEW…, unshare(2)
MS_REC, MS_PRIVATE = 0x4000, 0x40000
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
libc = ctypes.CDLL(None, use_errno=True)


def must(result):
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def write(path, text):
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def leave(kind):
    """Move this process into a new namespace of this kind."""
    user, group = os.geteuid(), os.getegid()
    must(libc.unshare(kind | (USER if user else 0)))
    if user:
        write("/proc/self/setgroups", "deny")
        write("/proc/self/uid_map", f"{user} {user} 1")
        write("/proc/self/gid_map", f"{group} {group} 1")


def own_disk(directory, size):
    """From now on `directory` is an empty file system of `size` ("8m"), for us only."""
    leave(MOUNT)
    must(libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None))
    must(libc.mount(b"tmpfs", os.fsencode(directory), b"tmpfs", 0, f"size={size}".encode()))


def own_loopback():
    """From now on the only network is a loopback device that nobody else uses."""
    leave(NETWORK)
    with socket.socket() as any_socket:
        request = bytearray(struct.pack("16sh14x", b"lo", 0))
        fcntl.ioctl(any_socket, SIOCGIFFLAGS, request)
        name, flags = struct.unpack("16sh14x", request)
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", name, flags | IFF_UP))
