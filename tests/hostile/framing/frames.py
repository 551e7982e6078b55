"""An HTTP/2 client that sends whatever frames it is told to, and takes note of what comes."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from hpack import Decoder, Encoder
from hpack.exceptions import HPACKError
from hyperframe.exceptions import HyperframeError
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM = ACK = 0x1
END_HEADERS, PADDED, WITH_PRIORITY = 0x4, 0x8, 0x20
Fields = list[tuple[bytes, bytes]]


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"", length: int | None = None) -> bytes:
    """The bytes of a frame; `length` if it is to say another one than it has."""
    size = len(payload) if length is None else length
    return size.to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def literal(name: bytes, value: bytes) -> bytes:
    """A field for a header block, as it is: neither in a table nor in Huffman's code (RFC 7541, 6.2.2)."""
    return b"\x00" + _text(name) + _text(value)


def block(fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    return b"".join(literal(name, value) for name, value in fields)


def _text(data: bytes) -> bytes:
    size = len(data)
    if size < 127:
        return bytes([size]) + data
    size -= 127
    found = b"\x7f"
    while size >= 128:
        found += bytes([size % 128 + 128])
        size //= 128
    return found + bytes([size]) + data


@dataclass
class Stream:
    """What came on one."""

    status: int = 0
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    ended: bool = False
    #: The code of its RST_STREAM.
    reset: int | None = None

    @property
    def over(self) -> bool:
        return self.ended or self.reset is not None


class Link:
    """One connection. Nothing raises because the other side has closed it: that is an answer, too."""

    def __init__(
        self,
        address: str,
        tls: tuple[ssl.SSLContext, str] | None = None,
        timeout: float = 5.0,
        opening: bytes | None = None,
        window: int = 1 << 20,
    ):
        host, _, port = address.rpartition(":")
        self.sock: socket.socket = socket.create_connection((host, int(port)), timeout=timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.sock = tls[0].wrap_socket(self.sock, server_hostname=tls[1])
        self.timeout, self.buffer, self.closed = timeout, b"", False
        self.streams: dict[int, Stream] = {}
        self.goaway: int | None = None
        self.settings: dict[int, int] = {}
        self.pongs = self.acks = 0
        #: All that was sent, up to a size that a report can show.
        self.sent = b""
        self.encoder, self.decoder = Encoder(), Decoder()
        self._headers: bytes = b""
        if opening is None:
            settings = SettingsFrame(0, settings={SettingsFrame.INITIAL_WINDOW_SIZE: window}).serialize()
            opening = PREFACE + settings + frame(WINDOW_UPDATE, 0, 0, window.to_bytes(4, "big"))
        self.send(opening)

    def __enter__(self) -> Link:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def send(self, data: bytes) -> bool:
        """Returns whether it could be sent."""
        self.sent += data[: max(0, 4096 - len(self.sent))]
        try:
            self.sock.settimeout(self.timeout)
            self.sock.sendall(data)
            return True
        except OSError:
            self.closed = True
            return False

    def request(self, stream: int, fields: Fields, end: bool = True) -> bool:
        return self.send(head(stream, block(fields), end))

    def stream(self, number: int) -> Stream:
        return self.streams.setdefault(number, Stream())

    def wait(self, number: int, timeout: float | None = None) -> Stream:
        """Until this stream is over, or the connection, or the time."""
        end = time.monotonic() + (timeout or self.timeout)
        while not self.stream(number).over and not self.closed and self.take(end):
            pass
        return self.stream(number)

    def take(self, end: float) -> bool:
        """Takes note of what comes until `end`, a time; at least one frame. False if there is none."""
        while True:
            if len(self.buffer) >= 9:
                try:
                    got, length = Frame.parse_frame_header(memoryview(self.buffer[:9]))
                    if len(self.buffer) >= 9 + length:
                        got.parse_body(memoryview(self.buffer[9 : 9 + length]))
                        self.buffer = self.buffer[9 + length :]
                        self._note(got)
                        return True
                except (HyperframeError, HPACKError):
                    # An answer in HTTP/1, for one: it has given up on us.
                    self.closed = True
                    return False
            left = end - time.monotonic()
            if left <= 0 or self.closed:
                return False
            try:
                self.sock.settimeout(left)
                data = self.sock.recv(65536)
            except TimeoutError:
                return False
            except OSError:
                data = b""
            self.closed = not data
            self.buffer += data

    def _note(self, got: Frame) -> None:
        at = self.stream(got.stream_id) if got.stream_id else Stream()
        if isinstance(got, SettingsFrame):
            if "ACK" in got.flags:
                self.acks += 1
            else:
                self.settings |= got.settings
                self.send(frame(SETTINGS, ACK))
        elif isinstance(got, PingFrame):
            if "ACK" in got.flags:
                self.pongs += 1
            else:
                self.send(frame(PING, ACK, 0, got.opaque_data))
        elif isinstance(got, HeadersFrame | ContinuationFrame):
            self._headers += got.data
            if "END_HEADERS" in got.flags:
                self._fields(at)
            if "END_STREAM" in got.flags:
                at.ended = True
        elif isinstance(got, DataFrame):
            at.body += got.data
            if "END_STREAM" in got.flags:
                at.ended = True
        elif isinstance(got, RstStreamFrame):
            at.reset = got.error_code
        elif isinstance(got, GoAwayFrame):
            self.goaway = got.error_code
        elif isinstance(got, WindowUpdateFrame):
            pass

    def _fields(self, at: Stream) -> None:
        fields, self._headers = self.decoder.decode(self._headers), b""
        said = [(_str(name), _str(value)) for name, value in fields]
        status = next((value for name, value in said if name == ":status"), None)
        if status and status[0] != "1":
            at.status, at.headers = int(status), said


def head(stream: int, fields: bytes, end: bool = True, flags: int = END_HEADERS) -> bytes:
    """HEADERS, and as many of CONTINUATION as it takes."""
    pieces = [fields[at : at + 16_384] for at in range(0, len(fields), 16_384)] or [b""]
    found = b""
    for number, piece in enumerate(pieces):
        kind = CONTINUATION if number else HEADERS
        last = flags if number == len(pieces) - 1 else flags & ~END_HEADERS
        found += frame(
            kind, (END_STREAM if end and not number else 0) | (last & (END_HEADERS if number else 0xFF)), stream, piece
        )
    return found


def _str(data: bytes | str) -> str:
    return data if isinstance(data, str) else data.decode("latin-1")
