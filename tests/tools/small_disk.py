#!/usr/bin/python3
"""small_disk.py DIR SIZE PROGRAM CONFIG: run an agent whose DIR is a file system of SIZE.

In a mount namespace of its own, and as an ordinary user also in a user namespace, so that no
privilege is needed. The disk ends with the namespace, so when the agent has ended (SIGTERM is passed
on) its services are stopped from inside. Exits with the agent's status.
"""

import ctypes
import os
import signal
import subprocess
import sys

CLONE_NEWNS, CLONE_NEWUSER, MS_REC, MS_PRIVATE = 0x20000, 0x10000000, 0x4000, 0x40000
libc = ctypes.CDLL(None, use_errno=True)


def must(result):
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def write(path, text):
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def enter(directory, size):
    user, group = os.geteuid(), os.getegid()
    must(libc.unshare(CLONE_NEWNS | (CLONE_NEWUSER if user else 0)))
    if user:
        write("/proc/self/setgroups", "deny")
        write("/proc/self/uid_map", f"{user} {user} 1")
        write("/proc/self/gid_map", f"{group} {group} 1")
    must(libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None))
    must(libc.mount(b"tmpfs", os.fsencode(directory), b"tmpfs", 0, f"size={size}".encode()))


def main():
    directory, size, program, config = sys.argv[1:]
    enter(directory, size)
    with subprocess.Popen([program, "run", "--config", config]) as agent:
        signal.signal(signal.SIGTERM, lambda *_: agent.terminate())
        status = agent.wait()
    subprocess.run([program, "stop-services", "--config", config], check=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
