"""Requests of HTTP/2 that are not what they should be, and frames that are out of place (RFC 9113)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hpack import Encoder

from . import frames as f
from .frames import Fields, block, frame, head
from .heads import BAD_TARGETS, ODD_TARGETS
from .mutation import SMUGGLED, Mutation, Step, spelled

#: Fills in templates.
Fill = Callable[[bytes], bytes]
#: Makes the header block of a good request, with more fields.
Made = Callable[..., bytes]


@dataclass(frozen=True)
class Exchange(Mutation):
    """One or more frames; `raw` says what they are, for a report."""

    #: The request is on stream 1; none of them is above 5.
    write: Callable[[Fill], bytes] = bytes
    #: What the app has to see of the headers, or not at all.
    headers: tuple[tuple[bytes, bytes | None], ...] = ()
    #: Instead of the preface and SETTINGS.
    opening: bytes | None = None


CRED = (b"<CRED>", b"")
PSEUDO = (b":method", b":scheme", b":path", b":authority")


def fields(
    method: bytes | None = b"GET",
    scheme: bytes | None = b"<SCHEME>",
    path: bytes | None = b"<PATH>",
    authority: bytes | None = b"<HOST>",
    *more: tuple[bytes, bytes],
) -> Fields:
    values = (method, scheme, path, authority)
    found = [(name, value) for name, value in zip(PSEUDO, values, strict=True) if value is not None]
    return [*found, CRED, *more]


def _one(
    name: str,
    section: str,
    said: Fields,
    kind: str,
    step: Step | None = None,
    body: bytes | None = None,
    closes: bool = False,
    headers: tuple[tuple[bytes, bytes | None], ...] = (),
) -> Exchange:
    """A request with these fields. `kind`: must be refused, may be, or never."""

    def write(fill: Fill) -> bytes:
        filled = _filled(said, fill)
        rest = b"" if body is None else frame(f.DATA, f.END_STREAM, 1, fill(body))
        return head(1, block(filled), end=body is None) + rest

    step = step or Step(b"GET" if body is None else b"POST", body=body or b"")
    return Exchange(
        name,
        f"RFC 9113, {section}",
        b"<CRED>",
        () if kind == "must" else ((step,),),
        kind != "never",
        closes,
        partial=body is not None,
        write=write,
        headers=headers,
    )


def _coded(name: str, said: Fields) -> Exchange:
    """One that has to be refused, with its fields in Huffman's code and in the table."""

    def write(fill: Fill) -> bytes:
        return head(1, Encoder().encode([(key, value) for key, value in _filled(said, fill)], huffman=True))

    return Exchange(name, "RFC 9113, 8.2.1", b"<CRED>", write=write)


def _filled(said: Fields, fill: Fill) -> Fields:
    found = []
    for name, value in said:
        if name == b"<CRED>":
            lines = [line.partition(b":") for line in fill(b"<CRED>").split(b"\r\n") if line]
            found += [(line[0].lower(), line[2].strip()) for line in lines]
        else:
            found.append((fill(name), fill(value)))
    return found


