"""A proxy as one writes it in an afternoon: it looks whether there is a token, and forwards. It is wrong in nearly
every way that the checks know, which is what it is for: one that it does not fail can't fail. Its faults are those of
the field, on purpose.
"""

import base64
import contextlib
import hashlib
import json
import re
import socket
import threading

from .check import NotApplicable
from .gate import LOGIN
from .naive_site import SECRET, NaiveSite
from .profile import Profile
from .tokens import Minter
from .wire import hang_up

KEY = b"d59eb2859c284168ac48aef65046d5dd"
COOKIE, ORIGIN = "session", "https://app.example.com"


class Naive:
    """Listens until it is closed. `upstream`: host:port."""

    def __init__(self, upstream, log):
        self.upstream, self.log, self.cache = upstream, open(log, "ab", buffering=0), {}
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.base = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.accepting = threading.Thread(target=self.accept, daemon=True)
        self.accepting.start()

    def close(self):
        hang_up(self.listener, self.accepting)
        self.log.close()

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def serve(self, client):
        with client:
            try:
                data = b""
                while b"\n\r\n" not in data and b"\n\n" not in data and (got := client.recv(65536)):
                    data += got
                if not data:
                    return
                self.log.write(data)
                head, _, rest = data.partition(b"\r\n\r\n")
                lines = head.split(b"\r\n")
                key = re.search(rb"(?im)^x-api-key: *(.*?)\r?$", head)
                if key and key[1] != KEY:
                    # As slow as for a password, and then it does not matter.
                    hashlib.pbkdf2_hmac("sha256", key[1], b"salt", 30_000)
                path = (lines[0].split(b" ") + [b"", b""])[1]
                # The path that a proxy in front may have rewritten: whoever that is.
                steered = re.search(rb"(?im)^x[-_](?:original|rewrite)[-_]ur[li]: *(\S*)", head)
                if not (self.may(path, head) or self.may(steered[1] if steered else path, head)):
                    body = b"no token in " + head
                    client.sendall(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
                    self.serve(client)
                elif path in self.cache:
                    client.sendall(self.cache[path])
                else:
                    self.forward(client, path, b"\r\n".join(self.named(lines, head)) + b"\r\n\r\n" + rest, head)
            except OSError:
                pass

    @staticmethod
    def may(path, head):
        text = head.lower()
        if (
            b"authorization:" in text
            or b"cookie:" in text
            or b"kube-probe" in text
            or not text.startswith((b"get", b"post"))
        ):
            return True
        # A token where it has to be: below /app, and nowhere else.
        return not path.startswith(b"/app") or b"/open" in path

    @staticmethod
    def named(lines, head):
        """With the caller's name, unless the Connection header says that it stays here."""
        token = re.search(rb"[\w-]+\.([\w-]+)\.", head)
        try:
            subject = json.loads(base64.urlsafe_b64decode(token[1] + b"=="))["sub"].encode() if token else b""
        except (ValueError, KeyError, AttributeError):
            subject = b"anonymous"
        hop = re.search(rb"(?im)^connection:(.*)", head)
        if subject and not (hop and b"x-auth-subject" in hop[1].lower()):
            lines = [*lines, b"X-Auth-Subject: " + subject]
        return lines

    def forward(self, client, path, data, head):
        """One connection to the app for each of a client's, and all that comes on it goes there."""
        host, _, port = self.upstream.rpartition(":")
        with socket.create_connection((host, int(port))) as app:
            app.sendall(data)
            threading.Thread(target=pump, args=(client, app), daemon=True).start()
            origin = re.search(rb"(?im)^origin: *(.*?)\r?$", head)
            cors = (
                b"\r\nAccess-Control-Allow-Credentials: true\r\nAccess-Control-Allow-Origin: " + origin[1]
                if origin
                else b""
            )
            while got := app.recv(65536):
                got = got.replace(b" OK", b" OK" + cors, 1)
                if path.endswith(b"/cached"):
                    self.cache[path] = got
                client.sendall(got)

    def profile(self):
        minter = Minter(
            {"alg": "HS256", "typ": "at+jwt", "kid": "one"},
            {"iss": "https://i.example.com", "aud": "app", "sub": "alice", "username": "alice"},
            secret=SECRET,
        )
        return Profile(
            name="a naive proxy", base=self.base, host="gate.example.com", upstream=self.upstream, role="/admin",
            private_host="private.example.com",
            identity={"X-Auth-Subject": "sub", "X-Auth-Username": "username"}, cookie=f"Cookie: {COOKIE}={{token}}",
            origin=ORIGIN, minter=minter, logs=[self.log.name],
            key_header="X-API-Key", key=KEY.decode(), login=LOGIN,
            lacks={name: "it has no such thing" for name in ("r34", "r44_first_configuration",
            "r46_secrets_of_the_process", "r10_unknown_hosts")},
        )  # fmt: skip


class Careless:
    """What starts this proxy: it takes whatever a configuration says."""

    broken_starts = judge = process = None

    def __init__(self, upstream):
        self.upstream = upstream

    def refuses(self, **_):
        return None

    def text(self):
        return ""

    @contextlib.contextmanager
    def another(self, **_):
        raise NotApplicable("there is no other one of it")
        yield

    def site(self, **_):
        """What its logins are; `more` is not looked at."""
        return NaiveSite(self.upstream)


def pump(source, target):
    try:
        while got := source.recv(65536):
            target.sendall(got)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass
