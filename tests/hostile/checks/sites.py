"""Shape G: requests that another site's page has a browser send."""

import http.client

from ..check import NotApplicable, check
from .framing import UPGRADE

EVIL = "https://evil.example.net"


def needs_cookie(it):
    it.needs(
        it.profile.cookie,
        "it knows no cookie: what it is sent is a token in a header, which no page of another site can set",
    )


def look_alikes(origin):
    """Origins that are not this one, though they look like it to somebody in a hurry."""
    scheme, _, host = origin.partition("://")
    name, _, domain = host.partition(".")
    return [
        EVIL, f"{origin}.evil.net", f"{scheme}://{name}.evil.net", f"{scheme}://evil{host}", f"{scheme}://evil.{host}",
        f"http://{host}", f"{origin}:8443",
        f"{origin}:80", f"{origin}/", f"{origin}/x", f"{origin}?", f"{origin}#", f"{scheme}://{domain}",
        f"{scheme}://evil.net/{host}", f"{scheme}://{host}@evil.net",
        f"{scheme}://evil.net#{host}", f"{scheme}://{host}%00.evil.net", f"{scheme}://{host}\\.evil.net",
        f"{scheme}://{host.replace('.', 'x', 1)}", "null", "file://",
        host, f"//{host}", f"ws://{host}", f"wss://{host}", f"{scheme}:{host}", "*", f"{origin} {EVIL}",
        f"{EVIL} {origin}", f"{origin}, {EVIL}", f"{scheme}://[::1]",
        f"{scheme}://{host}_.evil.net", f"{scheme}://{host}!.evil.net", f"chrome-extension://{host}",
        f"{scheme}://{host}。evil.net",
    ]  # fmt: skip


@check("a WebSocket by cookie needs an allowed origin",
       ("OWASP ASVS 13.5.2", "many", "cross-site WebSocket hijacking: upgrades by cookie ignored Origin"),
       ("red5#470, awx#2467, keryx#83", "red5, AWX, keryx", "upgrades by cookie ignored Origin"))  # fmt: skip
def r47_websockets_by_cookie(it):
    needs_cookie(it)
    it.needs(it.profile.websocket, "it forwards no WebSockets")
    path = it.profile.protected + "/ws"

    def status(*lines, **how):
        sent = it.bytes("GET", path, *UPGRADE, *lines, **how)
        with it.conn() as conn:
            conn.send(sent)
            return sent, conn.read()

    for origin in look_alikes(it.profile.origin):
        sent, answer = status(f"Origin: {origin}", cookie=it.profile.token)
        it.expect(answer.refused and not it.seen(0.005), sent, "refused", answer)
    for lines in ([], [f"Origin: {it.profile.origin}", f"Origin: {EVIL}"], ["Origin:"],
                  [f"Origin : {it.profile.origin}"], [f"Sec-WebSocket-Origin: {it.profile.origin}"],
                  ["Sec-Fetch-Site: cross-site"], [f"Referer: {it.profile.origin}/"]):  # fmt: skip
        sent, answer = status(*lines, cookie=it.profile.token)
        it.expect(answer.refused and not it.seen(0.005), sent, "refused", answer)
    for lines, how in (
        ([f"Origin: {it.profile.origin}"], {"cookie": it.profile.token}),
        ([], {"token": it.profile.token}),
    ):
        sent, answer = status(*lines, **how)
        it.expect(answer.status == 101, sent, "a tunnel for who may", answer)
        it.recorder.take(0.02)


@check("an origin is allowed as a whole, and told so by name",
       ("pingap documentation", "pingap", "a mode that reflects every origin, with credentials"),
       ("GCP IAP report", "Google IAP", "any origin was reflected, with credentials"))  # fmt: skip
def r48_origins_are_compared_whole(it):
    it.needs(it.profile.origin, "it knows no origins")
    preflight = ["Access-Control-Request-Method: GET", "Access-Control-Request-Headers: authorization"]
    for origin in look_alikes(it.profile.origin):
        for method, lines, how in (
            ("GET", [], {"token": it.profile.token}),
            ("OPTIONS", preflight, {}),
            ("GET", [], {}),
            ("POST", ["Content-Length: 0"], {"token": it.profile.token}),
        ):
            answer = it.send(method, it.profile.protected + "/x", f"Origin: {origin}", *lines, **how)
            allowed = answer.values("access-control-allow-origin")
            credentials = answer.values("access-control-allow-credentials")
            good = not allowed or (allowed == ["*"] and not credentials)
            it.expect(
                good,
                answer,
                "not allowed to read it",
                f"{answer}, Allow-Origin {allowed}, Allow-Credentials {credentials}",
            )
        it.recorder.take()
    answer = it.send("GET", it.profile.protected + "/x", f"Origin: {it.profile.origin}", token=it.profile.token)
    it.passes(answer)
    it.expect(
        answer.values("access-control-allow-origin") == [it.profile.origin],
        answer,
        it.profile.origin,
        answer.values("access-control-allow-origin"),
    )


