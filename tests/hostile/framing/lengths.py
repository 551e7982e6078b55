"""Where a body ends: Content-Length, Transfer-Encoding, chunks, trailers."""

from __future__ import annotations

from collections.abc import Iterator

from .mutation import EMPTY_POST, NEXT, SENT, SMUGGLED, Mutation, Step, either, get, passes, post, refused, spelled

CHUNKS = b"5\r\nhello\r\n0\r\n\r\n"

#: Lines that are no clear "chunked, and nothing else": for some reader they are, for others they are nothing, or more.
UNCLEAR_ENCODINGS = [
    b"Transfer-Encoding: chunked, identity",
    b"Transfer-Encoding: identity, chunked",
    b"Transfer-Encoding: identity",
    b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding: chunkedx",
    b"Transfer-Encoding: chunk",
    b"Transfer-Encoding: chunked;q=1",
    b"Transfer-Encoding: chunked;",
    b"Transfer-Encoding: chunked, chunked",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: chunked, gzip",
    b"Transfer-Encoding: gzip",
    b'Transfer-Encoding: "chunked"',
    b"Transfer-Encoding: 'chunked'",
    b"Transfer-Encoding: chun ked",
    b"Transfer-Encoding: chunked 5",
    b"Transfer-Encoding:",
    b"Transfer-Encoding: ,",
    b"Transfer-Encoding: \x0bchunked",
    b"Transfer-Encoding: chunked\x0b",
    b"Transfer-Encoding: \x0cchunked",
    b"Transfer-Encoding: chunked\x00",
    b"Transfer-Encoding: \x00chunked",
    b"Transfer-Encoding: chun\x00ked",
    b"Transfer-Encoding: \xffchunked",
    b"Transfer-Encoding: \xa0chunked",
    b"Transfer-Encoding: chun\xe2\x84\xaaed",
    b"Transfer-Encoding: chunked\x7f",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding:\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding : chunked",
    b"Transfer-Encoding\t: chunked",
    b"Transfer-Encoding\x0b: chunked",
    b"Transfer-Encoding\x00: chunked",
    b"Transfer-Encoding\xa0: chunked",
    b"Transfer Encoding: chunked",
    b"Transfer-Encoding chunked",
    b"Transfer-Encoding:\r\n chunked",
    b"Transfer-Encoding:\r\n\tchunked",
    b"Transfer-Encoding: chunked\r\n ",
    b"Transfer-Encoding: chun\r\n ked",
    b"Transfer-Encoding\r\n : chunked",
    b"X: y\nTransfer-Encoding : chunked",
    b"X: y\rTransfer-Encoding: chunked",
    b"X: y\r\n Transfer-Encoding: chunked",
    b"Transfer-Encoding: chunked\rX: y",
    b"\rTransfer-Encoding: chunked",
    b":Transfer-Encoding: chunked",
]

#: Those that are clear: the name and the coding in any case, white space around the value (RFC 9112, 7; RFC 9110, 5.5).
CLEAR_ENCODINGS = [
    b"Transfer-Encoding: chunked",
    b"transfer-encoding:chunked",
    b"TRANSFER-ENCODING: Chunked",
    b"Transfer-Encoding: CHUNKED",
    b"Transfer-Encoding: cHuNkEd",
    b"Transfer-Encoding: \t chunked \t",
]

