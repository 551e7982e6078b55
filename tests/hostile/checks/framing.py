"""Shape C: where a request ends."""

import threading
import time

from .. import h2
from ..check import check
from ..upstream import AMBIGUOUS
from ..wire import Conn

UPGRADE = [
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
]
SMUGGLED = "smuggled"


def smuggled(it):
    """A request that nobody may answer but with a refusal."""
    return it.bytes("GET", f"{it.profile.protected}/{SMUGGLED}")


def unsmuggled(it, sent, settle=0.05):
    """Nothing of it came to the app, as a request; nor as a body where there was none."""
    seen = it.seen(settle)
    it.expect(
        all(SMUGGLED not in each.target for each in seen),
        sent,
        "the second request is judged, and refused",
        f"the app saw {seen}",
    )
    return seen


@check("bytes after an upgrade request are a request, and judged as one",
       ("CVE-2026-2833, RUSTSEC-2026-0033", "Pingora before 0.8",
       "bytes after an Upgrade were forwarded before the 101"))  # fmt: skip
def r13_bytes_after_an_upgrade(it):
    upgrades = [
        UPGRADE,
        ["Connection: Upgrade", "Upgrade: foo"],
        ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"],
        ["Connection: upgrade", "Upgrade: WebSocket, h2c"],
        ["Connection: Upgrade", "Upgrade: TLS/1.0"],
        ["Upgrade: websocket"],
    ]
    for upgrade in upgrades:
        for path in (it.profile.public + "/x", it.profile.protected + "/x", it.profile.protected + "/ws"):
            sent = it.bytes("GET", path, *upgrade) + smuggled(it)
            with it.conn() as conn:
                conn.send(sent)
                first = conn.read()
                second = conn.read(timeout=0.3) if first.status != 101 else first
            seen = unsmuggled(it, sent)
            it.expect(
                not any(SMUGGLED.encode() in each.body for each in seen),
                sent,
                "no body out of nothing",
                f"bodies of {seen}",
            )
            it.expect(second.status != 200, sent, "refused", f"{first}, then {second}")


@check("an upgrade that the app refuses leaves nothing behind",
       ("CVE-2026-2833, RUSTSEC-2026-0033", "Pingora before 0.8",
       "bytes after an Upgrade were forwarded before the 101"))  # fmt: skip
def r13_refused_upgrades(it):
    for upgrade in (UPGRADE, ["Connection: Upgrade", "Upgrade: websocket"]):
        path = it.profile.public + "/status-403"
        with it.conn() as conn:
            sent = it.bytes("GET", path, *upgrade)
            conn.send(sent)
            first = conn.read()
            it.expect(first.status in (400, 403, 426), sent, "the app's 403, or a refusal", first)
            conn.send(smuggled(it))
            second = conn.read(timeout=0.3)
        unsmuggled(it, sent)
        it.expect(second.status != 200, sent, "the next request is judged", second)


CODINGS = ["gzip", "gzip, chunked", "chunked, gzip", "chunked, chunked", "identity", "xchunked", "chunkedx",
           '"chunked"', "chunked;q=1", "\x0bchunked",
           "chunked\x00", "x, chunked", ",chunked", "chunked,", "identity, chunked", "chun ked", "", "cow"]  # fmt: skip
CLOSE_DELIMITED = (
    "CVE-2026-2835, RUSTSEC-2026-0034",
    "Pingora before 0.8",
    "close-delimited bodies of HTTP/1.0, several Transfer-Encodings",
)


@check("Transfer-Encoding on HTTP/1.0", CLOSE_DELIMITED)
def r14_transfer_encoding_on_http_1_0(it):
    for more in ([], ["Connection: keep-alive"], ["Content-Length: 5"]):
        for coding in ("chunked", "Chunked", "identity"):
            sent = it.bytes("POST", it.profile.public + "/x", f"Transfer-Encoding: {coding}", *more, version="HTTP/1.0")
            answer = it.send_bytes(sent + b"0\r\n\r\n" + smuggled(it), "POST")
            it.refused(answer, "400", settle=0.01)


