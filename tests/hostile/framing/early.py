"""An app that answers before it has a body: what is left of that body is nobody's request."""

from __future__ import annotations

import contextlib
import re
import socket
import tempfile
import time
from pathlib import Path

from ..check import Case, check
from ..gate import Tollgate
from ..wire import Conn
from . import frames as f
from .floods import App, Target
from .frames import Link, block, frame, head


class Hasty(App):
    """It answers each head at once, with its path, and only then reads the body."""

    def _serve(self, sock: socket.socket) -> None:
        buffer = b""
        with sock, contextlib.suppress(OSError):
            while True:
                while b"\r\n\r\n" not in buffer:
                    got = sock.recv(65536)
                    if not got:
                        return
                    buffer += got
                said, _, buffer = buffer.partition(b"\r\n\r\n")
                path = (said.split(b" ") + [b"", b""])[1]
                sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(path), path))
                length = re.search(rb"(?i)\r\ncontent-length: (\d+)", said)
                while length and len(buffer) < int(length[1]):
                    got = sock.recv(65536)
                    if not got:
                        return
                    buffer += got
                buffer = buffer[int(length[1]) :] if length else buffer


@check(
    "a body that its app did not wait for is never the beginning of another request",
    ("CVE-2025-4366", "Pingora", "left a body in the connection, and read it as a request"),
)
def r16_early_answers(it: Case) -> None:
    it.needs(isinstance(it.control, Tollgate), "its app can't be another one")
    app, gate = Hasty(), it.control
    directory = Path(tempfile.mkdtemp(prefix="early-", dir=gate.directory))
    try:
        with Tollgate(gate.binary, directory, app.address) as gate:
            target = Target.of(gate.profile())
            for name, begin in (
                ("a client that leaves", lambda: _begun(target, "Content-Length: 10", b"hello", leaves=True)),
                ("a client that stays", lambda: _begun(target, "Content-Length: 10", b"hello")),
                ("a client that leaves in chunks", lambda: _begun(target, CHUNKED, b"5\r\nhello\r\n", leaves=True)),
                ("a client that ends too late", lambda: _begun(target, CHUNKED, b"5\r\nhello\r\n", b"0\r\n\r\n")),
                ("a stream that is reset", lambda: _begun_stream(target, frame(f.RST_STREAM, 0, 1, b"\0\0\0\x08"))),
                ("a stream that goes on", lambda: _begun_stream(target, b"")),
                ("a stream that is too short", lambda: _begun_stream(target, frame(f.DATA, f.END_STREAM, 1))),
            ):
                with begin():
                    for number in range(3):
                        path = f"/next-{number}"
                        with Conn(target.address) as conn:
                            conn.send(target.request("Content-Length: 3", method="POST", path=path) + b"abc")
                            answer = conn.read("POST")
                        expected = (target.protected + path).encode()
                        came = f"{answer} {answer.body!r}"
                        it.expect(answer.body == expected, name, "the next request gets its own answer", came)
                        time.sleep(0.02)
    finally:
        app.close()


@contextlib.contextmanager
def _begun(target: Target, length: str, body: bytes, later: bytes = b"", leaves: bool = False):
    with Conn(target.address) as conn:
        conn.send(target.request(length, method="POST") + body)
        conn.read("POST")
        if leaves:
            conn.close()
        conn.send(later)
        yield conn


@contextlib.contextmanager
def _begun_stream(target: Target, later: bytes):
    with Link(target.address) as link:
        fields = block(target.fields((b"content-length", b"10"), method=b"POST"))
        link.send(head(1, fields, False) + frame(f.DATA, 0, 1, b"hello"))
        link.wait(1, 2)
        link.send(later)
        yield link


CHUNKED = "Transfer-Encoding: chunked"
