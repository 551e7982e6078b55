"""Shape B: two readers, two paths or hosts."""

import itertools
import random

from .. import h2, readers
from ..check import check
from ..gate import PRIVATE, route
from ..wire import request

SEED = 2

UNRESOLVED = "dot segments or escapes, or a prefix that was stripped after the decision, led elsewhere"
DOT_SEGMENTS = [
    ("CVE-2019-9901, CVE-2021-29492", "Envoy", UNRESOLVED),
    ("CVE-2026-33494", "Oathkeeper", UNRESOLVED),
    ("CVE-2026-42274", "Heimdall", UNRESOLVED),
    ("CVE-2025-47952, CVE-2025-32431, CVE-2025-66490", "Traefik", UNRESOLVED),
    ("CVE-2026-40912, CVE-2026-48020, CVE-2026-65600", "Traefik", UNRESOLVED),
    ("CVE-2026-42272", "Heimdall", "%2F was handled, %2f was not"),
    ("CVE-2026-27587", "Caddy", "%2F was handled, %2f was not"),
    ("GHSA-x732-6j76-qmhm", "better-auth", "//path was none of the disabled paths"),
]

DOTS = ["..", "%2e%2e", "%2E%2E", ".%2e", "%2e.", "%2E.", "..;", "..;x=y", "%2e%2e;", ";..", "..%00", "..%0a", "..%09",
        "..%20", "..%ff",
        "%c0%ae%c0%ae", "%u002e%u002e", "．．", "..#", "..?"]  # fmt: skip
SLASHES = ["/", "//", "%2f", "%2F", "\\", "%5c", "%5C", "/./", "/;/", "/%2e/", "%c0%af", "/%20/"]
TWICE = [
    "%252e%252e",
    "%252E%252E",
    "..%252f",
    "..%252F",
    "..%255c",
    "%25%32%65%25%32%65",
    "%2%65%2%65",
    "%%32%65%%32%65",
]


def escapes(it, dots, slashes):
    """Paths below the public one that lead to the protected one if dots and slashes are read so."""
    public, protected = it.profile.public, it.profile.protected.lstrip("/")
    for dot, (before, after) in itertools.product(dots, itertools.product(slashes, slashes)):
        yield f"{public}{before}{dot}{after}{protected}/x"
    for dot, slash in itertools.product(dots, slashes):
        yield f"{public}/a{slash}{dot}{slash}{dot}{slash}{protected}/x"


def stays_out(it, targets, paths=None):
    """Sends each without a credential. What is forwarded must lead to the protected path in nobody's reading."""
    protected = it.profile.protected
    with it.pipeline() as send:
        for target in targets:
            answer = send(it.bytes("GET", target))
            seen = it.seen()
            for each in seen:
                led = readers.leads_to(each.path, protected, paths)
                it.expect(
                    not led,
                    answer,
                    "no way out of what is public",
                    f"forwarded as {each.target}: to whoever {' or '.join(led)} it is {protected}",
                )
                for whose, path in it.paths_of(each):
                    it.expect(
                        not readers.below(path, protected),
                        answer,
                        "no way out of what is public",
                        f"{whose} reads {path}",
                    )
            if not seen:
                it.expect(answer.refused or answer.status in range(300, 400), answer, "refused", answer)


@check("dot segments, encoded and raw, with every slash", *DOT_SEGMENTS)
def r08_dot_segments(it):
    it.needs(it.profile.public, "nothing is public there")
    plain = escapes(it, DOTS[:7], ["/", "%2f", "%2F", "\\", "%5c", "//", "/./"])
    stays_out(it, plain)


@check("NUL, parameters, overlong UTF-8 and other ends of a segment", *DOT_SEGMENTS)
def r08_other_segments(it):
    it.needs(it.profile.public, "nothing is public there")
    stays_out(it, escapes(it, DOTS[7:], ["/", "%2f", "\\"]))
    stays_out(it, escapes(it, ["..", "%2e%2e"], SLASHES[8:]))


@check("escapes of escapes, for apps that decode twice", *DOT_SEGMENTS)
def r08_double_encoding(it):
    it.needs(it.profile.public, "nothing is public there")
    stays_out(it, escapes(it, TWICE, ["/", "%252f", "%2f"]), {"decodes twice": readers.twice})