@check("Transfer-Encoding that is not exactly chunked", CLOSE_DELIMITED)
def r14_other_transfer_encodings(it):
    for coding in CODINGS:
        sent = it.bytes("POST", it.profile.public + "/x", f"Transfer-Encoding: {coding}")
        answer = it.send_bytes(sent + b"0\r\n\r\n" + smuggled(it), "POST", timeout=3)
        it.refused(answer, "400 or 501", settle=0.01)
    for lines in (["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
                  ["Transfer-Encoding: chunked", "Transfer-Encoding: identity"],
                  ["Transfer-Encoding: identity", "Transfer-Encoding: chunked"], ["Transfer-Encoding : chunked"],
                  ["Transfer-Encoding:", " chunked"],
                  [" Transfer-Encoding: chunked"], ["Transfer-Encoding\t: chunked"],
                  ["Transfer-Encoding: x", "transfer-encoding: chunked"]):  # fmt: skip
        answer = it.send_bytes(
            it.bytes("POST", it.profile.public + "/x", *lines) + b"0\r\n\r\n" + smuggled(it), "POST", timeout=3
        )
        it.refused(answer, "400 or 501", settle=0.01)


BOTH = (
    "cloudflare/pingora#945",
    "Pingora 0.8.0",
    "Content-Length beside Transfer-Encoding was taken, and dropped without a word",
)


@check("Content-Length with Transfer-Encoding", BOTH)
def r15_both_lengths(it):
    pairs = [["Content-Length: 15", "Transfer-Encoding: chunked"], ["Transfer-Encoding: chunked", "Content-Length: 15"],
             ["content-length: 0", "transfer-encoding: Chunked"],
             ["Content-Length: 4", "Transfer-Encoding: CHUNKED", "Content-Length: 4"],
             ["Transfer-Encoding: chunked", "Accept: */*", "Content-Length: 6"],
             ["Content-Length: 15", "Transfer-Encoding:chunked"]]  # fmt: skip
    for lines in pairs:
        for method in ("POST", "GET"):
            sent = it.bytes(method, it.profile.public + "/x", *lines) + b"5\r\nhello\r\n0\r\n\r\n"
            it.refused(it.send_bytes(sent, method), "400", settle=0.01)


@check("the bytes after such a request are no request", BOTH)
def r15_nothing_is_smuggled(it):
    inner = smuggled(it)
    for lines, body in (
        (["Content-Length: %d" % (5 + len(inner)), "Transfer-Encoding: chunked"], b"0\r\n\r\n" + inner),
        (["Transfer-Encoding: chunked", "Content-Length: 5"], b"%x\r\n" % len(inner) + inner + b"\r\n0\r\n\r\n"),
        (["Content-Length: 5", "Content-Length: %d" % (5 + len(inner))], b"hello" + inner),
        (["Content-Length: %d" % (5 + len(inner)), "Content-Length: 5"], b"hello" + inner),
    ):
        for path in (it.profile.public + "/x", it.profile.protected + "/x"):
            sent = it.bytes("POST", path, *lines) + body
            with it.conn() as conn:
                conn.send(sent)
                conn.read("POST", timeout=3)
                conn.send(it.bytes("GET", it.profile.public + "/y"))
                conn.read(timeout=0.5)
            unsmuggled(it, sent, 0.02)


LENGTHS = [["Content-Length: 5", "Content-Length: 6"], ["Content-Length: 5, 6"], ["Content-Length: +5"],
           ["Content-Length: -5"], ["Content-Length: 0x5"],
           ["Content-Length: 5x"], ["Content-Length: 5 5"], ["Content-Length: "],
           ["Content-Length: 99999999999999999999"], ["Content-Length: 1e1"],
           ["Content-Length : 5"], [" Content-Length: 5"], ["Content-Length: \x0b5"], ["Content-Length: 5\x00"],
           ["Content-Length: 5;"],
           ["Content-Length: ５"], ["Content-Length: 5", "content-length: 0"],
           ["Content-Length: 18446744073709551621"]]  # fmt: skip


@check("a Content-Length that is not one number", BOTH)
def r15_odd_lengths(it):
    for lines in LENGTHS:
        sent = it.bytes("POST", it.profile.public + "/x", *lines) + b"hello"
        it.refused(it.send_bytes(sent, "POST", timeout=3), "400", settle=0.01)


@check("chunks that readers would end in different places", BOTH)
def r15_odd_chunks(it):
    inner = smuggled(it)
    for body in (b"zz\r\nhello\r\n0\r\n\r\n", b"-5\r\nhello\r\n0\r\n\r\n", b"+5\r\nhello\r\n0\r\n\r\n",
                 b"0x5\r\nhello\r\n0\r\n\r\n", b"5\r\nhelloX\r\n0\r\n\r\n",
                 b"fffffffffffffffff\r\nhello\r\n", b"10000000000000005\r\nhello\r\n0\r\n\r\n", b"5\nhello\n0\n\n",
                 b"5\r\nhello\n0\r\n\r\n", b"\r\n5\r\nhello\r\n0\r\n\r\n",
                 b"5\rX\r\nhello\r\n0\r\n\r\n", b" 5\r\nhello\r\n0\r\n\r\n", b"5;\nx\r\nhello\r\n0\r\n\r\n",
                 b"5;a=\"\r\n\"\r\nhello\r\n0\r\n\r\n", b";5\r\nhello\r\n"):  # fmt: skip
        sent = it.bytes("POST", it.profile.public + "/x", "Transfer-Encoding: chunked") + body + inner
        with it.conn(1) as conn:
            conn.send(sent)
            answer = conn.read("POST", timeout=0.3)
        seen = unsmuggled(it, sent, 0.01)
        bodies = [each.body for each in seen if each.whole]
        # Taken or refused: but what was taken ends for the app where it ended for the proxy.
        it.expect(
            all(body in (b"", b"hello") for body in bodies),
            sent,
            "refused, or forwarded in one reading",
            f"{answer}; the app saw {bodies}",
        )


@check("a body that nobody read is none of the next request's",
       ("CVE-2025-4366, RUSTSEC-2025-0037", "Pingora before 0.5",
       "a cache hit left the body of a request to be the next one"))  # fmt: skip
def r16_bodies_that_nobody_reads(it):
    inner = it.bytes("GET", it.profile.public + f"/{SMUGGLED}")
    preflight = [f"Origin: {it.profile.origin or 'https://app.example.com'}", "Access-Control-Request-Method: GET"]
    asked = [("POST", it.profile.protected + "/x", []), ("POST", "/nowhere-at-all", []),
             ("GET", it.profile.protected + "/x", []),
             ("POST", it.profile.public + "/../x", []), ("OPTIONS", it.profile.protected + "/x", preflight),
             ("PUT", it.profile.protected + "/x", ["Expect: 100-continue"]),
             ("HEAD", it.profile.protected + "/x", [])]  # fmt: skip
    if it.profile.login:
        asked += [
            ("POST", it.profile.login + "?login=true", []),
            ("POST", it.profile.login + "?nope=1", ["Content-Type: application/json"]),
        ]
    for method, path, lines in asked:
        for chunked in (False, True):
            for late in (False, True):
                framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(inner)}"
                body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(inner), inner) if chunked else inner
                head = it.bytes(method, path, framing, *lines)
                with it.conn(0.3 if late else 5) as conn:
                    conn.send(head if late else head + body)
                    first = conn.read(method)
                    if late:
                        conn.send(body)
                    conn.send(it.bytes("GET", "/nowhere-else"))
                    second = conn.read(timeout=0.2)
                unsmuggled(it, head + body, 0.01)
                it.expect(first.status != -1 or late, head + body, "an answer", first)
                it.expect(
                    second.status in (0, -1) or second.status >= 300,
                    head + body,
                    "the next request's answer, or the end",
                    f"{first}, then {second}",
                )


