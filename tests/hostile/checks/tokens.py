"""Shape D: what is taken for a credential."""

import base64
import json
import random
import socket
import threading
import time

from ..check import check
from ..gate import DISABLED_KEY, route
from ..tokens import Minter, Rsa, as_json, encoded, hs256
from ..wire import hang_up, request

SEED = 3


def minter(it):
    it.needs(it.profile.minter, "tokens are judged by the auth service behind it, which is the suite's own")
    return it.profile.minter


def refuses(it, token, about=None):
    """Presented in each way that a token can be."""
    for how in ("token", "cookie"):
        if how == "cookie" and not it.profile.cookie:
            continue
        try:
            answer = it.send("GET", it.profile.protected + "/x", **{how: token})
        except UnicodeEncodeError:
            continue
        seen = it.seen()
        came = f"{answer}; the app saw {seen}" if seen else answer
        it.expect(answer.refused and not seen and answer.status not in (500, 502), about or answer, "refused", came)


def accepts(it, token):
    """Else nothing is shown by a refusal of others."""
    return it.passes(it.send("GET", it.profile.protected + "/x", token=token))


CONFUSION = [("CVE-2026-39999", "APISIX 2.2 to 3.16.0",
             "the key came from the configuration, the algorithm from the token"),
             ("CVE-2016-10555", "jwt-simple and others",
             "the RSA public key was taken for the secret of HMAC")]  # fmt: skip


@check("the algorithm is the key's, never the token's", *CONFUSION)
def r20_algorithms(it):
    make = minter(it)
    accepts(it, make.token())
    for alg in ("none", "None", "NONE", "nOnE", "", "HS384", "HS512", "RS256", "ES256", "PS256", "EdDSA", "hs256",
                "HS256 ", "HS257", "dir", "A256KW",
                "PBES2-HS256+A128KW", None, 0, True, [], ["HS256"], {}, {"alg": "HS256"}, "none\0"):  # fmt: skip
        refuses(it, make.with_header({"alg": alg}))
        header = {name: value for name, value in (make.header | {"alg": alg}).items() if value is not None}
        unsigned = make.compact(header, make.said(), lambda signed: b"")
        refuses(it, unsigned)
        refuses(it, unsigned.rstrip("."))
    good = make.token()
    head, claims, signature = good.split(".")
    for other in (f"{head}.{claims}.", f"{head}.{claims}", f".{claims}.{signature}", f"{head}..{signature}",
                  f"{head}.{claims}.{signature}.", f"{good}.{signature}",
                  f"{head}.{claims}.{encoded(bytes(32))}", f"{head}.{claims}.{encoded(bytes(64))}",
                  f"{head}.{claims}.{signature[:-2]}", f"{head}.{claims}.{head}"):  # fmt: skip
        refuses(it, other)
    for secret in (
        b"",
        b"secret",
        b"\0",
        b"null",
        b"undefined",
        make.header.get("kid", "").encode(),
        b"password",
        b"your-256-bit-secret",
    ):
        refuses(it, make.compact(make.header, make.said(), lambda signed, secret=secret: hs256(secret, signed)))


@check("key ids are looked up, and lead nowhere", *CONFUSION)
def r20_key_ids(it):
    make = minter(it)
    it.needs(make.header.get("kid"), "its tokens name no key")
    kid = make.header["kid"]
    for other in ("", "x", kid.upper() if kid != kid.upper() else kid.lower(), kid + " ", kid[:-1], kid + "\0",
                  "../" + kid, "../../../../../dev/null", "/dev/null",
                  "' OR 1=1 --", "' UNION SELECT 'x", "http://127.0.0.1/x", "|id", "$(id)", "{{7*7}}",
                  "file:///dev/null", 0, [], [kid], {}, None, True, "x" * 900):  # fmt: skip
        refuses(it, make.with_header({"kid": other}))
        for secret in (b"", b"\0", b"x"):
            header = {name: value for name, value in (make.header | {"kid": other}).items() if value is not None}
            refuses(it, make.compact(header, make.said(), lambda signed, secret=secret: hs256(secret, signed)))


