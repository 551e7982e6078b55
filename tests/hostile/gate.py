"""Tollgate, started from its binary with a configuration of its own in a directory of its own."""

import http.client
import json
import re
import secrets
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from soak.machine import Process, free_port, output, until

from .profile import Profile
from .tokens import Minter, encoded

ISSUER, REALM, HOST = "https://gate.example.com", "hostile", "gate.example.com"
PRIVATE, UNKNOWN = "private.example.com", "unknown.example.net"
ORIGIN = "https://app.example.com"
LOGIN, TENANT = "/auth", "/Login"
KEY, DISABLED_KEY = "d59eb2859c284168ac48aef65046d5dd", "d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0"
COOKIE = "__Host-hostile"
PASSWORD = "correct horse battery staple"
SUBJECT = "f49c890269904e88b135c56b4d7e6531"
# Header and the claim that it is from.
IDENTITY = {
    "X-Auth-Subject": "sub",
    "X-Auth-Username": "username",
    "X-Auth-Email": "email",
    "X-Auth-Roles": "roles",
    "X-Auth-Token-Id": "jti",
    "X-Auth-Realm": "",
    "X-Auth-Issuer": "",
    "X-Auth-Assertion": "",
    "X-Auth-Client-Cert": "",
}

CONFIG = """
[server]
listen = ["127.0.0.1:{port}"]
admin = "127.0.0.1:{admin}"
threads = 1
h2c = true
shutdown_grace = "1s"
hash_threads = 1
{server}
[log]
level = "trace"
access = "all"
audit = "stderr"
{tables}
[store]
url = "sqlite://tollgate.db"

[[realm]]
name = "{realm}"
issuer = "{issuer}"
origins = ["{origin}"]
registration = "open"
registrations_per_hour = {registrations}
require_key = true
{realm_keys}

[[realm.key]]
id = "web"
secret = "{key}"

[[realm.key]]
id = "off"
secret = "{disabled_key}"
disabled = true
{realm_tables}
[[login]]
dialect = "project"
path = "{login}"
realm = "{realm}"

[[login]]
dialect = "tenant"
path = "{tenant}"
realm = "{realm}"
{routes}{more}
"""

# Path, access, and the rest; the last ones are hosts at which everything wants a token.
ROUTES = [
    ("/app", "user", ""),
    ("/admin", "user", 'roles = ["admin"]'),
    ("/keyed", "key", ""),
    ("/open", "public", ""),
    ("/", "user", f'host = "{PRIVATE}"'),
    *(("/", "user", f'host = "h{number}.{PRIVATE}"') for number in range(120)),
]


def route(path, access, rest, upstream, realm=REALM):
    lines = [
        "[[route]]",
        f'path = "{path}"',
        f'realm = "{realm}"',
        f'access = "{access}"',
        f'upstream = ["http://{upstream}"]',
    ]
    return "\n".join([*lines, rest, ""])


# In the audit line of a reload.
BY_SIGNAL = '"cause":"SIGHUP"'


class Refused(Exception):
    """It did not start. `code` is its exit code, `log` what it said."""

    def __init__(self, code, log):
        super().__init__(f"exit code {code}: {log[-2000:]}")
        self.code, self.log = code, log