@check("answers are not kept for others",
       ("CVE-2026-2836, RUSTSEC-2026-0035", "pingora-cache",
       "the default key of the cache lacked the host"))  # fmt: skip
def r17_nothing_is_cached_for_others(it):
    path = it.profile.protected + "/cached"
    for _ in range(2):
        answer = it.send("GET", path, token=it.profile.token)
        it.expect(len(it.seen()) == 1, answer, "asked of the app", "answered by somebody else")
    it.refused(it.send("GET", path))
    it.refused(it.send("GET", path, token=it.profile.forged))
    if it.profile.minter:
        answer = it.send("GET", path, token=it.profile.minter.token(sub="somebody-else"))
        seen = it.seen()
        said = [seen[0].values(name) for name, claim in it.profile.identity.items() if claim == "sub"] if seen else []
        it.expect(said == [["somebody-else"]], answer, "the app is asked, for somebody else", f"{answer}: {said}")
    for host in (it.profile.host, it.profile.private_host):
        if host:
            it.send("GET", it.profile.public + "/cached", host=it.profile.host)
            it.seen()
            answer = it.send("GET", it.profile.public + "/cached", host=host)
            it.expect(
                answer.refused or len(it.seen()) == 1, answer, "asked of the app, or refused", "answered from memory"
            )