@check("a public key is no secret", *CONFUSION)
def r20_public_keys(it):
    gate = it.gate()
    changed = gate.text().replace("[[realm.key]]", 'algorithm = "RS256"\n\n[[realm.key]]', 1)

    def edit(other):
        for path in other.keys.iterdir():
            path.unlink()
        text = changed.replace(f'listen = ["127.0.0.1:{gate.port}"]', f'listen = ["127.0.0.1:{other.port}"]')
        other.write(text.replace(f'admin = "127.0.0.1:{gate.admin}"', f'admin = "127.0.0.1:{other.admin}"'))

    with gate.another(edit=edit) as other:
        path = next(other.keys.glob("*.jwk"))
        jwk = json.loads(path.read_text())
        case, rsa = it.at(other), Rsa.of_jwk(jwk)
        profile = case.profile
        header = {"alg": "RS256", "typ": "at+jwt", "kid": jwk["kid"]}
        profile.minter = make = Minter(header, it.profile.minter.claims, rsa=rsa)
        accepts(case, make.token())
        published = case.send("GET", "/.well-known/jwks.json")
        it.recorder.take()
        public = rsa.jwk(jwk["kid"])
        secrets = [rsa.pem(), rsa.pem().strip(), rsa.der(), as_json(public), jwk["n"].encode(),
                   base64.urlsafe_b64decode(jwk["n"] + "=="), published.body,
                   base64.b64encode(rsa.der()), jwk["kid"].encode(), b""]  # fmt: skip
        for secret in secrets:
            for alg in ("HS256", "HS384", "HS512", "none"):
                for kid in (jwk["kid"], None):
                    head = {
                        name: value for name, value in (header | {"alg": alg, "kid": kid}).items() if value is not None
                    }
                    refuses(case, make.compact(head, make.said(), lambda signed, secret=secret: hs256(secret, signed)))
        stranger = Rsa.new()
        refuses(case, Minter(header, make.claims, rsa=stranger).token())
        refuses(case, Minter(header | {"jwk": stranger.jwk(jwk["kid"])}, make.claims, rsa=stranger).token())


TYPES = [("CVE-2026-25537", "jsonwebtoken before 10.3.0", "exp and nbf of the wrong JSON type counted as not there"),
         ("mod_auth_openidc 2026", "mod_auth_openidc", "exp was optional, and 1e300 overflowed")]  # fmt: skip


@check("times of the wrong type, or out of bounds", *TYPES)
def r21_types_of_times(it):
    make = minter(it)
    now = int(time.time())
    values = [
        str(now + 3600),
        now + 3600.5,
        -1,
        2**63 - 1,
        2**64 - 1,
        2**64,
        2**53 + 1,
        [now + 3600],
        {"at": now + 3600},
        True,
        False,
        "",
        "never",
        "null",
        -(2**63),
    ]
    for name in ("exp", "nbf", "iat"):
        for value in values:
            # Small and whole: a time that has passed is none for nbf and iat to refuse.
            if name != "exp" and value == -1:
                continue
            refuses(it, make.token(**{name: value}), f"{name}: {value!r}")
    body = json.dumps(make.said(exp=4711000))
    for text in ("1e300", "1e400", "-1e300", "99999999999999999999999", "4102444800.0", "4.1e9", "0x7fffffff",
                 "Infinity", "NaN", "null", "-0", "[]", "{}", "+4102444800",
                 "04102444800", "4102444800e0", '"4102444800"'):  # fmt: skip
        for name in ("exp", "nbf", "iat"):
            said = json.dumps(make.said(**{name: 4711000})).replace("4711000", text, 1)
            # Zero is a time that has passed.
            if (name, text) in (("nbf", "-0"), ("iat", "-0")):
                continue
            refuses(it, make.compact(make.header, said), f'"{name}": {text}')
    refuses(it, make.compact(make.header, body), "exp of 1970")


@check("times that have passed or not come", *TYPES)
def r21_times(it):
    make, now = minter(it), int(time.time())
    for claims in (
        {"exp": now - 3600},
        {"exp": now - 400},
        {"exp": 0},
        {"exp": 1},
        {"nbf": now + 3600},
        {"nbf": now + 400},
        {"exp": now - 3600, "nbf": now - 7200},
    ):
        refuses(it, make.token(**claims), claims)
    # It counts while it lives, and ends while it is in use.
    token = make.token(exp=now + 1)
    accepts(it, make.token(exp=now + 30))
    answer = it.send("GET", it.profile.protected + "/x", token=token)
    it.recorder.take()
    it.expect(answer.status in (200, 401), answer, "an answer", answer)


