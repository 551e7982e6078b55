"""Everybody who takes part, each started once for a part, and the requests that they get."""

import json
from functools import cached_property

import jwt
from soak.machine import Failed
from soak.site import Authority

from . import peers
from .contenders import Contender, request
from .gate import Gate
from .tokens import Key, forged

# How many tokens are made that nobody has seen. The load ends with the last of them; RSA takes a millisecond each.
NEVER_SEEN = {"HS256": 60_000, "ES256": 40_000, "RS256": 14_000}


class Field:
    def __init__(self, lab, directory):
        self.lab, self.directory = lab, directory
        directory.mkdir()
        directory.chmod(0o755)
        self.app = peers.app(directory)
        self.keys, self.known, self.gates = {}, {}, {}

    # What is asked.

    def key(self, algorithm="HS256"):
        if algorithm not in self.keys:
            self.keys[algorithm] = Key(algorithm, self.directory)
            self.known[algorithm] = self.keys[algorithm].token()
        return self.keys[algorithm]

    def token(self, algorithm="HS256"):
        self.key(algorithm)
        return self.known[algorithm]

    def never_seen(self, algorithm, share=1.0):
        """A file of tokens."""
        path = self.directory / f"{algorithm}.tokens"
        count = int(NEVER_SEEN[algorithm] * share / (10 if self.lab.quick else 1))
        path.write_text("\n".join(self.key(algorithm).many(count)) + "\n")
        return path

    def refuses(self, algorithm="HS256", thoroughly=False):
        """What nobody may pass who checks tokens; and what nobody may pass who has the gate's rules."""
        key, token = self.key(algorithm), self.token(algorithm)
        claims = jwt.decode(token, options={"verify_signature": False})
        unsigned = jwt.encode(claims, None, "none", {"typ": "at+jwt", "kid": key.kid})
        found = {
            "no token": (request(), 401),
            "a forged token": (request(forged(token)), 401),
            "an unsigned token": (request(unsigned), 401),
            "an expired token": (request(key.expired()), 401),
        }
        if thoroughly:
            found |= {
                "another issuer's token": (request(key.token(iss="https://other.example.com")), 401),
                "somebody else's token": (request(key.token(aud="other")), 401),
                "no API key": (request(token, key=None), 403),
                "a wrong API key": (request(token, key="d59eb2859c284168ac48aef65046d5de"), 400),
                "a page of another origin": (request(token, origin="https://other.example.com"), 403),
            }
        return found

    @cached_property
    def authority(self):
        authority = Authority(self.directory)
        authority.issue()
        pair = [(self.directory / name).read_text() for name in ("gate.pem", "gate.key")]
        (self.directory / "both.pem").write_text("".join(pair))
        return authority

    # Who is asked.

    def bare(self, *options, name="bare"):
        return peers.bare(self.directory, self.lab.bare, self.app, name, *options)

    def bare_jwt(self, algorithm):
        path = self.directory / f"{algorithm}.jwk"
        path.write_text(json.dumps(self.key(algorithm).jwk()))
        return self.bare("--jwk", path, name=f"bare-{algorithm.lower()}")

    def gate(self, algorithm="HS256", name=None, binary=None, **options):
        """Each is started once."""
        name = name or f"gate-{algorithm.lower()}"
        if name not in self.gates:
            self.gates[name] = Gate(binary or self.lab.binary, self.directory, name, self.app, self.key(algorithm), **options)
        return self.gates[name]

    def other_builds(self, algorithm="HS256", name="gate", **options):
        """Gates of the other builds that are to be measured: what to call each, and itself."""
        for label, binary in self.lab.also:
            yield f" ({label})", self.gate(algorithm, f"{name}-{label}-{algorithm.lower()}", binary, **options)

    @cached_property
    def responder(self):
        return peers.responder(self.directory, self.key())

    # As contenders.

    def plain(self, name, server, **more):
        return Contender(name, [server], request(self.token()), "forwards", **more)

    def bare_checks(self, algorithm):
        headers, refuses = request(self.token(algorithm)), self.refuses(algorithm)
        does = "`decode` of each token: signature, `alg`, `exp`; tells the app `sub`"
        name = f"bare pingora, jsonwebtoken {algorithm}"
        return Contender(name, [self.bare_jwt(algorithm)], headers, does, refuses=refuses, tells=True)

    def tollgate(self, algorithm="HS256", label="", cookie=False, kind="", gate=None, **more):
        """A token that it has seen before, with all of the gate's rules."""
        token = self.token(algorithm)
        headers = request(cookie=token) if cookie else request(token)
        name = f"Tollgate{label} {algorithm}{', cookie' if cookie else ''}{kind}"
        refuses = self.refuses(algorithm, thoroughly=True)
        return Contender(name, [gate or self.gate(algorithm)], headers, DOES, refuses=refuses, tells=True, **more)

    def tollgate_never_seen(self, algorithm, label="", gate=None):
        gate, hits = gate or self.gate(algorithm), []

        def before():
            # Others than in the load before: what is remembered of those makes room, as in a gate that has been up for long.
            self.never_seen(algorithm)
            hits.append(gate.metric("tollgate_token_cache_hits_total"))

        def after(run):
            # The last one may be asked more than once: by those who are under way when the load ends.
            seen = gate.metric("tollgate_token_cache_hits_total") - hits.pop()
            if seen > 64:
                raise Failed(f"{seen:.0f} of {run.done} tokens had been seen before")

        more = {"tokens": self.never_seen(algorithm), "before": before, "after": after}
        return Contender(f"Tollgate{label} {algorithm}, each token new", [gate], request(), DOES, **more)

    def tollgate_refusing(self, what, token, algorithm="HS256", label="", gate=None):
        name = f"Tollgate{label}{' ' + algorithm if token else ''}, {what}: 401"
        return Contender(name, [gate or self.gate(algorithm)], request(token), DOES, status=401)

    def forged(self, algorithm):
        return forged(self.token(algorithm))

    def haproxy_checks(self, algorithm="HS256", kind="", server=None, **more):
        server = server or peers.haproxy_jwt(self.directory, self.app, self.key(algorithm))
        headers, refuses = request(self.token(algorithm)), self.refuses(algorithm)
        name = f"HAProxy jwt_verify {algorithm}{kind}"
        return Contender(name, [server], headers, HAPROXY_DOES, refuses=refuses, tells=True, **more)

    def haproxy_same(self, algorithm="HS256"):
        server = peers.haproxy_same(self.directory, self.app, self.key(algorithm))
        headers, refuses = request(self.token(algorithm)), self.refuses(algorithm, thoroughly=True)
        does = "the gate's rules as far as its own can say them; no revocation"
        return Contender(f"HAProxy {algorithm}, the gate's rules", [server], headers, does, refuses=refuses, tells=True)

    def asks_responder(self, name, server):
        does = "asks a second HAProxy with `jwt_verify` HS256, whose CPU is counted; tells the app `sub`"
        return Contender(name, [server, self.responder], request(self.token()), does, refuses=self.refuses(), tells=True)

    def nginx_auth_request(self):
        server = peers.nginx_auth_request(self.directory, self.app, self.responder)
        return self.asks_responder("nginx auth_request HS256", server)

    def caddy_forward_auth(self):
        return self.asks_responder("Caddy forward_auth HS256", peers.caddy(self.directory, self.app, self.responder))

    def apache_openidc(self):
        server = peers.apache(self.directory, self.app, self.key())
        does = "signature, `alg`, `exp`; tells the app `sub`"
        headers, refuses = request(self.token()), self.refuses()
        return Contender("Apache mod_auth_openidc HS256", [server], headers, does, refuses=refuses, tells=True)


DOES = (
    "API key, origin, signature, `alg`, `typ`, `kid`, `iss`, `aud`, `exp`, `nbf`, revocation; identity headers for the app, "
    "clients' own taken out; metrics"
)
HAPROXY_DOES = "signature, `alg`, `exp`; tells the app `sub`"