FLOODS = [("CVE-2025-8671, RUSTSEC-2025-0070", "h2 and others",
          "MadeYouReset: streams that the server itself resets were not counted"),
          ("RUSTSEC-2026-0258", "h2 before 0.4.16", "empty DATA frames cost memory")]  # fmt: skip


def memory(it):
    """Bytes that the proxy takes; 0 if it is not known which process it is."""
    process = getattr(it.control, "process", None)
    if not process:
        return 0
    with open(f"/proc/{process.pid}/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS:"))


def survives(it, what, flood):
    before, began = memory(it), time.monotonic()
    with h2.Client(it.profile.h2c, timeout=2) as client:
        flood(client)
        answer = it.send("GET", it.profile.public + "/x", timeout=5)
        it.expect(answer.status == 200, what, "others are served meanwhile", answer)
    grown, took = memory(it) - before, time.monotonic() - began
    it.expect(grown < 96 << 20, what, "less than 96 MiB more", f"{grown >> 20} MiB")
    it.expect(took < 20, what, "within 20 s", f"{took:.0f} s")
    answer = it.send("GET", it.profile.protected + "/x", token=it.profile.token)
    it.expect(answer.status == 200, what, "all works after it", answer)
    it.recorder.take(0.05)


@check("floods of resets, empty frames, headers and settings over HTTP/2", *FLOODS)
def r18_floods_over_http_2(it):
    it.needs(it.profile.h2c, "it speaks no HTTP/2 without TLS")
    fields = h2.pseudo(it.profile, it.profile.protected + "/x") + h2.lines(it.profile)
    posts = h2.pseudo(it.profile, it.profile.protected + "/x", "POST") + h2.lines(it.profile)

    def rapid_resets(client):
        for _ in range(2000):
            stream = client.headers(fields)
            if not client.send(h2.RST_STREAM, 0, stream, b"\0\0\0\x08"):
                break

    def made_resets(client):
        # WINDOW_UPDATE of 0 is an error of the stream: the server resets it.
        for _ in range(2000):
            stream = client.headers(posts, end=False)
            if not client.send(h2.WINDOW_UPDATE, 0, stream, b"\0\0\0\0"):
                break

    def empty_data(client):
        stream = client.headers(posts, end=False)
        for _ in range(200):
            if not client.conn.send(h2.frame(h2.DATA, 0, stream) * 500):
                break

    def continuations(client):
        stream = client.headers(fields, flags=0)
        for _ in range(500):
            if not client.send(h2.CONTINUATION, 0, stream, h2.block([("x", "y" * 1000)] * 8)):
                break

    def settings(client):
        for _ in range(200):
            if not client.conn.send(h2.frame(h2.SETTINGS, 0, 0) * 100 + h2.frame(h2.PING, 0, 0, b"12345678") * 100):
                break

    def streams(client):
        for _ in range(3000):
            if not client.conn.send(h2.frame(h2.HEADERS, h2.END_HEADERS, client.stream + 2, h2.block(posts))):
                break
            client.stream += 2

    def windows(client):
        stream = client.headers(posts, end=False)
        for _ in range(200):
            if not client.conn.send(h2.frame(h2.WINDOW_UPDATE, 0, stream, b"\0\0\0\x01") * 500):
                break

    for flood in (rapid_resets, made_resets, empty_data, continuations, settings, streams, windows):
        survives(it, flood.__name__.replace("_", " "), flood)


