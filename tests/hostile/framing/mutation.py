"""What a mutation is: the bytes of a connection, and what may become of them by the RFCs.

The bytes are templates, so that every run has names of its own:

    <HOST>      the gate's authority           <CRED>      header lines with a credential, or none of them
    <PATH>      a path that needs a credential <SMUGGLED>  a whole request for <SECRET>, without a credential
    <SECRET>    another such path              <REST>      how many bytes follow the first head
    <HEX>       the length of <SMUGGLED>, hex  <HEX+5>     the same and 5
    <PAUSE>     wait for an answer before sending what follows
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

SMUGGLED = b"GET <SECRET> HTTP/1.1\r\nHost: <HOST>\r\n\r\n"


@dataclass(frozen=True)
class Step:
    """One request that a reader finds in the bytes."""

    method: bytes = b"GET"
    #: The spellings in which it may reach an upstream.
    targets: tuple[bytes, ...] = (b"<PATH>",)
    body: bytes = b""
    #: It carries what <CRED> stands for; else nobody may let it through.
    credential: bool = True


@dataclass(frozen=True)
class Mutation:
    name: str
    #: Of RFC 9112, unless it says another.
    section: str
    raw: bytes
    #: The ways to read it that the RFC allows; none: it has to be refused.
    readings: tuple[tuple[Step, ...], ...] = ()
    #: It may be refused, or its connection closed, too.
    may_refuse: bool = True
    #: Nothing that follows a refusal may be read as a request: nobody knows where one would begin.
    closes: bool = False
    #: The fault is in the body, so that the head may have gone on by then.
    partial: bool = False
    #: It comes in pieces that end at every CR and every LF.
    pieces: bool = False
    #: It is not over, and nobody can tell what follows from the rest of it.
    open_end: bool = False

    @property
    def valid(self) -> bool:
        return not self.may_refuse


def refused(
    name: str, section: str, raw: bytes, *, closes: bool = False, partial: bool = False, open_end: bool = False
) -> Mutation:
    """Has to be refused."""
    return Mutation(name, section, raw, closes=closes, partial=partial, open_end=open_end)


def either(name: str, section: str, raw: bytes, *steps: Step, closes: bool = False, partial: bool = False) -> Mutation:
    """May be refused, or read as these requests."""
    return Mutation(name, section, raw, (steps or (Step(),),), True, closes, partial)


def passes(name: str, section: str, raw: bytes, *steps: Step) -> Mutation:
    """Is a request like any other, and has to be read as such."""
    return Mutation(name, section, raw, (steps or (Step(),),), may_refuse=False)


def get(
    headers: bytes = b"", rest: bytes = b"", line: bytes = b"GET <PATH> HTTP/1.1", host: bytes = b"Host: <HOST>\r\n"
) -> bytes:
    return line + b"\r\n" + host + b"<CRED>" + headers + b"\r\n" + rest


def post(
    headers: bytes, rest: bytes, line: bytes = b"POST <PATH> HTTP/1.1", host: bytes = b"Host: <HOST>\r\n"
) -> bytes:
    return line + b"\r\n" + host + b"<CRED>" + headers + b"\r\n" + rest


SENT = Step(b"POST", body=b"hello")
EMPTY_POST = Step(b"POST")
NEXT = Step(targets=(b"<SECRET>",), credential=False)


def spelled(fill: bytes) -> str:
    """Bytes as a part of a name."""
    return fill.decode("latin-1").encode("unicode_escape").decode()


def delivered(mutation: Mutation) -> Iterator[Mutation]:
    """As it is; with the request after it when the first was answered; and in pieces, as a parser meets it seldom."""
    yield mutation
    if mutation.raw.endswith(SMUGGLED) and mutation.raw != SMUGGLED and b"<REST>" not in mutation.raw:
        late = mutation.raw.removesuffix(SMUGGLED) + b"<PAUSE>" + SMUGGLED
        yield replace(mutation, name=f"{mutation.name}, and then a request", raw=late)
    if len(mutation.raw) < 2000:
        yield replace(mutation, name=f"{mutation.name}, in pieces", pieces=True)


def in_both_forms(
    name: str, section: str, headers: bytes, kind: str, *, closes: bool = False, host: bytes = b"Host: <HOST>\r\n"
) -> Iterator[Mutation]:
    """A header block with GET, and with POST and a body. `kind`: must (be refused), may, or never."""
    forms = (
        ("GET", get(headers, host=host), Step()),
        ("POST", post(b"Content-Length: 5\r\n" + headers, b"hello", host=host), SENT),
    )
    for form, raw, step in forms:
        readings = () if kind == "must" else ((step,),)
        yield Mutation(f"{name} ({form})", section, raw, readings, kind != "never", closes)