def pseudo() -> Iterator[Exchange]:
    yield _one("plain", "8.3.1", fields(), "never")
    yield _one("plain POST", "8.1", fields(b"POST"), "never", body=b"hello")
    yield _one("POST with content-length", "8.1", [*fields(b"POST"), (b"content-length", b"5")], "never", body=b"hello")
    yield _one(
        "host alone", "8.3.1", [*fields(authority=None), (b"host", b"<HOST>")], "may", headers=((b"host", b"<HOST>"),)
    )
    yield _one("host as :authority", "8.3.1", [*fields(), (b"host", b"<HOST>")], "may", headers=((b"host", b"<HOST>"),))
    for name, said in (
        ("another host", [*fields(), (b"host", b"other.example")]),
        ("another :authority", [*fields(authority=b"other.example"), (b"host", b"<HOST>")]),
        ("an empty host", [*fields(), (b"host", b"")]),
        ("host, and another host", [*fields(), (b"host", b"<HOST>"), (b"host", b"other.example")]),
        ("two hosts and no :authority", [*fields(authority=None), (b"host", b"<HOST>"), (b"host", b"other.example")]),
        ("a host with user information", [*fields(authority=None), (b"host", b"user@<HOST>")]),
        ("no :authority and no host", fields(authority=None)),
        ("an empty :authority", fields(authority=b"")),
        ("an empty :authority with host", [*fields(authority=b""), (b"host", b"<HOST>")]),
        ("two of :authority", [(b":authority", b"<HOST>"), *fields()]),
        ("two of :authority that differ", [(b":authority", b"other.example"), *fields()]),
    ):
        yield _one(name, "8.3.1", said, "must")
    for authority in (
        b"user@<HOST>",
        b"<HOST>/",
        b"<HOST>/x",
        b"<HOST>?x",
        b"<HOST>#x",
        b"<HOST> x",
        b"<HOST>\x00",
        b"<HOST>\r\nX: y",
        b"<HOST>,other",
        b"http://<HOST>",
        b"localhost:99999",
        b"localhost:x",
        b"[::1",
        b"<HOST>\\x",
        b"\xff",
        b"local\thost",
        b"<HOST>@other.example",
        b"local%00host",
    ):
        yield _one(f":authority {spelled(authority)}", "8.3.1", fields(authority=authority), "must")
    for authority in (b"LOCALHOST", b"localhost.", b"localhost:80", b"[::1]:80", b"localhost:", b"local_host"):
        yield _one(f":authority {spelled(authority)}", "8.3.1", fields(authority=authority), "may")
    for at, name in enumerate(PSEUDO[:3]):
        value = fields()[at][1]
        said = [field for field in fields() if field[0] != name]
        yield _one(f"no {name.decode()}", "8.3.1", said, "must")
        yield _one(f"an empty {name.decode()}", "8.3.1", [(name, b""), *said], "must")
        yield _one(f"two of {name.decode()}", "8.3.1", [(name, value), *fields()], "must")
        yield _one(f"{name.decode()} after a field", "8.3", [*said, (b"x-test", b"y"), (name, value)], "must")
        yield _one(
            f"a second {name.decode()} after a field", "8.3", [*fields(), (b"x-test", b"y"), (name, value)], "must"
        )
        for fill in (b"\r\nx: y", b"\n", b"\x00", b" x"):
            changed = [(key, text + fill if key == name else text) for key, text in fields()]
            yield _one(f"{spelled(fill)} in {name.decode()}", "8.3.1", changed, "must")
    for name in (b":status", b":foo", b":", b":Method", b":host", b":protocol", b":path ", b"::path", b":\x00"):
        yield _one(f"{spelled(name)}", "8.3", [(name, b"200"), *fields()], "must")
    yield _one(":status in the middle", "8.3", [*fields()[:2], (b":status", b"200"), *fields()[2:]], "must")
    for scheme in (
        b"ftp",
        b"javascript",
        b"http://<HOST>/x?",
        b"http:",
        b"ht tp",
        b"<SCHEME>/x",
        b"\xff",
        b"1http",
        b"file",
        b"ws",
    ):
        yield _one(
            f":scheme {spelled(scheme)}",
            "8.3.1",
            fields(scheme=scheme),
            "must" if b"/" in scheme or b" " in scheme or b"\xff" in scheme else "may",
        )
    for scheme in (b"https", b"HTTP", b"http", b"HTTPS"):
        yield _one(f":scheme {spelled(scheme)}", "8.3.1", fields(scheme=scheme), "may")
    for method in (b"get", b"GETX", b"M-SEARCH", b"x" * 1000, b"PRI", b"TRACE", b"OPTIONS"):
        yield _one(f":method {spelled(method[:20])} of {len(method)}", "8.3.1", fields(method), "may", Step(method))
    for method in (
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET",
        b"GET ",
        b" GET",
        b"G\tET",
        b"G\xc3\x89T",
        b"GE(T",
        b"GET\x7f",
        b"G,T",
        b'"GET"',
    ):
        yield _one(f":method {spelled(method)}", "8.3.1", fields(method), "must")
    yield _one("CONNECT", "8.5", fields(b"CONNECT", None, None), "must")
    yield _one("CONNECT with :scheme and :path", "8.5", fields(b"CONNECT"), "must")
    yield _one("CONNECT to another host", "8.5", fields(b"CONNECT", None, None, b"127.0.0.1:1"), "must")
    yield _one("CONNECT with DATA", "8.5", fields(b"CONNECT", None, None), "must", body=SMUGGLED)
    for protocol in (b"websocket", b"connect-udp", b"", b"x\r\ny"):
        yield _one(
            f"extended CONNECT {spelled(protocol)}",
            "RFC 8441, 4".removeprefix("RFC "),
            [(b":protocol", protocol), *fields(b"CONNECT")],
            "must",
        )
    yield _one(":protocol with GET", "8.3", [(b":protocol", b"websocket"), *fields()], "must")


