"""Shape E: logins and sessions. Of proxies that log users in; the operations are those of Tollgate's logins."""

import json
import sqlite3
import statistics
import threading
import time

from ..check import NotApplicable, check
from ..gate import COOKIE, KEY, LOGIN, ORIGIN, PASSWORD, REALM, TENANT
from ..tokens import Minter, Rsa, encoded
from .tokens import eventually

JSON = "Content-Type: application/json"


class Site:
    """A gate of the check's own, with users and their logins: throttles and sessions are nobody else's."""

    def __init__(self, it, **changes):
        if not it.profile.login:
            raise NotApplicable("it logs nobody in")
        gate = it.gate()
        self.gate = getattr(gate, "site", gate.another)(**changes)
        self.it = it.at(self.gate)
        it.secrets["the password"] = PASSWORD

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.it.recorder.take()
        self.gate.end()

    def register(self, name, password=PASSWORD, **more):
        body = {"email" if "@" in name else "username": name, "password": password} | more
        return self.it.send("POST", LOGIN, JSON, body=json.dumps(body), timeout=20)

    def log_in(self, name, password=PASSWORD, *lines, query="&noATCookie=true", source=None):
        body = {"email" if "@" in name else "username": name, "password": password}
        path = f"{LOGIN}?login=true{query}"
        return self.it.send("POST", path, JSON, *lines, body=json.dumps(body), timeout=20, source=source)

    def token(self, name, password=PASSWORD):
        answer = self.log_in(name, password)
        token = (answer.header("authorization") or "").partition(" ")[2]
        self.it.expect(bool(token), answer, "a token", f"{answer} {answer.body[:100]!r}")
        return token

    def tenant(self, name, password=PASSWORD, path=TENANT, **body):
        body = body or {"UserName": name, "TenantName": REALM, "Password": password}
        return self.it.send("POST", path, JSON, body=json.dumps(body), timeout=20)

    def add(self, name, *options, password=PASSWORD):
        return self.gate.command("user", "add", "--realm", REALM, *options, name, input=password + "\n")

    def opens(self, token, path="/app/x"):
        """Whether it opens that, and who the app is told it is."""
        answer = self.it.send("GET", path, token=token)
        seen = self.it.recorder.take()
        return seen[0].values("x-auth-username")[:1] if answer.status == 200 and seen else None


def needs_files(it):
    """For a check that needs the signing key, the database or another realm of the gate."""
    it.needs(hasattr(it.gate(), "kid"), "its keys and its database are in another format than the suite knows")


def alike(answer):
    """What a client can tell answers apart by."""
    return answer.status, answer.body, sorted(name for name, _ in answer.headers), answer.header("www-authenticate")


@check("unknown users are answered as known ones are, and as late",
       ("CVE-2026-32595, CVE-2026-41263", "Traefik", "unknown users were answered faster"))  # fmt: skip
def r31_unknown_users(it):
    with Site(it) as site:
        known = [f"known-{number}" for number in range(4)]
        for name in known:
            it.expect(site.register(name).status == 200, name, "registered", "refused")
        took = {"known": [], "unknown": []}
        for turn in range(4):
            for name in known:
                for kind, who in (("known", name), ("unknown", f"un{name}-{turn}")):
                    began = time.monotonic()
                    answer = site.log_in(who, "wrong")
                    took[kind].append(time.monotonic() - began)
                    it.expect(alike(answer)[0] == 401, answer, 401, answer)
                    if kind == "known":
                        first = alike(answer)
                    else:
                        it.expect(alike(answer) == first, answer, f"the answer to a known user: {first}", alike(answer))
        medians = {kind: statistics.median(times) for kind, times in took.items()}
        # Some microseconds beside a hash: much less than a missing hash would be. A figure of many tries is in docs/.
        ratio = medians["unknown"] / medians["known"]
        it.expect(
            0.4 < ratio < 2.5,
            "16 wrong passwords of known and of unknown users",
            "the same time, about",
            f"a ratio of {ratio:.2f}",
        )
        a, b = site.tenant("known-0", "wrong"), site.tenant("nobody-at-all", "wrong")
        it.expect(alike(a) == alike(b), b, alike(a), alike(b))
        other = site.tenant("", UserName="known-0", TenantName="no-such-tenant", Password="wrong")
        it.expect(alike(a) == alike(other), other, alike(a), alike(other))


SPELLINGS = [("CVE-2025-24806, CVE-2026-47203", "Authelia", "failures were counted for each spelling"),
             ("CVE-2024-21500", "caddy-security", "there was no limit")]  # fmt: skip


@check("failures are counted for the account, however it is spelled", *SPELLINGS)
def r32_spellings_of_a_name(it):
    with Site(it) as site:
        site.register("alice")
        spelled = ["alice", "ALICE", "Alice", "aLiCe", "ａｌｉｃｅ", "alICE"]
        answers = [site.log_in(spelled[number % 6], f"wrong {number}") for number in range(8)]
        it.expect(
            answers[0].status == 401 and answers[-1].status == 429, answers[-1], "429 after some failures", answers
        )
        for name in ("alice", "ALICE"):
            answer = site.log_in(name)
            it.expect(
                answer.status == 429 and answer.header("retry-after"),
                answer,
                "429 with Retry-After, right password or not",
                answer,
            )
        answer = site.tenant("alice")
        it.expect(answer.status == 429, answer, "429 at the other login, too", answer)
        # And of one who does not exist: the same, so that it tells nothing.
        answers = [site.log_in("nobody", f"wrong {number}") for number in range(8)]
        it.expect(answers[-1].status == 429, answers[-1], "429 for unknown names", answers)