@check("caches are told that the answer differs by origin",
       ("GCP IAP report", "Google IAP", "any origin was reflected, with credentials"))  # fmt: skip
def r48_vary(it):
    it.needs(it.profile.origin, "it knows no origins")
    for lines in ([], [f"Origin: {it.profile.origin}"], [f"Origin: {EVIL}"]):
        for path, how in (
            (it.profile.protected, {"token": it.profile.token}),
            (it.profile.protected, {}),
            (it.profile.public, {}),
        ):
            answer = it.send("GET", path + "/x", *lines, **how)
            it.expect(
                "origin" in ",".join(answer.values("vary")).lower(), answer, "Vary: Origin", answer.values("vary")
            )
    it.recorder.take()


@check("a configuration that allows every origin its credentials",
       ("pingap documentation", "pingap", "a mode that reflects every origin, with credentials"))  # fmt: skip
def r48_everybody_is_no_origin(it):
    gate = it.gate()
    for origins in (
        '"*"',
        '"https://*.example.com"',
        '"https://app.example.com/"',
        '"app.example.com"',
        '"https://app.example.com", "*"',
        '"HTTPS://"',
        '"https://a b"',
    ):
        text = gate.text().replace('origins = ["https://app.example.com"]', f"origins = [{origins}]")
        it.expect(
            gate.refuses(edit=lambda other, text=text: other.write(text)),
            f"origins = [{origins}]",
            "no start",
            "it started",
        )
    # With none listed, everybody may read, and nobody with a cookie.
    with gate.another(realm_keys="") as other:
        other.reload(other.text().replace('origins = ["https://app.example.com"]', "origins = []"))
        case = it.at(other)
        answer = case.send("GET", "/app/x", f"Origin: {EVIL}", cookie=case.profile.token)
        case.refused(answer)
        case.expect(not answer.values("access-control-allow-credentials"), answer, "no credentials", answer.headers)


@check("requests that change something, by cookie, from another site",
       ("Sec-Fetch-Site, Origin", "apps behind many proxies", "no check of the origin of unsafe methods"))  # fmt: skip
def r49_unsafe_methods_by_cookie(it):
    needs_cookie(it)
    path = it.profile.protected + "/x"
    for method in ("POST", "PUT", "PATCH", "DELETE", "MKCOL", "post"):
        for lines in ([f"Origin: {EVIL}"], ["Origin: null"], [f"Origin: {EVIL}", "Sec-Fetch-Site: same-origin"],
                      ["Sec-Fetch-Site: cross-site"],
                      ["Sec-Fetch-Site: same-site"], ["Sec-Fetch-Site: Same-Origin, cross-site"],
                      ["Sec-Fetch-Site: none", f"Origin: {EVIL}"], [f"Referer: {EVIL}/"], [],
                      [f"Origin: {it.profile.origin}.evil.net"],
                      [f"Origin: {it.profile.origin}", f"Origin: {EVIL}"]):  # fmt: skip
            for kind in ("text/plain", "application/x-www-form-urlencoded", "application/json"):
                answer = it.send(
                    method,
                    path,
                    *lines,
                    f"Content-Type: {kind}",
                    "Content-Length: 2",
                    body="{}",
                    cookie=it.profile.token,
                )
                it.refused(answer)
        for lines in ([f"Origin: {it.profile.origin}"], ["Sec-Fetch-Site: same-origin"]):
            answer = it.send(method, path, *lines, "Content-Length: 0", cookie=it.profile.token)
            it.passes(answer, "the app's own pages may")
        # No page of another site can set it.
        it.passes(it.send(method, path, "Content-Length: 0", token=it.profile.token))


@check("the same by another name of the method, or an empty Authorization beside the cookie",
       ("Sec-Fetch-Site, Origin", "apps behind many proxies", "no check of the origin of unsafe methods"))  # fmt: skip
def r49_disguised(it):
    needs_cookie(it)
    path = it.profile.protected + "/x"
    for lines in (["Authorization:"], ["Authorization: Bearer"], ["Authorization: Basic Og=="],
                  ["Authorization: Bearer x"], ["X-HTTP-Method-Override: GET"],
                  ["Access-Control-Request-Method: GET"], [f"Host: {EVIL[8:]}"],
                  ["Upgrade: websocket", "Connection: Upgrade"]):  # fmt: skip
        for method in ("POST", "DELETE"):
            answer = it.send(method, path, f"Origin: {EVIL}", *lines, "Content-Length: 0", cookie=it.profile.token)
            it.refused(answer)


@check("a name of another site that leads to the operators' listener",
       ("CVE-2018-5702", "Transmission", "a page had its own name lead to a listener that asks for no login"),
       ("CVE-2018-7160", "Node.js", "the same with the debugger"))  # fmt: skip