MEMBERS = [
    (
        "mod_auth_openidc 2026",
        "mod_auth_openidc",
        "exp was optional, no aud or iss was checked in a local JWT, the last of doubled members won",
    )
]


@check("exp, iss and aud have to be there, and right", *MEMBERS)
def r22_mandatory_claims(it):
    make = minter(it)
    for name in ("exp", "iss", "aud", "sub"):
        refuses(it, make.token(**{name: None}), f"no {name}")
    for name in ("iss", "aud", "sub"):
        right = make.claims.get(name)
        wrong = ["", " ", 0, True, {}, [], [[]], None, "x"] + (
            [right + "/", right + " ", right.upper(), right[:-1], right + "\0", {right: right}] if name != "sub" else []
        )
        for value in wrong:
            if value is None or name == "sub" and value in ("x", " "):
                continue
            refuses(it, make.token(**{name: value}), f"{name}: {value!r}")
    refuses(it, make.token(aud=["somebody", "else"]), "aud of others")
    refuses(it, make.token(iss=[make.claims["iss"]]), "iss in a list")


@check("members that come twice", *MEMBERS)
def r22_doubled_members(it):
    make = minter(it)
    said = json.dumps(make.said())
    for text in ('"exp":4102444800', '"exp":1', f'"iss":"{make.claims["iss"]}"', '"iss":"other"', '"sub":"admin"',
                 '"roles":[],"roles":["admin"]', '"aud":"other"',
                 '"x":{"a":1,"a":2}', '"x":[{"a":1,"a":2}]', '"\\u0065xp":4102444800', '"x":1,"x":1'):  # fmt: skip
        refuses(it, make.compact(make.header, said[:-1] + "," + text + "}"), text)
        refuses(it, make.compact(make.header, "{" + text + "," + said[1:]), text)
    header = json.dumps(make.header)
    for text in ('"alg":"none"', '"alg":"HS256"', '"typ":"x"', '"kid":"x"', '"\\u0061lg":"none"'):
        refuses(it, make.compact(header[:-1] + "," + text + "}", make.said()), text)
        refuses(it, make.compact("{" + text + "," + header[1:], make.said()), text)


@check("doubled credentials and parameters", *MEMBERS)
def r22_doubled_credentials(it):
    good, bad = it.profile.token, it.profile.forged
    path = it.profile.protected + "/x"
    for first, second in ((good, bad), (bad, good)):
        lines = [it.profile.bearer.format(token=first), it.profile.bearer.format(token=second)]
        it.refused(it.send("GET", path, *lines))
        if it.profile.bearer.startswith("Authorization: "):
            it.refused(it.send("GET", path, f"Authorization: Bearer {first}, Bearer {second}"))
            it.refused(it.send("GET", path, f"Authorization: Bearer {first} {second}"))
        if it.profile.cookie:
            one, two = (it.profile.cookie.format(token=token) for token in (first, second))
            it.refused(it.send("GET", path, one, two))
            it.refused(it.send("GET", path, one + "; " + two.partition(": ")[2]))


@check("an Authorization header beside the cookie",
       ("authelia/authelia#422", "Authelia", "an app's own Authorization header was taken for the session's"),
       ("louketo/louketo-proxy#308", "louketo-proxy", "the same, and no switch"))  # fmt: skip
def r53_authorization_beside_the_cookie(it):
    it.needs(it.profile.cookie, "it knows no cookie")
    it.needs(it.profile.bearer.startswith("Authorization: "), "its token comes in another header")
    path, good = it.profile.protected + "/x", it.profile.token
    for token in (it.profile.forged, it.profile.expired):
        for scheme in ("Bearer", "bearer", "Bearer\t"):
            answer = it.send("GET", path, f"Authorization: {scheme} {token}", cookie=good)
            it.refused(answer, "a token of the proxy's own that is no good reaches no app beside an identity")
        it.refused(it.send("GET", path, f"Authorization: Bearer {token}", "Authorization: Basic dTpw", cookie=good))
    seen = it.passes(it.send("GET", path, "Authorization: Basic dTpw", cookie=good), "an app has a login of its own")
    if seen:
        came = seen.values("authorization")
        it.expect(came in ([], ["Basic dTpw"]), "the app's header", "as it came, or not at all", came)
    seen = it.passes(it.send("GET", path, f"Authorization: Bearer {good}", cookie="x"))
    if seen:
        it.expect(good not in " ".join(seen.values("authorization")), "the proxy's token", "goes to no app", "it did")