@check("an answer whose length is ambiguous gets one length, or is refused",
       ("CVE-2023-27522", "Apache", "an answer of an app was split into two"),
       ("sxhxliang/mcp-access-point#16", "Pingora", "Transfer-Encoding of an app was copied"),
       ("MarSeventh/CloudFlare-ImgBed#549", "Pingora", "two Content-Length of an app were copied"))  # fmt: skip
def r56_ambiguous_answers(it):
    for number, framing in enumerate(AMBIGUOUS):
        for method in ("GET", "HEAD"):
            sent = it.bytes(method, it.profile.public + f"/ambiguous-{number}")
            answer = it.send_bytes(sent, method, 2)
            lengths, codings = answer.values("content-length"), answer.values("transfer-encoding")
            one = len(lengths) + len(codings) <= 1 and all(length.isdigit() for length in lengths)
            framed = one and all(coding.lower() == "chunked" for coding in codings)
            it.expect(answer.status > 0 and framed, framing, "one framing, or 502", f"{answer} with {lengths} and {codings}")


@check("a connection that one client may have authenticated is no other client's",
       ("CVE-2014-0015, CVE-2016-0755", "curl", "a connection with NTLM was used for others"))  # fmt: skip
def r57_connections_of_one_client(it):
    ask = it.bytes("GET", it.profile.public + "/negotiate")
    for closes in (False, True):
        with it.conn(5) as one:
            one.send(ask)
            one.read()
            own = {seen.connection for seen in it.recorder.take(0.05)}
            if closes:
                one.close()
            for _ in range(3):
                answer = it.send("GET", it.profile.public + "/x")
                shared = own & {seen.connection for seen in it.recorder.take(0.05)}
                it.expect(answer.status == 200 and not shared, ask, "another connection to the app", f"{answer} on {shared}")


BOMBS = [("CVE-2026-49975", "servers of HTTP/2",
          "heads of one-byte references, whose answers no window let out, stayed in memory"),
         ("CVE-2026-47774", "servers of HTTP/2", "references counted by their size on the wire")]  # fmt: skip


@check("heads of references whose answers nobody lets in, over HTTP/2", *BOMBS)
def r58_references_and_no_window(it):
    it.needs(it.profile.h2c, "it speaks no HTTP/2 without TLS")
    head = h2.block(h2.pseudo(it.profile, it.profile.protected + "/x") + h2.lines(it.profile))
    # A field that gets into the table, where it is number 62 then (RFC 7541, 6.2.1 and 6.1).
    entry = b"\x40" + b"".join(h2.number(len(text), 7, 0) + text for text in (b"x-bomb", b"y" * 20))
    before, clients = memory(it), []
    try:
        for _ in range(20):
            client = h2.Client(it.profile.h2c, timeout=2)
            clients.append(client)
            client.send(h2.SETTINGS, 0, 0, b"\0\x04\0\0\0\0")
            for number in range(100):
                block = head + (b"" if number else entry) + b"\xbe" * 2000
                if not client.conn.send(h2.frame(h2.HEADERS, h2.END_HEADERS | h2.END_STREAM, 2 * number + 1, block)):
                    break
        sent = time.monotonic()
        # Some 3 s on two busy cores, with an unoptimized build.
        answer = it.send("GET", it.profile.public + "/x", timeout=10)
        it.expect(answer.status == 200, "4 MB of references", "others are served meanwhile", answer)
        grown = memory(it) - before
        it.expect(grown < 100_000_000, "4 MB of references", "at most 100 MB more", f"{grown >> 20} MiB")
        # An answer of the gate's own waits for 20 s for a client that does not let it in.
        for client in clients:
            for _ in client.frames(sent + 40):
                pass
        gone = sum(client.conn.over for client in clients)
        it.expect(gone == len(clients), "4 MB of references", "all connections are closed within 40 s", f"{gone} of 20")
    finally:
        for client in clients:
            client.conn.close()
    it.recorder.take(0.05)


TUNNELS = [("CVE-2025-64763", "Envoy", "early data after CONNECT was forwarded"),
           ("CVE-2026-71324", "Traefik", "CONNECT on a shared pool poisoned the answers of others"),
           ("CVE-2026-58055", "nghttpx", "an Upgrade with a Content-Length smuggled a request")]  # fmt: skip