@check("the protected path itself, spelled otherwise", *DOT_SEGMENTS)
def r08_other_spellings_of_the_path(it):
    path = it.profile.protected
    first = path[1]
    spelled = [f"/{path}/x", f"//{path.lstrip('/')}/x", f"/.{path}/x", f"/%2e{path}/x",
               f"/%{ord(first):02x}{path[2:]}/x",
               f"/%{ord(first):02X}{path[2:]}", f"{path};a=b/x", f"{path};/x", f"{path}%00/x", f"{path}%2fx",
               f"{path}%5cx", f"{path}\\x",
               f"\\{path[1:]}", f"{path}%20/x", f"{path}/.", f"{path}/..{path}", f"/;{path}", f"/;x{path}/x",
               f"/a/..{path}/x", f"{path}./x",
               f"{path}%23/x", f"{path}%3f/x", f"{path}#/x", f"http://{it.profile.host}{path}/x", f"http://x{path}/x",
               f"{path[1:]}/x", f"*{path}", f"/%2f{path[1:]}/x", f"/%5c{path[1:]}/x", f"{path}%0d%0aX: y"]  # fmt: skip
    stays_out(it, spelled)
    # And under what is public.
    public = it.profile.public
    stays_out(
        it,
        [
            f"{public}{each}"
            for each in (f"/%2e.{path}", f"//..{path}/x", "/..", "/%2e%2e", f"/x/..//..{path}", f";/..{path}")
        ],
    )


@check("upper and lower case of an escape are one escape",
       ("CVE-2026-42272", "Heimdall", "%2F was handled, %2f was not"),
       ("CVE-2026-27587", "Caddy", "%2F was handled, %2f was not"))  # fmt: skip
def r08_case_of_escapes(it):
    path = it.profile.protected
    for escape in ("%2f", "%5c", "%2e", "%2e%2e%2f", "%c3%a4", "%3b", "%e2%80%ae", "%7e", "%6a"):
        for pattern in (path + "/{}x", path + "{}x", it.profile.public + "/{}..{}x", "/{}" + path):
            lower = it.send("GET", pattern.format(escape, escape))
            upper = it.send("GET", pattern.format(escape.upper(), escape.upper()))
            count = len(it.seen())
            it.expect(
                lower.status == upper.status and count in (0, 2),
                upper,
                f"the same as for {escape}: {lower}",
                f"{upper}, {count} forwarded",
            )


@check("walks through segments, a thousand at random", *DOT_SEGMENTS)
def r08_random_walks(it):
    it.needs(it.profile.public, "nothing is public there")
    rng = random.Random(SEED)
    words = [it.profile.public[1:], it.profile.protected[1:], "a", "", ".", *DOTS, it.profile.protected[1:].upper()]
    walks = []
    for _ in range(1000):
        walk = it.profile.public
        for _ in range(rng.randint(1, 5)):
            walk += rng.choice(SLASHES) + rng.choice(words)
        walks.append(walk + rng.choice(["", "/x", it.profile.protected, "/.." + it.profile.protected]))
    stays_out(it, walks)


@check("a credential for one path opens no other", *DOT_SEGMENTS)
def r08_out_of_the_path_one_may(it):
    it.needs(it.profile.role, "it guards no path with more than a credential")
    role = it.profile.role
    answer = it.send("GET", role + "/x", token=it.profile.token)
    it.refused(answer)
    for dot, before, after in itertools.product(DOTS[:9] + TWICE[:4], ["/", "%2f", "\\"], ["/", "%2F", "%5c"]):
        answer = it.send(
            "GET", f"{it.profile.protected}{before}{dot}{after}{role.lstrip('/')}/x", token=it.profile.token
        )
        for seen in it.seen():
            led = readers.leads_to(seen.path, role, readers.PATHS | {"decodes twice": readers.twice})
            it.expect(
                not led,
                answer,
                f"no way to {role}",
                f"forwarded as {seen.target}: to whoever {' or '.join(led)} it is {role}",
            )
        it.expect(answer.status != -1, answer, "an answer", answer)


