"""Shape A: headers that claim an identity, an address, or another request."""

import random
import re
from pathlib import Path

from .. import readers
from ..check import check
from ..profile import FORWARDED

CANARY = "mallory"
SEED = 1


def spoofs(name, separators, rng, count=6):
    """The name with these separators between its words, each way, in several cases; each way at least once."""
    words = name.split("-")
    found = [sep.join(words) for sep in separators if sep != "-" or len(separators) > 1]
    for _ in range(count):
        text = words[0]
        for word in words[1:]:
            text += rng.choice(separators) + word
        found.append(rng.choice([str.lower, str.upper, str, str.swapcase])(text))
    return sorted(set(found))


def claimed(seen, names, folds=None):
    """What of an identity in a request is the client's: `(fold, header, values)`."""
    for fold_name, fold in (folds or readers.FOLDS).items():
        headers = seen.folded(fold)
        for name in names:
            values = headers.get(fold(name), [])
            if any(CANARY in value for value in values) or len(values) > 1:
                yield fold_name, name, values


def ways(it):
    """Who asks: `(what, path, how)`, of whom each may be forwarded."""
    yield "nobody, of what is public", it.profile.public + "/x", {}
    yield "a forged token, of what is public", it.profile.public + "/x", {"token": it.profile.forged}
    yield "a good token", it.profile.protected + "/x", {"token": it.profile.token}


def folded(requests, name):
    """What apps read in a header, of either way to fold its name."""
    return [
        value
        for seen in requests
        for fold in (readers.as_cgi, readers.as_php)
        for value in seen.folded(fold).get(fold(name), [])
    ]


def look(it, sent, names, folds=None):
    """Holds what the app saw, if it saw anything, against what it must not see."""
    found = [
        f"an app that folds as {fold} does reads {name}: {values}"
        for seen in it.seen()
        for fold, name, values in claimed(seen, names, folds)
    ]
    it.expect(not found, sent, "no identity of the client's choice", "; ".join(found))


FOLDED = [
    ("CVE-2025-64484", "oauth2-proxy", "X_Forwarded_User passed, and WSGI and PHP apps folded it to X-Forwarded-User"),
    ("CVE-2026-39858, CVE-2026-33433, CVE-2026-54763", "Traefik", "an alias survived; each fix missed the next one"),
]


@check("aliases of identity headers, as apps fold names", *FOLDED)
def r01_folded_header_names(it):
    names = [*it.profile.identity, *it.profile.reserved]
    it.needs(names, "it sets no identity header")
    rng = random.Random(SEED)
    for what, path, how in ways(it):
        for name in names:
            for separators in (["-"], ["_"], ["."], ["-", "_", "."]):
                lines = [f"{alias}: {CANARY}" for alias in spoofs(name, separators, rng)]
                sent = it.bytes("GET", path, *lines, **how)
                it.send_bytes(sent)
                look(it, sent, names, {"WSGI": readers.as_cgi, "PHP": readers.as_php})


@check("aliases with any other sign that a name may have", *FOLDED)
def r01_other_signs_in_header_names(it):
    names = [*it.profile.identity, *it.profile.reserved]
    it.needs(names, "it sets no identity header")
    rng = random.Random(SEED)
    for what, path, how in ways(it):
        for name in names:
            lines = [f"{alias}: {CANARY}" for sign in "!#$%&'*+^`|~" for alias in spoofs(name, [sign], rng, 0)]
            sent = it.bytes("GET", path, *lines, **how)
            it.send_bytes(sent)
            look(it, sent, names, {"an old CGI": readers.as_old_cgi})


@check("names with spaces, and spaces before the colon", *FOLDED)
def r01_spaces_in_header_names(it):
    names = list(it.profile.identity)
    it.needs(names, "it sets no identity header")
    for what, path, how in ways(it):
        for name in names[:4]:
            for line in (name.replace("-", " "), name + " ", name + "\t", " " + name, name.replace("-", "\t"),
                         name + "\0",
                         name + "\u00a0", name + "\r", "\0" + name):  # fmt: skip
                sent = it.bytes("GET", path, f"{line}: {CANARY}", **how)
                it.send_bytes(sent)
                look(
                    it,
                    sent,
                    names,
                    readers.FOLDS | {"a trimming app": lambda text: re.sub(r"[^A-Za-z0-9]+", "", text).upper()},
                )


