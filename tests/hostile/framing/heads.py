"""The head of a request: its line, its target, Host, and what a field may look like."""

from __future__ import annotations

from collections.abc import Iterator

from .mutation import NEXT, SENT, SMUGGLED, Mutation, Step, either, get, in_both_forms, post, refused, spelled

#: A request line: "may" be read as the plain one, or "must" be refused. (2.2, 3; RFC 9110, 2.5 on versions)
REQUEST_LINES = [
    (b"GET  <PATH> HTTP/1.1", "may"),
    (b"GET <PATH>  HTTP/1.1", "may"),
    (b"GET\t<PATH> HTTP/1.1", "may"),
    (b"GET <PATH>\tHTTP/1.1", "may"),
    (b"GET\x0b<PATH> HTTP/1.1", "may"),
    (b"GET\x0c<PATH>\x0cHTTP/1.1", "may"),
    (b"GET <PATH> HTTP/1.1 ", "may"),
    (b"GET <PATH> HTTP/1.1\t", "may"),
    (b"GET <PATH> HTTP/1.1\r", "may"),
    (b" GET <PATH> HTTP/1.1", "may"),
    (b"\tGET <PATH> HTTP/1.1", "must"),
    (b"\x00GET <PATH> HTTP/1.1", "must"),
    (b"\xef\xbb\xbfGET <PATH> HTTP/1.1", "must"),
    (b"GET <PATH> HTTP/1.1 HTTP/1.1", "must"),
    (b"GET <PATH> x HTTP/1.1", "must"),
    (b"GET <PATH> HTTP/1.1 x", "must"),
    (b"GET <PATH> HTTP/1.2", "may"),
    (b"GET <PATH> HTTP/1.9", "may"),
    (b"GET <PATH> HTTP/1.10", "must"),
    (b"GET <PATH> HTTP/01.1", "must"),
    (b"GET <PATH> HTTP/1.01", "must"),
    (b"GET <PATH> HTTP/0.9", "must"),
    (b"GET <PATH> HTTP/0.1", "must"),
    (b"GET <PATH> HTTP/2.0", "must"),
    (b"GET <PATH> HTTP/2", "must"),
    (b"GET <PATH> HTTP/3.0", "must"),
    (b"GET <PATH> HTTP/9.9", "must"),
    (b"GET <PATH> HTTP/11", "must"),
    (b"GET <PATH> HTTP/1", "must"),
    (b"GET <PATH> HTTP/1.", "must"),
    (b"GET <PATH> HTTP/.1", "must"),
    (b"GET <PATH> HTTP/1.1x", "must"),
    (b"GET <PATH> HTTP/1.1;", "must"),
    (b"GET <PATH> HTTP/1,1", "must"),
    (b"GET <PATH> HTTP/ 1.1", "must"),
    (b"GET <PATH> HTTP /1.1", "must"),
    (b"GET <PATH> HTTP/-1.1", "must"),
    (b"GET <PATH> HTTP/1.1\x00", "must"),
    (b"GET <PATH> http/1.1", "must"),
    (b"GET <PATH> Http/1.1", "must"),
    (b"GET <PATH> HTTPS/1.1", "must"),
    (b"GET <PATH> HTP/1.1", "must"),
    (b"GET <PATH> ICAP/1.0", "must"),
    (b"GET <PATH> HTTP", "must"),
    (b"GET <PATH> ", "must"),
    (b"GET <PATH>", "must"),
    (b"GET", "must"),
    (b"GET HTTP/1.1", "must"),
    (b"GET  HTTP/1.1", "must"),
    (b"<PATH> HTTP/1.1", "must"),
    (b" <PATH> HTTP/1.1", "must"),
    (b"GET <PATH> HTTP/1.1\rX: y", "must"),
    (b"HTTP/1.1 200 OK", "must"),
]


