"""A TCP proxy that does to one connection what networks do, at a chosen byte or in a chosen phase.

    proxy = Proxy(port_of_the_host)
    proxy.suffer(Fault("reset", At("up", byte=20)))     # the next connection that comes that far
    … proxy.port …
    proxy.heal()                                        # what is bent breaks, new connections are good

"up" is from the coordinator to the host. The proxy sees sealed bytes only: a phase of the deployment is
told by what the host has in its journal when bytes come by.
"""

import asyncio
import contextlib
import socket
import struct
import threading

CHUNK = 65536
RESET = struct.pack("ii", 1, 0)     # SO_LINGER: on, no time


class At:
    """Where a fault begins: before this byte of a direction, or at the first bytes while `when()` is true."""

    def __init__(self, direction, byte=None, when=None):
        self.direction, self.byte, self.when = direction, byte, when

    def cut(self, direction, passed, length):
        """How many of the next bytes still pass; None for all of them, and the fault does not begin."""
        if direction != self.direction:
            return None
        if self.byte is not None:
            return max(0, self.byte - passed) if passed + length > self.byte else None
        return 0 if self.when() else None


class Fault:
    """What happens (a key of FAULTS, or an action of the test's own) and where it begins."""

    def __init__(self, what, at):
        self.what, self.at, self.begun = what, at, False

    def strike(self, connection, direction):
        if callable(self.what):
            call(connection, direction, self.what)
        else:
            FAULTS[self.what](connection, direction)