@check("the client's copies beside the proxy's", *FOLDED)
def r01_copies_beside_the_real_one(it):
    names = list(it.profile.identity)
    it.needs(names, "it sets no identity header")
    for what, path, how in ways(it):
        for name in names:
            lines = [
                f"{name}: {CANARY}",
                f"{name}:{CANARY}",
                f"{name.lower()}: {CANARY},{CANARY}",
                f"{name.upper()}:\t{CANARY}",
            ]
            sent = it.bytes("GET", path, *lines, **how)
            it.send_bytes(sent)
            look(it, sent, names)


@check("stripping on public paths, for anonymous callers, with every method",
       ("CVE-2026-30851, CVE-2026-52845", "Caddy",
        "the client's copy stayed when the auth server sent none; names were folded for FastCGI"),
       ("mod_auth_openidc 2026-08-11", "mod_auth_openidc",
       "claim headers were not scrubbed on the OPTIONS shortcut"))  # fmt: skip
def r02_stripped_on_every_way(it):
    names = list(it.profile.identity)
    it.needs(names, "it sets no identity header")
    lines = [f"{name}: {CANARY}" for name in names] + [f"{name.replace('-', '_')}: {CANARY}" for name in names]
    callers = [{}, {"token": it.profile.forged}, {"token": it.profile.expired}, {"token": it.profile.token}]
    if it.profile.cookie:
        callers += [{"cookie": it.profile.forged}, {"cookie": it.profile.token}]
    for path in (
        it.profile.public + "/x",
        it.profile.public + "/status-404",
        it.profile.protected + "/x",
        "/",
        "/nowhere/x",
    ):
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"):
            for how in callers:
                sent = it.bytes(method, path, *lines, "Content-Length: 0", **how)
                answer = it.send_bytes(sent, method)
                look(it, sent, names)
                it.expect(answer.status != -1, sent, "an answer", answer)


@check("stripping on preflights and what looks like one",
       ("mod_auth_openidc 2026-08-11", "mod_auth_openidc",
       "claim headers were not scrubbed on the OPTIONS shortcut"))  # fmt: skip
def r02_stripped_on_preflights(it):
    names = list(it.profile.identity)
    it.needs(names, "it sets no identity header")
    lines = [f"{name}: {CANARY}" for name in names]
    for origin in (it.profile.origin or "https://app.example.com", "https://evil.example.net", "null"):
        for asked in ("GET", "POST", "nonsense", ""):
            for path in (it.profile.public + "/x", it.profile.protected + "/x"):
                preflight = [f"Origin: {origin}", f"Access-Control-Request-Method: {asked}"]
                sent = it.bytes("OPTIONS", path, *preflight, *lines)
                answer = it.send_bytes(sent, "OPTIONS")
                look(it, sent, names)
                it.expect(answer.status != -1, sent, "an answer", answer)


@check("a claim that the token has not, and the client says",
       ("CVE-2026-30851", "Caddy", "the client's copy stayed when the auth server sent none"))  # fmt: skip
def r02_claims_that_are_not_there(it):
    it.needs(it.profile.bare_token, "there is no token without them")
    optional = {name: claim for name, claim in it.profile.identity.items() if claim not in ("sub", "jti")}
    it.needs(optional, "all that it says is in every token")
    token = it.profile.bare_token
    for method in ("GET", "POST"):
        for name in optional:
            sent = it.bytes(method, it.profile.protected + "/x", f"{name}: {CANARY}", "Content-Length: 0", token=token)
            answer = it.send_bytes(sent, method)
            it.expect(answer.status in (200, 401), sent, "forwarded, or refused", answer)
            look(it, sent, optional)


@check("Connection can't take the proxy's headers away",
       ("CVE-2025-48865", "Fabio", "its own header was dropped, since Connection named it"),
       ("CVE-2024-45410, CVE-2026-29054", "Traefik", "its own header was dropped, since Connection named it"),
       ("GHSA-w9mr-28mw-j8hg", "Oathkeeper", "its own header was dropped, since Connection named it"))  # fmt: skip
