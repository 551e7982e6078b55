"""Peers, each in the best configuration that its documentation has, beside Tollgate: `tests/hostile/run --compare`."""

import contextlib
import os
import re
import secrets
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path
from types import SimpleNamespace

from race.peers import haproxy, jwt_rules
from soak.machine import Process, free_port, until

from . import pages
from .gate import Tollgate
from .profile import Profile
from .tokens import Minter, forged
from .upstream import Recorder
from .wire import hang_up

HERE = Path(__file__).parent
HOST, PRIVATE = "gate.example.com", "private.example.com"
HOSTS = [f"h{number}.{PRIVATE}" for number in range(120)]
NO_TOKENS = "it verifies no tokens itself: its auth service does, which is the suite's own"
NO_LOGIN = "it logs nobody in"
NO_COOKIE = "tokens come in a header, which no page of another site can set"
NO_ORIGINS = "it has no list of origins"

# After benches/load's check of the token: who it is, for the proxy that asked.
SUBJECT = "http-request return status 200 hdr X-Auth-Subject %[var(txn.sub)]"
RETURN = f"""
    http-request set-var(txn.sub) var(txn.token),jwt_payload_query('$.sub')
    http-request set-var(txn.name) var(txn.token),jwt_payload_query('$.username')
    {SUBJECT} hdr X-Auth-Username %[var(txn.name)] if {{ var(txn.name) -m found }}
    {SUBJECT}
"""


class Judge:
    """The auth service: HAProxy with jwt_verify, as in benches/load, behind a relay that can be made to fail."""

    def __init__(self, directory):
        self.secret = secrets.token_hex(32)
        key = SimpleNamespace(algorithm="HS256", secret=self.secret, pem=None)
        self.server = haproxy(directory, "judge", jwt_rules(key) + RETURN)
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.says, self.open = None, set()
        self.accepting = threading.Thread(target=self.accept, daemon=True)
        self.accepting.start()

    def minter(self):
        return Minter(
            {"alg": "HS256", "typ": "at+jwt"},
            {"iss": "https://idp.example.com", "aud": "app", "sub": "u-4711", "username": "alice"},
            secret=self.secret.encode(),
        )

    def outages(self):
        """`(what it does, a context in which it does that)`."""
        for what, says in (("closes connections", b""), ("answers what is no HTTP", b"200 fine\r\n\r\n"),
                           ("answers half a head", b"HTTP/1.1 200"), ("answers 500", answer(500)),
                           ("answers 302", answer(302)), ("answers 404", answer(404)), ("answers 403", answer(403)),
                           ("answers 999", answer(999)), ("answers 101", answer(101))):  # fmt: skip
            yield what, self.saying(says)

    @contextlib.contextmanager
    def saying(self, what):
        self.says = what
        self.cut()
        try:
            yield
        finally:
            self.says = None
            self.cut()

    def cut(self):
        for sock in list(self.open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.relay, args=(sock,), daemon=True).start()

    def relay(self, sock):
        self.open.add(sock)
        with sock, contextlib.suppress(OSError):
            if self.says is not None:
                sock.recv(65536)
                sock.sendall(self.says)
                return
            with socket.create_connection(("127.0.0.1", self.server.port)) as to:
                self.open.add(to)
                back = threading.Thread(target=pump, args=(to, sock), daemon=True)
                back.start()
                pump(sock, to)
                back.join()
                self.open.discard(to)
        self.open.discard(sock)

    def end(self):
        hang_up(self.listener, self.accepting, list(self.open))
        self.server.end()


def answer(status):
    return b"HTTP/1.1 %d Odd\r\nContent-Length: 0\r\nX-Auth-Subject: mallory\r\nConnection: close\r\n\r\n" % status


def pump(source, target):
    with contextlib.suppress(OSError):
        while got := source.recv(65536):
            target.sendall(got)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


