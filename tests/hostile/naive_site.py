"""A login as one writes it in an afternoon, for the checks of logins to fail it; its faults are those of the field."""

import base64
import json
import sqlite3
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from urllib.parse import parse_qs, urlsplit
from urllib.request import Request, urlopen

from .gate import COOKIE, LOGIN, TENANT
from .profile import Profile
from .tokens import Minter

SECRET = b"the secret of a proxy that never looks at it"
HASH = 0.03


class NaiveSite(ThreadingHTTPServer):
    """Registers, logs in, and forwards to `upstream`, as far as the checks ask."""

    request_queue_size = 256

    def __init__(self, upstream):
        super().__init__(("127.0.0.1", 0), Handler)
        self.upstream, self.users, self.current = upstream, {}, None
        self.temporary = TemporaryDirectory(prefix="naive-")
        self.directory = Path(self.temporary.name)
        with sqlite3.connect(self.directory / "tollgate.db") as store:
            # Where the roles are that nobody looks at again.
            store.execute("CREATE TABLE users (roles TEXT, version INTEGER)")
        self.minter = Minter(
            {"alg": "HS256", "typ": "at+jwt"}, {"iss": "https://i.example.com", "aud": "app"}, secret=SECRET
        )
        Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def end(self):
        self.shutdown()
        self.server_close()
        self.temporary.cleanup()

    def profile(self):
        base = f"127.0.0.1:{self.server_port}"
        return Profile(
            name="a naive login",
            base=base,
            upstream=self.upstream,
            cookie=f"Cookie: {COOKIE}={{token}}",
            login=LOGIN,
            minter=self.minter,
        )

    def command(self, *words, input="", **_):
        if words[:2] == ("user", "add"):
            self.users[words[-1]] = {
                "password": input.strip(),
                "roles": [word for word in words if word == "admin"],
                "temporary": "--temporary" in words,
            }
        # Whoever is disabled, deleted or has a new password goes on with the old token.

    def handle_error(self, *_):
        pass


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        token = (
            self.headers.get("Authorization", "").partition(" ")[2]
            or self.headers.get("Cookie", "").partition(f"{COOKIE}=")[2].partition(";")[0]
        )
        try:
            claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "==="))
        except (IndexError, ValueError):
            return self.answer(401, {"error": f"no token in {self.headers}"})
        if self.path.startswith(LOGIN):
            return self.answer(200, claims | {"token": token})
        headers = {"X-Auth-Username": claims.get("username", "")}
        with urlopen(Request(f"http://{self.server.upstream}{self.path}", headers=headers)) as answer:
            return self.answer(answer.status, {})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        name = body.get("username") or body.get("email") or body.get("UserName") or ""
        password = body.get("password") or body.get("Password") or ""
        query = parse_qs(urlsplit(self.path).query)
        if self.path.startswith(LOGIN) and "login" in query:
            return self.log_in(name, password, "noATCookie" in query)
        if self.path.startswith(LOGIN) and not query:
            self.server.users[name] = {"password": password, "roles": []}
            return self.answer(200, {"uniqueId": name, "username": name})
        if self.path == TENANT:
            return self.tenant(name, password)
        if self.path.startswith(TENANT):
            # A refresh token is as good as any other, and so is the answer to a challenge.
            return self.answer(200, tokens(self.server.minter.token(username="alice")))
        return self.answer(200, {})

    def log_in(self, name, password, header):
        user = self.server.users.get(name)
        if not user:
            return self.answer(401, {"error": "unknown user"})
        # The state of a login, where the next one writes it, too.
        self.server.current = name
        time.sleep(HASH)
        if user["password"] != password:
            return self.answer(401, {"error": "wrong password"})
        token = self.server.minter.token(username=self.server.current, sub=name)
        if header:
            return self.answer(200, {"token": token}, Authorization=f"Bearer {token}")
        # A session that there is already goes on.
        old = self.headers.get("Cookie", "").partition(f"{COOKIE}=")[2]
        return self.answer(200, {}, **{"Set-Cookie": f"{COOKIE}={old or token}; Path=/"})

    def tenant(self, name, password):
        user = self.server.users.get(name)
        if not user or user["password"] != password:
            return self.answer(401, {"error": "wrong" if user else "unknown"})
        token = self.server.minter.token(username=name, sub=name)
        if user.get("temporary"):
            return self.answer(200, {"cognitoToken": {"ChallengeName": "NEW_PASSWORD_REQUIRED", "Session": token}})
        return self.answer(200, tokens(token))

    def answer(self, status, body, **headers):
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in (headers | {"Content-Type": "application/json", "Content-Length": str(len(data))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)


def tokens(token):
    return {"cognitoToken": {"AuthenticationResult": {"AccessToken": token, "IdToken": token, "RefreshToken": token}}}