@check("what is forwarded is what was judged, byte for byte or in the same reading", *DOT_SEGMENTS)
def r08_judged_is_forwarded(it):
    path = it.profile.protected
    for rest in ("", "/", "/x", "/a%20b", "/caf%C3%A9", "/a+b", "/a~b", "/a:b@c", "/a,b;c=d", "/%E2%82%AC", "/x?y=1",
                 "/x?a=%2f..%2f..%2fopen",
                 "/x?/../open", "/x?a=b&a=c", "/x??", "/x?%00", "/a!$&'()*+,=b", "/%41%42", "/..x/y..", "/...",
                 "/x?a=%23b", "/-_.~"):  # fmt: skip
        answer = it.send("GET", path + rest, token=it.profile.token)
        for seen in it.seen():
            wanted, came = path + rest, seen.target
            same = readers.decoded(wanted.partition("?")[0]) == readers.decoded(came.partition("?")[0])
            it.expect(same, answer, f"forwarded as {wanted}", came)
            it.expect(readers.below(readers.resolved(readers.decoded(seen.path)), path), answer, f"below {path}", came)
        it.expect(answer.status in (200, 400), answer, "forwarded or refused", answer)


@check("the same over HTTP/2", *DOT_SEGMENTS)
def r08_paths_over_http_2(it):
    it.needs(it.profile.h2c, "it speaks no HTTP/2 without TLS")
    targets = [
        f"{it.profile.public}/{dot}{slash}{it.profile.protected[1:]}/x"
        for dot in DOTS[:12]
        for slash in ("/", "%2f", "%2F", "\\", "%5c")
    ]
    targets += [
        "//app/x",
        "app/x",
        "",
        "*",
        "/open\\..\\app",
        "/app#/open",
        "/open#/../app",
        "/open/\0/../app",
        "/open /../app",
        "http://x/app",
    ]
    for target in targets:
        status = h2.get(it.profile, target)
        seen = it.seen()
        for each in seen:
            led = readers.leads_to(each.path, it.profile.protected)
            it.expect(not led, f":path {target}", "no way out of what is public", f"forwarded as {each.target}")
        if not seen:
            it.expect(status == 0 or status >= 300, f":path {target}", "refused", status)


@check("readings of a path where another rule could be meant, and where none could",
       ("CVE-2026-42272", "Heimdall", "%2F was handled, %2f was not"),
       ("CVE-2025-66490", "Traefik", "encoded characters led to another route than the one that was judged"))  # fmt: skip
def r59_readings_of_a_path(it):
    protected = it.profile.protected
    odd = [f"/{slash}{protected[1:]}{end}" for slash in ("%2f", "%2F", "/", "%5c", "%252f", "%2f%2F", "%2fhost/", "%2fhost%2f%2f",
                                                         "x/..%2f", "%c0%af", ";%2f", "x%2f..;%2f")
           for end in ("", "/x", "%2fx", ";y/x")]  # fmt: skip
    stays_out(it, odd, readers.PATHS)
    if not hasattr(it.control, "another"):
        return
    # A public route around the protected one, that lets encoded slashes pass.
    for key in ('encoded_slash = "pass"', ""):
        routes = route("/", "public", key, it.control.upstream) + route(protected, "user", key, it.control.upstream)
        with it.control.another(routes=routes) as other:
            stays_out(it.at(other), odd, readers.PATHS)


BEYOND = "a pattern was matched against path and query, or a fragment"
PREFIXES = [
    ("CVE-2025-54576, CVE-2026-41059", "oauth2-proxy", BEYOND),
    ("CVE-2023-47106", "Traefik", BEYOND),
    ("CVE-2021-32779", "Envoy", BEYOND),
    ("CVE-2026-0650", "flagr", "a whitelist of prefixes matched more than whole segments"),
]


@check("what is public is public by whole segments, and by its path alone", *PREFIXES)
def r09_public_prefixes(it):
    it.needs(it.profile.public, "nothing is public there")
    public, path = it.profile.public, it.profile.protected
    for target in (f"{public}x", f"{public}x/y", f"{public}-admin", f"{public}.evil/x", f"{public}%20/x", f"{public}~",
                   f"{public}_/x", f"x{public}",
                   f"/x{public}", f"/x{public}/y"):  # fmt: skip
        it.refused(it.send("GET", target))
    for rest in (f"?{public}", f"?x={public}/", f"?x={public}/x", f"?/../..{public}/x", f"/x?a=b{public}",
                 f"/x?redirect=http://h{public}/", f"?&{public}",
                 f"/{public}", f"{public}", f"{public}/x", f";{public}", f"/;x={public}", f"/x%3f{public}",
                 f"/x%23{public}", f"/x#{public}",
                 f"#{public}/x", f"/#/{public}", f"/x?#{public}", f"%3f{public}", f"/@{public}", f"/x/%2e%2e{public}",
                 f"/..{public}x"):  # fmt: skip
        answer = it.send("GET", path + rest)
        seen = it.seen()
        for each in seen:
            led = readers.leads_to(each.path, path)
            it.expect(not led, answer, "refused", f"{answer}, forwarded as {each.target}")
        if not seen:
            it.expect(answer.refused or answer.status in range(300, 400), answer, "refused", answer)