def request_lines() -> Iterator[Mutation]:
    for line, kind in REQUEST_LINES:
        name = f"line {spelled(line)}"
        if kind == "may":
            yield either(name, "3", get(line=line))
        else:
            yield refused(name, "3", get(line=line, rest=SMUGGLED))
    yield either("line that ends in LF", "2.2", get().replace(b"HTTP/1.1\r\n", b"HTTP/1.1\n"))
    yield refused("line that ends in CR", "2.2", get().replace(b"HTTP/1.1\r\n", b"HTTP/1.1\r"))
    yield refused("line that ends in LF CR", "2.2", get().replace(b"HTTP/1.1\r\n", b"HTTP/1.1\n\r"))
    yield either("LF everywhere", "2.2", get().replace(b"\r\n", b"\n"))
    yield refused("CR everywhere", "2.2", get().replace(b"\r\n", b"\r"))
    yield either("LF at the end of the head", "2.2", get(b"X: y\r\n")[:-2] + b"\n")
    yield either("LF LF at the end of the head", "2.2", get(b"X: y\r\n")[:-4] + b"\n\n")
    yield refused("CR LF CR at the end of the head", "2.2", get(b"X: y\r\n")[:-2] + b"\r")
    yield either("CRLF before the line", "2.2", b"\r\n" + get())
    yield either("LF before the line", "2.2", b"\n" + get())
    yield either("CRLF thrice before the line", "2.2", b"\r\n\r\n\r\n" + get())
    yield either("CRLF 10,000 times before the line", "2.2", b"\r\n" * 10_000 + get())
    yield refused("CR before the line", "2.2", b"\r" + get())
    yield refused("a line of spaces before the line", "2.2", b"  \r\n" + get())
    yield refused("a header before the line", "2.1", b"X: y\r\n" + get())
    yield refused("HTTP/0.9", "RFC 9110, 2.5", b"GET <PATH>\r\n")
    yield refused("HTTP/0.9 with LF", "RFC 9110, 2.5", b"GET <PATH>\n")
    yield refused("HTTP/0.9, and a request", "RFC 9110, 2.5", b"GET <PATH>\r\n" + SMUGGLED)
    yield refused("HTTP/0.9, an empty line and a request", "RFC 9110, 2.5", b"GET <PATH>\r\n\r\n" + SMUGGLED)
    old = b"GET <PATH> HTTP/1.0"
    yield either("HTTP/1.0", "RFC 9110, 2.5", get(line=old))
    yield either("HTTP/1.0 without Host", "3.2", get(line=old, host=b""))
    yield either("HTTP/1.0 with keep-alive", "C.2.2", get(b"Connection: keep-alive\r\n", line=old))
    yield either(
        "HTTP/1.0 with keep-alive, and a request",
        "C.2.2",
        get(b"Connection: keep-alive\r\n", SMUGGLED, line=old),
        Step(),
        NEXT,
    )
    yield either("HTTP/1.0, and a request", "9.3", get(rest=SMUGGLED, line=old), closes=True)
    yield either(
        "HTTP/1.0 with a body", "6.3", post(b"Content-Length: 5\r\n", b"hello", line=b"POST <PATH> HTTP/1.0"), SENT
    )
    yield either(
        "HTTP/1.0 with a body and more",
        "6.3",
        post(b"Content-Length: 5\r\n", b"hello" + SMUGGLED, line=b"POST <PATH> HTTP/1.0"),
        SENT,
    )
    yield either(
        "HTTP/1.0 with a body without a length",
        "6.3",
        post(b"", b"hello\r\n\r\n", line=b"POST <PATH> HTTP/1.0"),
        Step(b"POST"),
        closes=True,
    )
    yield either(
        "HTTP/1.0 with two Content-Lengths",
        "6.3",
        post(b"Content-Length: 5\r\nContent-Length: 5\r\n", b"hello", line=b"POST <PATH> HTTP/1.0"),
        SENT,
    )


#: (method, whether it may be forwarded as it is)
METHODS = [
    (b"get", True),
    (b"Get", True),
    (b"GETX", True),
    (b"FROBNICATE", True),
    (b"QUERY", True),
    (b"M-SEARCH", True),
    (b"PROPFIND", True),
    (b"DELETE", True),
    (b"OPTIONS", True),
    (b"PATCH", True),
    (b"!#$%&'*+-.^_`|~", True),
    (b"x" * 1000, True),
    (b"x" * 70_000, True),
    (b"G ET", False),
    (b"GET\x00", False),
    (b"GE\x00T", False),
    (b"GET\x7f", False),
    (b"G\xc3\x89T", False),
    (b"GE(T", False),
    (b"GET,", False),
    (b"GET:", False),
    (b"GET;", False),
    (b'"GET"', False),
    (b"{GET}", False),
    (b"[GET]", False),
    (b"GET/", False),
    (b"GET@", False),
    (b"G\rET", False),
    (b"<GET>", False),
    (b"GET=", False),
    (b"GET?", False),
    (b"GE\\T", False),
    (b"CONNECT", False),
    (b"PRI", True),
]


