"""Reads what an upstream received as strictly as RFC 9112 lets anybody: what could be read in two ways is a fault.

A gate may be lenient towards clients, if it must; what it forwards has to be such that no reader, however odd, finds
other requests in it. So this refuses more than a server would: a second Content-Length even if it is the same, any
folding, a control character anywhere.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field


class Fault(Exception):
    """These bytes are not one clear request: where, and why."""


class Incomplete(Exception):
    """The bytes end before the request does."""


@dataclass
class Message:
    """A request as it stood on the wire."""

    method: bytes
    target: bytes
    version: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes = b""
    trailers: list[tuple[bytes, bytes]] = field(default_factory=list)
    raw: bytes = b""
    complete: bool = True

    def all(self, name: bytes) -> list[bytes]:
        return [value for key, value in self.headers if key.lower() == name]


def requests(stream: bytes) -> tuple[list[Message], str]:
    """The requests of one connection, and what is wrong with it; "" if nothing is.

    A last request that is not complete is among them, and says so: a client that breaks off leaves one behind.
    """
    found: list[Message] = []
    at = 0
    while at < len(stream):
        try:
            message, end = request(stream, at)
        except Fault as fault:
            return found, str(fault)
        found.append(message)
        if not message.complete:
            break
        at = end
    return found, ""


def request(stream: bytes, at: int) -> tuple[Message, int]:
    """The request that begins at `at`, and where it ends."""
    begin = at
    try:
        line, at = _line(stream, at)
    except Incomplete:
        return Message(b"", b"", b"", [], raw=stream[begin:], complete=False), len(stream)
    match = REQUEST_LINE.fullmatch(line)
    if not match:
        raise Fault(f"request line {line!r}")
    method, target, version = match.groups()
    message = Message(method, target, version, [])
    if not (target.startswith(b"/") or (target == b"*" and method == b"OPTIONS")):
        raise Fault(f"target {target!r} is not in origin form")
    try:
        message.headers, at = _fields(stream, at)
        framing = _framing(message)
        if framing == "chunked":
            at = _chunked(stream, at, message)
        elif isinstance(framing, int):
            message.body = stream[at : at + framing]
            at += framing
            if len(message.body) < framing:
                raise Incomplete
    except Incomplete:
        message.raw, message.complete = stream[begin:], False
        return message, len(stream)
    message.raw = stream[begin:at]
    return message, at


def _line(stream: bytes, at: int) -> tuple[bytes, int]:
    """Up to CRLF, and nothing else that somebody takes for the end of a line."""
    end = stream.find(b"\n", at)
    line = stream[at:] if end < 0 else stream[at : end + 1]
    bad = NOT_IN_A_LINE.search(line.removesuffix(b"\r\n").removesuffix(b"\r" if end < 0 else b"\r\n"))
    if bad:
        raise Fault(f"{bad.group()!r} in the line {_short(line)}")
    if end < 0:
        raise Incomplete
    if not line.endswith(b"\r\n"):
        raise Fault(f"a bare LF ends the line {_short(line)}")
    return line[:-2], end + 1


def _fields(stream: bytes, at: int) -> tuple[list[tuple[bytes, bytes]], int]:
    fields = []
    while True:
        line, at = _line(stream, at)
        if not line:
            return fields, at
        name, colon, value = line.partition(b":")
        if not colon or not TOKEN.fullmatch(name):
            raise Fault(f"field line {_short(line)}")
        fields.append((name, value.strip(b" \t")))


def _framing(message: Message) -> str | int | None:
    lengths, encodings = message.all(b"content-length"), message.all(b"transfer-encoding")
    hosts = message.all(b"host")
    if len(hosts) != 1 or not HOST.fullmatch(hosts[0]):
        raise Fault(f"Host: {hosts!r}")
    if lengths and encodings:
        raise Fault("Content-Length and Transfer-Encoding")
    if encodings and message.version != b"HTTP/1.1":
        raise Fault(f"Transfer-Encoding in {message.version!r}")
    if encodings:
        if encodings != [b"chunked"]:
            raise Fault(f"Transfer-Encoding: {encodings!r}")
        return "chunked"
    if lengths:
        if len(lengths) != 1 or not LENGTH.fullmatch(lengths[0]) or int(lengths[0]) >= 1 << 63:
            raise Fault(f"Content-Length: {lengths!r}")
        return int(lengths[0])
    nominated = [option.strip().lower() for value in message.all(b"connection") for option in value.split(b",")]
    if set(nominated) & {b"host", b"content-length", b"transfer-encoding", b"authorization"}:
        raise Fault(f"Connection: {nominated!r}")
    return None


def _chunked(stream: bytes, at: int, message: Message) -> int:
    while True:
        line, at = _line(stream, at)
        if not CHUNK.fullmatch(line):
            raise Fault(f"chunk line {_short(line)}")
        size = int(line, 16)
        if size == 0:
            message.trailers, at = _fields(stream, at)
            for name, _ in message.trailers:
                if name.lower() in NEVER_A_TRAILER or name.lower().startswith(b"x-auth-"):
                    raise Fault(f"trailer {name!r}")
            return at
        message.body += stream[at : at + size]
        if len(stream) < at + size + 2:
            raise Incomplete
        if stream[at + size : at + size + 2] != b"\r\n":
            raise Fault(f"{stream[at + size : at + size + 2]!r} after a chunk")
        at += size + 2


def _short(line: bytes) -> str:
    return repr(line if len(line) <= 80 else line[:80] + b"...")


TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
REQUEST_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([\x21-\x22\x24-\x7e\x80-\xff]+) (HTTP/1\.[01])")
# RFC 9110, 4.2.2 and RFC 3986, 3.2.2, without user information: no reader agrees with another about that.
HOST = re.compile(rb"(?:[A-Za-z0-9._~\-!$&'()*+,;=%]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
LENGTH = re.compile(rb"[0-9]{1,19}")
# No extensions either: readers differ in where they end, and they say nothing to an app.
CHUNK = re.compile(rb"[0-9A-Fa-f]{1,16}")
# obs-text (0x80 to 0xff) is left to readers; it divides no lines.
NOT_IN_A_LINE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
NEVER_A_TRAILER = {
    b"content-length",
    b"transfer-encoding",
    b"host",
    b"authorization",
    b"cookie",
    b"trailer",
    b"te",
    b"connection",
    b"x-api-key",
    b"expect",
    b"content-type",
    b"content-encoding",
    b"x-forwarded-for",
    b"x-forwarded-host",
}
