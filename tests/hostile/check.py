"""A check: its number, the advisories that taught it, and what it asks of a proxy."""

import time
import traceback
from contextlib import contextmanager
from dataclasses import dataclass

from .report import FAIL, NONE, Fault, Result, shown
from .wire import Answer, Conn, exchange, request

ALL = []


class NotApplicable(Exception):
    """The proxy has nothing that this could be asked of; the text says what."""


@dataclass
class Check:
    number: str
    name: str
    title: str
    lessons: list
    run: object
    last: bool = False


def check(title, *lessons, last=False):
    """Registers a function `rNN_name(it)` as a check.

    `lessons`: (advisory, product, what happened). `last`: it runs after all others.
    """

    def register(function):
        number = function.__name__.partition("_")[0].upper()
        ALL.append(Check("R" + str(int(number[1:])), function.__name__, title, list(lessons), function, last))
        return function

    return register


class Case:
    """What a check works with: the proxy's profile, the app behind it, and where its findings go."""

    def __init__(self, profile, recorder, result, opinions=None, control=None, secrets=None):
        self.profile, self.recorder, self.result, self.opinions, self.control = (
            profile,
            recorder,
            result,
            opinions,
            control,
        )
        # What must not be in a log, of all checks: {what it is: the secret}.
        self.secrets = {} if secrets is None else secrets

    def at(self, other):
        """The same check at another gate in front of the same app."""
        return Case(other.profile(), self.recorder, self.result, self.opinions, other, self.secrets)

    def gate(self):
        """Whoever can start the proxy with another configuration."""
        if not hasattr(self.control, "another"):
            raise NotApplicable("it takes another configuration, which the suite can write for Tollgate only")
        return self.control

    # === sending ===

    def bytes(self, method, target, *more, token=None, cookie=None, host=None, key=True, body=b"", version="HTTP/1.1"):
        """A request with what the proxy wants of each: Host, what is always needed, maybe a token; and `more` lines."""
        lines = [*self.profile.lines(token, cookie, host, key), *more]
        if body and not any(line[:15].lower() == "content-length:" for line in more if isinstance(line, str)):
            lines.append(f"Content-Length: {len(body)}")
        return request(method, target, lines, body, version)

    def send(self, method, target, *more, timeout=5.0, source=None, **how):
        """`bytes`, sent on a connection of its own, from the address `source`. The answer; its `sent` are the bytes."""
        return self.send_bytes(self.bytes(method, target, *more, **how), method, timeout, source)

    def send_bytes(self, data, method="GET", timeout=5.0, source=None):
        answer = exchange(self.profile.base, data, method, timeout, source=source)
        answer.sent = data
        return answer

    @contextmanager
    def pipeline(self):
        """A function that sends as `send_bytes` does, over one connection for as long as that is kept open."""
        held = []

        def send(data, method="GET", timeout=5.0):
            kept = bool(held)
            if not held:
                held.append(self.conn(timeout))
            held[0].send(data)
            answer = held[0].read(method)
            if answer.status <= 0 or answer.status == 400 or "close" in (answer.header("connection") or "").lower():
                held.pop().close()
            if answer.status == 0 and kept:
                # It was closed before: that is no answer to this one.
                return send(data, method, timeout)
            answer.sent = data
            return answer

        try:
            yield send
        finally:
            for conn in held:
                conn.close()

    def paths_of(self, seen):
        """What the second opinions take the path for: `(who, path)`."""
        return [(name, reading.path) for name, reading in seen.readings.items() if reading.path]

    def conn(self, timeout=5.0):
        return Conn(self.profile.base, timeout)

    def seen(self, settle=0.0):
        """What the app saw since the last time. Second opinions are asked about all of it."""
        found = []
        for heard in self.recorder.take_connections(settle):
            found += heard.seen
            if self.opinions and heard.seen and not self._tunnels(heard):
                for whose, why in self.opinions.disagreements(heard):
                    self.fault(heard.raw, f"{whose} reads what is forwarded as it was judged", why)
        for seen in found:
            if seen.odd:
                self.fault(seen.raw, "what is forwarded can be read in one way", ", ".join(seen.odd))
        return found

    @staticmethod
    def _tunnels(heard):
        return any(seen.values("upgrade") for seen in heard.seen)

    # === finding ===

    def expect(self, held, sent, expected, came):
        """Notes an expectation. Returns whether it was met."""
        if held:
            self.result.held += 1
        else:
            self.fault(getattr(sent, "sent", sent), expected, came)
        return held

    def fault(self, sent, expected, came):
        came = repr(came) if isinstance(came, Answer) else str(came)
        self.result.faults.append(
            Fault(shown(sent if isinstance(sent, bytes) else str(sent)), shown(str(expected)), shown(came))
        )

    def needs(self, what, why):
        if not what:
            raise NotApplicable(why)

    # === what is asked again and again ===

    def refused(self, answer, expected="refused, and the app sees nothing of it", settle=0.0):
        """It was told no, and nothing came to the app."""
        seen = self.seen(settle)
        came = f"{answer}; the app saw {seen}" if seen else answer
        return self.expect(answer.refused and not seen, answer, expected, came)

    def passes(self, answer, expected="forwarded"):
        """It was forwarded, once; that request, or None."""
        seen = self.seen()
        good = answer.status == 200 and len(seen) == 1
        self.expect(good, answer, expected, f"{answer} {answer.body[:60]!r}; the app saw {seen}")
        return seen[0] if good else None


def run(checks, profile, recorder, report, opinions=None, control=None, say=print):
    """Runs them, in order of their numbers, and those that are `last` after all others."""
    secrets = {}
    baseline(Case(profile, recorder, Result("", "", "", [])), say)
    for each in sorted(checks, key=lambda each: (each.last, int(each.number[1:]))):
        result = Result(each.name, each.number, each.title, each.lessons)
        case = Case(profile, recorder, result, opinions, control, secrets)
        began = time.monotonic()
        recorder.take()
        try:
            lacking = profile.lacks.get(each.name) or profile.lacks.get(each.number.lower())
            if lacking:
                raise NotApplicable(lacking)
            each.run(case)
            case.seen()
        except NotApplicable as reason:
            result.outcome, result.why = NONE, str(reason)
        except Exception as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            case.fault(
                "", "the check runs to its end", f"{error!r} in {last.filename.rpartition('/')[2]}:{last.lineno}"
            )
        if result.outcome != NONE and not result.faults and not result.held:
            case.fault("", "the check expects something", "it found nothing to ask")
        if result.faults:
            result.outcome = FAIL
            result.why = f"{len(result.faults)} of {len(result.faults) + result.held} expectations failed"
        result.seconds = time.monotonic() - began
        report.add(result)
        say(result.line())
    return report


def baseline(it, say):
    """Whether the profile fits: else all would be refused, and every check that wants a refusal would be content."""
    found = {}
    if it.profile.public:
        found["what is public"] = it.send("GET", it.profile.public + "/x")
    found["what is protected, with the credential"] = it.send(
        "GET", it.profile.protected + "/x", token=it.profile.token
    )
    if it.profile.cookie:
        found["the same with the cookie"] = it.send("GET", it.profile.protected + "/x", cookie=it.profile.token)
    seen = it.recorder.take(0.05)
    wrong = [f"{what}: {answer} {answer.body[:200]!r}" for what, answer in found.items()]
    if any(answer.status != 200 for answer in found.values()) or len(seen) != len(found):
        raise SystemExit(
            f"the profile does not fit: of {len(found)} requests {len(seen)} came to the app; " + "; ".join(wrong)
        )
