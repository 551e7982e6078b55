"""The mutations of HTTP/1 as checks, by the rows that they belong to."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..check import Case, check
from ..gate import Tollgate
from . import connections, heads, lengths
from .mutation import Mutation, delivered
from .play import Played, play

#: So that whatever hangs on the gate's patience takes no minute.
BRIEF = """
[limits]
head_timeout = "1s"
body_timeout = "1s"
keepalive = "2s"
"""


class Encrypted(Tollgate):
    """One that speaks TLS, and so no HTTP/2 without."""

    def text(self, **changes: str) -> str:
        return super().text(**changes).replace("h2c = true\n", "")


@contextmanager
def brief(case: Case, kind: type[Tollgate] = Tollgate, **changes: str) -> Iterator[Case]:
    """The case of a gate that waits for nobody for long, if it is ours to start; else that which there is."""
    if not isinstance(case.control, Tollgate):
        yield case
        return
    gate = case.control
    directory = Path(tempfile.mkdtemp(prefix="framing-", dir=gate.directory))
    with kind(gate.binary, directory, gate.upstream, tables=BRIEF, **changes) as another:
        yield Case(another.profile(), case.recorder, case.result, case.opinions, another)


def played(case: Case, mutations: list[Mutation]) -> None:
    with brief(case) as case:
        for run in play(case, mutations):
            told(case, run)


def told(case: Case, run: Played) -> None:
    """What came of one, in the report."""
    if not run.faults:
        case.result.held += 1
        return
    credential = "with a credential" if run.credential else "without a credential"
    came = "; ".join(f"{came}" for _, came in run.faults)
    case.fault(run.sent, f"{run.mutation.name} ({credential}): {run.faults[0][0]}", came)


@check(
    "no Transfer-Encoding but chunked, alone and once, frames a body",
    ("CVE-2026-2835", "Pingora", "took a Transfer-Encoding on HTTP/1.0, and several of them"),
    ("cloudflare/pingora#945", "Pingora", "dropped a Content-Length beside it, and went on"),
)
def r14_mutations_of_transfer_encodings(it: Case) -> None:
    played(it, ENCODINGS)


@check(
    "a length that readers read differently is refused",
    ("cloudflare/pingora#945", "Pingora", "took both Content-Length and Transfer-Encoding"),
)
def r15_mutations_of_content_lengths(it: Case) -> None:
    played(it, LENGTHS)


@check(
    "chunks and trailers end where everybody says they do",
    ("CVE-2026-2835", "Pingora before 0.8", "took several Transfer-Encodings"),
)
def r15_mutations_of_chunks(it: Case) -> None:
    played(it, CHUNKED)


@check(
    "what is no request line is no request",
    ("CVE-2021-32637", "Authelia", "answered a request that it could not read with 200"),
)
def r12_mutations_of_request_lines(it: Case) -> None:
    played(it, LINES)


@check(
    "a target reaches the app as it was judged, or not at all",
    ("CVE-2019-9901", "Envoy", "matched paths that its app read otherwise"),
    ("CVE-2021-32779", "Envoy", "took a fragment for a part of the path"),
)
def r08_mutations_of_targets(it: Case) -> None:
    played(it, TARGETS)


@check(
    "a request is for one host, and that is spelled as hosts are",
    ("haproxy#2941", "HAProxy", "let a slash pass within an authority"),
)
def r11_mutations_of_hosts(it: Case) -> None:
    played(it, HOSTS)


@check(
    "a header line that readers read differently does not pass",
    ("CVE-2025-64484", "oauth2-proxy", "passed on names that its app folds into those it trusts"),
    ("CVE-2024-45410", "Traefik", "took headers away that a client had named in Connection"),
)
def r03_mutations_of_fields(it: Case) -> None:
    played(it, FIELDS)


@check(
    "what is left of a request is never the beginning of the next one",
    ("CVE-2025-4366", "Pingora", "left a body in the connection, and read it as a request"),
)
def r16_mutations_of_pipelines(it: Case) -> None:
    played(it, PIPELINES)


@check(
    "bytes after an upgrade are nobody's request",
    ("CVE-2026-2833", "Pingora", "passed on what came after an upgrade before its app had agreed"),
    ("CVE-2025-64763", "Envoy", "passed on what came early after CONNECT"),
)
def r13_mutations_of_upgrades(it: Case) -> None:
    played(it, UPGRADES)


def _each(*tables: Iterator[Mutation]) -> list[Mutation]:
    return [each for table in tables for mutation in table for each in delivered(mutation)]


ENCODINGS = _each(lengths.encodings())
LENGTHS = _each(lengths.content_lengths(), lengths.bodies())
CHUNKED = _each(lengths.chunks(), lengths.trailers())
LINES = [*heads.request_lines(), *heads.methods()]
TARGETS = list(heads.targets())
HOSTS = list(heads.hosts())
FIELDS = [*heads.fields(), *heads.sizes()]
PIPELINES = _each(connections.pipelines(), connections.expectations())
UPGRADES = _each(connections.upgrades(), connections.prefaces())
EVERY = [*ENCODINGS, *LENGTHS, *CHUNKED, *LINES, *TARGETS, *HOSTS, *FIELDS, *PIPELINES, *UPGRADES]