def paths() -> Iterator[Exchange]:
    for path in BAD_TARGETS:
        if b"#" in path and path.startswith(b"<PATH>"):
            # The library that reads HTTP/2 for many cuts it off before anybody judges: then that is what has to go on.
            yield _one(
                f":path {spelled(path)}", "8.3.1", fields(path=path), "may", Step(targets=(path.split(b"#")[0],))
            )
            continue
        yield _one(f":path {spelled(path)}", "8.3.1", fields(path=path), "must")
    for path in ODD_TARGETS:
        if len(path) < 20_000:
            name = spelled(path) if len(path) < 60 else f"{spelled(path[:12])}... of {len(path)}"
            yield _one(f":path {name}", "8.3.1", fields(path=path), "may", Step(targets=(path,)))
    for path in (b"http://<HOST><PATH>", b"https://other.example<PATH>", b"http://<HOST>"):
        yield _one(f":path {spelled(path)}", "8.3.1", fields(path=path), "must")
    yield _one("OPTIONS *", "8.3.1", fields(b"OPTIONS", path=b"*"), "may", Step(b"OPTIONS", targets=(b"*",)))
    yield _one("OPTIONS without :path", "8.3.1", fields(b"OPTIONS", path=None), "must")


BAD_NAMES = [
    b"X-Test",
    b"x-Test",
    b"",
    b" x",
    b"x ",
    b"x y",
    b"x\ty",
    b"x\r\ny",
    b"x\ny",
    b"x\ry",
    b"x\x00",
    b"\x00",
    b"x\x7f",
    b"x\xff",
    b"x:",
    b"x:y",
    b"x(",
    b"x,",
    b"x/",
    b"x;",
    b"x=",
    b"x?",
    b"x@",
    b"x[",
    b"x\\",
    b"x{",
    b'x"',
    b"x<",
    b"Host",
    b"Authorization",
    b"Content-Length",
    b"transfer-encoding: chunked\r\nx",
    b"\xc3\xa9",
    b"x\x0b",
    b"host\r\nx",
]
BAD_VALUES = [
    b"a\r\nx-auth-subject: admin",
    b"a\r\n\r\nGET <SECRET> HTTP/1.1\r\nHost: <HOST>\r\n\r\n",
    b"a\nb",
    b"a\rb",
    b"\r\n",
    b"\n",
    b"\r",
    b"a\x00b",
    b"\x00",
    b"a\x00",
    b"a\x01b",
    b"a\x0bb",
    b"a\x0cb",
    b"a\x1bb",
    b"a\x7fb",
    b"a\x08b",
    b"a\r\n b",
]
#: Names that say something of a connection of HTTP/1 (8.2.2).
HOP_BY_HOP = [
    (b"connection", b"close"),
    (b"connection", b"keep-alive"),
    (b"connection", b"x-auth-subject, content-length"),
    (b"connection", b"upgrade"),
    (b"keep-alive", b"timeout=5"),
    (b"proxy-connection", b"keep-alive"),
    (b"transfer-encoding", b"chunked"),
    (b"transfer-encoding", b"identity"),
    (b"transfer-encoding", b"gzip"),
    (b"transfer-encoding", b""),
    (b"upgrade", b"websocket"),
    (b"upgrade", b"h2c"),
    (b"te", b"gzip"),
    (b"te", b"chunked"),
    (b"te", b"trailers, gzip"),
    (b"te", b""),
]