@check("sizes are looked at first",
       ("GO-2025-3553, CVE-2025-30204", "golang-jwt", "a flood of dots was split before it was checked"),
       ("CVE-2025-27144", "go-jose", "a flood of dots was split before it was checked"))  # fmt: skip
def r23_sizes(it):
    make = minter(it)
    for token in (make.token(x="y" * 9000), make.with_header({"x": "y" * 1200}), "." * 8000, "." * 60000, "a." * 20000,
                  make.token() + "." * 5000, "e30." * 2000 + "e30",
                  encoded(b"{" * 3000) + "." + encoded(b"[" * 3000) + ".x",
                  make.compact(make.header, '{"a":' * 1500 + "1" + "}" * 1500)):  # fmt: skip
        refuses(it, token, f"{token[:40]}… of {len(token)}")
    # A megabyte, many at a time: it costs next to nothing.
    began, threads = time.monotonic(), []
    flood = "." * 1_000_000
    for _ in range(8):
        threads.append(threading.Thread(target=lambda: it.send("GET", it.profile.protected + "/x", token=flood)))
        threads[-1].start()
    answer = it.send("GET", it.profile.public + "/x")
    for thread in threads:
        thread.join()
    it.expect(answer.status == 200, "beside eight tokens of a megabyte", "others are served", answer)
    it.expect(
        time.monotonic() - began < 5, "eight tokens of a megabyte", "done in 5 s", f"{time.monotonic() - began:.1f} s"
    )


BOMBS = [("CVE-2024-28180", "go-jose", "a small compressed token became a large one"),
         ("GHSA-2c7c-3mj9-8fqh", "go-jose", "PBES2 with iterations of the sender's choice")]  # fmt: skip


@check("header members that fetch, bring or unpack something", *BOMBS)
def r24_header_members(it):
    make = minter(it)
    stranger = Rsa.new(1024)
    fetched = []
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.2)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/keys"
    members = {"zip": "DEF", "crit": ["exp"], "jku": url, "x5u": url, "x5c": ["MIIB"], "jwk": stranger.jwk("x"),
               "p2c": 10**9, "p2s": "AAAA", "enc": "A128GCM", "b64": False,
               "epk": {}, "cty": "JWT", "x5t": "AAAA", "x5t#S256": "AAAA", "iv": "AAAA", "apu": "AAAA", "url": url,
               "nonce": "x"}  # fmt: skip
    opened = []
    for name, value in members.items():
        it.send("GET", it.profile.protected + "/x", token=make.with_header({name: value}))
        if it.seen():
            opened.append(name)
    # Some of them say nothing that a verifier must heed; these do.
    for name in ("zip", "crit", "b64", "enc"):
        it.expect(name not in opened, f"a header with {name}", "refused", "forwarded")
    it.expect(True, opened, "", "")
    thief = Minter({"alg": "RS256", "typ": make.header.get("typ", "JWT")}, make.claims, rsa=stranger)
    for more in ({"jwk": stranger.jwk("x")}, {"jwk": stranger.jwk("x"), "kid": "x"}, {"jku": url, "kid": "x"},
                 {"x5u": url}, {"x5c": [base64.b64encode(stranger.der()).decode()]},
                 {"jwk": stranger.jwk(make.header.get("kid", "x")), "kid": make.header.get("kid", "x")}):  # fmt: skip
        refuses(it, thief.with_header(more), f"its own key: {sorted(more)}")
    try:
        fetched.append(listener.accept()[0])
    except TimeoutError:
        pass
    listener.close()
    it.expect(not fetched, "jku and x5u", "nothing is fetched", "a connection came")


