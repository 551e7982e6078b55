"""The mutations of HTTP/1 as checks, by the rows that they belong to."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count

from ..check import Case, check
from .connections import connections
from .heads import heads
from .lengths import lengths
from .mutation import Mutation
from .play import play

#: So that whatever hangs on the gate's patience takes no minute.
BRIEF = """
[limits]
head_timeout = "1s"
body_timeout = "1s"
keepalive = "2s"
"""
EVERY: list[Mutation] = [*lengths(), *heads(), *connections()]
_numbers = count(1)


@contextmanager
def brief(case: Case) -> Iterator[None]:
    """With short time-outs, if the gate is ours to change."""
    if case.control is None:
        yield
        return
    before = case.control.conf.read_text()
    case.control.reload(case.control.text(tables=BRIEF))
    try:
        yield
    finally:
        case.control.reload(before)


def played(case: Case, mutations: list[Mutation]) -> None:
    numbers = [next(_numbers) for _ in range(2 * len(mutations))]
    with brief(case):
        for run in play(case, mutations, numbers[0]):
            case.result.held += not run.faults
            credential = "with a credential" if run.credential else "without a credential"
            for expected, came in run.faults:
                case.fault(run.sent, f"{run.mutation.name} ({credential}): {expected}", came)


def named(*patterns: str) -> list[Mutation]:
    """Those whose names begin so."""
    return [mutation for mutation in EVERY if re.match("|".join(patterns), mutation.name)]