@check("failures are counted for the address, whatever the account", *SPELLINGS)
def r32_addresses(it):
    with Site(it) as site:
        # No header of the client makes it another address.
        last = None
        for number in range(60):
            last = site.log_in(
                f"nobody-{number}",
                "wrong",
                f"X-Forwarded-For: 203.0.113.{number}",
                f"X-Real-IP: 203.0.113.{number}",
                f"Forwarded: for=203.0.113.{number}",
            )
            if last.status == 429:
                break
        it.expect(last.status == 429, last, "429 after some 50 failures", last)


@check("guesses at once count as guesses in a row", *SPELLINGS)
def r32_at_once(it):
    with Site(it, server="hash_queue = 64") as site:
        site.register("alice")
        answers = at_once([lambda number=number: site.log_in("alice", f"wrong {number}") for number in range(24)])
        refused = sum(answer.status == 401 for answer in answers)
        it.expect(refused <= 8, "24 guesses at once", "some 5 are tried, the rest is 429", f"{refused} were tried")


def at_once(functions):
    """Calls each in a thread of its own, and returns what came."""
    found = [None] * len(functions)

    def call(number):
        found[number] = functions[number]()

    threads = [threading.Thread(target=call, args=(number,)) for number in range(len(functions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


@check("a login is a new session, a failed one clears the old cookie",
       ("CVE-2026-34454", "oauth2-proxy", "the old session lived on under a new login"),
       ("mod_auth_openidc 2026", "mod_auth_openidc", "the key of a session over a login"))  # fmt: skip
def r33_sessions_are_fresh(it):
    with Site(it) as site:
        site.register("alice")
        site.register("bob")
        tokens = [site.token("alice") for _ in range(3)]
        it.expect(len(set(tokens)) == 3, "three logins", "three tokens", tokens)
        planted = site.it.profile.minter.token(sub="mallory", username="mallory")
        for cookie in (planted, "garbage", tokens[0]):
            answer = site.log_in("bob", PASSWORD, f"Cookie: {COOKIE}={cookie}", f"Origin: {ORIGIN}", query="")
            fresh = [value for value in answer.values("set-cookie") if value.startswith(COOKIE + "=")]
            it.expect(len(fresh) == 1 and cookie not in fresh[0], answer, "another cookie", fresh)
            token = fresh[0].partition("=")[2].partition(";")[0] if fresh else ""
            it.expect(site.opens(token) == ["bob"], answer, "it is bob's", site.opens(token))
            for word in ("HttpOnly", "Secure", "SameSite", "Path=/"):
                it.expect(word in (fresh or [""])[0], answer, word, fresh)
        answer = site.log_in("bob", "wrong", f"Cookie: {COOKIE}={tokens[1]}", f"Origin: {ORIGIN}", query="")
        cleared = [value for value in answer.values("set-cookie") if "Max-Age=0" in value]
        it.expect(
            answer.status == 401 and cleared,
            answer,
            "401, and the cookie is cleared",
            f"{answer} {answer.values('set-cookie')}",
        )
        # Who logs out is out, with that token and no other.
        site.it.send("POST", f"{LOGIN}?logout=true", "Content-Length: 0", token=tokens[0])
        it.expect(
            site.opens(tokens[0]) is None and site.opens(tokens[1]) == ["alice"],
            "a logout",
            "of that session",
            "of another, or of none",
        )


OPEN = "an open redirect (//evil, \\\\evil, a suffix of the domain, or X-Forwarded-Prefix)"
REDIRECTS = [
    ("CVE-2024-21497", "caddy-security", OPEN), ("CVE-2022-28923", "Caddy", OPEN),
    ("CVE-2022-23527", "mod_auth_openidc", OPEN), ("CVE-2021-21291", "oauth2-proxy", OPEN),
    ("CVE-2024-52003", "Traefik", OPEN),
]  # fmt: skip

ELSEWHERE = ["//evil.example.net", "/\\evil.example.net", "\\\\evil.example.net", "https://evil.example.net",
             "https:evil.example.net", "///evil.example.net", "/%09/evil.example.net",
             "/\t/evil.example.net", "https://app.example.com.evil.example.net",
             "https://app.example.com@evil.example.net", "https://app.example.com%2eevil.example.net",
             "javascript:alert(1)", "data:text/html,x", "//app.example.com\\@evil.example.net", "/.evil.example.net",
             "http://app.example.com/done", "https://app.example.com/done/../x",
             "https://app.example.com/done?x", "https://app.example.com/done#x", "https://APP.example.com/done",
             "%2f%2fevil.example.net", "https://app.example.com:444/done", "/;//evil.example.net"]  # fmt: skip


IDP = """
[[realm.trusted_issuer]]
issuer = "{issuer}"
audience = ["api"]
jwks_file = "idp.json"
types = ["JWT"]
"""
EXCHANGE = """
[[login]]
dialect = "exchange"
path = "/api/login"
realm = "{realm}"
allowed_clients = ["app"]
required_attributes = []
callback_url = "https://gate.example.com/site/callback"
after_login = "/home"
redirect_urls = ["https://app.example.com/done"]
"""


@check("redirects lead where the configuration says", *REDIRECTS)
def r34_redirects(it):
    if not it.profile.login:
        raise NotApplicable("it logs nobody in, and redirects nobody")
    rsa = Rsa.new()
    issuer = "https://idp.example.com/"
    keys, login = IDP.format(issuer=issuer), EXCHANGE.format(realm=REALM)
    with Site(
        it,
        edit=lambda gate: (gate.directory / "idp.json").write_text(json.dumps({"keys": [rsa.jwk("one")]})),
        realm_tables=keys,
        more=login,
    ) as site:
        site.add("alice", "--email", "alice@example.com")
        token = Minter(
            {"alg": "RS256", "typ": "JWT", "kid": "one"},
            {"iss": issuer, "aud": "api", "sub": "app@clients", "azp": "app"},
            rsa=rsa,
        ).token()
        email = encoded(b"alice@example.com")

        def callback(**more):
            body = {"email": email} | more
            return site.it.send("POST", "/api/login", JSON, token=token, body=json.dumps(body))

        good = callback(redirect_url="https://app.example.com/done")
        url = json.loads(good.body or b"{}").get("url", "")
        it.expect(
            url.startswith("https://gate.example.com/site/callback?token="),
            good,
            "the callback",
            f"{good} {good.body!r}",
        )
        # Whose token counts no more is sent to the listed URL that was given: it, and no other.
        for wanted in ("/home", "https://app.example.com/done"):
            answer = site.it.send("GET", url.partition("gate.example.com")[2])
            it.expect(answer.header("location") == wanted, answer, wanted, f"{answer} {answer.header('location')}")
        for elsewhere in ELSEWHERE:
            answer = callback(redirect_url=elsewhere)
            it.expect(
                answer.status >= 400 and b"evil" not in answer.body, answer, "refused", f"{answer} {answer.body!r}"
            )
        for query in (
            "",
            "&next=//evil.example.net",
            "&redirect_url=https://evil.example.net",
            "&rd=//evil.example.net&url=//evil.example.net&after_login=//evil.example.net",
        ):
            url = json.loads(callback().body)["url"]
            answer = site.it.send(
                "GET",
                "/site/callback?" + url.partition("?")[2] + query,
                "X-Forwarded-Prefix: //evil.example.net",
                "X-Forwarded-Host: evil.example.net",
            )
            it.expect(
                answer.header("location") in ("/home", None) and answer.status in (302, 303, 307, 400),
                answer,
                "to /home",
                f"{answer} {answer.header('location')}",
            )
            again = site.it.send("GET", "/site/callback?" + url.partition("?")[2])
            # The one that was refused has not been used.
            it.expect(again.status >= 400 or answer.status == 400, again, "once only", again)


@check("crafted Cookie headers",
       ("CVE-2024-24814, CVE-2023-28625", "mod_auth_openidc", "a crafted Cookie header was a crash"))  # fmt: skip
def r35_cookies(it):
    it.needs(it.profile.cookie, "it knows no cookie")
    good, path = it.profile.token, it.profile.protected + "/x"
    name = it.profile.cookie.partition(" ")[2].partition("=")[0]
    for cookie in ("", ";", "; ; ;", "=", "==", f"{name}", f"{name};", f"={name}", ";" * 5000, "a=b; " * 1000,
                   f"{name}=; " * 200, f"{name}=x; " * 500, '"', f'{name}="', f"{name}_chunks=99999999",
                   f"{name}.0=x; {name}.1=y", "\x80=\xff", f"{name}=\t", "a" * 30000, "$Version=1; " + name + "=x",
                   f"{name}[]=x", "=" * 4000, f"__Host-{name}=x", "," * 3000):  # fmt: skip
        began = time.monotonic()
        answer = it.send("GET", path, f"Cookie: {cookie}".encode("latin-1"))
        it.refused(answer)
        it.expect(
            answer.status not in (-1, 500, 502) and time.monotonic() - began < 2, answer, "refused at once", answer
        )
    for cookie in (
        f"{name}={good}; {name}=x",
        f"{name}=x; {name}={good}",
        f"{name}={good}; {name}={it.profile.forged}",
        f"{name}={good}, {name}=x",
    ):
        it.refused(it.send("GET", path, f"Cookie: {cookie}"), "a conflict")
    # Others are no business of it.
    seen = it.passes(it.send("GET", path, f"Cookie: a=b; {name}={good}; c=d"))
    if seen:
        cookies = "; ".join(seen.values("cookie"))
        it.expect("a=b" in cookies and "c=d" in cookies, "other cookies", "stay", cookies)
        it.expect(good not in cookies, "the session's cookie", "goes to no app", cookies)


@check("a second cookie of the session's name, as another host of the domain can plant it",
       ("OpenIDC/mod_auth_openidc#560, coder/coder#19930", "many",
        "a planted cookie locked its user out, or logged in as another"))  # fmt: skip
def r51_planted_cookies(it):
    it.needs(it.profile.cookie, "it knows no cookie")
    name = it.profile.cookie.partition(" ")[2].partition("=")[0]
    good = it.profile.token
    for planted in ("planted", it.profile.forged, it.profile.expired, ""):
        for line in (f"Cookie: {name}={planted}; {name}={good}", f"Cookie: {name}={good}; {name}={planted}"):
            it.refused(it.send("GET", it.profile.protected + "/x", line), "nothing tells which one is the user's")
            seen = it.passes(it.send("GET", it.profile.public + "/x", line), "no user is needed there")
            if seen:
                for header in (header for header, claim in it.profile.identity.items() if claim == "sub"):
                    it.expect(not seen.values(header), line, "no identity", seen.values(header))
    # Under other names it may plant what it likes.
    bare = name.removeprefix("__Host-").removeprefix("__Secure-")
    for other in (f"{name.lower()}x", bare + "2", f"__Host-{bare}-2", f"__host-{bare}"):
        if other != name:
            it.passes(it.send("GET", it.profile.protected + "/x", f"Cookie: {other}=planted; {name}={good}"))


FACTORS = [("CVE-2026-32246", "tinyauth", "a login whose second factor was pending counted as one"),
           ("CVE-2024-45042", "Kratos", "a login whose second factor was pending counted as one")]  # fmt: skip


@check("a login that is not finished opens nothing", *FACTORS)
def r36_pending_logins(it):
    with Site(it) as site:
        site.add("alice", "--temporary")
        answer = site.tenant("alice")
        said = json.loads(answer.body or b"{}").get("cognitoToken", {})
        session = said.get("Session", "")
        it.expect(bool(session) and "AuthenticationResult" not in said, answer, "a challenge", answer.body)
        it.secrets["a challenge's session"] = session
        for how in ("token", "cookie"):
            site.it.refused(site.it.send("GET", "/app/x", **{how: session}))
        for path in (LOGIN, LOGIN + "?uniqueId=x"):
            answer = site.it.send("GET", path, token=session)
            it.expect(answer.status == 401, answer, 401, answer)
        answer = site.tenant("", path=TENANT + "/Refresh", RefreshToken=session)
        it.expect(answer.refused, answer, "refused", answer)
        answer = site.log_in("alice")
        it.expect(
            answer.status == 403 and not answer.header("authorization"),
            answer,
            "refused: this login has no second step",
            answer,
        )
        for responses in (
            {},
            {"USERNAME": "alice"},
            {"USERNAME": "alice", "NEW_PASSWORD": ""},
            {"USERNAME": "bob", "NEW_PASSWORD": "a new password of bob"},
        ):
            answer = site.tenant(
                "",
                path=TENANT + "/Challenge",
                ChallengeName="NEW_PASSWORD_REQUIRED",
                Session=session,
                ChallengeResponses=responses,
            )
            it.expect(
                answer.refused and b"AccessToken" not in answer.body,
                answer,
                "refused",
                f"{answer} {answer.body[:80]!r}",
            )
        answer = site.tenant("", path=TENANT + "/Challenge", ChallengeName="NEW_PASSWORD_REQUIRED",
                             Session="x" * len(session),
                             ChallengeResponses={"USERNAME": "alice", "NEW_PASSWORD": "another password"})  # fmt: skip
        it.expect(answer.refused, answer, "refused", answer)
        done = site.tenant("", path=TENANT + "/Challenge", ChallengeName="NEW_PASSWORD_REQUIRED", Session=session,
                           ChallengeResponses={"USERNAME": "alice", "NEW_PASSWORD": "another password"})  # fmt: skip
        said = json.loads(done.body or b"{}").get("cognitoToken", {}).get("AuthenticationResult", {})
        it.expect(
            site.opens(said.get("AccessToken", "x")) == ["alice"], done, "an access token, at last", done.body[:80]
        )
        it.expect(site.opens(session) is None, "the session", "opens nothing", "opens the route")


@check(
    "ID tokens, refresh tokens and sessions are no access tokens",
    ("CVE-2024-47616", "Pomerium", "one kind of JWT was accepted where another was meant"),
)
def r29_tokens_of_a_login(it):
    with Site(it) as site:
        site.register("alice")
        answer = site.tenant("alice")
        said = json.loads(answer.body)["cognitoToken"]["AuthenticationResult"]
        it.expect(site.opens(said["AccessToken"]) == ["alice"], answer, "the access token opens routes", answer)
        for kind in ("IdToken", "RefreshToken"):
            for how in ("token", "cookie"):
                site.it.refused(site.it.send("GET", "/app/x", **{how: said[kind]}))
            answer = site.it.send("GET", LOGIN, token=said[kind])
            it.expect(answer.status == 401, answer, 401, answer)
        for kind in ("AccessToken", "IdToken"):
            answer = site.tenant("", path=TENANT + "/Refresh", RefreshToken=said[kind])
            it.expect(answer.refused, answer, "refused", answer)
        # A refresh token that comes a second time after its grace ends the session; one that is made up ends nothing.
        answer = site.tenant("", path=TENANT + "/Refresh", RefreshToken=said["RefreshToken"][::-1])
        it.expect(
            answer.refused and site.opens(said["AccessToken"]) == ["alice"], answer, "refused, and nothing else", answer
        )
        it.secrets["a refresh token"] = said["RefreshToken"]
        it.secrets["an ID token"] = said["IdToken"]


@check("logins at the same time are each their own",
       ("CVE-2026-33544", "tinyauth", "the state of one login was that of all"))  # fmt: skip
def r37_logins_at_once(it):
    with Site(it, server="hash_queue = 512") as site:
        names = [f"user-{number}" for number in range(24)]
        at_once([lambda name=name: site.register(name) for name in names])
        tokens = at_once([lambda name=name: site.token(name) for name in names])
        told = at_once(
            [lambda token=token: site.it.send("GET", LOGIN + "?dataOnly=true", token=token) for token in tokens]
        )
        for name, token, answer in zip(names, tokens, told):
            it.expect(json.loads(answer.body or b"{}").get("username") == name, answer, name, answer.body)
            it.expect(site.opens(token) == [name], name, name, site.opens(token))


@check("passwords and names that are alike when put together",
       ("CVE-2026-71326", "Traefik", "requests were taken for one by password and secret put together"),
       ("traefik#13816", "Traefik", "which requests were taken for one told which users there are"))  # fmt: skip
def r28_logins_alike_when_put_together(it):
    with Site(it, server="hash_queue = 64") as site:
        site.register("alice", "bsecret-word")
        site.register("aliceb", "secret-word")
        pairs = [
            ("alice", "bsecret-word", 200),
            ("aliceb", "secret-word", 200),
            ("alic", "ebsecret-word", 401),
            ("aliceb", "secret-word ", 401),
        ] * 3
        answers = at_once([lambda pair=pair: site.log_in(pair[0], pair[1]) for pair in pairs])
        for (name, password, wanted), answer in zip(pairs, answers):
            it.expect(answer.status in (wanted, 429), answer, wanted, answer)
            token = (answer.header("authorization") or "").partition(" ")[2]
            it.expect(
                wanted == 401 and not token or answer.status == 429 or site.opens(token) == [name],
                answer,
                f"{name} or nobody",
                site.opens(token),
            )


@check("names are of one form",
       ("CVE-2026-40574", "oauth2-proxy", "a@evil@corp passed for an address of corp"))  # fmt: skip
def r38_names(it):
    with Site(it) as site:
        for name in ("a@evil@example.com", "a@", "@example.com", "a b@example.com", "a@exam ple.com", "a@example.com\n",
                     "a@example.com\0", "a\u200bb@example.com", "a@[127.0.0.1", "a,b@example.com",
                     "<a@example.com>", "a@example.com@", "a@@example.com", "é@example.com",
                     "a@example.com, b@example.com", "a" * 300 + "@example.com"):  # fmt: skip
            answer = site.it.send("POST", LOGIN, JSON, body=json.dumps({"email": name, "password": PASSWORD}))
            it.expect(answer.status == 400, answer, 400, answer)
        for name in ("", " ", "a\0b", "a\u200bb", "a\nb", "\u202eabc", "x" * 129, "a\u2028b", "\ufeffa", "a\x7fb"):
            answer = site.it.send("POST", LOGIN, JSON, body=json.dumps({"username": name, "password": PASSWORD}))
            it.expect(answer.status == 400, answer, 400, f"{name!r}: {answer}")
        it.expect(site.register("alice").status == 200, "alice", "registered", "refused")
        for name in ("alice", "ALICE", "ａｌｉｃｅ", "Alice"):
            it.expect(site.register(name).status == 400, name, "taken", "registered a second time")


@check("a role that is taken away counts no longer after a refresh, and a user who is disabled at once",
       ("GHSA-x883-2vmg-xwf7", "Authelia", "the removal of a group was ignored for a while"))  # fmt: skip
def r39_changes_of_a_user(it):
    with Site(it) as site:
        site.add("alice", "--role", "admin")
        said = json.loads(site.tenant("alice").body)["cognitoToken"]["AuthenticationResult"]
        it.expect(site.opens(said["AccessToken"], "/admin/x") == ["alice"], "alice, admin", "in", "out")
        with sqlite3.connect(site.gate.directory / "tollgate.db", timeout=10) as store:
            store.execute("UPDATE users SET roles = '[]', version = version + 1")
        store.close()
        fresh = json.loads(site.tenant("", path=TENANT + "/Refresh", RefreshToken=said["RefreshToken"]).body)[
            "cognitoToken"
        ]["AuthenticationResult"]
        it.expect(
            site.opens(fresh["AccessToken"], "/admin/x") is None, "her role is gone, and she refreshes", "403", "in"
        )
        it.expect(site.opens(fresh["AccessToken"]) == ["alice"], "where she needs none", "in", "out")
        # A new password ends it all.
        site.gate.command("user", "passwd", "--realm", REALM, "alice", input="another password\n")
        it.expect(
            eventually(lambda: site.opens(fresh["AccessToken"]) is None), "a new password", "out within a second", "in"
        )


@check("tokens are in no URL and in no page",
       ("CVE-2021-29651, CVE-2024-39315", "Pomerium", "a token leaked by a redirect, or by a page"))  # fmt: skip
def r40_tokens_in_answers(it):
    token, mark = it.profile.token, it.profile.token.rpartition(".")[2].encode()
    path = it.profile.protected
    for method in ("GET", "POST", "OPTIONS", "TRACE"):
        for target, how in ((path + "/x", {"token": token + "x"}), ("/nowhere", {"token": token}),
                            (path + "/%00", {"token": token}), (path + "/../x", {"token": token}),
                            (path + f"?access_token={token}", {}), (f"/nowhere?token={token}", {}),
                            (path + "/status-500", {"token": token})):  # fmt: skip
            answer = it.send(method, target, "Content-Length: 0", **how)
            it.expect(mark not in answer.raw, answer, "no token in the answer", answer.raw)
    it.recorder.take()
    if not it.profile.login:
        return
    with Site(it) as site:
        site.register("alice")
        token = site.token("alice")
        mark = token.rpartition(".")[2].encode()
        for target in (LOGIN, LOGIN + "?dataOnly=true", "/.well-known/jwks.json"):
            answer = site.it.send("GET", target, token=token)
            it.expect(
                mark not in answer.raw and PASSWORD.encode() not in answer.raw,
                answer,
                "no token, no password",
                answer.raw,
            )
        answer = site.log_in("alice")
        it.expect(
            mark not in answer.body and answer.header("cache-control") == "no-store",
            answer,
            "in a header, and stored by nobody",
            answer.raw,
        )
        it.expect(not answer.header("location"), answer, "no redirect", answer.header("location"))
        it.secrets["a token of a login"] = token


@check("wrong API keys are no work",
       ("tessaryai/tessary#5", "tessary", "a slow hash for each request took 62 % of the processor"))  # fmt: skip
def r41_api_keys_are_cheap(it):
    it.needs(it.profile.key, "it knows no API keys")
    times = {True: [], False: []}
    with it.pipeline() as send:
        for number in range(300):
            good = number % 2 == 0
            key = it.profile.key if good else f"{number:032x}"
            sent = it.bytes("GET", it.profile.protected + "/x", f"{it.profile.key_header}: {key}", key=False)
            began = time.monotonic()
            answer = send(sent)
            times[good].append(time.monotonic() - began)
            it.expect(answer.refused, answer, "refused", answer)
            # A connection that was closed would be a part of the time of the next one.
            if answer.status == 400:
                send(it.bytes("GET", it.profile.protected + "/x"))
    medians = {good: statistics.median(took) for good, took in times.items()}
    it.expect(
        medians[False] < medians[True] + 0.005,
        "300 requests with API keys",
        "a wrong one is not 5 ms dearer than a good one",
        medians,
    )
    it.recorder.take()


@check("a flood of logins is told to wait, and all else goes on",
       (
       "Rauthy's max_hash_threads", "Rauthy",
       "why there is such a bound: argon2 takes processor and memory"))  # fmt: skip
def r42_floods_of_logins(it):
    with Site(it, server="hash_queue = 2") as site:
        site.register("alice")
        token = site.token("alice")
        slowest, over = [], threading.Event()

        def honest():
            while not over.is_set():
                began = time.monotonic()
                answer = site.it.send("GET", "/app/x", token=token)
                slowest.append((time.monotonic() - began, answer.status))

        thread = threading.Thread(target=honest)
        thread.start()
        answers = at_once([lambda number=number: site.log_in(f"nobody-{number}", "wrong") for number in range(40)])
        over.set()
        thread.join()
        it.recorder.take()
        busy = [answer for answer in answers if answer.status == 503]
        it.expect(
            busy and all(answer.header("retry-after") for answer in busy),
            "40 logins at once",
            "503 with Retry-After for some",
            answers,
        )
        it.expect(
            all(answer.status in (401, 429, 503) for answer in answers), "40 logins at once", "401, 429 or 503", answers
        )
        it.expect(
            slowest and all(status == 200 for _, status in slowest),
            "honest requests meanwhile",
            200,
            [status for _, status in slowest if status != 200],
        )
        it.expect(max(took for took, _ in slowest) < 5, "honest requests meanwhile", "within 5 s", max(slowest))


@check("who is disabled is out, by every kind of credential",
       ("CVE-2025-53942, CVE-2025-64521", "authentik", "disabled accounts logged in by another path"))  # fmt: skip
def r45_disabled_users(it):
    with Site(it) as site:
        site.add("alice", "--email", "alice@example.com")
        said = json.loads(site.tenant("alice").body)["cognitoToken"]["AuthenticationResult"]
        project = site.token("alice")
        cookie = site.log_in("alice", query="").header("set-cookie").partition("=")[2].partition(";")[0]
        for token in (said["AccessToken"], project, cookie):
            it.expect(site.opens(token) == ["alice"], "before", "in", "out")
        site.gate.command("user", "disable", "--realm", REALM, "alice")
        it.expect(eventually(lambda: site.opens(project) is None), "her token", "out within a second", "in")
        for token in (said["AccessToken"], project, cookie):
            for how in ("token", "cookie"):
                site.it.refused(site.it.send("GET", "/app/x", **{how: token}))
            answer = site.it.send("GET", LOGIN, token=token)
            it.expect(answer.status == 401, answer, 401, answer)
        for answer in (site.tenant("", path=TENANT + "/Refresh", RefreshToken=said["RefreshToken"]),
                       site.log_in("alice"), site.log_in("alice@example.com"), site.tenant("alice"),
                       site.log_in("alice", query="")):  # fmt: skip
            it.expect(
                answer.status in (400, 401)
                and not answer.header("authorization")
                and not answer.header("set-cookie")
                or "Max-Age=0" in (answer.header("set-cookie") or ""),
                answer,
                "out",
                answer,
            )
        site.add("bob")
        token = site.token("bob")
        it.expect(site.opens(token) == ["bob"], "bob", "in", "out")
        site.gate.command("user", "delete", "--realm", REALM, "bob")
        it.expect(eventually(lambda: site.opens(token) is None), "bob, deleted", "out within a second", "in")


@check(
    "an API key that is switched off, or has expired",
    ("CVE-2025-53942", "authentik", "disabled accounts logged in by another path"),
)
def r45_disabled_keys(it):
    gate = it.gate()
    old = '\n[[realm.key]]\nid = "old"\nsecret = "e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0"\nexpires = 2020-01-01T00:00:00Z\n'
    with gate.another(realm_tables=old) as other:
        case = it.at(other)
        for key in ("d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0", "e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0"):
            for path in ("/app/x", "/keyed/x", "/open/x"):
                case.refused(case.send("GET", path, f"X-API-Key: {key}", token=case.profile.token, key=False))
                case.refused(case.send("GET", f"{path}?key={key}", token=case.profile.token, key=False))
        case.passes(case.send("GET", "/keyed/x"))
        other.reload(other.text().replace('id = "web"', 'id = "web"\ndisabled = true'))
        case.refused(case.send("GET", "/keyed/x"), "it was switched off")
        case.refused(case.send("GET", f"/keyed/x?key={KEY}", key=False), "it was switched off")


ADDRESSES = [("nOAuth", "Microsoft Entra", "apps went by an email that users wrote themselves"),
             ("2013", "Spotify", "a name in another spelling took over an account")]  # fmt: skip


@check("nobody takes another's name, and no address counts that nobody verified", *ADDRESSES)
def r60_names_of_others(it):
    with Site(it) as site:
        site.register("alice")
        record = json.loads(site.register("mallory").body or b"{}")
        token = site.token("mallory")
        for strategy in ("force", "merge", "replace"):
            for change in (
                {"username": "admin"},
                {"username": "alice"},
                {"username": "MALLORY"},
                {"username": "\u0430lice"},
                {"email": "ceo@corp.example"},
            ):
                body = json.dumps(change | {"password": PASSWORD})
                path = f"{LOGIN}?uniqueId={record.get('uniqueId', '')}&strategy={strategy}"
                answer = site.it.send("PUT", path, JSON, token=token, body=body)
                it.expect(answer.status == 403, answer, 403, f"{strategy} {change}: {answer}")
        it.expect(site.opens(site.token("mallory")) == ["mallory"], "a new login", "mallory", "another name")
        for name in ("\u0430lice", "a1ice", "aIice", "AL\u0406CE"):
            answer = site.register(name)
            it.expect(answer.status == 400, answer, "400: it looks like alice", f"{name!r}: {answer}")
        site.register("ceo@corp.example")
        site.it.recorder.take()
        answer = site.it.send("GET", "/app/x", token=site.token("ceo@corp.example"))
        for seen in site.it.recorder.take():
            email = seen.values("x-auth-email")
            it.expect(not email, answer, "no address that anybody can register with", email)


@check("names are neither asked for nor kept from others without limit",
       ("2026", "Tollgate 0.1", "600 names a second were asked for by renaming, and 2,000 kept from others"))  # fmt: skip
def r61_renames_without_limit(it):
    with Site(it, registrations=12, realm_keys='rename = "self"') as site:
        record = json.loads(site.register("mallory").body or b"{}")
        token = site.token("mallory")
        path = f"{LOGIN}?uniqueId={record.get('uniqueId', '')}&strategy=merge"

        def rename(name):
            return site.it.send("PUT", path, JSON, token=token, body=json.dumps({"username": name}))

        taken = [rename(f"name {number}") for number in range(30)]
        held = sum(answer.status == 200 for answer in taken)
        it.expect(0 < held <= 5, taken[-1], "a few names a day", f"{held} of 30 renames")
        asked = [site.register(f"name {number}") for number in range(30)]
        last = asked[-1]
        it.expect(last.status == 429 and last.header("retry-after"), last, "429 with Retry-After", last)
        made = sum(answer.status == 200 for answer in asked)
        it.expect(made <= 12, last, "no more than 12 in all", f"{made} registrations")


@check("a stolen signing key opens no session, and one command ends what it opens",
       ("2020", "Golden SAML", "whoever had the key was anybody for years"),
       ("Storm-0558", "Microsoft", "one stolen signing key made tokens of anybody for weeks"))  # fmt: skip
def r62_a_stolen_signing_key(it):
    needs_files(it)
    with Site(it) as site:
        record = json.loads(site.register("alice").body)
        honest = json.loads(site.tenant("alice").body)["cognitoToken"]["AuthenticationResult"]
        forged = site.it.profile.minter.token(sub=record["uniqueId"], username="alice")
        it.expect(site.opens(forged) == ["alice"], "a token of the stolen key", "in: the key is there", "out")
        for token in (forged, honest["AccessToken"]):
            answer = site.tenant("", path=TENANT + "/Refresh", RefreshToken=token)
            it.expect(answer.status in (400, 401), answer, "no refresh token", answer)
        for challenge, what in (("NEW_PASSWORD_REQUIRED", "NEW_PASSWORD"), ("SOFTWARE_TOKEN_MFA", "SOFTWARE_TOKEN_MFA_CODE")):
            responses = {"USERNAME": "alice", what: "123456"}
            answer = site.tenant("", path=TENANT + "/Challenge", ChallengeName=challenge, Session=forged,
                                 ChallengeResponses=responses)  # fmt: skip
            it.expect(answer.status in (400, 401), answer, "no session", answer)
        site.gate.command("key", "revoke", "--realm", REALM, site.gate.kid)
        gone = eventually(lambda: site.opens(forged) is None)
        it.expect(gone, "the key is revoked", "out within a second", "in")
        answer = site.tenant("", path=TENANT + "/Refresh", RefreshToken=honest["RefreshToken"])
        it.expect(answer.status in (400, 401), answer, "no session of before goes on", answer)
        it.expect(site.opens(site.token("alice")) == ["alice"], "a new login", "in", "out")


LOCKED_OUT = [("Authentication Cheat Sheet", "OWASP", "wrong passwords of anybody locked an account for its user")]

OTHER_REALM = """
[[realm]]
name = "vault"
issuer = "https://vault.example.com"
require_key = true
[[realm.key]]
id = "vault"
secret = "8d3a1c0f5e7b4296ab1d7c55aa10e6f4"
[[login]]
dialect = "tenant"
path = "/Other/Login"
logout_path = "/Other/Logout"
realm = "hostile"
tenants = { Vault = "vault" }
[[login]]
dialect = "tenant"
path = "/Vault/Login"
logout_path = "/Vault/Logout"
realm = "vault"
"""


@check("wrong passwords from elsewhere lock no user out where it signs in", *LOCKED_OUT)
def r63_guesses_from_elsewhere(it):
    with Site(it) as site:
        site.register("alice")
        answer = site.log_in("alice", source="127.0.7.1")
        it.expect(answer.status == 200, answer, "in, at home", answer)
        answers = [site.log_in("alice", "wrong", source=f"127.0.8.{last}") for last in range(1, 9)]
        it.expect(answers[-1].status == 429, answers[-1], "429 after some failures", answers)
        answer = site.log_in("alice", source="127.0.8.100")
        it.expect(answer.status == 429, answer, "429 at a new network", answer)
        for name in ("alice", "ALICE"):
            answer = site.log_in(name, source="127.0.7.1")
            it.expect(answer.status == 200, answer, "in, at home", answer)


@check("without a realm's API key nothing counts against its users", *LOCKED_OUT)
def r63_guesses_without_a_key(it):
    needs_files(it)
    with Site(it, more=OTHER_REALM) as site:
        site.gate.command("user", "add", "--realm", "vault", "alice", input=PASSWORD + "\n")
        for tenant in ("Vault", "vault", "Nobody"):
            body = {"UserName": "alice", "TenantName": tenant, "Password": "wrong"}
            answers = [site.tenant("", path="/Other/Login", **body) for _ in range(7)]
            # Told alike, whether or not there is such a tenant.
            it.expect(
                [answer.status for answer in answers] == [401] * 5 + [429] * 2, answers[-1], "401, then 429", answers
            )
        body = json.dumps({"UserName": "alice", "TenantName": "vault", "Password": PASSWORD})
        key = "X-API-Key: 8d3a1c0f5e7b4296ab1d7c55aa10e6f4"
        answer = site.it.send("POST", "/Vault/Login", JSON, key, key=False, body=body, timeout=20)
        it.expect(answer.status == 200, answer, "in, at her own login", answer)


@check("a client with one good account starves no one's logins",
       ("2026", "Tollgate 0.1", "one client kept the hashing threads busy, and all others were turned away"))  # fmt: skip
def r64_logins_beside_a_flood(it):
    with Site(it, server="hash_queue = 8") as site:
        site.register("alice")
        site.register("mallory")
        over, flood = threading.Event(), []

        def flooding():
            while not over.is_set():
                flood.append(site.log_in("mallory", source="127.0.0.2").status)

        threads = [threading.Thread(target=flooding) for _ in range(12)]
        for thread in threads:
            thread.start()
        eventually(lambda: 503 in flood)
        answers = [site.log_in("alice", source=f"127.0.9.{last}") for last in range(1, 7)]
        over.set()
        for thread in threads:
            thread.join()
        it.expect(503 in flood, "12 logins of one client at once", "503 for some", flood)
        good = sum(answer.status == 200 for answer in answers)
        it.expect(good == len(answers), "logins from elsewhere meanwhile", "all are in", answers)


@check("a hundred wrong passwords lock an account, before and after a restart",
       ("CVE-2024-21652, CVE-2024-21662", "Argo CD", "failures were forgotten by a restart"),
       ("CVE-2026-9798", "Keycloak", "another way in did not count them"))  # fmt: skip
def r65_guesses_without_end(it):
    needs_files(it)
    with Site(it) as site:
        site.register("alice")
        it.expect(site.log_in("alice", source="127.0.7.1").status == 200, "alice", "in, at home", "out")
        site.log_in("alice", "wrong", source="127.0.8.1")
        # In real time the waits would make a day of it.
        with sqlite3.connect(site.gate.directory / "tollgate.db", timeout=10) as store:
            of_others = "user_id NOT LIKE '-%' AND network = x''"
            counted = store.execute(f"UPDATE sign_in_networks SET passwords = 99 WHERE {of_others}").rowcount
        store.close()
        it.expect(counted == 1, "one wrong password", "counted in the store", f"{counted} rows")
        answer = site.log_in("alice", "wrong", source="127.0.8.2")
        it.expect(answer.status == 401, answer, 401, answer)
        for restart in (False, True):
            if restart:
                site.gate.end()
                site.gate.start()
            wrong, right = (site.log_in("alice", word, source=f"127.0.8.{3 + restart}") for word in ("wrong", PASSWORD))
            it.expect(right.status == 401 and alike(right) == alike(wrong), right, f"as a wrong one: {wrong}", right)
            answer = site.tenant("alice")
            it.expect(answer.status == 401, answer, "401 at the other login", answer)
            answer = site.log_in("alice", source="127.0.7.1")
            it.expect(answer.status == 200, answer, "in, at home", answer)
        site.gate.command("user", "unlock", "--realm", REALM, "alice")
        answer = site.log_in("alice", source="127.0.8.9")
        it.expect(answer.status == 200, answer, "in, once the operator unlocked it", answer)


@check("passwords that are tried first are chosen by nobody",
       ("ASVS 6.2.4", "OWASP", "the most common passwords were allowed"))  # fmt: skip
def r66_weak_passwords(it):
    with Site(it) as site:
        for number, password in enumerate(
            ("1234567", "password", "PASSWORD1", "12345678", "qwertyuiop", "aaaaaaaa", "x" * 257, REALM, f"{REALM}1!")
        ):
            answer = site.register(f"user {number}", password)
            it.expect(answer.status == 400, answer, 400, f"{password!r}: {answer}")
        for name, password in (("wilhelmina", "Wilhelmina1"), ("wilhelmina@example.com", "wilhelmina")):
            answer = site.register(name, password)
            it.expect(answer.status == 400, answer, "400: it is the name", f"{password!r}: {answer}")
        it.expect(site.register("wilhelmina").status == 200, PASSWORD, "a long one is good", "refused")
