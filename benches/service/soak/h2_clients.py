"""Clients of HTTP/2 that know what GOAWAY means, which h2load and Python's packages do not (RFC 9113, 6.8).

A client of this kind begins no stream on a connection whose end was announced, and lets those that it has begun finish. A
stream above the last one that the gate says it has seen was never processed, and is begun again elsewhere: it is counted
apart, and not as a failure. Everything else that does not end with 200 is one.
"""

import asyncio
import ssl
import struct

from .site import KEY

CONNECTIONS, STREAMS, PAUSE = 4, 4, 0.004
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, ACK, END_HEADERS = 1, 1, 4
# :status 200, out of HPACK's static table; the table that changes is switched off.
STATUS_200 = 0x88


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def literal(name, value):
    """A header, never indexed, without Huffman (RFC 7541, 6.2.3)."""
    return b"\x10" + length(len(name)) + name + length(len(value)) + value


def length(count):
    if count < 127:
        return bytes([count])
    count, octets = count - 127, [127]
    while count >= 128:
        octets.append(count % 128 | 128)
        count //= 128
    return bytes([*octets, count])


def head(method, port, token, path=b"/app/x"):
    headers = [
        (b":method", method),
        (b":scheme", b"https"),
        (b":authority", f"127.0.0.1:{port}".encode()),
        (b":path", path),
        (b"x-api-key", KEY.encode()),
        (b"authorization", b"Bearer " + token.encode()),
    ]
    return b"".join(literal(*header) for header in headers)


class Clients:
    """All of them, and what they have counted."""

    def __init__(self, port, ca, token, done):
        self.port, self.done = port, done
        self.get, self.post = head(b"GET", port, token), head(b"POST", port, token)
        self.context = ssl.create_default_context(cafile=ca)
        self.context.set_alpn_protocols(["h2"])
        self.failed = self.refused = self.broken = self.timeouts = self.again = self.goaways = self.connections = 0
        self.why = []
        self.stopping = asyncio.Event()
        self.open = 0

    async def run(self, stop):
        tasks = [asyncio.create_task(self.client()) for _ in range(CONNECTIONS)]
        await stop
        self.stopping.set()
        await asyncio.gather(*tasks)

    async def client(self):
        """One connection after another. The next begins when the end of the last is announced."""
        loop = asyncio.get_running_loop()
        lasting = []
        while not self.stopping.is_set():
            try:
                connecting = loop.create_connection(
                    lambda: Connection(self), "127.0.0.1", self.port, ssl=self.context, ssl_handshake_timeout=50
                )
                async with asyncio.timeout(60):
                    _, connection = await connecting
            except TimeoutError as error:
                self.lose("timeouts", f"connecting: {error!r}")
                continue
            except OSError as error:
                self.lose("refused" if isinstance(error, ConnectionRefusedError) else "broken", f"connecting: {error!r}")
                await asyncio.sleep(0.05)
                continue
            self.connections += 1
            lasting = [other for other in lasting if not other.ended.is_set()] + [connection]
            await connection.announced.wait()
        for connection in lasting:
            try:
                async with asyncio.timeout(30):
                    await connection.ended.wait()
            except TimeoutError:
                for _ in connection.streams:
                    self.lose("timeouts", "no answer")

    def lose(self, how, why):
        setattr(self, how, getattr(self, how) + 1)
        if len(self.why) < 5:
            self.why.append(why)

    def counts(self):
        notes = [f"{self.connections} connections", f"{self.goaways} GOAWAY"]
        if self.again:
            notes.append(f"{self.again} never processed, as GOAWAY said, and sent again")
        return {
            "name": "HTTP/2 over TLS (own clients)",
            "done": self.done.value,
            "failed": self.failed,
            "refused": self.refused,
            "broken": self.broken,
            "timeouts": self.timeouts,
            "notes": notes + self.why,
        }