def methods() -> Iterator[Mutation]:
    for method, may in METHODS:
        name = f"method {spelled(method)}" if len(method) < 40 else f"method of {len(method)}"
        line = method + b" <PATH> HTTP/1.1"
        if may:
            yield either(name, "3.1", get(line=line), Step(method))
        else:
            yield refused(name, "3.1", get(line=line))
    yield either("TRACE", "RFC 9110, 9.3.8", get(line=b"TRACE <PATH> HTTP/1.1"), Step(b"TRACE"))
    yield either(
        "TRACE with a body",
        "RFC 9110, 9.3.8",
        get(b"Content-Length: 5\r\n", b"hello", line=b"TRACE <PATH> HTTP/1.1"),
        Step(b"TRACE", body=b"hello"),
    )
    yield refused("CONNECT host:port", "3.2.3", get(line=b"CONNECT <HOST> HTTP/1.1", rest=SMUGGLED), closes=True)
    yield refused(
        "CONNECT another host", "3.2.3", get(line=b"CONNECT 127.0.0.1:1 HTTP/1.1", rest=SMUGGLED), closes=True
    )
    yield refused(
        "CONNECT with Content-Length",
        "RFC 9110, 9.3.6",
        get(b"Content-Length: <REST>\r\n", line=b"CONNECT <HOST> HTTP/1.1", rest=SMUGGLED),
    )
    yield refused(
        "CONNECT with Upgrade",
        "RFC 9110, 9.3.6",
        get(b"Connection: Upgrade\r\nUpgrade: websocket\r\n", line=b"CONNECT <HOST> HTTP/1.1", rest=SMUGGLED),
    )
    yield refused("CONNECT http://", "3.2.3", get(line=b"CONNECT http://<HOST><PATH> HTTP/1.1"))
    yield refused("CONNECT in HTTP/1.0", "3.2.3", get(line=b"CONNECT <HOST> HTTP/1.0", rest=SMUGGLED))
    for override in (b"X-HTTP-Method-Override: DELETE\r\n", b"X-HTTP-Method: PUT\r\n", b"X-Method-Override: TRACE\r\n"):
        yield either(spelled(override[:-2]), "RFC 9110, 9", post(override + b"Content-Length: 5\r\n", b"hello"), SENT)


#: Targets that have to be refused: no reader of them is like another. (3.2, and R8, R9)
BAD_TARGETS = [
    b"<PATH>#fragment",
    b"#",
    b"<PATH>#",
    b"<PATH>?a#b",
    b"<PATH> x",
    b"<PATH>\x00",
    b"<PATH>%00",
    b"<PATH>%0a",
    b"<PATH>%0d%0aX:%20y",
    b"<PATH>%2fx",
    b"<PATH>%2Fx",
    b"<PATH>%5cx",
    b"<PATH>\\x",
    b"<PATH>/../x",
    b"<PATH>/./x",
    b"<PATH>/..",
    b"<PATH>/%2e%2e/x",
    b"<PATH>/.%2E/x",
    b"<PATH>//x",
    b"/<PATH>",
    b"<PATH>%",
    b"<PATH>%2",
    b"<PATH>%zz",
    b"<PATH>%u002f",
    b"<PATH>%252e",
    b"<PATH>%25%32%65",
    b"<PATH>%c0%af",
    b"<PATH>%ff",
    b"<PATH>/..;/x",
    b"<PATH>\x7f",
    b"<PATH>\x01",
    b"<PATH>\tx",
    b"<PATH>\x0bx",
    b"<PATH>\rx",
    b"<PATH>\xff",
    b"<PATH>\xc3\xa9",
    b"<PATH>?\x00",
    b"<PATH>?a\tb",
    b"x<PATH>",
    b"?<PATH>",
    b"./x",
    b"../x",
    b"*<PATH>",
    b"\\\\other<PATH>",
    b"//other.example<PATH>",
    b"http:<PATH>",
    b"http:/<PATH>",
    b"http://",
    b"http:///x",
    b"://<HOST><PATH>",
    b"<HOST>",
    b"<HOST><PATH>",
    b"[::1]<PATH>",
    b"*",
    b"**",
    b"/<PATH>/",
    b"javascript:alert(1)",
    b"file:///etc/passwd",
    b"%2f",
    b'"<PATH>"',
    b"'<PATH>'",
    b"<PATH>\xa0",
]

