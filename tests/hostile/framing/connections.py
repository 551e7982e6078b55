"""What comes over a connection besides one request: pipelines, upgrades, Expect, and HTTP/2 where HTTP/1 is spoken."""

from __future__ import annotations

from collections.abc import Iterator

from .mutation import EMPTY_POST, NEXT, SENT, SMUGGLED, Mutation, Step, either, get, passes, post, refused, spelled

WEBSOCKET = (
    b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
SETTINGS = b"HTTP2-Settings: AAMAAABkAAQAAP__\r\n"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#: SETTINGS; HEADERS of a GET (static table: GET, http, then :path and :authority as literals would follow).
FRAMES = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00" + b"\x00\x00\x03\x01\x05\x00\x00\x00\x01\x82\x86\x84"
#: A masked WebSocket frame with a request in it, and that with which a client closes.
FRAME = b"\x81\x85\x00\x00\x00\x00hello"

TWICE = get() + get()
REFUSED_FIRST = b"GET /nowhere<PATH> HTTP/1.1\r\nHost: <HOST>\r\n\r\n"
NOWHERE = Step(targets=(b"/nowhere<PATH>",), credential=False)


def pipelines() -> Iterator[Mutation]:
    yield passes("one request", "9.3", get())
    yield passes("one request after another", "9.3", get() + b"<PAUSE>" + get(), Step(), Step())
    yield passes(
        "a POST, then a GET", "9.3", post(b"Content-Length: 5\r\n", b"hello") + b"<PAUSE>" + get(), SENT, Step()
    )
    yield passes(
        "a POST in chunks, then a GET",
        "9.3",
        post(b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n0\r\n\r\n") + b"<PAUSE>" + get(),
        SENT,
        Step(),
    )
    yield passes(
        "HEAD, then a GET", "9.3", get(line=b"HEAD <PATH> HTTP/1.1") + b"<PAUSE>" + get(), Step(b"HEAD"), Step()
    )
    for name, raw, steps in (
        ("two", TWICE, (Step(), Step())),
        ("and one without a credential", get() + SMUGGLED, (Step(), NEXT)),
        ("one without a credential first", SMUGGLED + get(), (NEXT, Step())),
        ("one without a credential between", get() + SMUGGLED + get(), (Step(), NEXT, Step())),
        ("after one that nobody serves", REFUSED_FIRST + SMUGGLED, (NOWHERE, NEXT)),
        ("after a POST", post(b"Content-Length: 5\r\n", b"hello") + SMUGGLED, (SENT, NEXT)),
        ("after a POST without a body", post(b"Content-Length: 0\r\n", b"") + SMUGGLED, (EMPTY_POST, NEXT)),
        ("after chunks", post(b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n0\r\n\r\n") + SMUGGLED, (SENT, NEXT)),
        ("after HEAD", get(line=b"HEAD <PATH> HTTP/1.1") + SMUGGLED, (Step(b"HEAD"), NEXT)),
        ("after OPTIONS", get(line=b"OPTIONS <PATH> HTTP/1.1") + SMUGGLED, (Step(b"OPTIONS"), NEXT)),
        ("after DELETE", get(line=b"DELETE <PATH> HTTP/1.1") + SMUGGLED, (Step(b"DELETE"), NEXT)),
        ("after an empty line", get() + b"\r\n" + SMUGGLED, (Step(), NEXT)),
        ("five", get() * 5, (Step(),) * 5),
        ("a hundred", get() * 100, (Step(),) * 100),
    ):
        yield either(f"pipeline: {name}", "9.3.2", raw, *steps)
    yield either(
        "pipeline: a POST without a credential, whose body is a request with one",
        "9.3.2",
        b"POST <SECRET> HTTP/1.1\r\nHost: <HOST>\r\nContent-Length: <REST>\r\n\r\n" + get(),
        Step(b"POST", targets=(b"<SECRET>",), credential=False, body=get()),
    )
    yield either(
        "pipeline: a POST without a credential, whose chunk is a request",
        "9.3.2",
        b"POST <SECRET> HTTP/1.1\r\nHost: <HOST>\r\nTransfer-Encoding: chunked\r\n\r\n<HEX>\r\n"
        + SMUGGLED
        + b"\r\n0\r\n\r\n",
        Step(b"POST", targets=(b"<SECRET>",), credential=False),
    )
    yield either(
        "pipeline: a refused POST with a body, then a request",
        "9.3.2",
        b"POST <SECRET> HTTP/1.1\r\nHost: <HOST>\r\nContent-Length: 5\r\n\r\nhello" + get(),
        Step(b"POST", targets=(b"<SECRET>",), credential=False),
        Step(),
    )
    yield either(
        "pipeline: a request nobody serves with a body, then one without a credential",
        "9.3.2",
        b"POST /nowhere<PATH> HTTP/1.1\r\nHost: <HOST>\r\nContent-Length: <REST>\r\n\r\n" + SMUGGLED,
        Step(b"POST", targets=(b"/nowhere<PATH>",), credential=False),
    )
    yield either("pipeline: what is no request", "9.3.2", get() + b"hello\r\n\r\n", closes=True)
    yield either("pipeline: bytes of 8 bits", "9.3.2", get() + b"\xff\x00\xff\x00\r\n\r\n", closes=True)
    yield either("pipeline: after Connection: close", "9.6", get(b"Connection: close\r\n") + SMUGGLED, closes=True)
    yield either(
        "pipeline: with a credential, after Connection: close",
        "9.6",
        get(b"Connection: close\r\n") + get(),
        closes=True,
    )
    yield either("pipeline: half of a request", "9.3.2", get() + b"GET <SECRET> HTTP/1.1\r\nHo", closes=True)
    yield refused(
        "pipeline: after a request with two lengths",
        "9.3.2",
        post(b"Content-Length: 5\r\nContent-Length: 6\r\n", b"hello") + SMUGGLED,
        closes=True,
    )
    yield refused(
        "pipeline: with a credential, after a request that is none", "9.3.2", b"GET\r\n\r\n" + get(), closes=True
    )
    yield either(
        "pipeline: after a body that is too long",
        "6.3",
        post(b"Content-Length: 5\r\n", b"hello world\r\n\r\n"),
        SENT,
        closes=True,
    )
    yield either("pipeline: a response", "9.3.2", get() + b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", closes=True)


def upgrades() -> Iterator[Mutation]:
    early = (
        ("and a request", SMUGGLED, (Step(), NEXT)),
        ("and a frame", FRAME, (Step(),)),
        ("and a frame and a request", FRAME + SMUGGLED, (Step(),)),
    )
    yield passes("WebSocket that the app does not take", "RFC 9110, 7.8", get(WEBSOCKET))
    for name, rest, steps in early:
        yield either(f"WebSocket {name}", "RFC 9110, 7.8", get(WEBSOCKET, rest), *steps, closes=len(steps) == 1)
    yield refused(
        "WebSocket with Content-Length", "RFC 9110, 7.8", get(WEBSOCKET + b"Content-Length: <REST>\r\n", SMUGGLED)
    )
    yield refused(
        "WebSocket with Content-Length: 5",
        "RFC 9110, 7.8",
        get(WEBSOCKET + b"Content-Length: 5\r\n", b"hello" + SMUGGLED),
    )
    yield refused(
        "WebSocket with chunks",
        "RFC 9110, 7.8",
        get(WEBSOCKET + b"Transfer-Encoding: chunked\r\n", b"<HEX>\r\n" + SMUGGLED + b"\r\n0\r\n\r\n"),
    )
    yield refused(
        "WebSocket with CL and TE",
        "6.1",
        get(WEBSOCKET + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n" + SMUGGLED),
        closes=True,
    )
    yield either(
        "WebSocket with POST and a body",
        "RFC 9110, 7.8",
        post(WEBSOCKET + b"Content-Length: 5\r\n", b"hello" + SMUGGLED),
        SENT,
        NEXT,
    )
    yield either("WebSocket with POST", "RFC 9110, 7.8", post(WEBSOCKET, SMUGGLED), EMPTY_POST, NEXT)
    yield either(
        "WebSocket in HTTP/1.0", "RFC 9110, 7.8", get(WEBSOCKET, SMUGGLED, line=b"GET <PATH> HTTP/1.0"), closes=True
    )
    yield either(
        "WebSocket with Content-Length: 0",
        "RFC 9110, 7.8",
        get(WEBSOCKET + b"Content-Length: 0\r\n", SMUGGLED),
        Step(),
        NEXT,
    )
    for headers in (
        b"Upgrade: websocket\r\n",
        b"Connection: Upgrade\r\n",
        b"Connection: upgrade\r\nUpgrade: WebSocket\r\n",
        b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 777\r\nSec-WebSocket-Key: x\r\n",
        b"Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n",
        b"Connection: Upgrade\r\nUpgrade: h2c, websocket\r\n",
        b"Connection: Upgrade\r\nUpgrade: websocket/13\r\n",
        b"Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n",
        b"Connection: Upgrade\r\nUpgrade: h2c\r\n",
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n" + SETTINGS,
        b"Connection: Upgrade\r\nUpgrade: h2c\r\n" + SETTINGS,
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n" + SETTINGS + SETTINGS,
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2\r\n" + SETTINGS,
        b"Connection: Upgrade\r\nUpgrade: connect-udp\r\n",
        b"Connection: Upgrade\r\nUpgrade: tus\r\n",
        b"Connection: Upgrade\r\nUpgrade:\r\n",
        b"Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n",
        b"Connection: Upgrade\r\nUpgrade: h2c\r\nUpgrade: websocket\r\n",
        b"Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n",
        b"Connection: close, Upgrade\r\nUpgrade: websocket\r\n",
    ):
        name = spelled(headers[:-2])
        closes = b"close" in headers
        yield either(f"{name}", "RFC 9110, 7.8", get(headers), closes=closes)
        steps = (Step(),) if closes else (Step(), NEXT)
        yield either(f"{name}, and a request", "RFC 9110, 7.8", get(headers, SMUGGLED), *steps, closes=closes)
        yield either(
            f"{name} with a body",
            "RFC 9110, 7.8",
            post(headers + b"Content-Length: 5\r\n", b"hello"),
            SENT,
            closes=closes,
        )
    h2c = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n" + SETTINGS
    yield either("h2c, and the preface", "RFC 7540, 3.2", get(h2c, PREFACE + FRAMES), closes=True)
    yield either(
        "h2c with a body that is a request",
        "RFC 7540, 3.2",
        post(h2c + b"Content-Length: <REST>\r\n", SMUGGLED),
        Step(b"POST", body=SMUGGLED),
    )


def prefaces() -> Iterator[Mutation]:
    yield refused("the preface of HTTP/2, and a request", "RFC 9113, 3.4", PREFACE + get(), closes=True)
    yield refused(
        "the preface of HTTP/2 with Host, and a request",
        "RFC 9113, 3.4",
        b"PRI * HTTP/2.0\r\nHost: <HOST>\r\n<CRED>\r\nSM\r\n\r\n" + SMUGGLED,
        closes=True,
    )
    yield refused(
        "the preface of HTTP/2 as HTTP/1.1, and a request",
        "RFC 9113, 3.4",
        b"PRI * HTTP/1.1\r\nHost: <HOST>\r\n<CRED>\r\nSM\r\n\r\n" + SMUGGLED,
    )
    yield either(
        "the preface of HTTP/2 after a request",
        "RFC 9113, 3.4",
        get() + b"<PAUSE>" + PREFACE + FRAMES,
        Step(),
        Step(b"PRI", credential=False),
        closes=True,
    )
    yield either(
        "the preface of HTTP/2 at the end of a request", "RFC 9113, 3.4", get(rest=PREFACE + FRAMES), closes=True
    )
    yield refused("half of the preface of HTTP/2", "RFC 9113, 3.4", PREFACE[:14], closes=True)
    yield refused("half of the preface of HTTP/2, and a request", "RFC 9113, 3.4", PREFACE[:18] + get(), closes=True)
    yield refused("PRI with a path", "RFC 9113, 3.4", get(line=b"PRI <PATH> HTTP/2.0"), closes=True)
    yield refused(
        "the first byte of a TLS handshake",
        "RFC 9110, 4.2",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 32 + b"\r\n\r\n",
        closes=True,
    )
    yield refused("an SSH client", "RFC 9110, 4.2", b"SSH-2.0-OpenSSH_9.2\r\n\r\n", closes=True)
    yield refused("the PROXY protocol", "RFC 9110, 4.2", b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n" + get(), closes=True)
    yield refused(
        "the PROXY protocol, version 2",
        "RFC 9110, 4.2",
        b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\x0a\x00\x00\x01\x0a\x00\x00\x02\x00\x01\x00\x02" + get(),
        closes=True,
    )


def expectations() -> Iterator[Mutation]:
    expect = b"Expect: 100-continue\r\n"
    yield passes(
        "Expect, and the body after the 100",
        "RFC 9110, 10.1.1",
        post(expect + b"Content-Length: 5\r\n", b"<PAUSE>hello"),
        SENT,
    )
    yield passes(
        "Expect, and the body at once", "RFC 9110, 10.1.1", post(expect + b"Content-Length: 5\r\n", b"hello"), SENT
    )
    yield passes(
        "Expect with chunks",
        "RFC 9110, 10.1.1",
        post(expect + b"Transfer-Encoding: chunked\r\n", b"<PAUSE>5\r\nhello\r\n0\r\n\r\n"),
        SENT,
    )
    yield either(
        "Expect, the body at once and a request",
        "RFC 9110, 10.1.1",
        post(expect + b"Content-Length: 5\r\n", b"hello" + SMUGGLED),
        SENT,
        NEXT,
    )
    yield either(
        "Expect whose body is a request",
        "RFC 9110, 10.1.1",
        post(expect + b"Content-Length: <REST>\r\n", SMUGGLED),
        Step(b"POST", body=SMUGGLED),
    )
    yield either("Expect with GET", "RFC 9110, 10.1.1", get(expect))
    yield either("Expect with GET, and a request", "RFC 9110, 10.1.1", get(expect, SMUGGLED), Step(), NEXT)
    yield either(
        "Expect with Content-Length: 0", "RFC 9110, 10.1.1", post(expect + b"Content-Length: 0\r\n", b""), EMPTY_POST
    )
    yield either(
        "Expect with Content-Length: 0, and a request",
        "RFC 9110, 10.1.1",
        post(expect + b"Content-Length: 0\r\n", SMUGGLED),
        EMPTY_POST,
        NEXT,
    )
    yield either(
        "Expect in HTTP/1.0",
        "RFC 9110, 10.1.1",
        post(expect + b"Content-Length: 5\r\n", b"hello", line=b"POST <PATH> HTTP/1.0"),
        SENT,
    )
    yield refused(
        "Expect, and no body",
        "RFC 9110, 10.1.1",
        post(expect + b"Content-Length: 5\r\n", b""),
        partial=True,
        open_end=True,
    )
    yield refused(
        "Expect with CL and TE",
        "6.1",
        post(expect + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n" + SMUGGLED),
        closes=True,
    )
    yield refused(
        "Expect with WebSocket and a body",
        "RFC 9110, 10.1.1",
        get(WEBSOCKET + expect + b"Content-Length: 5\r\n", b"hello" + SMUGGLED),
    )
    for value in (
        b"100-Continue",
        b"100-continue, 100-continue",
        b"100-continue;x",
        b"100-continue, x",
        b"200-ok",
        b"y 100-continue",
        b"100",
        b"",
        b"x=y;z",
        b"100-continue\r\nExpect: 100-continue",
    ):
        yield either(
            f"Expect: {spelled(value)}",
            "RFC 9110, 10.1.1",
            post(b"Expect: " + value + b"\r\nContent-Length: 5\r\n", b"hello" + SMUGGLED),
            SENT,
            NEXT,
        )
    yield either(
        "Expect without a credential, then the body",
        "RFC 9110, 10.1.1",
        b"POST <SECRET> HTTP/1.1\r\nHost: <HOST>\r\n" + expect + b"Content-Length: <REST>\r\n\r\n<PAUSE>" + SMUGGLED,
        Step(b"POST", targets=(b"<SECRET>",), credential=False),
    )
    yield either(
        "Expect without a credential, and no body but a request",
        "RFC 9110, 10.1.1",
        b"POST <SECRET> HTTP/1.1\r\nHost: <HOST>\r\n" + expect + b"Content-Length: 5\r\n\r\n<PAUSE>" + get(),
        Step(b"POST", targets=(b"<SECRET>",), credential=False),
        closes=True,
    )
