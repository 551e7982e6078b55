"""Shape F: a configuration that fails open. Of proxies that the suite starts itself."""

import json
import re
import shutil
import stat
import threading
import time
from pathlib import Path

from soak.machine import output

from ..check import check
from ..gate import KEY

LOST = [("CVE-2026-54762", "Traefik", "a secret that could not be loaded left the door open"),
        ("CVE-2026-27586", "Caddy", "a CA that could not be loaded left the door open"),
        (
        "allow_missing", "Envoy", "a family of options that let a missing token pass")]  # fmt: skip


ISSUER_WITHOUT_KEYS = """
[[realm.trusted_issuer]]
issuer = "https://i.example.com"
audience = ["a"]
jwks_file = "not-there"
"""
ROUTE_WITHOUT_CA = """
[[route]]
path = "/tls"
realm = "hostile"
access = "user"
upstream = ["https://127.0.0.1:1"]
upstream_name = "x"
upstream_ca = "not-there"
"""
NO_DATABASE = "no database" * 1000


@check("no start without a key or a secret that is referred to", *LOST)
def r43_no_start_without_its_secrets(it):
    starts = getattr(it.control, "broken_starts", None)
    if starts:
        # A peer: each is a configuration with something missing, and what came of its start.
        for what, refused in starts():
            it.expect(refused, what, "no start", "it started")
        return
    gate = it.gate()
    for what, changes in (
        ("secret_file of an API key", {"realm_tables": '\n[[realm.key]]\nid = "file"\nsecret_file = "not-there"\n'}),
        ("an empty secret_file", {"realm_tables": '\n[[realm.key]]\nid = "file"\nsecret_file = "empty"\n',
        "edit": lambda other: private(other.directory / "empty", "")}),
        ("sha256 that is none", {"realm_tables": '\n[[realm.key]]\nid = "hash"\nsha256 = "abc"\n'}),
        ("sha256_file of the master key", {"realm_tables": '\n[realm.master_key]\nsha256_file = "not-there"\n'}),
        ("jwks_file of an issuer", {"realm_tables": ISSUER_WITHOUT_KEYS}),
        ("a certificate", {"tables": '[server.tls]\ncert = "not-there"\nkey = "not-there"\n'}),
        ("client_ca", {"tables": '[server.tls]\ncert = "c"\nkey = "k"\nclient_ca = "not-there"\n'}),
        ("a signing key that is no JSON", {"edit": lambda other: spoil(other, "{")}),
        ("an empty signing key", {"edit": lambda other: spoil(other, "")}),
        ("a signing key of a byte", {"edit": lambda other: spoil(other, json.dumps(signing(other) | {"k": "AA"}))}),
        ("a signing key without a kid", {"edit": lambda other: spoil(other,
        json.dumps({k: v for k, v in signing(other).items() if k != "kid"}))}),
        ("keys_dir that is a file", {"realm_keys": 'keys_dir = "tollgate.toml"'}),
        ("a database that can't be opened", {"edit": lambda other: (other.directory / "tollgate.db").mkdir()}),
        ("a database that is none", {"edit": lambda other: private(other.directory / "tollgate.db", NO_DATABASE)}),
        ("upstream_ca", {"more": ROUTE_WITHOUT_CA}),
    ):  # fmt: skip
        it.expect(gate.refuses(**changes), what, "no start", "it started")


def private(path, text):
    path.write_text(text)
    path.chmod(0o600)


def spoil(gate, text):
    private(next(gate.keys.glob("*.jwk")), text)


def signing(gate):
    return json.loads(next(gate.keys.glob("*.jwk")).read_text())


