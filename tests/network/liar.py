#!/usr/bin/python3
"""What somebody who has taken over fairlead-gateway or fairlead-probe may try with the core: this is started in its
place, with the core's socket on fd 3, and does what the file `how` beside it says. `count` beside it tells how
often."""

import array
import os
import socket
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
COUNT = FOLDER / "count"


def varint(value):
    out = b""
    while value > 0x7f:
        out += bytes([value & 0x7f | 0x80])
        value >>= 7
    return out + bytes([value])


def number(field, value):
    return varint(field << 3) + varint(value)


def data(field, content):
    return varint(field << 3 | 2) + varint(len(content)) + content


# ToCore of proto/fairlead/v1/local.proto.
def ready(port=None):
    """Where the core wants it, unless told otherwise."""
    if port is None:
        port = int(sys.argv[sys.argv.index("--listen") + 1].rpartition(":")[2])
    return data(1, number(1, port))


def sign(request, size=32):
    return data(2, number(1, request) + data(2, os.urandom(size)))


def admit(request):
    return data(3, number(1, request) + data(2, os.urandom(32)))


def opened(call, method):
    return data(4, number(1, call) + data(2, f"/fairlead.v1.Agent/{method}".encode()) + data(4, os.urandom(32)))


def message(call, content):
    return data(5, number(1, call) + data(2, content))


def spooled(call):
    return data(8, number(1, call) + number(2, 1 << 62))


def credit(call, messages):
    return data(9, number(1, call) + number(2, messages))


class Core:
    def __init__(self):
        self.socket = socket.socket(fileno=3)
        self.socket.setblocking(True)
        self.sent = 0

    def send(self, packet):
        self.socket.send(packet)
        self.sent += 1
        if self.sent % 256 == 1:
            COUNT.write_text(str(self.sent))


def wait_for_the_end(core):
    while core.socket.recv(1 << 18):
        pass


def say_nonsense(core):
    core.send(os.urandom(100))
    wait_for_the_end(core)


def say_too_much(core):
    core.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    core.send(bytes((256 << 10) + 1))
    wait_for_the_end(core)


def pass_files(core):
    fds = array.array("i", [os.open("/dev/null", os.O_RDONLY)] * 10)
    core.socket.sendmsg([ready()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
    core.send(b"")
    wait_for_the_end(core)


def be_ready_twice(core):
    core.send(ready())
    core.send(ready())
    wait_for_the_end(core)


def be_ready_elsewhere(core):
    core.send(ready(1))
    wait_for_the_end(core)


def be_ready_nowhere(core):
    core.send(ready(1 << 31))
    wait_for_the_end(core)


def ask_and_not_listen(core):
    core.send(ready())
    request = 0
    while True:
        core.send(sign(request := request + 1))


def ask_for_keys_to_be_let_in(core):
    core.send(ready())
    core.socket.setblocking(False)
    request = 0
    while True:
        try:
            core.send(admit(request := request + 1))
            core.socket.recv(1 << 18)
        except BlockingIOError:
            pass


def open_calls(core):
    core.send(ready())
    for call in range(1, 20001):
        core.send(opened(call, "Watch"))
        core.send(credit(call, 0xffffffff))
        core.send(spooled(call))
    COUNT.write_text("20000")
    wait_for_the_end(core)


def forge_commands(core):
    core.send(ready())
    core.socket.setblocking(False)
    call = 0
    while True:
        call += 1
        try:
            core.send(opened(call, "Prepare" if call % 2 else "Activate"))
            core.send(message(call, os.urandom(call % 3000)))
            core.send(message(call, data(1, data(1, bytes(8)) + data(2, bytes(200)) + data(3, bytes(64)))))
            core.send(message(call << 40, b"of no call"))
            core.socket.recv(1 << 18)
        except BlockingIOError:
            pass


def end_at_once(core):
    """Not even ready."""


def be_silent(core):
    core.send(ready())
    wait_for_the_end(core)


# ProbeReply of the same file.
def reply(request, ok=1, answer=b"HTTP 200"):
    return number(1, request) + number(2, ok) + data(4, answer) + data(5, b"127.0.0.1") + number(6, 80)


def answer_what_was_not_asked(core):
    request = 0
    while True:
        core.send(reply(request := request + 1))


def answer_at_length(core):
    request = core.socket.recv(1 << 18)
    core.send(reply(request[1], ok=0, answer=b"\x1b[2J" + b"x" * 200_000))
    wait_for_the_end(core)


def main():
    how = (FOLDER / "how").read_text().strip()
    try:
        globals()[how](Core())
    except OSError as problem:
        (FOLDER / "problem").write_text(str(problem))
        sys.exit(1)


if __name__ == "__main__":
    main()