@check("encrypted tokens", *BOMBS)
def r24_encrypted_tokens(it):
    make = minter(it)
    body = encoded(as_json(make.said()))
    began = time.monotonic()
    for header in ({"alg": "dir", "enc": "A128GCM"}, {"alg": "PBES2-HS256+A128KW", "enc": "A128GCM",
                   "p2c": 2_000_000_000, "p2s": "AAAA"}, {"alg": "RSA-OAEP", "enc": "A256GCM", "zip": "DEF"},
                   {"alg": "none", "enc": "none"}, make.header):  # fmt: skip
        refuses(it, f"{encoded(as_json(header))}..AAAA.{body}.AAAA")
        refuses(it, f"{encoded(as_json(header))}.AAAA.AAAA.{body}.AAAA")
    it.expect(time.monotonic() - began < 5, "iteration bombs", "refused at once", f"{time.monotonic() - began:.1f} s")


CRASHES = [("HAProxy 2026", "HAProxy", "an ECDSA signature's DER overflowed"),
           ("CVE-2025-64527, CVE-2024-45809", "Envoy", "crash in JWT verification")]  # fmt: skip


@check("two thousand mutated tokens", *CRASHES)
def r25_mutated_tokens(it):
    minter(it)
    rng = random.Random(SEED)
    good = it.profile.token
    alphabet = "ABab01-_.=+/ ;,\"'\\\t~%{}:é\x7f"
    with it.pipeline() as send:
        for number in range(2000):
            mutant = list(good)
            for _ in range(rng.randint(1, 3)):
                at, kind = rng.randrange(len(mutant)), rng.random()
                if kind < 0.5:
                    mutant[at] = rng.choice(alphabet)
                elif kind < 0.7:
                    mutant[at:at] = rng.choice(alphabet) * rng.randint(1, 20)
                elif kind < 0.9:
                    del mutant[at : at + rng.randint(1, 5)]
                else:
                    mutant = mutant[at:] + mutant[:at]
                mutant = mutant or ["x"]
            token = "".join(mutant)
            # Around it space is no part of it.
            if token.strip(" \t") == good:
                continue
            how = {"cookie": token} if it.profile.cookie and number % 2 else {"token": token}
            # In a cookie a semicolon ends it.
            if "cookie" in how and token.partition(";")[0].strip(' \t"') == good:
                continue
            answer = send(it.bytes("GET", it.profile.protected + "/x", **how))
            seen = it.recorder.take()
            it.expect(
                answer.refused and not seen and answer.status not in (500, 502),
                answer,
                "refused",
                f"{answer}; the app saw {seen}",
            )


@check("random bytes for a credential of each kind", *CRASHES)
def r25_random_credentials(it):
    rng = random.Random(SEED)
    names = [
        "Authorization",
        "Cookie",
        "Proxy-Authorization",
        *([it.profile.key_header] if it.profile.key_header else []),
    ]
    always = [line for line in it.profile.always]
    for number in range(600):
        name = rng.choice(names)
        prefix = {
            "Authorization": rng.choice([b"", b"Bearer ", b"bearer\t", b"Basic ", b"Bearer"]),
            "Cookie": it.profile.cookie.partition(" ")[2].partition("{")[0].encode(),
        }.get(name, b"")
        # Whatever may stand in a header.
        value = bytes(
            rng.choice([rng.randrange(33, 127), rng.randrange(128, 256), 9, 32]) for _ in range(rng.randint(0, 300))
        )
        lines = [
            f"Host: {it.profile.host}".encode(),
            *(line.encode() for line in always if not line.lower().startswith(name.lower())),
            name.encode() + b": " + prefix + value,
        ]
        answer = it.send_bytes(request("GET", it.profile.protected + "/x", lines))
        it.refused(answer)
        it.expect(answer.status not in (500, 502), answer, "an answer that was meant", answer)


@check("a credential that is there and no good",
       ("CVE-2022-29226", "Envoy", "the OAuth2 filter took the presence of a token for proof"))  # fmt: skip