@check("a raw # in the request target", *PREFIXES)
def r09_fragments(it):
    it.needs(it.profile.public, "nothing is public there")
    for target in (it.profile.public + "/x#y", it.profile.public + "#",
                   it.profile.public + "/x#/.." + it.profile.protected,
                   it.profile.public + "/x?y#z", it.profile.public + "/#" + it.profile.protected):  # fmt: skip
        answer = it.send("GET", target)
        seen = it.seen()
        it.expect(
            all("#" not in each.target for each in seen),
            answer,
            "refused, or forwarded without it",
            f"forwarded as {[s.target for s in seen]}",
        )


HOSTS = [
    ("CVE-2026-42273", "Heimdall", "hosts were matched with regard to case"),
    ("CVE-2026-77560", "tinyauth", "hosts were matched with regard to case"),
    ("CVE-2022-23632", "Traefik", "a host with a dot at its end skipped the TLS options"),
]


def spellings(host):
    """Of one host."""
    for name in (host, host.upper(), host.title(), host.swapcase()):
        for end in ("", "."):
            for port in ("", ":80", ":080", ":", ":443", ":8080"):
                yield name + end + port


@check("one host, however it is spelled", *HOSTS)
def r10_spellings_of_a_host(it):
    it.needs(it.profile.private_host, "it has no rule for one host")
    for host in spellings(it.profile.private_host):
        answer = it.send("GET", it.profile.public + "/x", host=host)
        it.refused(answer, f"at {it.profile.private_host} nothing is public")


@check(
    "the same among more than a hundred hosts",
    ("CVE-2026-27588", "Caddy", "from 100 hosts on they were matched with regard to case"),
)
def r10_more_than_a_hundred_hosts(it):
    it.needs(it.profile.private_host, "it has no rule for one host")
    for number in (0, 7, 63, 119):
        host = f"h{number}.{it.profile.private_host}"
        for spelled in (host, host.upper(), host.title(), host + ".", host.upper() + ".", host + ":80"):
            it.refused(it.send("GET", it.profile.public + "/x", host=spelled), f"at {host} nothing is public")


@check("a host that nobody serves", *HOSTS)
def r10_unknown_hosts(it):
    it.needs(it.profile.private_host, "it has no rule for one host")
    if hasattr(it.control, "another"):
        with it.control.another(routes=route("/", "public", f'host = "{PRIVATE}"', it.control.upstream)) as other:
            case = it.at(other)
            case.passes(case.send("GET", "/x", host=PRIVATE))
            for host in (
                "unknown.example.net",
                PRIVATE + ".evil.net",
                "x." + PRIVATE,
                "x" + PRIVATE,
                "",
                "127.0.0.1",
                PRIVATE + "..",
                "." + PRIVATE,
            ):
                answer = case.send("GET", "/x", host=host)
                case.refused(answer)
                case.expect(answer.status in (400, 404, 421), answer, "421, or 400", answer)
        return
    # Elsewhere it is enough that it is no way in.
    for host in ("unknown.example.net", it.profile.private_host + ".evil.net", "x." + it.profile.private_host, ""):
        it.refused(it.send("GET", it.profile.protected + "/x", host=host))


AUTHORITY = [
    ("RFC 9113, 8.3.1", "HTTP/2", "Host and :authority may differ"),
    ("haproxy#2941", "HAProxy", "a slash in :authority"),
    ("nghttp2#2883, #2899", "nghttp2", "Host and :authority differed"),
]