#: Those that may pass as they are.
ODD_TARGETS = [
    b"<PATH>?",
    b"<PATH>??",
    b"<PATH>?a=b&a=c",
    b"<PATH>?a=%00",
    b"<PATH>?x=%0d%0aHost:x",
    b"<PATH>?a=http://x/../y",
    b"<PATH>;a=b",
    b"<PATH>/",
    b"<PATH>/a:b@c",
    b"<PATH>/{a}|^`",
    b'<PATH>"x',
    b"<PATH>/%41",
    b"<PATH>/%c3%a9",
    b'<PATH>?a="b',
    b"<PATH>?a|b",
    b"<PATH>/...",
    b"<PATH>/~",
    b"<PATH>?/../x",
    b"<PATH>/$&'()*+,=",
    b"<PATH>/%25",
    b"<PATH>/-.-",
    b"<PATH>/HTTP/1.1",
    b"<PATH>?a%20HTTP/1.1",
    b"<PATH>/" + b"x" * 4000,
    b"<PATH>?" + b"x" * 16_000,
    b"<PATH>/" + b"x" * 60_000,
    b"<PATH>/" + b"x" * 70_000,
    b"<PATH>/" + b"a/" * 3000 + b"b",
]


def targets() -> Iterator[Mutation]:
    for target in BAD_TARGETS:
        yield refused(f"target {spelled(target)}", "3.2", get(line=b"GET " + target + b" HTTP/1.1"))
    for target in ODD_TARGETS:
        name = spelled(target) if len(target) < 60 else f"{spelled(target[:12])}... of {len(target)}"
        yield either(f"target {name}", "3.2.1", get(line=b"GET " + target + b" HTTP/1.1"), Step(targets=(target,)))
    # To be taken by every server (3.2.2); the contract takes origin form only. What a proxy makes of it has to be this.
    for target, steps in (
        (b"http://<HOST><PATH>", (Step(targets=(b"<PATH>", b"http://<HOST><PATH>")),)),
        (b"HTTP://<HOST><PATH>", (Step(targets=(b"<PATH>", b"HTTP://<HOST><PATH>")),)),
        (b"http://<HOST>", (Step(targets=(b"/",)),)),
        (b"http://<HOST>?<PATH>", (Step(targets=(b"/?<PATH>",)),)),
        (b"https://<HOST><PATH>", (Step(targets=(b"<PATH>",)),)),
    ):
        yield either(f"target {spelled(target)}", "3.2.2", get(line=b"GET " + target + b" HTTP/1.1"), *steps)
    for target in (
        b"http://other.example<PATH>",
        b"http://user@<HOST><PATH>",
        b"http://user:password@<HOST><PATH>",
        b"http://<HOST>@other.example<PATH>",
        b"ftp://<HOST><PATH>",
        b"http://<HOST>\\@other.example<PATH>",
        b"http://<HOST>#@other.example<PATH>",
        b"http://<HOST>%00<PATH>",
        b"http:\\\\<HOST><PATH>",
        b"http://<HOST>:99999<PATH>",
        b"http://[::1<PATH>",
        b"http://<HOST>,other<PATH>",
    ):
        yield refused(f"target {spelled(target)}", "3.2.2", get(line=b"GET " + target + b" HTTP/1.1"))
    yield refused(
        "target in absolute form, without Host", "3.2", get(line=b"GET http://<HOST><PATH> HTTP/1.1", host=b"")
    )
    yield refused(
        "target in absolute form, with another Host",
        "3.2.2",
        get(line=b"GET http://<HOST><PATH> HTTP/1.1", host=b"Host: other.example\r\n"),
    )
    yield refused("POST *", "3.2.4", post(b"Content-Length: 5\r\n", b"hello", line=b"POST * HTTP/1.1"))
    yield either("OPTIONS *", "3.2.4", get(line=b"OPTIONS * HTTP/1.1"), Step(b"OPTIONS", targets=(b"*",)))
    yield refused("OPTIONS **", "3.2.4", get(line=b"OPTIONS ** HTTP/1.1"))