def r26_garbage_credentials(it):
    path = it.profile.protected + "/x"
    good = it.profile.token
    for token in ("", "x", "null", "undefined", "true", "0", "anonymous", "e30.e30.", "a.b.c", "..",
                  "eyJhbGciOiJub25lIn0.e30.", it.profile.expired, it.profile.forged, good[:-1], good[1:],
                  good.upper(), good.swapcase(), good + "x", "Bearer " + good, good.replace(".", " "),
                  good[::-1]):  # fmt: skip
        refuses(it, token)
    for line in ("Authorization: Basic YWRtaW46YWRtaW4=", "Authorization: Basic Og==", f"Authorization: Token {good}",
                 f"Authorization: {good}", "Authorization: Negotiate x",
                 "Authorization: Digest username=admin", f"Proxy-Authorization: Bearer {good}",
                 f"X-Authorization: Bearer {good}", "Cookie: session=1; auth=true; logged_in=yes",
                 "Cookie: user=admin", f"Cookie: x={good}", "X-Auth-Token: x", "X-Access-Token: x",
                 "Authorization: ApiKey x", f"Authorization: Bearer{good}",
                 f"Authorization: \"Bearer {good}\"", f"Authorization: Bearer \"{good}\"", "X-Auth-Subject: admin",
                 "Remote-User: admin"):  # fmt: skip
        it.refused(it.send("GET", path, line))
    for target in (
        f"{path}?access_token={good}",
        f"{path}?token={good}",
        f"{path}?jwt={good}",
        f"{path}?auth=1",
        f"{path}?authorization=Bearer%20{good}",
    ):
        it.refused(it.send("GET", target))
    # Presented well, but nothing else.
    if it.profile.cookie:
        name = it.profile.cookie.partition(" ")[2].partition("=")[0]
        for line in (f"Cookie: {name.lower()}x={good}", f"Cookie: {name.upper()}={good}", f"Cookie: x{name}={good}",
                     f"Cookie: {name}x={good}", f"Cookie: {name}", f"Cookie: {name}=",
                     f"Cookie: a=\"{name}={good}\"", f"Set-Cookie: {name}={good}", f"Cookie: {name}%3D{good}",
                     f"Cookie2: {name}={good}"):  # fmt: skip
            if name.upper() == name and "upper" in line:
                continue
            it.refused(it.send("GET", path, line))


@check("an API key that is there and no good",
       ("CVE-2022-29226", "Envoy", "the OAuth2 filter took the presence of a token for proof"))  # fmt: skip
def r26_garbage_api_keys(it):
    it.needs(it.profile.key, "it knows no API keys")
    name, key = it.profile.key_header, it.profile.key
    for value in (
        "",
        " ",
        "x",
        "null",
        key[:-1],
        key + "0",
        key.upper(),
        "*",
        "%",
        "' OR '1'='1",
        key + "," + key[::-1],
        key.encode().hex(),
        "0" * len(key),
        key[::-1],
        "é",
    ):
        for path in (it.profile.protected, it.profile.public):
            it.refused(it.send("GET", path + "/x", f"{name}: {value}", token=it.profile.token, key=False))
    it.refused(it.send("GET", it.profile.protected + "/x", token=it.profile.token, key=False))
    it.refused(
        it.send("GET", it.profile.protected + "/x", f"{name}: {key}", f"{name}: x", token=it.profile.token, key=False)
    )
    if hasattr(it.control, "another"):
        it.refused(
            it.send("GET", it.profile.protected + "/x", f"{name}: {DISABLED_KEY}", token=it.profile.token, key=False)
        )
        it.refused(it.send("GET", f"{it.profile.protected}/x?key={key[:-1]}", token=it.profile.token, key=False))


CACHED = [
    ("GHSA-qvp4-rpmr-xwrr, CVE-2021-32701, CVE-2026-33496", "Oathkeeper",
     "a cached decision was reused under another rule or introspector"),
]  # fmt: skip


@check("what was decided for one rule decides nothing for another", *CACHED)
def r27_decisions_of_other_rules(it):
    token = it.profile.token
    for _ in range(3):
        it.passes(it.send("GET", it.profile.protected + "/x", token=token))
        if it.profile.role:
            it.refused(it.send("GET", it.profile.role + "/x", token=token))
        it.refused(it.send("GET", it.profile.protected + "/x", token=it.profile.forged))
        it.refused(it.send("GET", it.profile.protected + "/x"))
        if it.profile.key:
            it.refused(it.send("GET", it.profile.protected + "/x", token=token, key=False))


OTHER_REALM = """
[[realm]]
name = "other"
issuer = "{issuer}"
audience = "hostile"
require_key = false
"""