class Peer:
    """One of them, running. What is its own is in its subclass."""

    name, program, files, h2c_port = "", "", {}, None

    def __init__(self, directory, upstream, judge):
        self.directory, self.upstream, self.judge = directory, upstream, judge
        self.port, self.h2c = free_port(), free_port()
        self.process = self.launch(directory)
        until(f"{self.name} listens", lambda: self.up(self.process))

    def launch(self, directory, edit=lambda text: text):
        directory.mkdir(parents=True)
        directory.chmod(0o755)
        values = {
            "port": self.port,
            "h2c": self.h2c,
            "upstream": self.upstream,
            "judge": self.judge.address,
            "directory": directory,
            "hosts": self.hosts(),
        }
        for name, source in self.files.items():
            text = re.sub(r"@(\w+)@", lambda match: str(values[match[1]]), (HERE / "peers" / source).read_text())
            (directory / name).write_text(edit(text) if name == next(iter(self.files)) else text)
        with open(directory / "log", "wb") as log:
            return Process(
                self.argv(directory), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.env(directory)
            )

    def up(self, process):
        if process.ended() is not None:
            raise RuntimeError(f"{self.name} ended: {(self.directory / 'log').read_text()[-2000:]}")
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def end(self):
        self.process.end()

    def env(self, directory):
        return os.environ | {home: str(directory) for home in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")}

    def broken_starts(self):
        """`(what is wrong with its file, whether it refused to start)`."""
        port = self.port
        for number, (what, edit) in enumerate(self.breaks()):
            self.port, self.h2c, before = free_port(), free_port(), self.h2c
            process = self.launch(self.directory / f"broken-{number}", edit)
            try:
                end = time.monotonic() + 5
                while time.monotonic() < end and process.ended() is None and not self.listens():
                    time.sleep(0.02)
                # It may listen, and end then.
                time.sleep(0.2)
                yield what, process.ended() is not None
            finally:
                process.end()
                self.port, self.h2c = port, before

    def listens(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def profile(self):
        make = self.judge.minter()
        token = make.token()
        lacks = {f"r{number}": NO_TOKENS for number in (20, 21, 22, 23, 24, 29, 30)} | {
            f"r{number}": NO_LOGIN for number in (31, 32, 33, 34, 36, 37, 38, 39, 42, 45)
        }
        lacks |= {
            "r25_mutated_tokens": NO_TOKENS,
            "r35": NO_COOKIE,
            "r47": NO_COOKIE,
            "r49": NO_COOKIE,
            "r48": NO_ORIGINS,
            "r41": "it has no API keys",
            "r46": "it is given no secrets",
        }
        del lacks["r22"]
        return Profile(
            name=self.name, base=f"127.0.0.1:{self.port}", host=HOST, h2c=f"127.0.0.1:{self.h2c_port or self.h2c}",
            upstream=self.upstream, private_host=PRIVATE,
            identity={"X-Auth-Subject": "sub", "X-Auth-Username": "username"}, token=token, expired=make.expired(),
            forged=forged(token),
            bare_token=make.token(username=None), logs=[str(self.directory / name) for name in self.logs], lacks=lacks,
        )  # fmt: skip

    def version(self):
        said = subprocess.run(self.asks_version, capture_output=True, text=True)
        return re.search(r"\d+\.\d+\.\d+", said.stdout + said.stderr)[0]


class Nginx(Peer):
    name, asks_version = "nginx + auth_request", ["nginx", "-v"]
    files = {
        "nginx.conf": "nginx.conf",
        "judge.conf": "nginx-judge.conf",
        "headers.conf": "nginx-headers.conf",
        "protected.conf": "nginx-protected.conf",
        "public.conf": "nginx-public.conf",
    }
    logs = ["error.log", "access.log"]

    def argv(self, directory):
        return ["nginx", "-p", str(directory), "-c", str(directory / "nginx.conf"), "-e", str(directory / "error.log")]

    def hosts(self):
        return " ".join(HOSTS)

    def breaks(self):
        yield (
            "a file of its configuration that is not there",
            lambda text: text.replace("include judge.conf;", "include not-there.conf;", 1),
        )
        yield (
            "a certificate that is not there",
            lambda text: text.replace(
                "server_name gate", "ssl_certificate not-there; ssl_certificate_key not-there;\n server_name gate"
            ).replace("@h2c", ""),
        )
        yield "an unknown directive", lambda text: text.replace("auth_request /judge;", "auth_requests /judge;", 1)


class Caddy(Peer):
    name, asks_version = "Caddy + forward_auth", ["caddy", "version"]
    files = {"Caddyfile": "Caddyfile"}
    logs = ["log"]

    def __init__(self, *how):
        super().__init__(*how)
        # Both on one port.
        self.h2c_port = self.port

    def argv(self, directory):
        return ["caddy", "run", "--config", str(directory / "Caddyfile"), "--adapter", "caddyfile"]

    def hosts(self):
        return ", ".join(f"http://{host}:{self.port}" for host in HOSTS)

    def breaks(self):
        yield (
            "a file of its configuration that is not there",
            lambda text: text.replace("import protected", "import not-there", 1),
        )
        yield (
            "a certificate that is not there",
            lambda text: text.replace("http://gate.example.com", "https://gate.example.com").replace(
                "\timport clean", "\ttls not-there.pem not-there.key\n\timport clean", 1
            ),
        )
        yield "an unknown directive", lambda text: text.replace("\tforward_auth", "\tforward_auths", 1)


PEERS = [Nginx, Caddy]


def run(options, checks, directory, one):
    """A report for each."""
    reports = []
    if options.tollgate:
        with Recorder() as recorder, Tollgate(options.tollgate, directory / "tollgate", recorder.address) as gate:
            reports.append(one(options, checks, directory, gate.profile(), recorder, gate, gate.version()))
    for kind in PEERS:
        with Recorder() as recorder:
            judge = Judge(fresh(directory / f"judge-of-{kind.__name__.lower()}"))
            peer = kind(directory / kind.__name__.lower(), recorder.address, judge)
            try:
                reports.append(one(options, checks, directory, peer.profile(), recorder, peer, peer.version()))
            finally:
                peer.end()
                judge.end()
            if options.keep:
                shutil.copytree(peer.directory, options.keep / kind.__name__.lower(), dirs_exist_ok=True)
    if options.write:
        options.write.write_text(pages.page(reports, checks, options.write.read_text()))
    return reports


def fresh(directory):
    directory.mkdir(parents=True)
    directory.chmod(0o755)
    return directory