BAD_HOSTS = [
    b"",
    b"Host: <HOST>\r\nHost: <HOST>\r\n",
    b"Host: <HOST>\r\nHost: other.example\r\n",
    b"Host: other.example\r\nHost: <HOST>\r\n",
    b"Host: <HOST>\r\nhost: other.example\r\n",
    b"Host: <HOST>\r\nHost:\r\n",
    b"Host:\r\nHost: <HOST>\r\n",
    b"Host: <HOST>\r\nX: y\r\nHost: <HOST>\r\n",
    b"Host: <HOST>, other.example\r\n",
    b"Host: <HOST> other.example\r\n",
    b"Host: <HOST>\tother.example\r\n",
    b"Host: user@<HOST>\r\n",
    b"Host: user:password@<HOST>\r\n",
    b"Host: <HOST>@other.example\r\n",
    b"Host: <HOST>/\r\n",
    b"Host: <HOST>/x\r\n",
    b"Host: <HOST>?x\r\n",
    b"Host: <HOST>#x\r\n",
    b"Host: http://<HOST>\r\n",
    b"Host: <HOST>\\x\r\n",
    b"Host: localhost:x\r\n",
    b"Host: localhost:99999\r\n",
    b"Host: localhost:-1\r\n",
    b"Host: localhost:80:80\r\n",
    b"Host: localhost:+80\r\n",
    b"Host: localhost:0x50\r\n",
    b"Host: localhost: 80\r\n",
    b"Host: [::1\r\n",
    b"Host: ::1\r\n",
    b"Host: [::1]x\r\n",
    b"Host: [zz]\r\n",
    b"Host: local\x00host\r\n",
    b"Host: <HOST>\x00\r\n",
    b"Host: <HOST>\x0b\r\n",
    b"Host: \x0b<HOST>\r\n",
    b"Host: <HOST>\x7f\r\n",
    b"Host: local\xffhost\r\n",
    b"Host: \xc3\xa9.example\r\n",
    b"Host: local<host>\r\n",
    b'Host: "localhost"\r\n',
    b"Host: local{host}\r\n",
    b"Host: local|host\r\n",
    b"Host: local^host\r\n",
    b"Host: local`host\r\n",
    b"Host : <HOST>\r\n",
    b"Host\t: <HOST>\r\n",
    b"Host\x00: <HOST>\r\n",
    b" Host: <HOST>\r\n",
    b"Host\r\n",
    b"Host <HOST>\r\n",
    b"Host: local%00host\r\n",
    b"Host: local%zzhost\r\n",
    b"Host: <HOST>\r\nHost : other.example\r\n",
    b"Host: <HOST>\r\n Host: other.example\r\n",
    b"Host: <HOST>\rHost: other.example\r\n",
    b"H\xc3\xb6st: <HOST>\r\n",
]
ODD_HOSTS = [
    b"host:<HOST>\r\n",
    b"HOST: \t<HOST> \t\r\n",
    b"Host: <HOST>\n",
    b"Host: LOCALHOST\r\n",
    b"Host: localhost.\r\n",
    b"Host: localhost:80\r\n",
    b"Host: local_host\r\n",
    b"Host: [::1]\r\n",
    b"Host: [::1]:80\r\n",
    b"Host: localhost:00080\r\n",
    b"Host: xn--bcher-kva.example\r\n",
    b"Host: 127.1\r\n",
    b"Host: 2130706433\r\n",
    b"Host: local!$&'()*+;=host\r\n",
    b"Host: -\r\n",
    b"Host: " + b"a" * 255 + b"\r\n",
    b"Host: " + b"a." * 1000 + b"a\r\n",
    b"Host: local%68ost\r\n",
    b"Host: localhost:0\r\n",
    b"X-Host: other.example\r\nHost: <HOST>\r\nX-Forwarded-Host: other.example\r\n",
    b"Host_: other\r\nHost: <HOST>\r\n",
    b"Host: <HOST>\r\nForwarded: host=other.example\r\n",
]