@check("what was decided counts for its realm and its policy only, and not after its time", *CACHED)
def r27_decisions_of_other_realms(it):
    gate = it.gate()
    other_realm = OTHER_REALM.format(issuer=it.profile.minter.claims["iss"])
    more = route("/other", "user", "", gate.upstream, realm="other")
    with gate.another(realm_tables=other_realm, more=more) as other:
        case = it.at(other)
        make = case.profile.minter
        token = make.token()
        accepts(case, token)
        case.refused(case.send("GET", "/other/x", token=token), "another realm's key signed it")
        # It ends while it is known.
        short = make.token(exp=int(time.time()) - 4)
        answer = case.send("GET", "/app/x", token=short)
        it.recorder.take()
        if answer.status == 200:
            time.sleep(2.5)
            case.refused(case.send("GET", "/app/x", token=short), "it has expired since")
        # Revoked, and the file changed: at once, or in a second.
        jti = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))["jti"]
        other.command("token", "revoke", "--id", jti)
        gone = eventually(lambda: case.send("GET", "/app/x", token=token).refused)
        case.expect(gone, "a revoked token", "refused within a second", "forwarded")
        it.recorder.take()
        fresh = make.token()
        accepts(case, fresh)
        other.reload(other.text().replace('issuer = "https://gate.example.com"', 'issuer = "https://new.example.com"'))
        case.refused(case.send("GET", "/app/x", token=fresh), "the realm has another issuer")