class Connection:
    def __init__(self, proxy, client, host):
        self.proxy, self.client, self.host = proxy, client, host
        self.sides = {"up": (client, host), "down": (host, client)}
        self.passed = {"up": 0, "down": 0}
        self.kept = b""                     # everything that went up, for a duplicate
        self.bend = {"up": None, "down": None}   # what each chunk has to go through
        self.over, self.more = asyncio.Event(), []

    async def pump(self, direction):
        source, sink = self.sides[direction]
        loop = asyncio.get_running_loop()
        try:
            while data := await loop.sock_recv(source, CHUNK):
                await self.carry(direction, sink, data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            self.end()

    async def carry(self, direction, sink, data):
        if self.bend[direction] is None:
            fault = self.proxy.begin(self, direction, len(data))
            if fault:
                whole = fault.at.cut(direction, self.passed[direction], len(data))
                await self.send(direction, sink, data[:whole])
                data = data[whole:]
                fault.strike(self, direction)
        bend = self.bend[direction]
        await (bend(self, direction, sink, data) if bend else self.send(direction, sink, data))

    async def send(self, direction, sink, data):
        self.passed[direction] += len(data)
        if direction == "up":
            self.kept += data
        await asyncio.get_running_loop().sock_sendall(sink, data)

    async def run(self):
        pumps = [asyncio.ensure_future(self.pump(direction)) for direction in self.sides]
        ended = asyncio.ensure_future(self.over.wait())
        both = asyncio.gather(*pumps, return_exceptions=True)
        await asyncio.wait([both, ended], return_when=asyncio.FIRST_COMPLETED)
        for task in [*pumps, ended]:
            task.cancel()
        self.over.set()
        await asyncio.gather(both, ended, *self.more, return_exceptions=True)
        self.client.close()
        self.host.close()

    def end(self):
        self.over.set()


# ---- what a chunk goes through ----

async def swallow(connection, direction, sink, data):
    """It never arrives, and nobody is told."""


async def late(connection, direction, sink, data):
    await asyncio.sleep(0.15)
    await connection.send(direction, sink, data)


async def trickle(connection, direction, sink, data):
    for at in range(len(data)):
        await connection.send(direction, sink, data[at:at + 1])
        await asyncio.sleep(1)


async def split(connection, direction, sink, data):
    """Byte by byte, each a packet of its own, then the rest of a large chunk in odd pieces."""
    for at in range(min(len(data), 512)):
        await connection.send(direction, sink, data[at:at + 1])
    for at in range(512, len(data), 1021):
        await connection.send(direction, sink, data[at:at + 1021])


async def coalesce(connection, direction, sink, data):
    loop, source = asyncio.get_running_loop(), connection.sides[direction][0]
    try:
        while True:
            more = await asyncio.wait_for(loop.sock_recv(source, CHUNK), 0.1)
            if not more:
                break
            data += more
    except asyncio.TimeoutError:
        pass
    await connection.send(direction, sink, data)


async def flip(connection, direction, sink, data):
    connection.bend[direction] = None
    await connection.send(direction, sink, bytes([data[0] ^ 1]) + data[1:])


# ---- faults ----

def bend_both(how):
    def begin(connection, direction):
        connection.bend = {"up": how, "down": how}
    return begin


def bend_one(how):
    def begin(connection, direction):
        connection.bend[direction] = how
    return begin


def reset(connection, direction):
    for side in (connection.client, connection.host):
        side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    connection.end()


def close(connection, direction):
    connection.end()


def half_close(connection, direction):
    """The end of one direction, while the other goes on."""
    connection.sides[direction][1].shutdown(socket.SHUT_WR)
    connection.bend[direction] = swallow


def half_open(connection, direction):
    """One side is gone, and the other is never told."""
    bend_both(swallow)(connection, direction)
    connection.sides[direction][1].shutdown(socket.SHUT_RDWR)


def outage(connection, direction, seconds=1.0):
    connection.proxy.away_until = connection.proxy.now() + seconds
    reset(connection, direction)


def duplicate(connection, direction):
    """Everything so far comes a second time, over a connection of its own, and stays open."""
    async def again():
        host = await connection.proxy.reach()
        with contextlib.suppress(OSError):
            await asyncio.get_running_loop().sock_sendall(host, connection.kept)
        await connection.over.wait()
        host.close()
    connection.bend = {"up": Connection.send, "down": Connection.send}
    connection.more.append(asyncio.ensure_future(again()))


def call(connection, direction, action):
    """What happens, happens elsewhere: the connection stays as it is."""
    connection.bend = {"up": Connection.send, "down": Connection.send}
    action()


FAULTS = {
    "delay": bend_both(late),
    "drop": bend_both(swallow),
    "drop one way": bend_one(swallow),
    "1 B/s": bend_both(trickle),
    "1 B/s one way": bend_one(trickle),
    "split": bend_both(split),
    "coalesce": bend_both(coalesce),
    "flipped bit": bend_one(flip),
    "reset": reset,
    "close": close,
    "half-closed": half_close,
    "half-open": half_open,
    "outage": outage,
    "duplicate": duplicate,
}
# What is noticed only by who waits for an answer that does not come.
SILENT = {"drop", "drop one way", "1 B/s", "1 B/s one way", "half-open", "half-closed"}


class Proxy:
    def __init__(self, host_port):
        self.host_port, self.fault, self.connections = host_port, None, set()
        self.away_until = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)
        self.port = self.listener.getsockname()[1]
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_until_complete, args=(self.serve(),))
        self.thread.start()

    def now(self):
        return self.loop.time()

    async def serve(self):
        self.closed = asyncio.Event()
        accepting = asyncio.ensure_future(self.accept())
        await self.closed.wait()
        accepting.cancel()
        await asyncio.gather(accepting, return_exceptions=True)
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def accept(self):
        while True:
            client, _ = await self.loop.sock_accept(self.listener)
            client.setblocking(False)
            asyncio.ensure_future(self.carry(client))

    async def reach(self):
        host = socket.socket()
        host.setblocking(False)
        await self.loop.sock_connect(host, ("127.0.0.1", self.host_port))
        host.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return host

    async def carry(self, client):
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.now() < self.away_until:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            client.close()
            return
        try:
            connection = Connection(self, client, await self.reach())
        except OSError:
            client.close()
            return
        self.connections.add(connection)
        await connection.run()
        self.connections.discard(connection)

    def begin(self, connection, direction, length):
        """The fault, when it begins with these bytes; each befalls one connection."""
        fault = self.fault
        if not fault or fault.begun:
            return None
        if fault.at.cut(direction, connection.passed[direction], length) is None:
            return None
        fault.begun = True
        return fault

    # ---- from any thread ----

    def suffer(self, fault):
        self.fault = fault

    def heal(self):
        """No more faults; what is still connected is cut."""
        def cut():
            self.fault, self.away_until = None, 0
            for connection in list(self.connections):
                connection.end()
        self.loop.call_soon_threadsafe(cut)

    def close(self):
        self.heal()
        self.loop.call_soon_threadsafe(self.closed.set)
        self.thread.join()
        self.listener.close()
        self.loop.close()