@check("at a reload that fails previous configuration stays in force, and it is told", *LOST)
def r43_reloads_that_fail(it):
    gate = it.gate()
    secret = '\n[[realm.key]]\nid = "file"\nsecret_file = "secret"\n'
    with gate.another(
        realm_tables=secret, edit=lambda other: private(other.directory / "secret", "a secret of a file")
    ) as other:
        case, good = it.at(other), other.text()

        def is_as_before(what):
            case.passes(case.send("GET", "/app/x", token=case.profile.token))
            case.refused(case.send("GET", "/app/x"))
            case.refused(case.send("GET", "/app/x", token=case.profile.token, key=False))
            status = other.status()
            it.expect(
                status["last_reload"]["ok"] is False and status["last_reload"]["errors"],
                what,
                "/status says what is wrong",
                status["last_reload"],
            )
            metrics = other.ask("/metrics")[1]
            it.expect("reload" in metrics, what, "a metric of it", "none")

        for what, text in (("no TOML", "["), ("nothing at all", ""), ("an unknown key", good + "\nunknown = 1\n"),
                           ("no realm", good.partition("[[realm]]")[0]),
                           ("a route without access", good.replace('access = "user"\n', "", 1)),
                           ("origins of everybody", good.replace('"https://app.example.com"', '"*"')),
                           ("half of it", good[: len(good) // 2]),
                           ("an access that is none", good.replace('access = "user"', 'access = "everybody"',
                           1))):  # fmt: skip
            result = other.reload(text)
            it.expect(result["ok"] is False, what, "refused", result)
            is_as_before(what)
        other.write(good)
        (other.directory / "secret").unlink()
        result = other.reload()
        it.expect(result["ok"] is False, "a secret that is gone", "refused", result)
        is_as_before("a secret that is gone")
        spoiled = signing(other)
        spoil(other, "{")
        result = other.reload()
        is_as_before("a signing key that is none")
        private(other.directory / "secret", "another secret")
        spoil(other, json.dumps(spoiled))
        it.expect(other.reload(good)["ok"] is True, "all as it was", "taken", "refused")


@check("files that are written while they are read open nothing", *LOST)
def r43_files_in_motion(it):
    gate = it.gate()
    with gate.another() as other:
        case, good, over, open_ = it.at(other), other.text(), threading.Event(), []

        def ask():
            while not over.is_set():
                if not case.send("GET", "/app/x").refused:
                    open_.append("forwarded")
                if not case.send("GET", "/app/x", token=case.profile.forged).refused:
                    open_.append("forwarded with a forged token")

        thread = threading.Thread(target=ask)
        thread.start()
        for size in range(0, len(good), len(good) // 25):
            other.conf.write_text(good[:size])
            time.sleep(0.01)
        other.write(good)
        over.set()
        thread.join()
        it.expect(not open_, "a file in motion", "nothing is forwarded", open_[:3])
        it.recorder.take()


DEFAULTS = [("CVE-2026-49230", "APISIX", "the default configuration asked for no credential"),
            ("default-open routes", "Kong", "a route is open unless something closes it"),
            (
            "secure default rule", "Heimdall",
            "they refuse to start with a default that lets everybody in: a good example")]  # fmt: skip


@check("what no rule names is closed", *DEFAULTS)
def r44_what_nobody_named(it):
    for path in (
        "/",
        "/x",
        "/index.html",
        "/app2",
        "/api",
        "/.git/config",
        "/.env",
        "/admin.php",
        "/static/x",
        "/favicon.ico",
        "/robots.txt",
        "/.well-known/x",
        "/server-status",
    ):
        for how in ({}, {"token": it.profile.forged}):
            for method in ("GET", "POST", "OPTIONS"):
                answer = it.send(method, path, "Content-Length: 0", **how)
                it.expect(not it.seen(), answer, "nothing comes to the app", answer)


@check("no access by default, and none by a typing error", *DEFAULTS)
def r44_defaults(it):
    gate = it.gate()
    good = '[[route]]\npath = "/x"\nrealm = "hostile"\naccess = "user"\nupstream = ["http://127.0.0.1:1"]\n'
    for what, text in (
        ("no access", good.replace('access = "user"\n', "")),
        ("an empty access", good.replace('"user"', '""')),
        ("an access that is none", good.replace('"user"', '"any"')),
        ("Access", good.replace("access", "Access")),
        ("a list of accesses", good.replace('"user"', '["user", "public"]')),
        ("no realm", good.replace('realm = "hostile"\n', "")),
        ("a realm that is none", good.replace('"hostile"', '"other"')),
        ("no upstream", good.replace('upstream = ["http://127.0.0.1:1"]\n', "")),
        ("roles on what is public", good.replace('"user"', '"public"\nroles = ["admin"]')),
        ("a path without a slash", good.replace('"/x"', '"x"')),
        ("a path with dots", good.replace('"/x"', '"/x/../y"')),
        ("a path with a pattern", good.replace('"/x"', '"/x/*"')),
        ("the same route twice", good + good.replace('"user"', '"public"')),
        ("the same, encoded", good + good.replace('"user"', '"public"').replace('"/x"', '"/%78"')),
        ("an unknown key", good + 'acess = "user"\n'),
        ("a method that is none", good + 'methods = ["GE T"]\n'),
        ("no method", good + "methods = []\n"),
    ):
        it.expect(gate.refuses(more=text), what, "no start", "it started")
    # A realm of nothing but its name: keys are needed, nobody registers.
    text = gate.text()
    lean = text.replace('registration = "open"\n', "")
    with gate.another(edit=lambda other: other.write(ported(lean, gate, other))) as other:
        case = it.at(other)
        case.refused(case.send("GET", "/open/x", key=False), "an API key is needed by default")
        answer = case.send(
            "POST",
            "/auth",
            "Content-Type: application/json",
            body=json.dumps({"username": "x", "password": "long enough to be one"}),
        )
        it.expect(answer.status == 403, answer, "nobody registers by default", answer)


def ported(text, gate, other):
    """The text of one gate's file for another one."""
    return text.replace(f"127.0.0.1:{gate.port}", f"127.0.0.1:{other.port}").replace(
        f"127.0.0.1:{gate.admin}", f"127.0.0.1:{other.admin}"
    )


@check("the configuration that one starts with lets nobody in", *DEFAULTS)
def r44_first_configuration(it):
    gate = it.gate()
    directory = gate.directory / "init"
    told = output([gate.binary, "init", str(directory)])
    text = (directory / "tollgate.toml").read_text()
    it.expect(
        'access = "public"' not in [line.strip() for line in text.splitlines()],
        "tollgate init",
        "nothing is public",
        "something is",
    )
    it.expect(
        stat.S_IMODE((directory / "tollgate.toml").stat().st_mode) & 0o077 == 0 or KEY not in text,
        "tollgate init",
        "no secret that others can read",
        "one",
    )
    for key in (directory / "keys").rglob("*.jwk"):
        it.expect(stat.S_IMODE(key.stat().st_mode) == 0o600, key.name, "0600", oct(key.stat().st_mode))
    secret = re.search(r"\b[0-9a-f]{32,}\b|\b[A-Za-z0-9_-]{32,}\b", told)
    it.expect(bool(secret) and secret[0] not in text, "the key's secret", "shown once, kept as a hash", "in the file")
    with gate.another(edit=lambda other: settle(other, directory, text)) as other:
        case = it.at(other)
        for path in ("/", "/x", "/app/x"):
            for how in ({}, {"token": case.profile.token}, {"token": case.profile.forged}):
                case.refused(case.send("GET", path, key=False, **how))
                case.refused(case.send("GET", path, **how))


def settle(gate, directory, text):
    """The files of `tollgate init`, at the ports and with the app of this gate."""
    text = re.sub(r"(?m)^#?\s*listen = .*$", f'listen = ["127.0.0.1:{gate.port}"]', text, count=1)
    text = re.sub(r"(?m)^upstream = .*$", f'upstream = ["http://{gate.upstream}"]', text)
    text = re.sub(r"(?m)^#?\s*admin = .*$", "", text).replace(
        "[server]", f'[server]\nadmin = "127.0.0.1:{gate.admin}"', 1
    )
    gate.write(text)
    shutil.rmtree(gate.directory / "keys")
    shutil.copytree(directory / "keys", gate.directory / "keys")


SECRETS = [
    ("no CVE", "pingap", "its unit runs as root"),
    ("no CVE", "zentinel-agent", "takes secrets on its command line"),
]


@check("key and secret files that others can read", *SECRETS)
def r46_files_of_others(it):
    gate = it.gate()
    for mode in (0o640, 0o604, 0o644, 0o660, 0o606, 0o601):
        refused = gate.refuses(edit=lambda other, mode=mode: next(other.keys.glob("*.jwk")).chmod(mode))
        it.expect(refused, f"a signing key with mode {mode:o}", "no start", "it started")
        secret = '\n[[realm.key]]\nid = "file"\nsecret_file = "secret"\n'

        def edit(other, mode=mode):
            private(other.directory / "secret", "a secret of a file")
            (other.directory / "secret").chmod(mode)

        it.expect(
            gate.refuses(edit=edit, realm_tables=secret), f"a secret file with mode {mode:o}", "no start", "it started"
        )
    told = gate.refuses(
        server="insecure_key_files = true", edit=lambda other: next(other.keys.glob("*.jwk")).chmod(0o644)
    )
    it.expect(told is None, "insecure_key_files = true", "it starts", told)


@check("secrets are on no command line, in no environment, and in no file that others can read", *SECRETS)
def r46_secrets_of_the_process(it):
    gate = it.gate()
    process = Path(f"/proc/{gate.process.pid}")
    for name in ("cmdline", "environ"):
        text = (process / name).read_bytes()
        for secret in (KEY.encode(), gate.secret, it.profile.token.encode()):
            it.expect(secret not in text, name, "no secret", "one")
    for path in [*gate.directory.iterdir(), *gate.keys.iterdir()]:
        if path.is_file() and path.suffix in (".jwk", ".db", ".db-wal", ".db-shm", ".toml"):
            mode = stat.S_IMODE(path.stat().st_mode)
            it.expect(
                mode & 0o077 == 0 or path.name.startswith("tollgate.db") and (mode & 0o007) == 0,
                path.name,
                "for its owner only",
                oct(mode),
            )
    status = gate.ask("/status")[1] + gate.ask("/metrics")[1]
    for what, secret in {"an API key": KEY, "a token": it.profile.token.rpartition(".")[2]}.items():
        it.expect(secret not in status, what, "in no status and no metric", "in one")