#: Not a length that every reader reads alike. "{}" is the right one.
UNCLEAR_LENGTHS = [
    b"Content-Length: {}\r\nContent-Length: 6",
    b"Content-Length: 6\r\nContent-Length: {}",
    b"Content-Length: {}\r\nContent-Length: 0",
    b"Content-Length: 0\r\nContent-Length: {}",
    b"Content-Length: {}\r\ncontent-length: 6",
    b"Content-Length: {}\r\nContent-Length: x",
    b"Content-Length: {}, 6",
    b"Content-Length: 6,{}",
    b"Content-Length: {},",
    b"Content-Length: ,{}",
    b"Content-Length: +{}",
    b"Content-Length: -{}",
    b"Content-Length: -0",
    b"Content-Length: -1",
    b"Content-Length: 0x{}",
    b"Content-Length: 0X{}",
    b"Content-Length: 0b1",
    b"Content-Length: 0o5",
    b"Content-Length: 5h",
    b"Content-Length: {}x",
    b"Content-Length: x{}",
    b"Content-Length: {} {}",
    b"Content-Length: {} 6",
    b"Content-Length: {}.0",
    b"Content-Length: {}e0",
    b"Content-Length: {};",
    b"Content-Length: {};x=1",
    b'Content-Length: "{}"',
    b"Content-Length: 1_0",
    b"Content-Length: \xd9\xa5",
    b"Content-Length: \xef\xbc\x95",
    b"Content-Length: \xb2",
    b"Content-Length: \x0b{}",
    b"Content-Length: {}\x0b",
    b"Content-Length: \x0c{}",
    b"Content-Length: {}\x00",
    b"Content-Length: \x00{}",
    b"Content-Length: {}\x7f",
    b"Content-Length: \xa0{}",
    b"Content-Length:",
    b"Content-Length: \t ",
    b"Content-Length: chunked",
    b"Content-Length: NaN",
    b"Content-Length: 18446744073709551615",
    b"Content-Length: 18446744073709551616",
    b"Content-Length: 18446744073709551621",
    b"Content-Length: 9223372036854775808",
    b"Content-Length: 4294967301x",
    b"Content-Length: 100000000000000000000000000000000000005",
    b"Content-Length : {}",
    b"Content-Length\t: {}",
    b"Content-Length\x0b: {}",
    b"Content-Length\x00: {}",
    b"Content-Length\xa0: {}",
    b"Content Length: {}",
    b"Content-Length {}",
    b"Content-Length:\r\n {}",
    b"Content-Length: {}\r\n 0",
    b"Content-Length: {}\r\n\t",
    b"X: y\rContent-Length: {}",
    b"\rContent-Length: {}",
    b"Content-Length: {}\rContent-Length: 0",
]


def encodings() -> Iterator[Mutation]:
    rest = CHUNKS + SMUGGLED
    for line in UNCLEAR_ENCODINGS:
        name = spelled(line)
        yield refused(name, "6.1", post(line + b"\r\n", rest), closes=True)
        for position, headers in (
            ("after Content-Length", b"Content-Length: <REST>\r\n" + line + b"\r\n"),
            ("before Content-Length: 4", line + b"\r\nContent-Length: 4\r\n"),
        ):
            yield refused(f"{name} {position}", "6.3", post(headers, rest), closes=True)
    yield passes(spelled(CLEAR_ENCODINGS[0]), "6.1", post(CLEAR_ENCODINGS[0] + b"\r\n", CHUNKS), SENT)
    for line in CLEAR_ENCODINGS:
        name = spelled(line)
        yield either(f"{name}, and a request", "6.1", post(line + b"\r\n", CHUNKS + SMUGGLED), SENT, NEXT)
        yield either(f"{name} with GET", "6.1", get(line + b"\r\n", CHUNKS + SMUGGLED), Step(body=b"hello"), NEXT)
        # "ought to be handled as an error": the contract has no other answer than 400 for both.
        for position, headers in (
            ("after Content-Length", b"Content-Length: <REST>\r\n" + line + b"\r\n"),
            ("before Content-Length", line + b"\r\nContent-Length: <REST>\r\n"),
            ("after Content-Length: 0", b"Content-Length: 0\r\n" + line + b"\r\n"),
            ("before Content-Length: 4", line + b"\r\nContent-Length: 4\r\n"),
            ("between two of Content-Length", b"Content-Length: 15\r\n" + line + b"\r\nContent-Length: 15\r\n"),
            ("before an invalid Content-Length", line + b"\r\nContent-Length: x\r\n"),
            ("after a Content-Length in lower case", b"content-length:<REST>\r\n" + line + b"\r\n"),
        ):
            yield refused(f"{name} {position}", "6.1", post(headers, rest), closes=True)
        yield refused(
            f"{name} after Content-Length with GET",
            "6.1",
            get(b"Content-Length: <REST>\r\n" + line + b"\r\n", rest),
            closes=True,
        )
        yield refused(
            f"{name} in HTTP/1.0", "6.1", post(line + b"\r\n", rest, line=b"POST <PATH> HTTP/1.0"), closes=True
        )
        yield refused(
            f"{name} in HTTP/1.0 with Content-Length",
            "6.1",
            post(b"Content-Length: 4\r\n" + line + b"\r\n", rest, line=b"POST <PATH> HTTP/1.0"),
            closes=True,
        )
    # A bare LF may end a line (2.2): then this is clear.
    yield either(
        "Transfer-Encoding after a bare LF", "2.2", post(b"X: y\nTransfer-Encoding: chunked\r\n", rest), SENT, NEXT
    )
    yield either("Transfer-Encoding before a bare LF", "2.2", post(b"Transfer-Encoding: chunked\n", rest), SENT, NEXT)
    # Other names: no body then, and the chunks are no requests.
    for line in (
        b"Transfer_Encoding: chunked",
        b"Transfer.Encoding: chunked",
        b"X-Transfer-Encoding: chunked",
        b"TransferEncoding: chunked",
    ):
        yield either(
            f"{spelled(line)}",
            "5.1",
            post(b"Content-Length: <REST>\r\n" + line + b"\r\n", rest),
            Step(b"POST", body=CHUNKS + SMUGGLED),
        )
        yield either(
            f"{spelled(line)} without Content-Length", "6.3", post(line + b"\r\n", rest), EMPTY_POST, closes=True
        )