def headers() -> Iterator[Exchange]:
    for name in BAD_NAMES:
        yield _one(f"name {spelled(name)}", "8.2.1", [*fields(), (name, b"y")], "must")
    for value in BAD_VALUES:
        yield _one(f"value {spelled(value)}", "8.2.1", [*fields(), (b"x-test", value)], "must")
        if len(value) < 8:
            yield _one(
                f"value {spelled(value)} with POST",
                "8.2.1",
                [*fields(b"POST"), (b"x-test", value)],
                "must",
                body=b"hello",
            )
    for name in (b"authorization", b"cookie", b"x-api-key", b"host", b"content-length", b"x-forwarded-for"):
        yield _one(f"CRLF in {name.decode()}", "8.2.1", [*fields(), (name, b"a\r\nb: c")], "must")
    for name, value in [*((name, b"y") for name in BAD_NAMES), *((b"x-test", value) for value in BAD_VALUES)]:
        yield _coded(f"in Huffman's code, {spelled(name)}: {spelled(value)}", [*fields(), (name, value)])
    # Malformed by the letter (8.2.1); whoever reads HTTP/1 takes white space away.
    for value in (b" a", b"a ", b"\ta", b"a\t", b" ", b"", b"\xff", b"\xc3\xa9", b"a\tb"):
        yield _one(f"value {spelled(value)!r}", "8.2.1", [*fields(), (b"x-test", value)], "may")
    for name, value in HOP_BY_HOP:
        label = f"{name.decode()}: {value.decode()}"
        yield _one(label, "8.2.2", [*fields(), (name, value)], "must")
        yield _one(
            f"{label} with POST",
            "8.2.2",
            [*fields(b"POST"), (name, value)],
            "must",
            body=b"5\r\nhello\r\n0\r\n\r\n" + SMUGGLED,
        )
    yield _one("te: trailers", "8.2.2", [*fields(), (b"te", b"trailers")], "never")
    yield _one("http2-settings", "8.2.2", [*fields(), (b"http2-settings", b"AAMAAABkAAQAAP__")], "may")
    for count in (2, 3, 10, 100):
        said = [*fields(), *((b"cookie", b"c%d=v" % number) for number in range(count))]
        joined = b"; ".join(b"c%d=v" % number for number in range(count))
        yield _one(
            f"a cookie in {count} pieces",
            "8.2.3",
            said,
            "never" if count <= 10 else "may",
            headers=((b"cookie", joined),),
        )
    for pieces in (
        (b"a=b;", b"c=d"),
        (b"a=b; ", b"c=d"),
        (b"", b"c=d"),
        (b"a=b", b""),
        (b'a="b', b'c"=d'),
        (b"a", b"=b"),
        (b"a=b\r\n", b"c=d"),
    ):
        said = [*fields(), *((b"cookie", piece) for piece in pieces)]
        yield _one(f"a cookie in pieces, {pieces!r}", "8.2.3", said, "may" if b"\r" not in pieces[0] else "must")
    for count in (200, 300, 1000, 5000):
        yield _one(
            f"{count} fields", "10.5.1", [*fields(), *((b"x-%d" % number, b"y") for number in range(count))], "may"
        )
    for size in (8_000, 60_000, 70_000, 1_000_000):
        yield _one(f"a value of {size}", "10.5.1", [*fields(), (b"x-test", b"y" * size)], "may")
    yield _one("authorization twice", "8.3.1", [*fields(), (b"authorization", b"Bearer x")], "must")
    yield _one(
        "what identifies",
        "8.2",
        [*fields(), (b"x-auth-subject", b"admin"), (b"x_auth_subject", b"admin"), (b"x-forwarded-for", b"10.0.0.1")],
        "may",
        headers=((b"x_auth_subject", None),),
    )
    yield _one("expect: 100-continue", "8.1", [*fields(b"POST"), (b"expect", b"100-continue")], "may", body=b"hello")


LENGTHS = [
    b"4",
    b"6",
    b"0",
    b"+5",
    b"-5",
    b"0x5",
    b"5,5",
    b"5, 6",
    b"5 5",
    b"",
    b" ",
    b"5x",
    b"18446744073709551621",
    b"99999999999999999999999",
    b"1e1",
    b"5.0",
    b"\xd9\xa5",
    b"5;",
]


def lengths() -> Iterator[Exchange]:
    for length in LENGTHS:
        if length == b"0":
            continue
        yield _one(
            f"content-length {spelled(length)!r} for 5",
            "8.1.1",
            [*fields(b"POST"), (b"content-length", length)],
            "must",
            body=b"hello",
        )
    for length in (b"5", b"1", b"9223372036854775807", b"x", b"-0"):
        yield _one(
            f"content-length {length.decode()} without a body",
            "8.1.1",
            [*fields(b"POST"), (b"content-length", length)],
            "must",
        )
        yield _one(
            f"content-length {length.decode()} with GET", "8.1.1", [*fields(), (b"content-length", length)], "must"
        )
    yield _one(
        "content-length 0 without a body",
        "8.1.1",
        [*fields(b"POST"), (b"content-length", b"0")],
        "never",
        Step(b"POST"),
    )
    yield _one(
        "content-length twice",
        "8.1.1",
        [*fields(b"POST"), (b"content-length", b"5"), (b"content-length", b"5")],
        "may",
        body=b"hello",
    )
    yield _one(
        "content-length twice, and different",
        "8.1.1",
        [*fields(b"POST"), (b"content-length", b"5"), (b"content-length", b"4")],
        "must",
        body=b"hello",
    )
    # Of these, what was said may have gone on before the rest came; and the rest to nobody.
    for body in (b"hello", SMUGGLED):
        yield _one(
            f"content-length 0 for {len(body)}",
            "8.1.1",
            [*fields(b"POST"), (b"content-length", b"0")],
            "may",
            Step(b"POST"),
            body=body,
        )
    yield _one("a body that is a request", "8.1", fields(b"POST"), "never", body=SMUGGLED)
    yield _one("a body that is a chunk", "8.1", fields(b"POST"), "never", body=b"0\r\n\r\n" + SMUGGLED)
    yield _one("GET with a body", "8.1", fields(), "may", Step(body=SMUGGLED), body=SMUGGLED)


