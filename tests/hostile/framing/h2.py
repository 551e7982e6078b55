"""The mutations of HTTP/2 as checks, over TCP by prior knowledge and over TLS by ALPN."""

from __future__ import annotations

import datetime
import ssl
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ..check import Case, check
from ..gate import Tollgate
from ..wire import Answer
from . import streams
from .frames import Fields, Link, block, head
from .h1 import Encrypted, brief, told
from .play import CANARY, PATIENCE, Played, Script, judged
from .streams import Exchange

#: The stream of the request that follows.
NEXT = 7


def fields(script: Script, path: bytes, scheme: bytes = b"http", credential: bool = True) -> Fields:
    """Of a good request."""
    lines = (script.credential if credential else script.always).split(b"\r\n")
    said = [line.partition(b":") for line in lines if line]
    pseudo = [(b":method", b"GET"), (b":scheme", scheme), (b":path", path), (b":authority", script.host)]
    return pseudo + [(name.lower(), value.strip()) for name, _, value in said]


def played(it: Case, exchanges: Sequence[Exchange]) -> None:
    it.needs(it.profile.h2c, "it has no HTTP/2 without TLS")
    with brief(it) as case:
        for run in _play(case, exchanges, case.profile.h2c):
            told(case, run)


def played_over_tls(it: Case, exchanges: Sequence[Exchange]) -> None:
    it.needs(isinstance(it.control, Tollgate), "nobody here can give it a certificate")
    cert, key = certificate(it.control.directory, it.profile.host)
    with brief(it, Encrypted, server=f'[server.tls]\ncert = "{cert}"\nkey = "{key}"\n') as case:
        context = ssl.create_default_context(cafile=str(cert))
        context.set_alpn_protocols(["h2"])
        for run in _play(case, exchanges, case.profile.base, (context, case.profile.host)):
            told(case, run)


def _play(
    case: Case, exchanges: Sequence[Exchange], address: str, tls: tuple[ssl.SSLContext, str] | None = None
) -> list[Played]:
    scheme = b"https" if tls else b"http"

    def play_one(case: Case, script: Script, run: Played) -> None:
        exchange = run.mutation
        with Link(address, tls, PATIENCE, exchange.opening) as link:
            link.send(
                exchange.write(lambda text: script.fill(text.replace(b"<SCHEME>", scheme), run.number, run.credential))
            )
            run.sent = link.sent
            answer = link.wait(1, 0.5 if exchange.open_end else PATIENCE)
            if answer.status:
                run.answers.append(Answer(answer.status))
            run.hung = not (exchange.open_end or answer.over or answer.status or link.closed or link.goaway is not None)
            if run.hung or link.closed or link.goaway is not None or exchange.open_end:
                return
            canary = b"%s/m%05dy/status-%d" % (script.protected, run.number, CANARY)
            if link.send(head(NEXT, block(fields(script, canary, scheme)))):
                next_one = link.wait(NEXT)
                over = next_one.over or link.closed or link.goaway is not None
                run.canary = Answer(next_one.status or (0 if over else -1))

    runs = judged(case, exchanges, play_one)
    for run in runs:
        _judge_headers(run, case)
    return runs


def _judge_headers(run: Played, case: Case) -> None:
    """What HTTP/2 says in several fields and HTTP/1 in one."""
    script = Script(case)
    for message in run.forwarded:
        for name, value in run.mutation.headers:
            wanted = [] if value is None else [script.fill(value, run.number)]
            if message.all(name) != wanted:
                run.fault(f"{name.decode()} as {wanted}", message.all(name))
        if len(message.all(b"cookie")) > 1:
            run.fault("one Cookie (RFC 9113, 8.2.3)", message.all(b"cookie"))


def certificate(directory: Path, host: str) -> tuple[Path, Path]:
    """One of its own for a host: the files of the certificate and of its key."""
    cert, key = directory / "hostile.crt", directory / "hostile.key"
    if cert.exists():
        return cert, key
    secret = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(secret.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(secret, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    cert.write_bytes(made.public_bytes(pem))
    key.write_bytes(secret.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    key.chmod(0o600)
    return cert, key


@check(
    "what HTTP/2 says of a request in its pseudo-headers is said once, and as it has to be",
    ("nghttp2#2883", "nghttp2", "Host and :authority differed"),
    ("haproxy#2941", "HAProxy", "let a slash pass within an authority"),
)
def r11_mutations_of_pseudo_headers(it: Case) -> None:
    played(it, PSEUDO)


@check(
    "a path of HTTP/2 is held to the form that one of HTTP/1 has",
    ("CVE-2019-9901", "Envoy", "matched paths that its app read otherwise"),
)
def r08_mutations_of_paths_of_http_2(it: Case) -> None:
    played(it, PATHS)


@check(
    "no field of HTTP/2 becomes more than one of HTTP/1",
    ("RFC 9113, 10.3", "many", "wrote what a field of HTTP/2 held into a request of HTTP/1"),
)
def r03_mutations_of_fields_of_http_2(it: Case) -> None:
    played(it, FIELDS)


@check(
    "a body of HTTP/2 is as long as it says, and ends where it ends",
    ("RFC 9113, 8.1.1", "many", "passed on a length that its body had not"),
)
def r15_mutations_of_bodies_of_http_2(it: Case) -> None:
    played(it, BODIES)


@check(
    "frames out of place end a stream or a connection, and nothing else",
    ("CVE-2025-8671", "h2", "let clients have streams reset without end"),
)
def r18_mutations_of_frames(it: Case) -> None:
    played(it, STRAY)


@check(
    "over TLS it is as without",
    ("nghttp2#2883", "nghttp2", "Host and :authority differed"),
)
def r11_mutations_over_tls(it: Case) -> None:
    played_over_tls(it, [*PSEUDO, *FIELDS, *BODIES])


PSEUDO = list(streams.pseudo())
PATHS = list(streams.paths())
FIELDS = list(streams.headers())
BODIES = [*streams.lengths(), *streams.bodies()]
STRAY = list(streams.stray())
EVERY = [*PSEUDO, *PATHS, *FIELDS, *BODIES, *STRAY]
