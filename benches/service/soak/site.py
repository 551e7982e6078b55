"""A gate with its files: what it is told to do, and what it says of itself."""

import datetime
import http.client
import ipaddress
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from .machine import Process, free_port, output, until

KEY = "d59eb2859c284168ac48aef65046d5dd"
PASSWORD = "correct horse battery staple"
AUTH = "/auth"
# Children are started with a queue as long as systemd's.
BACKLOG = 4096


class Authority:
    """Makes certificates for 127.0.0.1."""

    def __init__(self, directory):
        self.directory = directory
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "soak")])
        authority = self._builder(self.name, self.key.public_key())
        authority = authority.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self.path = directory / "ca.pem"
        self.path.write_bytes(authority.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def _builder(self, name, key):
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(self.name).public_key(key)
        builder = builder.serial_number(x509.random_serial_number())
        return builder.not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=9))

    def issue(self):
        """A new pair in the place of the last one, each by a rename. Returns its serial number."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        certificate = self._builder(name, key.public_key()).add_extension(names, critical=False)
        certificate = certificate.sign(self.key, hashes.SHA256())
        encoding = serialization.Encoding.PEM
        pem = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        replace(self.directory / "gate.key", pem)
        replace(self.directory / "gate.pem", certificate.public_bytes(encoding))
        return certificate.serial_number

    def context(self):
        """For clients: trusts this authority only."""
        return ssl.create_default_context(cafile=self.path)


def replace(path, content):
    """As careful editors do: a new file, renamed over the old one."""
    new = path.with_name(f".{path.name}.new")
    new.write_bytes(content)
    new.chmod(0o600)
    new.rename(path)


class Site:
    """A directory, two ports, and at most one gate in charge."""

    def __init__(self, binary, directory, routes, tls=True, store=None, limits=""):
        self.directory, self.routes, self.limits = Path(directory), dict(routes), limits
        self.store = store or self.directory / "tollgate.db"
        self.port, self.admin = free_port(), free_port()
        # A copy, so that it can be replaced.
        self.original, self.binary = Path(binary), self.directory / "tollgate"
        shutil.copy(binary, self.binary)
        self.authority = Authority(self.directory) if tls else None
        if tls:
            self.authority.issue()
        self.keys, self.origins, self.hash_queue = {}, ["https://app.example.com"], 64
        self.log_path = self.directory / "log"
        self.gate = None
        self.sockets = []
        self.write()

    # What the gate is told.

    def text(self):
        lines = [
            "[server]",
            f'listen = ["127.0.0.1:{self.port}"]',
            f'admin = "127.0.0.1:{self.admin}"',
        ]
        if self.authority:
            lines += ["[server.tls]", 'cert = "gate.pem"', 'key = "gate.key"']
        lines += ["[store]", f'url = "sqlite://{self.store}"', self.limits]
        lines += [
            "[[realm]]",
            'name = "soak"',
            'issuer = "https://gate.example.com"',
            'registration = "open"',
            'registrations_per_hour = 100000',
            f"origins = {json.dumps(self.origins)}",
        ]
        for name, secret in {"load": KEY, **self.keys}.items():
            lines += ["[[realm.key]]", f'id = "{name}"', f'secret = "{secret}"']
        lines += ["[[login]]", 'dialect = "project"', f'path = "{AUTH}"', 'realm = "soak"']
        for path, rest in self.routes.items():
            lines += ["[[route]]", f'path = "{path}"', 'realm = "soak"', rest]
        return "\n".join(lines) + "\n"

    def write(self, text=None):
        replace(self.directory / "tollgate.toml", (text or self.text()).encode())

    def user(self, name):
        """Makes one, and returns a token of the user's."""
        where = ["-c", str(self.directory / "tollgate.toml"), "--realm", "soak"]
        output([self.binary, "user", "add", *where, name], input=PASSWORD + "\n")
        return output([self.binary, "token", "mint", *where, "--user", name])

    # Its process.

    def command(self):
        return [str(self.binary), "serve", "-c", str(self.directory / "tollgate.toml")]

    def start(self, argv=None, **options):
        with open(self.log_path, "ab") as log:
            self.gate = Process(argv or self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, **options)
        return self.until_ready()

    def start_behind_sockets(self):
        """As systemd starts a service with a tollgate.socket: it holds the sockets, and passes copies as files 3 and 4."""
        if not self.sockets:
            for port in (self.port, self.admin):
                listener = socket.socket()
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind(("127.0.0.1", port))
                listener.listen(BACKLOG)
                self.sockets.append(listener)
        numbers = [listener.fileno() for listener in self.sockets]
        # Above the two, so that the shell does not overwrite what it copies.
        copies = [os.dup2(number, 100 + index) for index, number in enumerate(numbers)]
        script = 'exec 3<&100 4<&101 100<&- 101<&-; export LISTEN_PID=$$; exec "$@"'
        environment = os.environ | {"LISTEN_FDS": "2"}
        try:
            return self.start(["bash", "-c", script, "bash", *self.command()], pass_fds=copies, env=environment)
        finally:
            for copy in copies:
                os.close(copy)

    def until_ready(self):
        def ready():
            if self.gate.ended() is not None:
                raise RuntimeError(f"the gate ended with {self.gate.code}:\n{self.log()[-2000:]}")
            return self.pid_in_charge() == self.gate.pid and self.healthy()

        until("the gate is ready", ready)
        return self.gate

    def end(self):
        if self.gate:
            self.gate.end()
        for listener in self.sockets:
            listener.close()

    def replace_binary(self):
        """Puts another file where the program is. Returns its inode."""
        new = self.directory / ".tollgate.new"
        shutil.copy(self.original, new)
        new.rename(self.binary)
        return self.binary.stat().st_ino

    def hand_over(self):
        """SIGUSR2; returns the old gate, which is still ending."""
        old = self.gate
        old.send(signal.SIGUSR2)

        def successor():
            if old.ended() not in (None, 0):
                raise RuntimeError(f"the gate ended with {old.code}:\n{self.log()[-2000:]}")
            pid = self.pid_in_charge()
            return pid if pid != old.pid else None

        self.gate = Process(pid=until("another process is in charge", successor))
        return old

    # What it says.

    def ask_admin(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=30)
        try:
            connection.request("GET", path, headers={"Connection": "close"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def status(self):
        return json.loads(self.ask_admin("/status")[1])

    def pid_in_charge(self):
        try:
            return self.status()["pid"]
        except (OSError, http.client.HTTPException):
            return None

    def healthy(self):
        return self.ask_admin("/readyz")[0] == 200

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    # Asking it.

    @property
    def base(self):
        return f"{'https' if self.authority else 'http'}://127.0.0.1:{self.port}"

    def connect(self, timeout=30):
        if self.authority:
            context = self.authority.context()
            return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=timeout, context=context)
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def ask(self, method, path, headers=None, body=None, timeout=30):
        """One request on a connection of its own: status, headers, body."""
        connection = self.connect(timeout)
        try:
            connection.request(method, path, body, {"X-API-Key": KEY, "Connection": "close", **(headers or {})})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def log_in(self, name="alice"):
        """Status and reason."""
        body = json.dumps({"username": name, "password": PASSWORD})
        status, _, answer = self.ask("POST", f"{AUTH}?login=true&noATCookie=true", {"Content-Type": "application/json"}, body)
        return status, json.loads(answer).get("reason", "") if status != 200 else ""
