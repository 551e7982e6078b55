"""Plays mutations to a proxy, and judges what came of each: at the client, and at the app.

Many are played at once. Each has a number of its own in its paths, by which what the app saw is told apart; the app's
answers are told apart by their statuses, which the paths ask for.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from ..check import Case
from ..upstream import Heard, Seen
from ..wire import Answer
from . import strict
from .mutation import SMUGGLED, Mutation, Step
from .strict import Message

PLAYERS = 24
#: The gate's own time-outs are shorter (see `brief` in __init__); whoever says nothing for so long hangs.
PATIENCE = 6.0
GRANTED, SMUGGLED_IN, CANARY = 200, 298, 299
PIECE = re.compile(rb"[^\r\n]*[\r\n]|[^\r\n]+")
REFUSES = re.compile(r"it answers [45]\d\d|it read \['[45]\d\d  '\]")
NUMBER = re.compile(rb"/m(\d{5})([xy]?)(?![0-9])")


@dataclass
class Played:
    """One mutation, with or without a credential, and what came of it."""

    mutation: Mutation
    number: int
    credential: bool
    sent: bytes
    answers: list[Answer] = field(default_factory=list)
    #: Of the request that follows on the same connection.
    canary: Answer | None = None
    #: Nothing came for too long, and the connection stayed open.
    hung: bool = False
    forwarded: list[Message] = field(default_factory=list)
    faults: list[tuple[str, str]] = field(default_factory=list)

    def fault(self, expected: str, came: object) -> None:
        self.faults.append((expected, str(came)))


class Script:
    """Fills the templates in."""

    def __init__(self, case: Case):
        profile = case.profile
        self.host = profile.host.encode()
        self.protected = profile.protected.encode()
        self.always = b"".join(line.encode() + b"\r\n" for line in profile.always)
        self.credential = self.always + profile.bearer.format(token=profile.token).encode() + b"\r\n"

    def fill(self, template: bytes, number: int, credential: bool = True) -> bytes:
        path = b"%s/m%05d" % (self.protected, number)
        host = self.host
        smuggled = SMUGGLED.replace(b"<SECRET>", self.secret(number)).replace(b"<HOST>", host)
        text = template.replace(SMUGGLED, smuggled)
        text = text.replace(b"<HEX>", b"%x" % len(smuggled)).replace(b"<HEX+5>", b"%x" % (len(smuggled) + 5))
        text = text.replace(b"<PATH>", path).replace(b"<SECRET>", self.secret(number)).replace(b"<HOST>", host)
        text = text.replace(b"<CRED>", self.credential if credential else self.always)
        if b"<REST>" in text:
            rest = text.partition(b"\r\n\r\n")[2].replace(b"<PAUSE>", b"")
            text = text.replace(b"<REST>", b"%d" % len(rest))
        return text

    def secret(self, number: int) -> bytes:
        return b"%s/m%05dx/status-%d" % (self.protected, number, SMUGGLED_IN)

    def canary(self, number: int) -> bytes:
        target = b"%s/m%05dy/status-%d" % (self.protected, number, CANARY)
        return b"GET " + target + b" HTTP/1.1\r\nHost: " + self.host + b"\r\n" + self.credential + b"\r\n"


def play(case: Case, mutations: Sequence[Mutation]) -> list[Played]:
    """All of them, with a credential and without; what is wrong stands in their faults."""
    return judged(case, mutations, _play)


def judged(case: Case, mutations: Sequence[Mutation], play_one: Callable[[Case, Script, Played], None]) -> list[Played]:
    """Plays each by `play_one`, which notes the answers."""
    case.seen()
    script = Script(case)
    runs = []
    for mutation in mutations:
        for credential in (True, False) if b"<CRED>" in mutation.raw else (False,):
            sent = script.fill(mutation.raw, len(runs) + 1, credential)
            runs.append(Played(mutation, len(runs) + 1, credential, sent))
    with ThreadPoolExecutor(PLAYERS) as players:
        list(players.map(lambda played: play_one(case, script, played), runs))
    _note_forwarded(case.recorder.take_connections(0.5), {played.number: played for played in runs}, case)
    for played in runs:
        _judge(played, script)
    return runs


def _play(case: Case, script: Script, played: Played) -> None:
    mutation = played.mutation
    steps = mutation.readings[0] if mutation.readings else (None,)
    with case.conn(PATIENCE) as conn:
        for number, part in enumerate(played.sent.split(b"<PAUSE>")):
            if number:
                conn.fill(time.monotonic() + 0.4)
            for piece in PIECE.findall(part) if mutation.pieces else [part]:
                conn.send(piece)
                if mutation.pieces:
                    time.sleep(0.001)
        for step in steps:
            method = step.method.decode("latin-1") if step else "GET"
            answer = conn.read(method)
            if answer.status <= 0:
                played.hung = answer.status < 0
                return
            played.answers.append(answer)
        if not mutation.open_end and not conn.over and conn.send(script.canary(played.number)):
            played.canary = conn.read()


def _note_forwarded(connections: list[Heard], runs: dict[int, Played], case: Case) -> None:
    """Whose request is whose, and whether each can be read in one way."""
    for heard in connections:
        last = None
        # What the app took for one request has to be that for everybody.
        for raw in [*(seen.raw for seen in heard.seen), heard.leftover]:
            found, fault = strict.requests(raw)
            number = next((match for message in found if (match := NUMBER.search(message.target))), NUMBER.search(raw))
            # What nobody sent came with what somebody did.
            owner = last = runs.get(int(number[1])) if number else last
            if not fault and len(found) > 1:
                fault = f"{len(found)} requests instead of one"
            if owner is None and raw:
                case.fault(raw, "the app sees what somebody sent", f"nobody sent it; {fault}")
                continue
            if fault:
                # Whatever it is, it came.
                message = found[0] if found else Message(b"?", b"?", b"", [], raw=raw)
                owner.forwarded.append(message)
                owner.fault("what the app gets can be read in one way", f"{fault}, in {raw[:400]!r}")
                continue
            owner_of_canary = number and number[2] == b"y"
            if raw and not owner_of_canary:
                owner.forwarded += found
    if case.opinions:
        with ThreadPoolExecutor(4) as readers:
            list(
                readers.map(
                    lambda seen: _ask_others(case, seen, runs), (seen for heard in connections for seen in heard.seen)
                )
            )


def _ask_others(case: Case, seen: Seen, runs: dict[int, Played]) -> None:
    """Whether nginx, Apache and HAProxy read this request as the app did. To refuse it is no other reading."""
    number = NUMBER.search(seen.raw)
    owner = runs.get(int(number[1])) if number else None
    alone = Heard(seen.connection)
    alone.raw, alone.seen = seen.raw, [seen]
    for whose, why in case.opinions.disagreements(alone):
        if owner and not (REFUSES.search(why) or _is_its_way(seen, why)):
            owner.fault(f"{whose} reads what is forwarded as the app does", f"{why}, in {seen.raw[:400]!r}")


def _is_its_way(seen: Seen, why: str) -> bool:
    """What is no other reading either: Apache's page asks for the body of a POST only, and whoever answers without a
    word about an expectation may close."""
    if seen.method != "POST" and re.fullmatch(r"length: 0, not \d+", why):
        return True
    return (
        bool(seen.values("expect"))
        and len(re.findall(r"'\d\d\d ", why)) == 1
        and f"'200 {seen.method} {seen.target}'" in why
    )


def _judge(played: Played, script: Script) -> None:
    mutation, answers = played.mutation, played.answers
    statuses = [answer.status for answer in answers]
    granted = [status for status in statuses if status < 400]
    whole = [message for message in played.forwarded if message.complete]
    readings = mutation.readings or ((),)
    _judge_forwarded(played, whole, script)

    # The answers: each fits its request, by number and order.
    if played.hung:
        played.fault("an answer or an end within the time", f"{statuses}, and then nothing")
    own = [status for status in statuses if status >= 500 and status not in (501, 505)]
    if own:
        played.fault("no failure of the gate's own", statuses)
    if SMUGGLED_IN in statuses:
        played.fault("no answer to what was smuggled in", statuses)
    if CANARY in statuses:
        played.fault("no answer to what was not asked yet", statuses)
    if not any(_fits(played, reading, statuses) for reading in readings):
        played.fault(_expected(played), statuses or "closed")
    if len(granted) > len(whole):
        played.fault("an answer of the app for what the app got", f"{statuses} for {_told(whole)}")
    if mutation.valid and played.credential and not played.hung and len(statuses) < len(readings[0]):
        played.fault(_expected(played), f"{statuses}, then closed")

    # What comes next on the connection is what was asked next.
    if played.canary is not None:
        status = played.canary.status
        # Or what is no request, after one that was, gets an answer of its own.
        over = mutation.readings and status in (400, 405, 408, 501, 505)
        if mutation.closes and status and not over:
            played.fault(
                "the connection is over, since nobody knows where the next request begins", f"{statuses}, then {status}"
            )
        elif not mutation.closes and status not in (0, CANARY):
            played.fault("the next request gets its own answer, or none", f"{statuses}, then {status}")


def _fits(played: Played, reading: tuple[Step, ...], statuses: list[int]) -> bool:
    """Whether these are the answers to the first of the requests which this reading finds."""
    may_refuse = played.mutation.may_refuse
    steps: tuple[Step | None, ...] = reading or (None,)
    if len(statuses) > len(steps):
        return False
    for step, status in zip(steps, statuses, strict=False):
        passes = step is not None and step.credential and played.credential
        if status >= 400 and not (may_refuse or not passes):
            return False
        if status < 400 and not (passes and (status == GRANTED or step.method == b"OPTIONS")):
            return False
    return True


def _judge_forwarded(played: Played, whole: list[Message], script: Script) -> None:
    """Only what was granted by itself reached the app, and it was what was asked."""
    mutation, number = played.mutation, played.number
    smuggled = [
        message for message in played.forwarded if (found := NUMBER.search(message.target)) and found[2] == b"x"
    ]
    if smuggled:
        played.fault("what is smuggled in reaches nobody", f"the app got {_told(smuggled)}")
    if not played.credential and played.forwarded and not smuggled:
        played.fault("nothing reaches the app without a credential", f"the app got {_told(played.forwarded)}")
        return
    # What comes too early ends the request that is being answered.
    early = mutation.closes or any(len(reading) > 1 for reading in mutation.readings)
    if len(whole) < len(played.forwarded) and not (mutation.partial or mutation.open_end or early):
        played.fault("no half of a request reaches the app", f"the app got {_told(played.forwarded)}")
    fitting = []
    for reading in mutation.readings or ((),):
        steps = [step for step in reading if step.credential]
        fitting.append(
            _are(whole, steps, number, script)
            and (mutation.may_refuse or not played.credential or len(whole) == len(steps))
        )
    if not any(fitting):
        played.fault(_expected(played), f"the app got {_told(whole)}")
    refused = played.answers and played.answers[0].status >= 400
    if refused and whole and not smuggled and not mutation.partial and _first_passes(played):
        played.fault("what was refused was not forwarded", f"{played.answers[0]}, and the app got {_told(whole)}")


def _first_passes(played: Played) -> bool:
    # It may have been on its way when what came too early was found.
    early = played.mutation.closes or any(len(reading) > 1 for reading in played.mutation.readings)
    return not early and all(reading[0].credential for reading in played.mutation.readings)


def _are(messages: list[Message], steps: list[Step], number: int, script: Script) -> bool:
    """Whether they are the first of the steps; over several connections to the app nobody knows which came first."""
    steps = steps[: len(messages)]
    for message in messages:
        found = next((step for step in steps if _is(message, step, number, script)), None)
        if found is None:
            return False
        steps.remove(found)
    return True


def _is(message: Message, step: Step, number: int, script: Script) -> bool:
    targets = [script.fill(target, number) for target in step.targets]
    return (
        message.method == step.method and message.target in targets and message.body == script.fill(step.body, number)
    )


def _expected(played: Played) -> str:
    told = []
    for reading in played.mutation.readings:
        steps = []
        for step in reading:
            body = f" with {len(step.body)} bytes" if step.body else ""
            passes = step.credential and played.credential
            target = step.targets[0][:40].decode("latin-1")
            steps.append(f"{step.method[:20].decode()} {target}{body} {'forwarded' if passes else 'refused'}")
        told.append(", ".join(steps))
    if played.mutation.may_refuse or not told:
        told.append("refused with 4xx, 501 or 505, or closed")
    return " | ".join(told) + f" (RFC {_section(played.mutation.section)})"


def _section(section: str) -> str:
    return section.removeprefix("RFC ") if section.startswith("RFC ") else f"9112, {section}"


def _told(messages: list[Message]) -> str:
    told = []
    for message in messages:
        whole = "" if message.complete else ", not to its end"
        method, target = message.method[:20].decode("latin-1"), message.target[:80].decode("latin-1")
        told.append(f"{method} {target} ({len(message.body)} bytes{whole})")
    return "; ".join(told) or "nothing"