def r03_connection_names_our_headers(it):
    plain = it.passes(it.send("GET", it.profile.protected + "/x", token=it.profile.token))
    if not plain:
        return
    ours = [name for name in (*it.profile.identity, *FORWARDED) if plain.values(name)]
    it.needs(ours, "it sets no header")
    for name in ours:
        for value in (
            name,
            name.lower(),
            name.upper(),
            name.swapcase(),
            f"close, {name}",
            f"keep-alive,{name} ",
            f"{name}\t, {name}",
        ):
            answer = it.send("GET", it.profile.protected + "/x", f"Connection: {value}", token=it.profile.token)
            seen = it.seen()
            it.expect(len(seen) <= 1, answer, "forwarded once", seen)
            for each in seen:
                it.expect(each.values(name), answer, f"{name} is set", f"without it: {each.headers}")
    both = ["Connection: close", "Connection: " + ", ".join(ours)]
    for each in [it.send("GET", it.profile.protected + "/x", *both, token=it.profile.token)]:
        for seen in it.seen():
            missing = [name for name in ours if not seen.values(name)]
            it.expect(not missing, each, "all are set", f"without {missing}")


@check("Connection can't take a credential out of the judgement",
       ("GHSA-w9mr-28mw-j8hg", "Oathkeeper", "its own header was dropped, since Connection named it"))  # fmt: skip
def r03_connection_names_credentials(it):
    lines = ["Authorization", "Cookie", "Host", "Content-Length", "Transfer-Encoding", "Origin"]
    lines += [line.partition(":")[0] for line in it.profile.always]
    for name in lines:
        answer = it.send("GET", it.profile.protected + "/x", f"Connection: {name}")
        it.refused(answer)
        answer = it.send(
            "GET", it.profile.protected + "/x", f"Connection: {name.lower()}, close", token=it.profile.forged
        )
        it.refused(answer)


@check("X-Forwarded-* and Forwarded of anybody",
       ("CVE-2026-35051, CVE-2026-54764", "Traefik", "they were believed of anybody"),
       ("CVE-2026-57210, GHSA-4jgr-pg2m-m988", "Heimdall", "they were believed of anybody, or injected through Host"),
       ("CVE-2026-33495", "Oathkeeper", "they were believed of anybody"))  # fmt: skip
def r04_forwarded_headers_of_strangers(it):
    values = {"X-Forwarded-For": "203.0.113.66", "X-Real-IP": "203.0.113.66",
              "Forwarded": "for=203.0.113.66;host=mallory;proto=gopher",
              "X-Forwarded-Port": "6666"}  # fmt: skip
    for what, path, how in ways(it):
        for name in FORWARDED:
            for alias in (name, name.lower(), name.replace("-", "_"), name.replace("-", ".")):
                value = values.get(name, CANARY)
                answer = it.send("GET", path, f"{alias}: {value}", **how)
                found = [said for said in folded(it.seen(), name) if value in said]
                it.expect(not found, answer, f"nobody's {name} but the proxy's", f"the app sees {name}: {found}")


@check("an address or a scheme that the client claims changes no judgement",
       ("CVE-2026-57210", "Heimdall", "they were believed of anybody"))  # fmt: skip
def r04_forwarded_headers_open_nothing(it):
    for lines in (["X-Forwarded-For: 127.0.0.1"], ["X-Real-IP: 127.0.0.1"], ["Forwarded: for=127.0.0.1;proto=https"],
                  ["X-Forwarded-Proto: https", "X-Forwarded-Host: " + it.profile.host],
                  ["X-Forwarded-For: ::1, 127.0.0.1"],
                  ["X-Client-IP: 127.0.0.1"], ["True-Client-IP: 127.0.0.1"],
                  ["X-Forwarded-User: admin", "Remote-User: admin"],
                  ["X-Forwarded-Client-Cert: Subject=admin"], ["X-SSL-Client-Verify: SUCCESS"]):  # fmt: skip
        it.refused(it.send("GET", it.profile.protected + "/x", *lines))


@check("trust in everybody must be said twice; a trusted proxy's chain is read from the right",
       ("CVE-2026-40575, #3506", "oauth2-proxy", "the fix trusts 0.0.0.0/0 by default"))  # fmt: skip