def content_lengths() -> Iterator[Mutation]:
    for line in UNCLEAR_LENGTHS:
        headers = line.replace(b"{}", b"5") + b"\r\n"
        name = spelled(line.replace(b"{}", b"5"))
        yield refused(name, "6.3", post(headers, b"hello" + SMUGGLED), closes=True)
        yield refused(f"{name} with GET", "6.3", get(headers, b"hello" + SMUGGLED), closes=True)
    for headers, body in (
        (b"Content-Length: 5\r\nContent-Length: 5\r\n", b"hello"),
        (b"Content-Length: 5\r\ncontent-length: 5\r\n", b"hello"),
        (b"Content-Length: 5, 5\r\n", b"hello"),
        (b"Content-Length: 5\r\nX: y\r\nContent-Length: 5\r\n", b"hello"),
        # The grammar has leading zeros; some read them as octal.
        (b"Content-Length: 05\r\n", b"hello"),
        (b"Content-Length: 010\r\n", b"helloworld"),
        (b"Content-Length: " + b"0" * 100 + b"5\r\n", b"hello"),
        (b"Content-Length: 00\r\n", b""),
        (b"Content-Length: 5\nX: y\r\n", b"hello"),
        (b"X: y\nContent-Length: 5\r\n", b"hello"),
    ):
        name = spelled(headers.rstrip(b"\r\n"))
        name = name if len(name) < 80 else name[:70] + "..."
        yield either(name, "6.3", post(headers, body + SMUGGLED), Step(b"POST", body=body), NEXT)
    for headers in (b"Content-Length: 5\r\n", b"content-length:5\r\n", b"CONTENT-LENGTH: \t5 \t\r\n"):
        yield passes(spelled(headers[:-2]), "6.2", post(headers, b"hello"), SENT)
        yield either(f"{spelled(headers[:-2])}, and a request", "9.3.2", post(headers, b"hello" + SMUGGLED), SENT, NEXT)
        yield either(
            f"{spelled(headers[:-2])} with GET", "6.2", get(headers, b"hello" + SMUGGLED), Step(body=b"hello"), NEXT
        )
    for line in (b"Content_Length: 5", b"Content.Length: 5", b"X-Content-Length: 5", b"ContentLength: 5"):
        yield either(f"{line.decode()} is no length", "6.3", post(line + b"\r\n", SMUGGLED), EMPTY_POST, NEXT)
        yield either(
            f"{line.decode()} beside the length",
            "6.3",
            post(b"Content-Length: <REST>\r\n" + line + b"\r\n", SMUGGLED),
            Step(b"POST", body=SMUGGLED),
        )
    yield refused(
        "a Content-Length that never comes",
        "6.3",
        post(b"Content-Length: 9223372036854775807\r\n", b"hello"),
        partial=True,
        open_end=True,
    )
    yield refused(
        "4 GiB and 5 bytes",
        "6.3",
        post(b"Content-Length: 4294967301\r\n", b"hello" + SMUGGLED),
        partial=True,
        open_end=True,
    )


