"""HTTP/2 in raw frames (RFC 9113), with headers as literals (RFC 7541): anything can be said."""

import socket
import struct
import time

from .wire import Conn

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, END_HEADERS, ACK = 1, 4, 1
STATUSES = {8: 200, 9: 204, 10: 206, 11: 304, 12: 400, 13: 404, 14: 500}
# The digits of Huffman's code (RFC 7541, B).
DIGITS = {"00000": "0", "00001": "1", "00010": "2", "011001": "3", "011010": "4", "011011": "5", "011100": "6",
          "011101": "7",
          "011110": "8", "011111": "9"}  # fmt: skip


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def number(value, bits, first):
    """An integer with a prefix of so many bits (RFC 7541, 5.1)."""
    most = (1 << bits) - 1
    if value < most:
        return bytes([first | value])
    found, value = bytes([first | most]), value - most
    while value >= 128:
        found, value = found + bytes([value % 128 + 128]), value // 128
    return found + bytes([value])


def block(headers):
    """Each as a literal that is not indexed, without Huffman's code."""
    found = b""
    for name, value in headers:
        for text in (b"\0", name, value):
            if text == b"\0":
                found += text
                continue
            raw = text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")
            found += number(len(raw), 7, 0) + raw
    return found


def status_of(payload):
    """Of a block of headers: `:status` comes first."""
    # Changes of the table's size come before it.
    while payload and payload[0] & 0xE0 == 0x20:
        payload = payload[1:]
    if not payload:
        return 0
    first = payload[0]
    if first & 0x80:
        return STATUSES.get(first & 0x7F, 0)
    # A literal, under the name of an entry of the table, or its own.
    index = first & (0x3F if first & 0x40 else 0x0F)
    rest = payload[1:] if index else payload[2 + (payload[1] & 0x7F) :]
    length, huffman = rest[0] & 0x7F, rest[0] & 0x80
    text = rest[1 : 1 + length]
    if not huffman:
        return int(text) if text.isdigit() else 0
    bits, found = "".join(f"{byte:08b}" for byte in text), ""
    while len(found) < 3:
        for size in (5, 6):
            if bits[:size] in DIGITS:
                found, bits = found + DIGITS[bits[:size]], bits[size:]
                break
        else:
            return 0
    return int(found)


class Client:
    """A connection with prior knowledge."""

    def __init__(self, address, timeout=5.0):
        self.conn, self.stream, self.timeout = Conn(address, timeout), -1, timeout
        self.conn.send(PREFACE + frame(SETTINGS, 0, 0))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.conn.close()

    def headers(self, headers, end=True, flags=END_HEADERS):
        """Opens a stream with these, and returns its number."""
        self.stream += 2
        self.conn.send(frame(HEADERS, flags | (END_STREAM if end else 0), self.stream, block(headers)))
        return self.stream

    def send(self, kind, flags, stream, payload=b""):
        return self.conn.send(frame(kind, flags, stream, payload))

    def frames(self, end):
        """Each frame that comes until `end`, a time, or until the connection is closed."""
        conn = self.conn
        while True:
            while len(conn.buffer) < 9 or len(conn.buffer) < 9 + int.from_bytes(conn.buffer[:3], "big"):
                if not conn.fill(end):
                    return
            size = int.from_bytes(conn.buffer[:3], "big")
            kind, flags, stream = conn.buffer[3], conn.buffer[4], int.from_bytes(conn.buffer[5:9], "big") & 0x7FFFFFFF
            payload, conn.buffer = conn.buffer[9 : 9 + size], conn.buffer[9 + size :]
            if kind == SETTINGS and not flags & ACK:
                self.send(SETTINGS, ACK, 0)
            yield kind, flags, stream, payload

    def status(self, stream):
        """Of the answer on this stream; 0 if it or the connection was ended instead, -1 if nothing came."""
        for kind, _, on, payload in self.frames(time.monotonic() + self.timeout):
            if kind == HEADERS and on == stream:
                status = status_of(payload)
                if status >= 200 or status == 0:
                    return status
            if kind == RST_STREAM and on == stream or kind == GOAWAY:
                return 0
        return 0 if self.conn.over else -1


def pseudo(profile, path, method="GET", authority=None):
    found = [(":method", method), (":scheme", "http"), (":path", path)]
    authority = profile.host if authority is None else authority
    return found + ([(":authority", authority)] if authority else [])


def lines(profile, token=None, cookie=None):
    """What is always needed, and the credential, without Host."""
    found = []
    for line in profile.lines(token, cookie)[1:]:
        name, _, value = line.partition(":")
        found.append((name.lower(), value.strip()))
    return found


def get(profile, path, method="GET", authority=None, more=(), token=None):
    """The status of one request on a connection of its own."""
    try:
        with Client(profile.h2c) as client:
            stream = client.headers(pseudo(profile, path, method, authority) + lines(profile, token) + list(more))
            return client.status(stream)
    except (ConnectionError, socket.timeout):
        return 0