def eventually(probe, limit=3.0):
    """Within a second, on a machine that has nothing else to do."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        if probe():
            return True
        time.sleep(0.02)
    return False


COLLISIONS = [("CVE-2026-35030", "LiteLLM", "keys of a cache collided"),
              ("CVE-2026-71326", "Traefik", "requests were taken for one by password and secret put together"),
              ("traefik#13816", "Traefik", "which requests were taken for one told which users there are")]  # fmt: skip


@check("credentials that are alike in part are not alike", *COLLISIONS)
def r28_alike_in_part(it):
    good = it.profile.token
    it.passes(it.send("GET", it.profile.protected + "/x", token=good))
    for size in range(1, len(good), 7):
        refuses(it, good[:size])
        refuses(it, good[:size] + "A" * (len(good) - size) if good[size:] != "A" * (len(good) - size) else "x")
    for token in (good + good, good + " " + good, good + "\t", good + "%20"):
        if token.strip() != good:
            refuses(it, token)
    if it.profile.minter:
        make = it.profile.minter
        # The same claims for two people, in one breath.
        for _ in range(10):
            for who in ("alice", "alicf"):
                answer = it.send("GET", it.profile.protected + "/x", token=make.token(sub=who, jti="0" * 32))
                seen = it.seen()
                name = next(name for name, claim in it.profile.identity.items() if claim == "sub")
                it.expect(
                    answer.status == 200 and seen and seen[0].values(name) == [who],
                    answer,
                    who,
                    seen and seen[0].values(name),
                )


KINDS = [("CVE-2024-47616", "Pomerium", "one kind of JWT was accepted where another was meant")]


@check("another kind of token is no access token", *KINDS)
def r29_kinds(it):
    make = minter(it)
    it.needs("typ" in make.header and make.header["typ"] != "JWT", "its tokens are not told apart by typ")
    for kind in (
        "JWT",
        "jwt",
        "id+jwt",
        "ID",
        "refresh+jwt",
        "assertion+jwt",
        "challenge+jwt",
        "callback+jwt",
        "logout+jwt",
        "dpop+jwt",
        "at+jws",
        "",
        None,
        0,
        [],
        ["at+jwt"],
        "at+jwt ",
    ):
        refuses(it, make.with_header({"typ": kind}), f"typ {kind!r}")


THROTTLE = [("mod_auth_openidc 2026-08-12", "mod_auth_openidc", "the throttle of key fetches failed open"),
            ("CVE-2026-26998", "Traefik", "an answer of the auth service was read without a bound")]  # fmt: skip


class Keys:
    """A key set's server that counts. `mode`: how it answers."""

    def __init__(self, keys):
        self.keys, self.asked, self.mode, self.sent = keys, 0, "well", 0
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/keys"
        self.accepting = threading.Thread(target=self.accept, daemon=True)
        self.accepting.start()

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.answer, args=(sock,), daemon=True).start()

    def answer(self, sock):
        with sock:
            try:
                sock.settimeout(10)
                if not sock.recv(65536):
                    return
                self.asked += 1
                head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
                if self.mode == "endless":
                    sock.sendall(head + b'\r\n{"keys":[')
                    while self.sent < 1 << 30:
                        self.sent += sock.send(b" " * 65536)
                elif self.mode == "elsewhere":
                    sock.sendall(
                        b"HTTP/1.1 302 Found\r\nLocation: " + self.url.encode() + b"\r\nContent-Length: 0\r\n\r\n"
                    )
                else:
                    body = as_json(self.keys)
                    sock.sendall(head + b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
            except OSError:
                pass

    def close(self):
        hang_up(self.listener, self.accepting)


def trusting(keys, **more):
    """A realm that trusts another issuer, whose keys are at this server."""
    lines = [
        "[[realm.trusted_issuer]]",
        'issuer = "https://idp.example.com/"',
        'audience = ["api"]',
        f'jwks_url = "{keys.url}"',
        'types = ["JWT"]',
        'timeout = "1s"',
    ]
    lines += [f"{key} = {value}" for key, value in ({"insecure_http": "true"} | more).items()]
    return "\n".join(["", *lines, ""])


@check("made-up key ids have keys fetched once, and no more", *THROTTLE)
def r30_fetches_are_throttled(it):
    gate = it.gate()
    rsa = Rsa.new()
    keys = Keys({"keys": [rsa.jwk("one")]})
    try:
        with gate.another(realm_tables=trusting(keys)) as other:
            case = it.at(other)
            make = Minter(
                {"alg": "RS256", "typ": "JWT", "kid": "one"},
                {"iss": "https://idp.example.com/", "aud": "api", "sub": "x"},
                rsa=rsa,
            )
            accepts(case, make.token())
            before = keys.asked

            def flood(number):
                for index in range(25):
                    header = make.header | {"kid": f"made-up-{number}-{index}"}
                    token = make.compact(header, make.said(), lambda signed: bytes(256))
                    case.refused(case.send("GET", "/app/x", token=token, timeout=10))

            threads = [threading.Thread(target=flood, args=(number,)) for number in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            it.expect(
                keys.asked - before <= 1,
                "200 tokens of made-up keys",
                "one fetch at most",
                f"{keys.asked - before} fetches",
            )
            accepts(case, make.token())
            asked = keys.asked
            case.send("GET", "/app/x", token=make.with_header({"jku": keys.url + "/theirs"}))
            it.recorder.take()
            it.expect(keys.asked == asked, "a token with jku", "nothing is fetched", f"{keys.asked - asked} fetches")
    finally:
        keys.close()


@check("a key set without an end is not read to it; http and redirects are not followed", *THROTTLE)
def r30_fetches_are_bounded(it):
    gate = it.gate()
    keys = Keys({"keys": []})
    try:
        for what, change in (
            ("http without insecure_http", {"insecure_http": "false"}),
            ("ftp", {"jwks_url": '"ftp://127.0.0.1/keys"'}),
            ("a file URL", {"jwks_url": '"file:///etc/passwd"'}),
        ):
            text = trusting(keys, **{key: value for key, value in change.items() if key != "jwks_url"})
            if "jwks_url" in change:
                text = text.replace(f'"{keys.url}"', change["jwks_url"])
            it.expect(gate.refuses(realm_tables=text), what, "no start", "it started")
        for mode in ("endless", "elsewhere"):
            keys.mode, keys.sent, asked = mode, 0, keys.asked
            with gate.another(realm_tables=trusting(keys), unready=True) as other:
                case = it.at(other)
                rsa = Rsa.new(1024)
                make = Minter(
                    {"alg": "RS256", "typ": "JWT", "kid": "one"},
                    {"iss": "https://idp.example.com/", "aud": "api", "sub": "x"},
                    rsa=rsa,
                )
                began = time.monotonic()
                refuses(case, make.token())
                it.expect(
                    time.monotonic() - began < 8, mode, "answered soon", f"after {time.monotonic() - began:.1f} s"
                )
                it.passes(case.send("GET", "/open/x"))
                it.expect(keys.sent < 16 << 20, mode, "less than 16 MiB are read", f"{keys.sent >> 20} MiB")
                it.expect(keys.asked - asked <= 4, mode, "a few fetches", f"{keys.asked - asked}")
    finally:
        keys.close()