def hosts() -> Iterator[Mutation]:
    for host in BAD_HOSTS:
        name = f"host {spelled(host[:-2])}"
        yield refused(name, "3.2", get(host=host))
        yield refused(f"{name} (POST)", "3.2", post(b"Content-Length: 5\r\n", b"hello", host=host))
    for host in ODD_HOSTS:
        name = spelled(host[:-2]) if len(host) < 100 else f"of {len(host)}"
        yield from in_both_forms(f"host {name}", "3.2", b"", "may", host=host)
    # Empty ones are valid (3.2) for a target without an authority, which http has none of.
    for host in (
        b"Host:\r\n",
        b"Host: \t\r\n",
        b"Host: :80\r\n",
        b"Host: .\r\n",
        b"Host: localhost:\r\n",
        b"Host:\r\n <HOST>\r\n",
        b"Host: <HOST>\r\n \r\n",
    ):
        yield either(f"host {spelled(host[:-2])}", "3.2", get(host=host))


#: Header blocks, and whether they "must" be refused, "may" be, or "never". (5; RFC 9110, 5)
FIELDS: list[tuple[str, str, bytes, str]] = [
    ("5.1", "a space before the colon", b"X-Test : y\r\n", "must"),
    ("5.1", "a tab before the colon", b"X-Test\t: y\r\n", "must"),
    ("5.1", "two spaces before the colon", b"X-Test  : y\r\n", "must"),
    ("5.1", "a space within the name", b"X Test: y\r\n", "must"),
    ("5", "a line without a colon", b"X-Test\r\n", "must"),
    ("5", "a request line among the fields", b"GET / HTTP/1.1\r\n", "must"),
    ("5", "no name", b": y\r\n", "must"),
    ("5", "only a colon", b":\r\n", "must"),
    ("5", "a name in two lines", b"X-\r\nTest: y\r\n", "must"),
    ("5.2", "a folded value", b"X-Test: a\r\n b\r\n", "may"),
    ("5.2", "a value folded with a tab", b"X-Test: a\r\n\tb\r\n", "may"),
    ("5.2", "a value folded twice", b"X-Test: a\r\n b\r\n c\r\n", "may"),
    ("5.2", "a value folded before its beginning", b"X-Test:\r\n b\r\n", "may"),
    ("5.2", "a value folded into an empty line", b"X-Test: a\r\n \r\n", "may"),
    ("5.2", "a value folded with LF", b"X-Test: a\n b\r\n", "may"),
    ("5.2", "a field that looks like another's fold", b"X-Test: a\r\n X-Auth-Subject: admin\r\n", "may"),
    ("5.2", "a folded Authorization", b"Authorization: Bearer\r\n x\r\n", "may"),
    ("5.2", "a folded X-API-Key", b"X-API-Key: a\r\n b\r\n", "may"),
    ("5.2", "a folded Cookie", b"Cookie: a=b;\r\n c=d\r\n", "may"),
    ("5.2", "a folded Connection", b"Connection: close,\r\n x-test\r\n", "may"),
    ("5.2", "a folded Expect", b"Expect:\r\n 100-continue\r\n", "may"),
    ("5.2", "a folded Upgrade", b"Connection: Upgrade\r\nUpgrade:\r\n websocket\r\n", "may"),
    ("2.2", "a bare LF after a field", b"X-Test: y\n", "may"),
    ("2.2", "a bare LF within a value", b"X-Test: a\nb\r\n", "must"),
    ("2.2", "a bare CR after a field", b"X-Test: y\rX-Other: z\r\n", "must"),
    ("2.2", "a bare CR at the end of a value", b"X-Test: y\r\r\n", "may"),
    ("2.2", "a bare CR at the beginning of a line", b"\rX-Test: y\r\n", "must"),
    ("2.2", "a bare CR within a name", b"X-\rTest: y\r\n", "must"),
    ("2.2", "a bare CR and an empty line", b"X-Test: y\r\r\n\r", "must"),
    ("RFC 9110, 5.5", "NUL in a value", b"X-Test: a\x00b\r\n", "must"),
    ("RFC 9110, 5.5", "NUL at the beginning of a value", b"X-Test: \x00a\r\n", "must"),
    ("RFC 9110, 5.5", "NUL at the end of a value", b"X-Test: a\x00\r\n", "must"),
    ("RFC 9110, 5.5", "a NUL between two fields", b"X-Test: a\r\n\x00\r\n", "must"),
    ("RFC 9110, 5.5", "8 bits in a value", b"X-Test: \xff\xfe\r\n", "may"),
    ("RFC 9110, 5.5", "UTF-8 in a value", b"X-Test: \xc3\xa9\r\n", "may"),
    ("RFC 9110, 5.5", "a tab in a value", b"X-Test: a\tb\r\n", "may"),
    ("RFC 9110, 5.5", "an empty value", b"X-Test:\r\n", "may"),
    ("RFC 9110, 5.5", "a value of white space", b"X-Test: \t \r\n", "may"),
    ("RFC 9110, 5.1", "every character of a token", b"!#$%&'*+-.^_`|~0aZ: y\r\n", "may"),
    ("RFC 9110, 5.1", "a name of 1,000", b"X" * 1000 + b": y\r\n", "may"),
    ("RFC 9110, 5.1", "a name of 70,000", b"X" * 70_000 + b": y\r\n", "may"),
    ("2.2", "white space before the first field", b"", "first"),
    ("RFC 9110, 7.6.1", "Connection names Content-Length", b"Connection: Content-Length\r\n", "may"),
    (
        "RFC 9110, 7.6.1",
        "Connection names Content-Length and more",
        b"Connection: keep-alive, content-length\r\n",
        "may",
    ),
    ("RFC 9110, 7.6.1", "Connection names Transfer-Encoding", b"Connection: Transfer-Encoding\r\n", "may"),
    ("RFC 9110, 7.6.1", "Connection names Host", b"Connection: Host\r\n", "may"),
    (
        "RFC 9110, 7.6.1",
        "Connection names what identifies",
        b"Connection: X-Auth-Subject, X-Forwarded-For, Authorization\r\n",
        "may",
    ),
    (
        "RFC 9110, 7.6.1",
        "Connection names a hundred",
        b"Connection: " + b",".join(b"x-%d" % n for n in range(100)) + b"\r\n",
        "may",
    ),
    ("RFC 9110, 7.6.1", "Connection is empty", b"Connection:\r\n", "may"),
    ("RFC 9110, 7.6.1", "Connection is commas", b"Connection: ,,,\r\n", "may"),
    ("RFC 9110, 7.6.1", "Connection is no list", b'Connection: "close\r\n', "may"),
    ("9.6", "Connection: close, keep-alive", b"Connection: close, keep-alive\r\n", "may"),
    ("9.6", "Connection twice", b"Connection: keep-alive\r\nConnection: close\r\n", "may"),
    ("C.2.2", "Proxy-Connection", b"Proxy-Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n", "may"),
    ("7.4", "TE: trailers", b"TE: trailers\r\nConnection: TE\r\n", "may"),
    ("7.4", "TE: chunked, gzip", b"TE: chunked, gzip;q=0.5\r\n", "may"),
    ("RFC 9110, 6.6.2", "Trailer: Content-Length", b"Trailer: Content-Length\r\n", "may"),
    ("RFC 9110, 7.6.2", "Max-Forwards: 0", b"Max-Forwards: 0\r\n", "may"),
    ("RFC 9110, 7.6.2", "Max-Forwards: -1", b"Max-Forwards: -1\r\n", "may"),
    (
        "RFC 9110, 14.2",
        "a Range of 10,000",
        b"Range: bytes=" + b",".join(b"%d-%d" % (n, n) for n in range(10_000)) + b"\r\n",
        "may",
    ),
    ("RFC 9110, 8.4", "Content-Encoding", b"Content-Encoding: chunked\r\n", "may"),
    ("RFC 9110, 8.3", "a boundary with CR", b'Content-Type: multipart/form-data; boundary="a\rb"\r\n', "must"),
]
NOT_IN_NAMES = b'"(),/;<=>?@[\\]{}\x01\x07\x08\x0b\x0c\x1b\x1f\x7f\x80\xa0\xff\x00'
#: May be kept where it is safe (RFC 9110, 5.5), and a line is no such place.
CONTROLS_IN_VALUES = b"\x01\x07\x08\x0b\x0c\x0e\x1b\x1f\x7f"