def r68_dns_rebinding(it):
    gate = it.gate()
    if not hasattr(gate, "admin"):
        raise NotApplicable("it has no listener for operators")
    for host, expected in (
        ("evil.example", 421),
        (f"evil.example:{gate.admin}", 421),
        ("127.0.0.1.evil.example", 421),
        ("", 421),
        (f"127.0.0.1:{gate.admin}", 200),
        ("localhost", 200),
    ):
        for path in ("/status", "/metrics", "/healthz"):
            connection = http.client.HTTPConnection("127.0.0.1", gate.admin, timeout=10)
            connection.request("GET", path, headers={"Host": host, "Connection": "close"})
            answer = connection.getresponse()
            it.expect(answer.status == expected, f"{path} of {host!r}", expected, answer.status)
            connection.close()


@check("what a page of another site embeds, by cookie",
       ("XS-Leaks wiki", "many", "images, scripts and frames of another site told who is logged in"))  # fmt: skip
def r52_embedded_by_cookie(it):
    needs_cookie(it)
    path = it.profile.protected + "/x"
    for mode, dest in (("no-cors", "image"), ("no-cors", "script"), ("no-cors", "style"), ("no-cors", "empty"),
                       ("navigate", "iframe"), ("navigate", "object"), ("no-cors", "document")):  # fmt: skip
        lines = ["Sec-Fetch-Site: cross-site", f"Sec-Fetch-Mode: {mode}", f"Sec-Fetch-Dest: {dest}"]
        it.refused(it.send("GET", path, *lines, cookie=it.profile.token))
        it.passes(it.send("GET", path, *lines, token=it.profile.token), "no page of another site has the token")
    visit = ["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"]
    it.passes(it.send("GET", path, *visit, cookie=it.profile.token), "a link leads there")
    it.refused(it.send("GET", path, *visit, "Sec-Purpose: prefetch", cookie=it.profile.token))


@check("only a preflight is answered as one, and none is forwarded without a credential",
       ("OPTIONS and HEAD bypasses", "many", "a method that was excused from the check opened the route"))  # fmt: skip
def r50_preflights(it):
    path = it.profile.protected + "/x"
    origin = it.profile.origin or "https://app.example.com"
    for lines in ([], [f"Origin: {origin}"], ["Access-Control-Request-Method: GET"],
                  [f"Origin: {EVIL}", "Access-Control-Request-Method: GET"],
                  [f"Origin: {origin}", "Access-Control-Request-Method:"],
                  [f"Origin: {origin}", "Access-Control-Request-Method: nonsense here"],
                  ["Origin: null", "Access-Control-Request-Method: GET"],
                  ["Origin:", "Access-Control-Request-Method: POST"]):  # fmt: skip
        answer = it.send("OPTIONS", path, *lines)
        it.expect(not it.seen(), answer, "nothing comes to the app", f"{answer}; the app saw it")
        allowed = answer.values("access-control-allow-origin")
        it.expect(EVIL not in allowed and "null" not in allowed, answer, "nobody else is allowed", allowed)
    for method in ("GET", "POST", "PUT", "DELETE"):
        answer = it.send("OPTIONS", path, f"Origin: {origin}", f"Access-Control-Request-Method: {method}")
        it.expect(not it.seen(), answer, "nothing comes to the app", f"{answer}; the app saw it")


@check("every method is judged as GET is",
       ("OPTIONS and HEAD bypasses", "many", "a method that was excused from the check opened the route"))  # fmt: skip
def r50_methods(it):
    paths = [it.profile.protected + "/x", it.profile.protected] + ([it.profile.role + "/x"] if it.profile.role else [])
    methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "TRACK", "DEBUG", "PROPFIND",
               "SEARCH", "LINK", "MOVE", "LOCK", "QUERY",
               "get", "Head", "OPTIONSX", "HEADER", "G", "GETS", "X-GET", "PURGE", "BREW", "M-SEARCH",
               "A" * 40]  # fmt: skip
    for path in paths:
        for method in methods:
            for how in ({}, {"token": it.profile.forged}, {"token": it.profile.expired}):
                it.refused(it.send(method, path, "Content-Length: 0", **how))
                it.refused(it.send(method, path, **how))
        if path == it.profile.role + "/x":
            for method in methods:
                it.refused(it.send(method, path, "Content-Length: 0", token=it.profile.token))


@check("TRACE tells nobody what the proxy has added",
       ("OPTIONS and HEAD bypasses", "many", "a method that was excused from the check opened the route"))  # fmt: skip
def r50_trace(it):
    for lines in ([], ["Max-Forwards: 0"]):
        for method in ("TRACE", "TRACK"):
            answer = it.send(method, it.profile.protected + "/x", *lines, "X-Marker: 4711", token=it.profile.token)
            it.expect(b"4711" not in answer.body, answer, "no echo of the request", answer.body)
    it.recorder.take()