@check("CONNECT is refused", *TUNNELS)
def r19_connect(it):
    host, port = it.recorder.address.rsplit(":", 1)
    for target in (
        f"{host}:{port}",
        f"{it.profile.host}:80",
        "localhost:22",
        it.profile.public + "/x",
        it.profile.protected + "/x",
        "*",
        f"http://{host}:{port}/x",
    ):
        for how in ({}, {"token": it.profile.token}):
            sent = it.bytes("CONNECT", target, **how) + smuggled(it)
            with it.conn(1) as conn:
                conn.send(sent)
                first = conn.read("CONNECT")
                it.expect(first.refused, sent, "refused", first)
            unsmuggled(it, sent, 0.01)
    if it.profile.h2c:
        for fields in ([(":method", "CONNECT"), (":authority", it.recorder.address)],
                       [(":method", "CONNECT"), (":scheme", "http"), (":path", it.profile.protected + "/ws"),
                       (":authority", it.profile.host), (":protocol", "websocket")]):  # fmt: skip
            with h2.Client(it.profile.h2c, timeout=2) as client:
                status = client.status(client.headers(fields + h2.lines(it.profile), end=False))
            it.expect(status == 0 or status >= 400, fields, "refused", status)
        it.recorder.take(0.05)


@check("an upgrade with a body is refused, or has none of a tunnel", *TUNNELS)
def r19_upgrades_with_bodies(it):
    inner = smuggled(it)
    for lines, body in ((["Content-Length: %d" % len(inner)], inner),
                        (["Transfer-Encoding: chunked"], b"%x\r\n%s\r\n0\r\n\r\n" % (len(inner), inner)),
                        (["Content-Length: 5"], b"hello" + inner)):  # fmt: skip
        for method in ("GET", "POST"):
            for path in (it.profile.public + "/ws", it.profile.public + "/x", it.profile.protected + "/ws"):
                sent = it.bytes(method, path, *UPGRADE, *lines) + body
                with it.conn(1) as conn:
                    conn.send(sent)
                    answer = conn.read(method)
                seen = unsmuggled(it, sent, 0.01)
                it.expect(answer.status != 101, sent, "no tunnel", f"{answer}; the app saw {seen}")


@check("what goes through a tunnel stays in it, and its connection is nobody else's after it", *TUNNELS)
def r19_tunnels_are_not_reused(it):
    it.needs(it.profile.websocket, "it forwards no WebSockets")
    for _ in range(3):
        sent = it.bytes("GET", it.profile.public + "/ws", *UPGRADE)
        with it.conn() as conn:
            conn.send(sent)
            answer = conn.read()
            if not it.expect(answer.status == 101, sent, 101, answer):
                it.recorder.take(0.05)
                return
            conn.send(smuggled(it))
            echoed = conn.rest(0.1)
            it.expect(SMUGGLED.encode() in echoed, sent, "an echo through the tunnel", echoed)
        it.recorder.take(0.05)
        # Whoever comes next has a connection of its own: else its bytes would be echoed.
        for _ in range(3):
            answer = it.send("GET", it.profile.public + "/x")
            it.expect(
                answer.status == 200 and answer.body == b"the app\n",
                answer,
                "the app's answer",
                f"{answer} {answer.body[:50]!r}",
            )
        it.recorder.take()
    # Nor do others' answers mix while tunnels open and close.
    faults = []

    def tunnel():
        for _ in range(10):
            with Conn(it.profile.base) as conn:
                conn.send(it.bytes("GET", it.profile.public + "/ws", *UPGRADE))
                if conn.read().status == 101:
                    conn.send(b"poison")

    def ask():
        for _ in range(20):
            answer = it.send("GET", it.profile.public + "/x")
            if answer.status != 200 or answer.body != b"the app\n":
                faults.append(f"{answer} {answer.body[:50]!r}")

    threads = [threading.Thread(target=target) for target in (tunnel, ask, ask, tunnel)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    it.expect(not faults, "tunnels beside requests", "each its own answer", faults)
    it.recorder.take(0.05)
