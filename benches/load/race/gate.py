"""The gate as it is measured: API keys, origins, revocations, metrics and identity headers are on, and one thread works."""

import hashlib
import http.client
import json
import sqlite3
import time

from soak.machine import free_port, output, time_passes, until

from .servers import Server, listens, new
from .tokens import AUDIENCE, ISSUER

KEY = "d59eb2859c284168ac48aef65046d5dd"
ORIGIN = "https://app.example.com"
PASSWORD = "correct horse battery staple"
LOGIN = "/auth?login=true&noATCookie=true"


class Gate(Server):
    """A gate and its files. `keys` are those of its realms: the first one's routes are at /app, others' at /<name>."""

    def __init__(self, binary, directory, name, app, *keys, api_keys=1, routes=1, revocations=0, server="threads = 1", tls=None):
        self.directory, port = new(directory, name)
        self.binary, self.admin, self.conf = binary, free_port(), self.directory / "tollgate.toml"
        lines = ["[server]", f'listen = ["127.0.0.1:{port}"]', f'admin = "127.0.0.1:{self.admin}"', server]
        if tls:
            lines += ["[server.tls]", f'cert = "{tls.directory}/gate.pem"', f'key = "{tls.directory}/gate.key"']
        lines += ["[store]", 'url = "sqlite://tollgate.db"']
        for number, key in enumerate(keys):
            realm = "app" if number == 0 else key.algorithm.lower()
            key.write_jwk(self.directory / "keys" / realm)
            lines += self.realm(realm, key, api_keys) + route(f"/{realm}", realm, "user", app)
        lines += ["[[login]]", 'dialect = "project"', 'path = "/auth"', 'realm = "app"']
        lines += route("/public", "app", "public", app)
        for number in range(routes - 1):
            lines += route(f"/other-{number}", "app", "user", app)
        self.conf.write_text("\n".join(lines) + "\n")
        self.conf.chmod(0o600)
        if revocations:
            self.revoke(revocations)
        began = time.monotonic()
        super().__init__(name, self.directory, [binary, "serve", "-c", self.conf], port)
        until(f"{name} is ready", lambda: listens(self.admin) and self.ask_admin("/readyz")[0] == 200)
        # Seconds.
        self.started_in = time.monotonic() - began

    def settle(self):
        """Waits until it does nothing of its own accord. Returns for how many seconds it did."""
        began = time.monotonic()

        def rests():
            before = self.cpu()
            time_passes(0.3)
            return self.cpu() - before < 0.03

        until(f"{self.name} is at rest", rests, patience=120)
        return time.monotonic() - began

    @staticmethod
    def realm(name, key, api_keys):
        lines = ["[[realm]]", f'name = "{name}"', f'issuer = "{ISSUER}"', f'audience = "{AUDIENCE}"']
        lines += [f'algorithm = "{key.algorithm}"', f'keys_dir = "keys/{name}"', f'origins = ["{ORIGIN}"]']
        for number in range(api_keys):
            # The one that is used stands in the middle.
            secret = KEY if number == api_keys // 2 else f"another secret {number}"
            lines += ["[[realm.key]]", f'id = "key-{number}"', f'sha256 = "{hashlib.sha256(secret.encode()).hexdigest()}"']
        return lines

    def revoke(self, count):
        """So many tokens, which nobody shows, of the next day."""
        # The first command makes the tables.
        self.command("user", "list")
        expires = int(time.time()) + 86_400
        with sqlite3.connect(self.directory / "tollgate.db") as store:
            rows = ((hashlib.sha256(b"%d" % number).digest()[:16], expires) for number in range(count))
            store.executemany("INSERT INTO revocations (token, expires_at) VALUES (?, ?)", rows)
        store.close()

    def command(self, *words, **options):
        return output([str(self.binary), *words[:2], "-c", str(self.conf), "--realm", "app", *words[2:]], **options)

    def add_user(self, name):
        self.command("user", "add", name, input=PASSWORD + "\n")

    def ask_admin(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=30)
        try:
            connection.request("GET", path, headers={"Connection": "close"})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def status(self):
        return json.loads(self.ask_admin("/status")[1])

    def metric(self, name):
        """The sum of its samples."""
        lines = self.ask_admin("/metrics")[1].splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith((name + " ", name + "{")))


def route(path, realm, access, app):
    lines = ["[[route]]", f'path = "{path}"', f'realm = "{realm}"', f'access = "{access}"']
    return [*lines, f'upstream = ["http://127.0.0.1:{app.port}"]']