def bodies() -> Iterator[Mutation]:
    yield passes(
        "a request as a body", "6.2", post(b"Content-Length: <REST>\r\n", SMUGGLED), Step(b"POST", body=SMUGGLED)
    )
    yield passes(
        "a request as a chunk",
        "7.1",
        post(b"Transfer-Encoding: chunked\r\n", b"<HEX>\r\n" + SMUGGLED + b"\r\n0\r\n\r\n"),
        Step(b"POST", body=SMUGGLED),
    )
    yield either(
        "a request as the body of GET", "6.2", get(b"Content-Length: <REST>\r\n", SMUGGLED), Step(body=SMUGGLED)
    )
    yield either("no length, and a request", "6.3", post(b"", SMUGGLED), EMPTY_POST, NEXT)
    yield either("Content-Length: 0, and a request", "6.3", post(b"Content-Length: 0\r\n", SMUGGLED), EMPTY_POST, NEXT)
    yield either("CRLF after a body", "2.2", post(b"Content-Length: 5\r\n", b"hello\r\n" + SMUGGLED), SENT, NEXT)
    yield either(
        "no length, and a body that is no request", "6.3", post(b"", b"hello\r\n\r\n"), EMPTY_POST, closes=True
    )
    for rest in (b"hel", b""):
        yield refused(
            f"a body that ends after {len(rest)} of 5",
            "8",
            post(b"Content-Length: 5\r\n", rest),
            partial=True,
            open_end=True,
        )
    yield refused(
        "chunks that end within one",
        "8",
        post(b"Transfer-Encoding: chunked\r\n", b"5\r\nhel"),
        partial=True,
        open_end=True,
    )
    yield refused(
        "chunks without a last one",
        "8",
        post(b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n"),
        partial=True,
        open_end=True,
    )
    yield refused(
        "chunks without the last CRLF",
        "8",
        post(b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n0\r\n"),
        partial=True,
        open_end=True,
    )


#: Chunks that some readers end elsewhere than others.
BROKEN_CHUNKS = {
    "0x before the size": b"0x5\r\nhello\r\n0\r\n\r\n",
    "+ before the size": b"+5\r\nhello\r\n0\r\n\r\n",
    "- before the size": b"-5\r\nhello\r\n0\r\n\r\n",
    "a space before the size": b" 5\r\nhello\r\n0\r\n\r\n",
    "a tab before the size": b"\t5\r\nhello\r\n0\r\n\r\n",
    "a vertical tab before the size": b"\x0b5\r\nhello\r\n0\r\n\r\n",
    "a letter after the size": b"5g\r\nhello\r\n0\r\n\r\n",
    "an underscore in the size": b"0_5\r\nhello\r\n0\r\n\r\n",
    "a comma in the size": b"5,5\r\nhello\r\n0\r\n\r\n",
    "a point in the size": b"5.0\r\nhello\r\n0\r\n\r\n",
    "quotes around the size": b'"5"\r\nhello\r\n0\r\n\r\n',
    "NUL after the size": b"5\x00\r\nhello\r\n0\r\n\r\n",
    "8 bits in the size": b"5\xb2\r\nhello\r\n0\r\n\r\n",
    "no size": b"\r\nhello\r\n0\r\n\r\n",
    "a space for a size": b" \r\nhello\r\n0\r\n\r\n",
    "no size, but an extension": b";a=b\r\nhello\r\n0\r\n\r\n",
    "a size of 2^64+5": b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    "a size of 2^32+5, then 5": b"100000005\r\nhello\r\n0\r\n\r\n",
    "a size of 2^64-1": b"ffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    "a size of 2^64-2, which wraps with CRLF": b"fffffffffffffffe\r\nhello\r\n0\r\n\r\n",
    "a size of 2^63": b"8000000000000000\r\nhello\r\n0\r\n\r\n",
    "a size of 2^63-1": b"7fffffffffffffff\r\nhello\r\n0\r\n\r\n",
    "a size of 40 digits": b"f" * 40 + b"\r\nhello\r\n0\r\n\r\n",
    "no CRLF after the data": b"5\r\nhello0\r\n\r\n",
    "two other bytes after the data": b"5\r\nhelloXX0\r\n\r\n",
    "a space before the CRLF after the data": b"5\r\nhello \r\n0\r\n\r\n",
    "LF CR after the data": b"5\r\nhello\n\r0\r\n\r\n",
    "CR after the data": b"5\r\nhello\r0\r\n\r\n",
    "CR X after the data": b"5\r\nhello\rX0\r\n\r\n",
    "CRLF twice after the data": b"5\r\nhello\r\n\r\n0\r\n\r\n",
    "more data than the size": b"5\r\nhello!\r\n0\r\n\r\n",
    "CR after the size": b"5\rhello\r\n0\r\n\r\n",
    "CR X after the size": b"5\rXhello\r\n0\r\n\r\n",
    "LF CR after the size": b"5\n\rhello\r\n0\r\n\r\n",
    "a last chunk of -0": b"5\r\nhello\r\n-0\r\n\r\n",
    "a last chunk of 0x0": b"5\r\nhello\r\n0x0\r\n\r\n",
    "an extension with a bare CR": b"5;a\rb\r\nhello\r\n0\r\n\r\n",
    "an extension with CR in quotes": b'5;a="\rb"\r\nhello\r\n0\r\n\r\n',
    "an extension with CRLF in quotes": b'5;a="\r\nhello"\r\n0\r\n\r\n',
    "an extension with NUL": b"5;a=\x00\r\nhello\r\n0\r\n\r\n",
}

#: Those that a reader may take (7.1.1; 2.2 on bare LF does not speak of chunks, and readers differ).
ODD_CHUNKS = {
    "leading zeros": b"0005\r\nhello\r\n0\r\n\r\n",
    "a hundred leading zeros": b"0" * 100 + b"5\r\nhello\r\n0\r\n\r\n",
    "a last chunk of 000": b"5\r\nhello\r\n000\r\n\r\n",
    "an extension": b"5;a\r\nhello\r\n0\r\n\r\n",
    "an extension with a value": b"5;a=b\r\nhello\r\n0;c\r\n\r\n",
    "an extension in quotes": b'5;a="b;c"\r\nhello\r\n0\r\n\r\n',
    "an extension with an escape": b'5;a="b\\"c"\r\nhello\r\n0\r\n\r\n',
    "white space around an extension": b"5 ; a = b\r\nhello\r\n0\r\n\r\n",
    "a space after the size": b"5 \r\nhello\r\n0\r\n\r\n",
    "a tab after the size": b"5\t\r\nhello\r\n0\r\n\r\n",
    "an empty extension": b"5;\r\nhello\r\n0\r\n\r\n",
    "two semicolons": b"5;;\r\nhello\r\n0\r\n\r\n",
    "an extension without a name": b"5;=b\r\nhello\r\n0\r\n\r\n",
    "an extension with open quotes": b'5;a="b\r\nhello\r\n0\r\n\r\n',
    "an extension with 8 bits": b"5;a=\xff\r\nhello\r\n0\r\n\r\n",
    "an extension of 1 KiB": b"5;a=" + b"b" * 1024 + b"\r\nhello\r\n0\r\n\r\n",
    "an extension of 100 KiB": b"5;a=" + b"b" * 102_400 + b"\r\nhello\r\n0\r\n\r\n",
    "5 chunks with extensions of 10 KiB": (b"1;a=" + b"b" * 10_240 + b"\r\n%c\r\n") * 5 % tuple(b"hello")
    + b"0\r\n\r\n",
    "an extension with a bare LF": b"5;a\nhello\r\n0\r\n\r\n",
    "LF after the size": b"5\nhello\r\n0\r\n\r\n",
    "LF after the data": b"5\r\nhello\n0\r\n\r\n",
    "LF after the last chunk": b"5\r\nhello\r\n0\n\r\n",
    "LF at the very end": b"5\r\nhello\r\n0\r\n\n",
    "LF everywhere": b"5\nhello\n0\n\n",
    "5 chunks": b"1\r\nh\r\n1\r\ne\r\n1\r\nl\r\n1\r\nl\r\n1\r\no\r\n0\r\n\r\n",
}


def chunks() -> Iterator[Mutation]:
    head = b"Transfer-Encoding: chunked\r\n"
    for name, chunks in BROKEN_CHUNKS.items():
        yield refused(f"chunks: {name}", "7.1", post(head, chunks + SMUGGLED), closes=True, partial=True)
    for name, chunks in ODD_CHUNKS.items():
        yield either(f"chunks: {name}", "7.1", post(head, chunks + SMUGGLED), SENT, NEXT, partial=True)
    # A reader that ends the line of the size at a bare LF finds a request in what another takes for an extension, and
    # the chunk after it.
    hidden = b"<HEX+5>\r\n0\r\n\r\n" + SMUGGLED
    yield refused(
        "chunks: an extension that hides a request",
        "7.1.1",
        post(head, b"2;\nxx\r\n" + hidden + b"\r\n0\r\n\r\n"),
        partial=True,
        closes=True,
    )
    yield refused(
        "chunks: 2 bytes over that hide a request",
        "7.1",
        post(head, b"5\r\nhelloXX" + hidden + b"\r\n0\r\n\r\n"),
        partial=True,
        closes=True,
    )
    yield passes(
        "chunks: upper-case hex", "7.1", post(head, b"A\r\nhelloworld\r\n0\r\n\r\n"), Step(b"POST", body=b"helloworld")
    )
    yield passes("chunks: only the last", "7.1", post(head, b"0\r\n\r\n"), EMPTY_POST)
    yield either(
        "chunks: 10,000 of a byte",
        "7.1",
        post(head, b"1\r\nx\r\n" * 10_000 + b"0\r\n\r\n"),
        Step(b"POST", body=b"x" * 10_000),
        partial=True,
    )


#: Trailers may be dropped; none may get among the headers, or frame anything (6.5.1 of RFC 9110).
TRAILERS = [
    b"X-Trailer: 1",
    b"Content-Length: 50",
    b"Transfer-Encoding: identity",
    b"Transfer-Encoding: chunked",
    b"Host: other.example",
    b"X-Auth-Subject: admin",
    b"X-Auth-Roles: admin",
    b"X_Auth_Subject: admin",
    b"X-Forwarded-For: 10.0.0.1",
    b"Authorization: Bearer x",
    b"X-API-Key: x",
    b"Cookie: a=b",
    b"Connection: close",
    b"Expect: 100-continue",
    b"Trailer: X-Trailer",
    b"X-Trailer: " + b"x" * 1024,
    b"\r\n".join(b"X-%d: y" % number for number in range(100)),
    b"X-Trailer: " + b"x" * 102_400,
    b"\r\n".join(b"X-%d: y" % number for number in range(10_000)),
]

BROKEN_TRAILERS = [
    b"GET <SECRET> HTTP/1.1",
    b"no colon",
    b": no name",
    b"X-Trailer : space",
    b"X-Trailer: a\rb",
    b"X-Trailer: a\x00b",
    b"X-Trailer: a\r\n folded",
    b" X-Trailer: begins with a space",
    b"X\xff: 1",
]


def trailers() -> Iterator[Mutation]:
    for trailer in TRAILERS:
        for announced in (b"", b"Trailer: " + trailer.split(b":")[0] + b"\r\n"):
            if announced and len(trailer) > 100:
                continue
            head = b"Transfer-Encoding: chunked\r\n" + announced
            name = f"trailer {spelled(trailer[:60])}" + (f"... of {len(trailer)}" if len(trailer) > 60 else "")
            yield either(
                name + (", announced" if announced else ""),
                "7.1.2",
                post(head, b"5\r\nhello\r\n0\r\n" + trailer + b"\r\n\r\n" + SMUGGLED),
                SENT,
                NEXT,
                partial=True,
            )
    for trailer in BROKEN_TRAILERS:
        # Some drop what they do not read; they must end where everybody does.
        yield either(
            f"trailer {spelled(trailer)}",
            "7.1.2",
            post(b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n0\r\n" + trailer + b"\r\n\r\n" + SMUGGLED),
            SENT,
            NEXT,
            partial=True,
        )
    yield either(
        "trailer after a bare LF",
        "7.1.2",
        post(b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n0\r\nX: y\n\r\n" + SMUGGLED),
        SENT,
        NEXT,
        partial=True,
    )