def r04_trust_is_configured(it):
    gate = it.gate()
    for networks in ('["0.0.0.0/0"]', '["::/0"]', '["10.0.0.0/8", "0.0.0.0/0"]'):
        refused = gate.refuses(server=f"trusted_proxies = {networks}")
        it.expect(refused, f"trusted_proxies = {networks}", "no start", "it started")
    with gate.another(server='trusted_proxies = ["127.0.0.1/32", "10.0.0.0/8"]') as other:
        case = it.at(other)
        answer = case.send(
            "GET", "/open/x", "X-Forwarded-For: 203.0.113.66, 198.51.100.7, 10.1.2.3", "X-Forwarded-Proto: https"
        )
        seen = case.passes(answer)
        if seen:
            hops = ", ".join(seen.values("x-forwarded-for"))
            it.expect(
                "203.0.113.66, 198.51.100.7, 10.1.2.3" in hops or "198.51.100.7" in hops,
                answer,
                "the chain of a trusted proxy",
                hops,
            )


STEERING = ["X-Original-URL", "X-Rewrite-URL", "X-Original-URI", "X-Forwarded-Uri", "X-Forwarded-Path",
            "X-Envoy-Original-Path",
            "X-Original-Method", "X-Forwarded-Method", "X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override",
            "X-Auth-Request-Redirect", "X-Forwarded-Host", "X-Host", "X-Original-Host", "X-HTTP-Path-Override",
            "X-Proxy-URL"]  # fmt: skip


@check("no header tells the judgement another path, method or host",
       ("CVE-2026-40575", "oauth2-proxy", "the decision went by X-Forwarded-Uri, the app got the real path"),
       ("CVE-2023-27487", "Envoy", "x-envoy-original-path steered jwt_authn"))  # fmt: skip
def r05_no_header_steers_the_judgement(it):
    public = it.profile.public + "/x"
    values = [public, f"http://{it.profile.host}{public}", "OPTIONS", "HEAD", it.profile.host]
    for name in STEERING:
        for value in values:
            for alias in (name, name.lower(), name.replace("-", "_")):
                it.refused(it.send("GET", it.profile.protected + "/x", f"{alias}: {value}"))
    # All at once, and by a method that is no GET.
    for method in ("GET", "POST", "OPTIONS", "DELETE"):
        lines = [f"{name}: {public}" for name in STEERING]
        it.refused(it.send(method, it.profile.protected + "/x", *lines, "Content-Length: 0"))


@check("no header tells the app another path than the one that was judged",
       (
       "CVE-2026-40575", "oauth2-proxy",
       "the decision went by X-Forwarded-Uri, the app got the real path"))  # fmt: skip
def r05_no_header_steers_the_app(it):
    target = it.profile.protected + "/secret"
    for name in ("X-Original-URL", "X-Rewrite-URL"):
        for alias in (name, name.lower(), name.replace("-", "_")):
            answer = it.send("GET", it.profile.public + "/x", f"{alias}: {target}")
            found = folded(it.seen(), name)
            it.expect(target not in found, answer, f"no {name} for an app that goes by it", f"the app sees {found}")


@check("health checks and other privileged user agents",
       ("CVE-2026-34457", "oauth2-proxy", "the User-Agent of a health check opened every path"))  # fmt: skip
def r06_no_user_agent_opens_anything(it):
    agents = ["GoogleHC/1.0", "kube-probe/1.31", "ELB-HealthChecker/2.0", "Amazon-Route53-Health-Check-Service",
              "Go-http-client/1.1",
              "Consul Health Check", "Envoy/HC", "Prometheus/2.53", "HAProxy", "nginx", "UptimeRobot/2.0",
              "internal"]  # fmt: skip
    for agent in agents:
        for path in (
            it.profile.protected,
            it.profile.protected + "/",
            it.profile.protected + "/healthz",
            it.profile.protected + "/ping",
        ):
            it.refused(it.send("GET", path, f"User-Agent: {agent}"))
    for line in ("X-Health-Check: 1", "X-Internal: true", "X-Amzn-Trace-Id: Root=1", "Purpose: prefetch",
                 "X-Middleware-Subrequest: middleware",
                 "Sec-Fetch-Site: same-origin", "Referer: http://localhost/", "Via: 1.1 trusted",
                 "Max-Forwards: 0"):  # fmt: skip
        it.refused(it.send("GET", it.profile.protected + "/x", line))