@check("one Host, well-formed", *AUTHORITY)
def r11_one_host(it):
    good = it.profile.host
    rest = it.profile.lines(host=good)[1:]
    for hosts in ([], [f"Host: {good}", "Host: other.example.net"], ["Host: other.example.net", f"Host: {good}"],
                  [f"Host: {good}", f"Host: {good}"],
                  [f"Host: {good}", "host: other.example.net"], ["Host:"]):  # fmt: skip
        it.refused(it.send_bytes(request("GET", it.profile.public + "/x", [*hosts, *rest])))
    wrong = [["Host: a b"], [f"Host: {good}/x"],
             [f"Host: user@{good}"], [f"Host: {good}, other.example.net"], [f"Host: {good}#x"], [f"Host: {good}?x"],
             ["Host: [::1"], ["Host: \\"],
             [f"Host: {good}:x"], [f"Host: {good}:99999999"], [f"Host: {good}\0"], [f"Host: {good}%00"],
             [f" Host: {good}"], [f"Host : {good}"],
             [f"Host: {good}\x01"], ["Host: a\tb"], [f"Host:\x0b{good}"]]  # fmt: skip
    for hosts in wrong:
        answer = it.send_bytes(request("GET", it.profile.public + "/x", [*hosts, *rest]))
        came = [seen.values("host") for seen in it.seen()]
        it.expect(
            answer.refused and not came or came == [[good]],
            answer,
            f"refused, or {good} for the app",
            f"{answer}, {came}",
        )


@check("an absolute target and a Host that differ", *AUTHORITY)
def r11_absolute_targets(it):
    private = it.profile.private_host
    for authority, host in (("other.example.net", it.profile.host), (it.profile.host, "other.example.net"),
                            (private, it.profile.host), (it.profile.host, private),
                            (f"user@{it.profile.host}", it.profile.host),
                            (f"{it.profile.host}:99", it.profile.host)):  # fmt: skip
        if not (authority and host):
            continue
        answer = it.send("GET", f"http://{authority}{it.profile.public}/x", host=host)
        for seen in it.seen():
            hosts = seen.values("host")
            # A port that is not its own may be left out.
            named = authority.rpartition("@")[2]
            it.expect(
                hosts in ([named], [named.partition(":")[0]]),
                answer,
                "refused, or the target's host alone (RFC 9112, 3.2.2)",
                hosts,
            )
            it.expect(private not in hosts, answer, f"nothing is public at {private}", hosts)
        it.expect(answer.status != -1, answer, "an answer", answer)


@check(":authority and Host that differ over HTTP/2", *AUTHORITY)
def r11_authority_and_host(it):
    it.needs(it.profile.h2c, "it speaks no HTTP/2 without TLS")
    good, private = it.profile.host, it.profile.private_host or "private.example.com"
    it.expect(h2.get(it.profile, it.profile.public + "/x") == 200, ":authority alone", 200, "another")
    it.seen()
    for authority, host in ((good, "other.example.net"), ("other.example.net", good), (good, private), (private, good),
                            (good, good + ":81"),
                            (good, "a/b"), ("a/b", None), ("user@" + good, None), (good + "/x", good), ("", good),
                            ("a b", None), (good, "")):  # fmt: skip
        status = h2.get(
            it.profile, it.profile.public + "/x", authority=authority, more=[] if host is None else [("host", host)]
        )
        about = f":authority {authority}, host {host}"
        for seen in it.seen():
            hosts = seen.values("host")
            it.expect(hosts == [authority or host], about, "refused, or :authority alone", f"{status}, Host {hosts}")
            it.expect(private not in hosts, about, f"nothing is public at {private}", hosts)
        it.expect(status != 200 or authority in (good, "", "other.example.net"), about, "refused", status)


@check("two Hosts over HTTP/2", *AUTHORITY)
def r11_two_hosts_over_http_2(it):
    it.needs(it.profile.h2c, "it speaks no HTTP/2 without TLS")
    for more in (
        [("host", it.profile.host), ("host", "other.example.net")],
        [("host", "other.example.net"), ("host", it.profile.host)],
    ):
        status = h2.get(it.profile, it.profile.public + "/x", more=more)
        for seen in it.seen():
            it.expect(
                seen.values("host") == [it.profile.host], more, "refused, or :authority alone", seen.values("host")
            )
        it.expect(status != -1, more, "an answer", status)