def _written(
    name: str,
    section: str,
    kind: str,
    write: Callable[[Made], bytes],
    step: Step | None = None,
    method: bytes = b"GET",
    **more: object,
) -> Exchange:
    """Frames made of the header block of a good request: `write(made)`, where `made(more fields)` is such a block."""

    def whole(fill: Fill) -> bytes:
        return write(lambda *extra: block(_filled([*fields(method), *extra], fill)))

    return Exchange(
        name,
        f"RFC 9113, {section}",
        b"<CRED>",
        () if kind == "must" else ((step or Step(method),),),
        kind != "never",
        write=whole,
        partial=method == b"POST",
        **more,
    )


def bodies() -> Iterator[Exchange]:
    hello = Step(b"POST", body=b"hello")

    def data(payload: bytes, end: bool = True, flags: int = 0) -> bytes:
        return frame(f.DATA, (f.END_STREAM if end else 0) | flags, 1, payload)

    yield _written(
        "DATA with padding",
        "6.1",
        "never",
        lambda made: head(1, made(), False) + data(b"\x05hello\0\0\0\0\0", flags=f.PADDED),
        hello,
        b"POST",
    )
    yield _written(
        "DATA of padding alone",
        "6.1",
        "never",
        lambda made: head(1, made(), False) + data(b"\x00", False, f.PADDED) * 5 + data(b"hello"),
        hello,
        b"POST",
    )
    yield _written(
        "padding longer than its frame",
        "6.1",
        "must",
        lambda made: head(1, made(), False) + data(b"\x06hello", flags=f.PADDED),
        None,
        b"POST",
    )
    yield _written(
        "empty DATA before the body",
        "6.1",
        "never",
        lambda made: head(1, made(), False) + data(b"", False) * 10 + data(b"hello"),
        hello,
        b"POST",
    )
    yield _written(
        "an empty DATA at the end",
        "6.1",
        "never",
        lambda made: head(1, made(), False) + data(b"hello", False) + data(b""),
        hello,
        b"POST",
    )
    # Written as a chunk, an empty piece is the last one; another last one after it begins a request that nobody made.
    for method in (b"POST", b"GET"):
        yield _written(
            f"{method.decode()} with an empty DATA alone",
            "6.1",
            "never",
            lambda made: head(1, made(), False) + data(b""),
            Step(method),
            method,
        )
    yield _written(
        "DATA of padding alone at the end",
        "6.1",
        "never",
        lambda made: head(1, made(), False) + data(b"hello", False) + data(b"\x03\0\0\0", flags=f.PADDED),
        hello,
        b"POST",
    )
    yield _written(
        "an empty DATA before trailers",
        "8.1",
        "may",
        lambda made: head(1, made(), False) + data(b"hello", False) + data(b"", False) + head(1, block([(b"x", b"y")])),
        hello,
        b"POST",
    )
    yield _written(
        "DATA after the end",
        "5.1",
        "may",
        lambda made: head(1, made(), False) + data(b"hello") + data(b"more"),
        hello,
        b"POST",
    )
    yield _written("DATA after a GET's end", "5.1", "may", lambda made: head(1, made()) + data(SMUGGLED))
    yield _written("HEADERS after the end", "5.1", "may", lambda made: head(1, made()) + head(1, made()))
    yield _written(
        "a body that is reset",
        "6.4",
        "may",
        lambda made: head(1, made(), False) + data(b"hel", False) + frame(f.RST_STREAM, 0, 1, b"\0\0\0\x08"),
        hello,
        b"POST",
        open_end=True,
    )
    # Malformed by the letter are those with pseudo-headers, too; whoever drops all trailers need not look at them.
    for trailer, kind in (
        ([(b"x-trailer", b"1")], "may"),
        ([(b":path", b"/")], "may"),
        ([(b":method", b"GET")], "may"),
        ([(b":status", b"200")], "may"),
        ([(b"X-Trailer", b"1")], "must"),
        ([(b"x-auth-subject", b"admin")], "may"),
        ([(b"authorization", b"Bearer x")], "may"),
        ([(b"content-length", b"50")], "may"),
        ([(b"transfer-encoding", b"chunked")], "must"),
        ([(b"connection", b"close")], "must"),
        ([(b"host", b"other.example")], "may"),
        ([(b"cookie", b"a=b")], "may"),
        ([(b"te", b"gzip")], "must"),
        ([(b"x-trailer", b"a\r\nb: c")], "must"),
        ([(b"x\r\ny", b"1")], "must"),
        ([(b"", b"1")], "must"),
        ([(b"x-forwarded-for", b"10.0.0.1")], "may"),
        ([(b"x-%d" % n, b"y") for n in range(300)], "may"),
        ([(b"x", b"y" * 100_000)], "may"),
    ):
        label = (
            f"trailer {spelled(trailer[0][0])}: {spelled(trailer[0][1][:20])}"
            + (f" and {len(trailer) - 1} more" if len(trailer) > 1 else "")
            + (f" of {len(trailer[0][1])}" if len(trailer[0][1]) > 20 else "")
        )
        yield _written(
            label,
            "8.1",
            kind,
            lambda made, trailer=trailer: head(1, made(), False) + data(b"hello", False) + head(1, block(trailer)),
            hello,
            b"POST",
        )
    yield _written(
        "trailers that do not end",
        "8.1",
        "must",
        lambda made: head(1, made(), False) + data(b"hello", False) + head(1, block([(b"x", b"y")]), False),
        None,
        b"POST",
    )
    yield _written(
        "DATA after trailers",
        "8.1",
        "may",
        lambda made: head(1, made(), False) + data(b"hello", False) + head(1, block([(b"x", b"y")])) + data(SMUGGLED),
        hello,
        b"POST",
    )
    yield _written(
        "trailers twice",
        "8.1",
        "may",
        lambda made: head(1, made(), False) + data(b"hello", False) + head(1, block([(b"x", b"y")])) * 2,
        hello,
        b"POST",
    )
    yield _written(
        "a WebSocket upgrade in trailers",
        "8.1",
        "must",
        lambda made: head(1, made(), False) + data(b"hello", False) + head(1, block([(b"upgrade", b"websocket")])),
        None,
        b"POST",
    )