@check("health endpoints on the listener of the clients lead nowhere else",
       ("CVE-2026-34457", "oauth2-proxy", "the User-Agent of a health check opened every path"))  # fmt: skip
def r06_health_endpoints_open_nothing(it):
    for path in ("/healthz", "/readyz", "/ping", "/ready", "/status", "/metrics", "/-/healthy", "/health"):
        for target in (
            path + it.profile.protected + "/x",
            path + "/.." + it.profile.protected + "/x",
            path + ";" + it.profile.protected,
        ):
            it.refused(it.send("GET", target, "User-Agent: kube-probe/1.31"))


@check("the host that a client writes for a proxy that does not set it",
       ("CVE-2022-29933", "Craft CMS", "X-Forwarded-Host went into the links of password resets"))  # fmt: skip
def r54_forwarded_host(it):
    for what, path, how in ways(it):
        for name in ("X-Forwarded-Host", "x_forwarded_host", "X-Forwarded-Server", "Forwarded"):
            sent = it.bytes("GET", path, f"{name}: host={CANARY}.example", f"{name}: {CANARY}.example", **how)
            it.send_bytes(sent)
            found = [value for value in folded(it.seen(), name) if CANARY in value]
            it.expect(not found, sent, f"nobody's {name} but the proxy's", found)
    if not hasattr(it.control, "another"):
        return
    # Of a proxy that is believed, the host is not, and of two families one says nothing.
    with it.control.another(server='trusted_proxies = ["127.0.0.1/32"]') as other:
        case = it.at(other)
        answer = case.send(
            "GET", "/open/x", f"X-Forwarded-Host: {CANARY}.example", f"Forwarded: for=203.0.113.66;host={CANARY}.example"
        )
        seen = case.passes(answer)
        if seen:
            found = [seen.values("x-forwarded-host"), seen.values("x-forwarded-for")]
            good = CANARY not in str(found) and "203.0.113.66" not in str(found)
            case.expect(good, answer, "the host that was asked for, and the peer", found)


@check("the header that CGI takes for the proxy of an app's own requests",
       ("CVE-2016-5385, CVE-2016-5386, CVE-2016-5387", "PHP, Go, Apache", "Proxy became HTTP_PROXY (httpoxy)"))  # fmt: skip
def r55_httpoxy(it):
    for what, path, how in ways(it):
        for name in ("Proxy", "proxy", "PROXY"):
            sent = it.bytes("GET", path, f"{name}: {CANARY}", **how)
            it.send_bytes(sent)
            found = [value for value in folded(it.seen(), "Proxy") if CANARY in value]
            it.expect(not found, sent, "no header Proxy at the app", found)


@check("secrets in logs at their loudest",
       ("CVE-2022-23469, CVE-2026-41181", "Traefik",
        "Authorization in the debug log; Authorization and Cookie sent to the service of error pages"),
       last=True)  # fmt: skip
def r07_no_secret_in_logs(it):
    it.needs(it.profile.logs, "its logs are not known to the suite")
    path = it.profile.protected + "/x"
    # One that was presented as credentials are, and nowhere else: other checks put tokens where none belongs.
    token = it.profile.bare_token or it.profile.token
    for each in (token, token + "x"):
        it.send("GET", path, token=each)
        if it.profile.cookie:
            it.send("GET", path, cookie=each)
        it.send("GET", it.profile.public + "/status-500", token=each)
        it.send("GET", path + "/%00", token=each)
        it.send("POST", "/nowhere", "Content-Length: 0", token=each)
    it.recorder.take()
    # A signature alone is enough to know it by, however it is wrapped.
    secrets = {"a token": token, "an API key": it.profile.key} | it.secrets
    logs = [Path(log) for log in it.profile.logs if Path(log).exists()]
    it.needs(any(log.stat().st_size for log in logs), "its logs are empty")
    for log in logs:
        text = log.read_bytes()
        for what, secret in secrets.items():
            mark = secret.rpartition(".")[2].encode()
            if len(mark) < 6:
                continue
            at = text.find(mark)
            line = text[max(0, text.rfind(b"\n", 0, at) + 1) : at] if at >= 0 else b""
            it.expect(
                at < 0,
                what,
                f"nowhere in {log.name}",
                f"in a line that begins with {line[:80].decode(errors='replace')!r}",
            )