@check("a request that can't be parsed lets nobody in",
       ("CVE-2021-32637", "Authelia", "a malformed URI was answered with 200"),
       ("CVE-2026-48794", "Authelia", "an edge case matched another rule"),
       ("CVE-2023-33189", "Pomerium", "a crafted request was decided wrongly"))  # fmt: skip
def r12_mutated_requests(it):
    rng = random.Random(SEED)
    whole = it.bytes("GET", it.profile.protected + "/x", "Accept: */*", "Cookie: a=b", token=it.profile.forged)
    alphabet = b" \t\r\n\0:/?#%.;,=\\\"'\x7f\x80\xff" + b"Aa0"
    for _ in range(600):
        mutant = bytearray(whole)
        for _ in range(rng.randint(1, 4)):
            # Most of them in the request line, where paths are.
            at = rng.randrange(len(it.profile.protected) + 20 if rng.random() < 0.6 else len(mutant))
            kind = rng.random()
            if kind < 0.4:
                mutant[at] = rng.choice(alphabet)
            elif kind < 0.8:
                mutant[at:at] = bytes([rng.choice(alphabet)])
            else:
                del mutant[at : at + rng.randint(1, 3)]
        answer = it.send_bytes(bytes(mutant), timeout=0.3 if b"\r\n\r\n" not in mutant else 5)
        for seen in it.seen():
            led = readers.leads_to(seen.path, it.profile.protected)
            it.expect(not led, answer, "no way in", f"{answer}, forwarded as {seen}")
        it.expect(answer.status not in (500, 502), answer, "an answer that was meant", answer)


@check("methods, versions and targets that are none",
       ("CVE-2021-32637", "Authelia", "a malformed URI was answered with 200"))  # fmt: skip
def r12_what_is_no_request(it):
    path = it.profile.protected + "/x"
    for line in (f"GET {path}", f"GET  {path} HTTP/1.1", f"GET {path}  HTTP/1.1", f"GET\t{path}\tHTTP/1.1",
                 f" GET {path} HTTP/1.1", f"GET {path} HTTP/1.1 ",
                 f"GET {path} HTTP/2.0", f"GET {path} HTTP/0.9", f"GET {path} HTTP/1.2", f"GET {path} HTTP/11",
                 f"GET {path} http/1.1", f"GET {path} HTTP/1.1x",
                 f"GET {path} x HTTP/1.1", f"GET {path}", "GET", "GET HTTP/1.1", f"G\0T {path} HTTP/1.1",
                 f"GET {path}\x01 HTTP/1.1", f": {path} HTTP/1.1",
                 "GET * HTTP/1.1", "OPTIONS * HTTP/1.1", f"GET ?{path} HTTP/1.1", f"GET .{path} HTTP/1.1",
                 f"({path}) HTTP/1.1", "PRI * HTTP/2.0",
                 f"get {path} HTTP/1.1", f"GET {path}%zz HTTP/1.1", f"GET {path}%2 HTTP/1.1", f"GET {path}% HTTP/1.1",
                 f"GET {path}%f0%28 HTTP/1.1"):  # fmt: skip
        sent = line.encode("latin-1") + b"\r\n" + "\r\n".join(it.profile.lines()).encode() + b"\r\n\r\n"
        answer = it.send_bytes(sent, timeout=0.5)
        seen = it.seen()
        # OPTIONS * asks about the server, which may answer; PRI begins HTTP/2, which waits for more.
        held = answer.refused or line.startswith("OPTIONS *") or answer.status == -1
        it.expect(held and not seen, answer, "refused, and the app sees nothing of it", f"{answer}; the app saw {seen}")


@check("an auth service that is away or answers nonsense lets nobody in",
       ("CVE-2021-32637", "Authelia", "a malformed URI was answered with 200"))  # fmt: skip
def r12_judge_is_away(it):
    judge = getattr(it.control, "judge", None)
    it.needs(judge, "it judges by itself")
    for what, context in judge.outages():
        with context:
            for token in (None, it.profile.forged, it.profile.token):
                answer = it.send("GET", it.profile.protected + "/x", token=token)
                seen = it.seen()
                it.expect(not seen, answer, f"refused, while the auth service {what}", f"{answer}; the app saw {seen}")
        it.passes(it.send("GET", it.profile.protected + "/x", token=it.profile.token))
