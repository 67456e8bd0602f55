"""Strangers at a host's port: thousands of connections that say nothing, garbage, a first message and no more, or a
byte a second. Each comes from one of a few addresses of loopback, and comes again when it is hung up on."""

import asyncio
import os
import resource
import socket
import threading

HELLO = (33).to_bytes(4, "little") + b"\x01"


async def silent(sock):
    """Opens, and waits."""


async def garbage(sock):
    await send(sock, os.urandom(5000))


async def half_open(sock):
    """A good first message; the host signs for it, and waits."""
    await send(sock, HELLO + os.urandom(32))


async def too_long(sock):
    await send(sock, (0xffffffff).to_bytes(4, "little") + bytes(1000))


async def slow(sock):
    for byte in HELLO + os.urandom(32):
        await send(sock, bytes([byte]))
        await asyncio.sleep(1)


KINDS = {kind.__name__: kind for kind in (silent, garbage, half_open, too_long, slow)}


async def send(sock, data):
    await asyncio.get_running_loop().sock_sendall(sock, data)


class Strangers:
    """with Strangers(port, kinds, at_once=…, addresses=…): … — and how many came is in `count`."""

    def __init__(self, port, kinds, at_once=300, addresses=("127.0.0.2", "127.0.0.3", "127.0.0.4")):
        self.port, self.kinds, self.at_once, self.addresses = port, kinds, at_once, addresses
        self.count = 0
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_until_complete, args=(self.run(),))
        self.over = None

    def __enter__(self):
        files = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(files[1], 8192), files[1]))
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.loop.call_soon_threadsafe(lambda: self.over.set())  # pylint: disable=unnecessary-lambda
        self.thread.join()
        self.loop.close()

    async def run(self):
        self.over = asyncio.Event()
        tasks = [asyncio.ensure_future(self.come_again(number)) for number in range(self.at_once)]
        await self.over.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def come_again(self, number):
        kind = KINDS[self.kinds[number % len(self.kinds)]]
        while True:
            with socket.socket() as sock:
                sock.setblocking(False)
                sock.bind((self.addresses[number % len(self.addresses)], 0))
                try:
                    await self.loop.sock_connect(sock, ("127.0.0.1", self.port))
                    self.count += 1
                    await kind(sock)
                    while await self.loop.sock_recv(sock, 4096):
                        pass
                except OSError:
                    pass