def _pieces(fields: bytes, count: int, stream: int = 1) -> list[bytes]:
    """A header block in as many frames."""
    size = -(-len(fields) // count)
    found = [
        frame(f.CONTINUATION if at else f.HEADERS, 0 if at else f.END_STREAM, stream, fields[at : at + size])
        for at in range(0, len(fields), size)
    ]
    kind, flags = found[-1][3], found[-1][4]
    found[-1] = frame(kind, flags | f.END_HEADERS, stream, found[-1][9:])
    return found


#: What may stand before or after a request without harm to it, or ends the connection. (section, name, frames)
STRAY = [
    ("6.5", "SETTINGS on a stream", frame(f.SETTINGS, 0, 1)),
    ("6.5", "SETTINGS of 5 bytes", frame(f.SETTINGS, 0, 0, b"\0" * 5)),
    ("6.5", "an acknowledgement with a payload", frame(f.SETTINGS, f.ACK, 0, b"\0" * 6)),
    ("6.5.2", "ENABLE_PUSH of 2", frame(f.SETTINGS, 0, 0, b"\0\x02\0\0\0\x02")),
    ("6.5.2", "a window over 2^31-1", frame(f.SETTINGS, 0, 0, b"\0\x04\x80\0\0\0")),
    ("6.5.2", "MAX_FRAME_SIZE of 0", frame(f.SETTINGS, 0, 0, b"\0\x05\0\0\0\0")),
    ("6.5.2", "MAX_FRAME_SIZE of 2^24", frame(f.SETTINGS, 0, 0, b"\0\x05\x01\0\0\0")),
    ("6.5.2", "a setting that nobody knows", frame(f.SETTINGS, 0, 0, b"\x7f\x7f\0\0\0\x01")),
    ("6.5.2", "HEADER_TABLE_SIZE of 2^32-1", frame(f.SETTINGS, 0, 0, b"\0\x01\xff\xff\xff\xff")),
    ("6.5.2", "HEADER_TABLE_SIZE of 0", frame(f.SETTINGS, 0, 0, b"\0\x01\0\0\0\0")),
    ("6.5.2", "MAX_HEADER_LIST_SIZE of 0", frame(f.SETTINGS, 0, 0, b"\0\x06\0\0\0\0")),
    ("6.5.2", "MAX_CONCURRENT_STREAMS of 0", frame(f.SETTINGS, 0, 0, b"\0\x03\0\0\0\0")),
    ("RFC 8441, 3", "ENABLE_CONNECT_PROTOCOL", frame(f.SETTINGS, 0, 0, b"\0\x08\0\0\0\x01")),
    ("6.7", "PING of 7 bytes", frame(f.PING, 0, 0, b"\0" * 7)),
    ("6.7", "PING on a stream", frame(f.PING, 0, 1, b"\0" * 8)),
    ("6.7", "PING's answer that nobody asked for", frame(f.PING, f.ACK, 0, b"\0" * 8)),
    ("6.4", "RST_STREAM of an idle stream", frame(f.RST_STREAM, 0, 5, b"\0\0\0\x08")),
    ("6.4", "RST_STREAM of 3 bytes", frame(f.RST_STREAM, 0, 1, b"\0\0\0")),
    ("6.4", "RST_STREAM of stream 0", frame(f.RST_STREAM, 0, 0, b"\0\0\0\x08")),
    ("6.9", "WINDOW_UPDATE of 0", frame(f.WINDOW_UPDATE, 0, 0, b"\0\0\0\0")),
    ("6.9", "WINDOW_UPDATE of 3 bytes", frame(f.WINDOW_UPDATE, 0, 0, b"\0\0\x01")),
    ("6.9", "WINDOW_UPDATE of an idle stream", frame(f.WINDOW_UPDATE, 0, 5, b"\0\0\0\x01")),
    ("6.9.1", "windows over 2^31-1", frame(f.WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff") * 2),
    ("6.3", "PRIORITY of 4 bytes", frame(f.PRIORITY, 0, 1, b"\0" * 4)),
    ("6.3", "PRIORITY of stream 0", frame(f.PRIORITY, 0, 0, b"\0" * 5)),
    ("6.3", "PRIORITY of a stream that depends on itself", frame(f.PRIORITY, 0, 1, b"\0\0\0\x01\x10")),
    (
        "6.3",
        "PRIORITY of a circle",
        frame(f.PRIORITY, 0, 1, b"\0\0\0\x03\x10") + frame(f.PRIORITY, 0, 3, b"\0\0\0\x01\x10"),
    ),
    (
        "6.3",
        "PRIORITY of 1,000 idle streams",
        b"".join(frame(f.PRIORITY, 0, 2 * n + 1, b"\0\0\0\0\x10") for n in range(1000)),
    ),
    ("6.6", "PUSH_PROMISE", frame(f.PUSH_PROMISE, f.END_HEADERS, 1, b"\0\0\0\x02\x82")),
    ("6.8", "GOAWAY on a stream", frame(f.GOAWAY, 0, 1, b"\0" * 8)),
    ("6.8", "GOAWAY of 4 bytes", frame(f.GOAWAY, 0, 0, b"\0" * 4)),
    ("6.10", "CONTINUATION of nothing", frame(f.CONTINUATION, f.END_HEADERS, 1, b"\x82")),
    ("6.1", "DATA on an idle stream", frame(f.DATA, f.END_STREAM, 5, SMUGGLED)),
    ("6.1", "DATA on stream 0", frame(f.DATA, 0, 0, b"hello")),
    ("6.2", "HEADERS on stream 0", frame(f.HEADERS, f.END_HEADERS | f.END_STREAM, 0, b"\x82\x86\x84")),
    ("5.1.1", "HEADERS on an even stream", frame(f.HEADERS, f.END_HEADERS | f.END_STREAM, 2, b"\x82\x86\x84")),
    ("5.5", "a frame that nobody knows", frame(0x7F, 0xFF, 0, b"hello")),
    ("5.5", "frames that nobody knows, on a stream", frame(0xEE, 0xFF, 1, b"hello") * 10),
    ("RFC 7838, 4", "ALTSVC", frame(0x0A, 0, 0, b'\0\0h2=":1"')),
    ("4.2", "a frame of 16,385 bytes", frame(f.PING, 0, 0, b"\0" * 16_385)),
    ("4.2", "an unknown frame of 16,385 bytes", frame(0x7F, 0, 0, b"\0" * 16_385)),
    ("4.2", "a frame that says 2^24-1", frame(f.DATA, 0, 1, b"hello", length=(1 << 24) - 1)),
    ("4.3", "a field that no table has", frame(f.HEADERS, f.END_HEADERS | f.END_STREAM, 1, b"\xff\xff\xff\x0f")),
    ("4.3", "a header block that ends in a number", frame(f.HEADERS, f.END_HEADERS | f.END_STREAM, 1, b"\x82\x86\xff")),
    (
        "4.3",
        "a header block that ends in a text",
        frame(f.HEADERS, f.END_HEADERS | f.END_STREAM, 1, b"\x00\x7f\x10abc"),
    ),
    (
        "4.3",
        "a number without an end",
        frame(f.HEADERS, f.END_HEADERS | f.END_STREAM, 1, b"\xff" + b"\x80" * 100 + b"\x01"),
    ),
    (
        "4.3",
        "Huffman's code with its end inside",
        frame(f.HEADERS, f.END_HEADERS | f.END_STREAM, 1, b"\x00\x84\xff\xff\xff\xff\x01y"),
    ),
    (
        "4.3",
        "a table of 2^30",
        frame(f.HEADERS, f.END_HEADERS | f.END_STREAM, 1, b"\x3f\xe1\xff\xff\xff\x03\x82\x86\x84"),
    ),
    ("4.3", "a table's size after a field", frame(f.HEADERS, f.END_HEADERS | f.END_STREAM, 1, b"\x82\x20\x86\x84")),
    ("4.3", "an index of 0", frame(f.HEADERS, f.END_HEADERS | f.END_STREAM, 1, b"\x80")),
    ("3.4", "HTTP/1.1 in between", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("3.4", "a second preface", f.PREFACE),
]


def stray() -> Iterator[Exchange]:
    for section, name, said in STRAY:
        section = section if section.startswith("RFC") else f"RFC 9113, {section}"
        for place, write in (
            ("first", lambda made, said=said: said + head(1, made())),
            ("after a request", lambda made, said=said: head(1, made()) + said),
        ):
            if place == "first" or b"\0\0\0\x01" != said[5:9]:
                made = _written(f"{name}, {place}", "", "may", write)
                yield Exchange(made.name, section, made.raw, made.readings, write=made.write, partial=True)
    yield _written("a block in three frames", "6.10", "never", lambda made: b"".join(_pieces(made(), 3)))
    yield _written("a block byte by byte", "6.10", "may", lambda made: b"".join(_pieces(made(), len(made()))))
    yield _written(
        "an empty block, and the rest",
        "6.10",
        "may",
        lambda made: frame(f.HEADERS, f.END_STREAM, 1) + frame(f.CONTINUATION, f.END_HEADERS, 1, made()),
    )
    for name, between in (
        ("PING", frame(f.PING, 0, 0, b"\0" * 8)),
        ("SETTINGS", frame(f.SETTINGS)),
        ("DATA", frame(f.DATA, 0, 1, b"x")),
        ("an unknown frame", frame(0x7F, 0, 0)),
        ("CONTINUATION of another stream", frame(f.CONTINUATION, 0, 3, b"")),
        ("HEADERS of another stream", frame(f.HEADERS, f.END_STREAM | f.END_HEADERS, 3, b"\x82")),
        ("WINDOW_UPDATE", frame(f.WINDOW_UPDATE, 0, 0, b"\0\0\0\x01")),
        ("RST_STREAM", frame(f.RST_STREAM, 0, 1, b"\0\0\0\x08")),
        ("PRIORITY", frame(f.PRIORITY, 0, 3, b"\0\0\0\0\x10")),
    ):
        yield _written(
            f"{name} within a block", "6.10", "must", lambda made, between=between: between.join(_pieces(made(), 2))
        )
    yield _written(
        "HEADERS without their end, and a request",
        "6.10",
        "must",
        lambda made: frame(f.HEADERS, f.END_STREAM, 1, made()) + head(3, made()),
    )
    yield _written(
        "HEADERS with padding", "6.2", "never", lambda made: frame(f.HEADERS, 0x0D, 1, b"\x03" + made() + b"\0\0\0")
    )
    yield _written(
        "HEADERS with too much padding", "6.2", "must", lambda made: frame(f.HEADERS, 0x0D, 1, b"\xff\x82\x86\x84")
    )
    yield _written(
        "HEADERS with a priority", "6.2", "never", lambda made: frame(f.HEADERS, 0x25, 1, b"\0\0\0\0\x10" + made())
    )
    yield _written(
        "HEADERS that depend on themselves",
        "5.3.1",
        "may",
        lambda made: frame(f.HEADERS, 0x25, 1, b"\0\0\0\x01\x10" + made()),
    )
    yield _written(
        "HEADERS with every flag", "6.2", "may", lambda made: frame(f.HEADERS, 0xFF, 1, b"\x00\0\0\0\0\x10" + made())
    )
    yield _written("a reserved bit", "4.1", "never", lambda made: frame(f.HEADERS, 5, 1 | 1 << 31, made()))
    yield _written(
        "a stream that was passed by", "5.1.1", "may", lambda made: head(5, made()) + head(1, made()), open_end=True
    )
    yield _written("a stream twice", "5.1.1", "may", lambda made: head(1, made()) * 2)
    preface = f.PREFACE + frame(f.SETTINGS)
    for name, opening in (
        ("no SETTINGS", f.PREFACE),
        ("a preface with LF", f.PREFACE.replace(b"\r\n", b"\n") + frame(f.SETTINGS)),
        ("a preface in lower case", preface.lower()),
        ("a preface of HTTP/2.1", preface.replace(b"2.0", b"2.1")),
        ("a preface without SM", b"PRI * HTTP/2.0\r\n\r\n" + frame(f.SETTINGS)),
        ("a preface with a field", preface.replace(b"2.0\r\n", b"2.0\r\nHost: x\r\n")),
        ("a preface twice", f.PREFACE + preface),
        ("no preface", frame(f.SETTINGS)),
        ("an empty line before the preface", b"\r\n" + preface),
        ("PING instead of SETTINGS", f.PREFACE + frame(f.PING, 0, 0, b"\0" * 8)),
        ("an acknowledgement instead of SETTINGS", f.PREFACE + frame(f.SETTINGS, f.ACK)),
    ):
        kind = "may" if opening.startswith(f.PREFACE + b"\0\0") or opening == f.PREFACE else "must"
        yield _written(name, "3.4", kind, lambda made: head(1, made()), opening=opening)