def fields() -> Iterator[Mutation]:
    for section, name, headers, kind in FIELDS:
        if kind != "first":
            yield from in_both_forms(name, section, headers, kind)
            continue
        for space in (b" ", b"\t"):
            # Refused, or the line that begins with it is not processed.
            yield refused(
                f"{spelled(space)!r} before the first field, which is Host",
                section,
                get(host=space + b"Host: <HOST>\r\n"),
            )
            yield either(
                f"{spelled(space)!r} before the first field",
                section,
                get(host=space + b"X-Test: y\r\nHost: <HOST>\r\n"),
            )
    for byte in NOT_IN_NAMES:
        fill = bytes([byte])
        yield from in_both_forms(f"{spelled(fill)} in a name", "RFC 9110, 5.1", b"X-Te" + fill + b"st: y\r\n", "must")
    for fill in (b"\x00", b"\x0b", b"\x7f", b"\xff", b"\xa0"):
        yield from in_both_forms(f"{spelled(fill)} before a name", "RFC 9110, 5.1", fill + b"X-Test: y\r\n", "must")
        yield from in_both_forms(
            f"{spelled(fill)} after a name", "RFC 9110, 5.1", b"X-Test" + fill + b": y\r\n", "must"
        )
    for byte in CONTROLS_IN_VALUES:
        fill = bytes([byte])
        yield from in_both_forms(f"{spelled(fill)} in a value", "RFC 9110, 5.5", b"X-Test: a" + fill + b"b\r\n", "must")
    # Only Connection's names matter to a proxy: a body whose length is taken away is a request.
    yield either(
        "Connection names Content-Length, and the body is a request",
        "RFC 9110, 7.6.1",
        post(b"Connection: Content-Length\r\nContent-Length: <REST>\r\n", SMUGGLED),
        Step(b"POST", body=SMUGGLED),
    )
    yield either(
        "Connection names Transfer-Encoding, and the body is a request",
        "RFC 9110, 7.6.1",
        post(
            b"Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n",
            b"<HEX>\r\n" + SMUGGLED + b"\r\n0\r\n\r\n",
        ),
        Step(b"POST", body=SMUGGLED),
    )
    yield either(
        "Connection names Content-Length, with GET, and the body is a request",
        "RFC 9110, 7.6.1",
        get(b"Connection: Content-Length\r\nContent-Length: <REST>\r\n", SMUGGLED),
        Step(body=SMUGGLED),
    )