class Connection(asyncio.Protocol):
    """One of HTTP/2, which asks until its end is announced."""

    def __init__(self, clients):
        self.clients, self.buffer, self.streams = clients, b"", {}
        self.next, self.announced, self.ended = 1, asyncio.Event(), asyncio.Event()
        self.transport = None

    def connection_made(self, transport):
        self.transport = transport
        no_table, no_push, window = (1, 0), (2, 0), (4, 1 << 20)
        settings = b"".join(struct.pack(">HI", *setting) for setting in (no_table, no_push, window))
        window = struct.pack(">I", 1 << 30)
        transport.write(PREFACE + frame(SETTINGS, 0, 0, settings) + frame(WINDOW_UPDATE, 0, 0, window))
        for _ in range(STREAMS):
            self.ask()

    def ask(self):
        if self.announced.is_set():
            return
        if self.clients.stopping.is_set():
            self.announced.set()
            return self.close_if_done()
        stream, self.next = self.next, self.next + 2
        self.streams[stream] = False
        if stream % 8 == 1:
            body = frame(DATA, END_STREAM, stream, b"x" * 1024)
            self.transport.write(frame(HEADERS, END_HEADERS, stream, self.clients.post) + body)
        else:
            self.transport.write(frame(HEADERS, END_HEADERS | END_STREAM, stream, self.clients.get))

    def data_received(self, data):
        self.buffer += data
        while len(self.buffer) >= 9:
            size = int.from_bytes(self.buffer[:3], "big")
            if len(self.buffer) < 9 + size:
                return
            kind, flags, stream = struct.unpack(">BBI", self.buffer[3:9])
            payload, self.buffer = self.buffer[9 : 9 + size], self.buffer[9 + size :]
            self.frame(kind, flags, stream & 0x7FFFFFFF, payload)

    def frame(self, kind, flags, stream, payload):
        if kind == SETTINGS and not flags & ACK:
            self.transport.write(frame(SETTINGS, ACK, 0))
        elif kind == PING and not flags & ACK:
            self.transport.write(frame(PING, ACK, 0, payload))
        elif kind == HEADERS and stream in self.streams:
            # A change of the table's size may stand before it.
            block = payload.lstrip(b"\x20")
            self.streams[stream] = block[:1] == bytes([STATUS_200])
            if not self.streams[stream]:
                self.clients.lose("failed", f"answer begins with {block[:12]!r}")
        elif kind == RST_STREAM and stream in self.streams:
            self.clients.lose("broken", f"stream reset with {int.from_bytes(payload, 'big')}")
            self.finish(stream, counted=True)
        elif kind == GOAWAY:
            self.go_away(*struct.unpack(">II", payload[:8]))
        if kind in (DATA, HEADERS) and flags & END_STREAM and stream in self.streams:
            self.finish(stream, counted=not self.streams[stream])

    def finish(self, stream, counted):
        del self.streams[stream]
        if not counted:
            self.clients.done.value += 1
        if not self.close_if_done():
            asyncio.get_running_loop().call_later(PAUSE, self.ask)

    def go_away(self, last, code):
        if not self.announced.is_set():
            self.clients.goaways += 1
        self.announced.set()
        if code:
            self.clients.lose("broken", f"GOAWAY with {code}")
        for stream in [stream for stream in self.streams if stream > last & 0x7FFFFFFF]:
            del self.streams[stream]
            self.clients.again += 1
        self.close_if_done()

    def close_if_done(self):
        if self.announced.is_set() and not self.streams:
            self.transport.close()
            return True
        return False

    def connection_lost(self, error):
        for _ in self.streams:
            self.clients.lose("broken", f"connection lost: {error!r}")
        # Without a word, though with nothing to lose: between two requests there is always another one soon.
        if not self.announced.is_set() and not self.streams:
            self.clients.lose("broken", f"closed without GOAWAY: {error!r}")
        self.streams.clear()
        self.announced.set()
        self.ended.set()


def run(line, done, port, ca, token):
    """In a process of their own, until there is a word on the line."""

    async def main():
        clients = Clients(port, ca, token, done)
        stop = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().add_reader(line.fileno(), lambda: stop.done() or stop.set_result(None))
        await clients.run(stop)
        asyncio.get_running_loop().remove_reader(line.fileno())
        line.recv()
        line.send([clients.counts()])

    asyncio.run(main())