class Tollgate:
    """A running gate. Ended by `end`, or as a context."""

    name = "Tollgate"

    def __init__(self, binary, directory, upstream, edit=None, unready=False, **changes):
        """`upstream`: host:port of the app. `changes`: texts for the places of CONFIG (`server`, `tables`,
        `realm_keys`, `realm_tables`, `routes`, `more`, `registrations`) instead of what stands there, or any other value of it.
        `edit` gets it before it starts, to spoil its files. `unready`: it need not become ready, only answer."""
        self.binary, self.directory, self.upstream = str(binary), directory, upstream
        directory.mkdir(parents=True, exist_ok=True)
        self.port, self.admin = free_port(), free_port()
        self.conf, self.log = directory / "tollgate.toml", directory / "log"
        self.secret, self.kid = secrets.token_bytes(32), secrets.token_hex(16)
        self.keys = directory / "keys" / REALM
        self.write_key()
        self.changes, self.up = changes, "/healthz" if unready else "/readyz"
        self.write(self.text())
        self.process = None
        if edit:
            edit(self)
        self.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    @property
    def base(self):
        return f"127.0.0.1:{self.port}"

    def write_key(self):
        """The realm's signing key, which the suite has to know."""
        self.keys.mkdir(parents=True, exist_ok=True)
        made = int(time.time()) - 86_400
        jwk = {
            "kty": "oct",
            "use": "sig",
            "alg": "HS256",
            "kid": self.kid,
            "k": encoded(self.secret),
            "iat": made,
            "nbf": made,
        }
        path = self.keys / f"{self.kid}.jwk"
        path.write_text(json.dumps(jwk))
        path.chmod(0o600)

    def text(self, **changes):
        routes = "".join(route(*each, self.upstream) for each in ROUTES)
        said = {
            "port": self.port, "admin": self.admin, "realm": REALM, "issuer": ISSUER, "origin": ORIGIN, "key": KEY,
            "disabled_key": DISABLED_KEY, "login": LOGIN, "tenant": TENANT, "routes": routes,
            "server": "", "tables": "", "realm_keys": "", "realm_tables": "", "more": "",
            # All checks are one client.
            "registrations": 100_000,
        }  # fmt: skip
        return CONFIG.format(**said | self.changes | changes)

    def write(self, text):
        """As a whole: the gate may read the file at any time."""
        new = self.conf.with_suffix(".new")
        new.write_text(text)
        new.chmod(0o600)
        new.replace(self.conf)

    def start(self):
        with open(self.log, "ab") as log:
            argv = [self.binary, "serve", "-c", str(self.conf)]
            self.process = Process(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

        def ready():
            if self.process.ended() is not None:
                raise Refused(self.process.code, self.log.read_text(errors="replace"))
            try:
                return self.ask(self.up)[0] == 200
            except OSError:
                return False

        until("the gate is ready", ready)

    def end(self):
        """At once: nothing of it is needed any more."""
        if self.process:
            self.process.stop(signal.SIGKILL)

    def ask(self, path):
        """Of its admin listener: status and text."""
        try:
            return self._ask(path)
        except ConnectionError:
            # It may be about to accept connections, or to stop.
            return self._ask(path)

    def _ask(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=10)
        try:
            connection.request("GET", path, headers={"Connection": "close"})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def status(self):
        return json.loads(self.ask("/status")[1])

    def reload(self, text=None):
        """Has it read its file again, and returns what came of that: /status's `last_reload`."""
        # Not by last_reload: another reload, of a file that changed, can end in the meantime.
        done = self.log.read_text(errors="replace").count(BY_SIGNAL)
        if text is not None:
            self.write(text)
        self.process.send(signal.SIGHUP)
        end = time.monotonic() + 10
        while self.log.read_text(errors="replace").count(BY_SIGNAL) == done:
            assert time.monotonic() < end, "the signal caused no reload"
            time.sleep(0.01)
        return self.status()["last_reload"]

    def another(self, **changes):
        """One more gate of the same program in front of the same app, with its own files. A context."""
        directory = Path(tempfile.mkdtemp(prefix="another-", dir=self.directory))
        return Tollgate(self.binary, directory, self.upstream, **changes)

    def refuses(self, edit=None, **changes):
        """What it says when it refuses to start with these changes; None if it starts."""
        directory = Path(tempfile.mkdtemp(prefix="refused-", dir=self.directory))
        try:
            with Tollgate(self.binary, directory, self.upstream, edit=edit, **changes):
                return None
        except Refused as refusal:
            # That is no refusal of a configuration.
            assert "in use" not in refusal.log, refusal.log
            return refusal.log or f"exit code {refusal.code}"

    def command(self, *words, **options):
        return output([self.binary, *words[:2], "-c", str(self.conf), *words[2:]], **options)

    def version(self):
        said = subprocess.run([self.binary, "--version"], capture_output=True, text=True).stdout
        found = re.search(r"\d+\.\d+\.\d+\S*", said)
        return found[0] if found else said.strip()

    def profile(self):
        claims = {"iss": ISSUER, "aud": REALM, "sub": SUBJECT, "username": "alice"}
        header = {"alg": "HS256", "typ": "at+jwt", "kid": self.kid}
        return Profile(
            name="Tollgate", base=self.base, host=HOST, h2c=self.base, upstream=self.upstream, role="/admin",
            private_host=PRIVATE, identity=IDENTITY, reserved=["X-Request-Id"], always=[f"X-API-Key: {KEY}"],
            cookie=f"Cookie: {COOKIE}={{token}}", key_header="X-API-Key", key=KEY, origin=ORIGIN, login=LOGIN,
            minter=Minter(header, claims, secret=self.secret), logs=[str(self.log)],
        )  # fmt: skip