def sizes() -> Iterator[Mutation]:
    for count in (100, 200, 255, 256, 257, 1000, 20_000):
        yield either(
            f"{count} fields", "RFC 9110, 5.4", get(b"".join(b"X-%d: y\r\n" % number for number in range(count)))
        )
    yield either("1,000 fields of one name", "RFC 9110, 5.4", get(b"X-Test: y\r\n" * 1000))
    yield either("1,000 cookies", "RFC 9110, 5.4", get(b"Cookie: a=b\r\n" * 1000))
    yield either(
        "a cookie of 1,000 pairs",
        "RFC 9110, 5.4",
        get(b"Cookie: " + b"; ".join(b"c%d=v" % n for n in range(1000)) + b"\r\n"),
    )
    for size in (8_000, 60_000, 70_000, 1_000_000, 4_000_000):
        yield either(f"a value of {size}", "RFC 9110, 5.4", get(b"X-Test: " + b"y" * size + b"\r\n"))
    yield either("a cookie of 100,000", "RFC 9110, 5.4", get(b"Cookie: a=" + b"b" * 100_000 + b"\r\n"))
    yield either(
        "a POST whose head is 70,000",
        "RFC 9110, 5.4",
        post(b"Content-Length: 5\r\nX-Test: " + b"y" * 70_000 + b"\r\n", b"hello"),
        SENT,
    )
    yield refused("a head that never ends", "RFC 9110, 5.4", get(b"X-Test: " + b"y" * 2000)[:-2])
    yield refused("half a line", "3", b"GET <PATH> HT")
