"""Whether the time of an answer tells if somebody exists (R31): many wrong passwords, for users that there are and for
names that nobody has, in a random order, from one client.

Two tests, since each looks at something else: Welch's for the means, Mann and Whitney's for the ranks. The second also
gives the chance of telling a user from nobody by one answer each: 0.5 is that of tossing a coin.
"""

from __future__ import annotations

import json
import math
import random
import secrets
import sqlite3
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

from ..gate import KEY, LOGIN, REALM, Tollgate
from ..wire import Conn
from .floods import Generous, Quiet

#: Failures that an account has free, less one: a wait is no comparison.
TRIES = 4
#: bcrypt of nothing in particular, with the least work that there is. SECURITY.md says that such users can be told.
BCRYPT = "$2b$04$abcdefghijklmnopqrstuuW4qFZ0lbjNIy9E5pAmUqOKLpBqKSUxi"
#: A chance beyond this is one that somebody could use.
NOTICEABLE = 0.02


@dataclass
class Compared:
    """Two kinds of names. Times in seconds."""

    kind: str
    known: list[float]
    unknown: list[float]

    def welch(self) -> float:
        """The p of the means being the same, the distribution of t taken as normal: there are hundreds of them."""
        a, b = self.known, self.unknown
        error = math.sqrt(statistics.variance(a) / len(a) + statistics.variance(b) / len(b))
        return math.erfc(abs(statistics.fmean(a) - statistics.fmean(b)) / error / math.sqrt(2))

    def chance(self) -> float:
        """That a known one takes longer than an unknown one."""
        ranked = sorted([(value, True) for value in self.known] + [(value, False) for value in self.unknown])
        ranks = sum(rank for rank, (_, known) in enumerate(ranked, 1) if known)
        return (ranks - len(self.known) * (len(self.known) + 1) / 2) / (len(self.known) * len(self.unknown))

    def mann_whitney(self) -> float:
        n, m = len(self.known), len(self.unknown)
        error = math.sqrt((n + m + 1) / (12 * n * m))
        return math.erfc(abs(self.chance() - 0.5) / error / math.sqrt(2))

    @property
    def tells(self) -> bool:
        """Whether the difference is there, and large enough to be of use."""
        return self.mann_whitney() < 0.01 and abs(self.chance() - 0.5) > NOTICEABLE

    def row(self) -> str:
        known, unknown = (statistics.median(times) * 1e3 for times in (self.known, self.unknown))
        tells = "**tells**" if self.tells else "tells nothing"
        return (
            f"| {self.kind} | {len(self.known)} and {len(self.unknown)} | {known:.3f} ms | {unknown:.3f} ms | "
            f"{self.welch():.3f} | {self.mann_whitney():.3f} | {self.chance():.4f} | {tells} |"
        )


HEAD = ("| users | tries | median, known | median, nobody | p (Welch) | p (Mann-Whitney) | chance | |\n"
        "|---|---|--:|--:|--:|--:|--:|---|")  # fmt: skip


def main(binary: str, directory: Path, tries: int) -> tuple[str, list[dict[str, object]]]:
    """Compares all kinds. `tries`: of each. The report, as Markdown and as values."""
    app = Generous()
    try:
        with Quiet(binary, directory, app.address, server='trusted_proxies = ["127.0.0.1"]') as gate:
            found = [*_compare(gate, tries)]
    finally:
        app.close()
    values = [
        {
            "users": each.kind,
            "tries": len(each.known),
            "welch": each.welch(),
            "mann_whitney": each.mann_whitney(),
            "chance": each.chance(),
            "median_known": statistics.median(each.known),
            "median_unknown": statistics.median(each.unknown),
            "tells": each.tells,
        }
        for each in found
    ]
    return "\n".join([HEAD, *(each.row() for each in found)]) + "\n", values


def _compare(gate: Tollgate, tries: int) -> list[Compared]:
    count = -(-tries // TRIES)
    kinds = {
        "with a password": {"password_hash": _own_hash(gate)},
        "that are disabled": {"password_hash": _own_hash(gate), "disabled": True},
        "with a temporary password": {"password_hash": _own_hash(gate), "temporary": True},
        "with an imported hash (bcrypt, cost 4), which is known to tell": {"password_hash": BCRYPT},
    }
    names = {kind: [f"{secrets.token_hex(8)}" for _ in range(count)] for kind in kinds}
    lines = [json.dumps({"username": name, **kinds[kind]}) for kind in kinds for name in names[kind]]
    gate.command("user", "import", "--realm", REALM, input="\n".join(lines) + "\n")
    nobody = [secrets.token_hex(8) for _ in range(count)]
    # The first ones of all warm caches up.
    plan = [(kind, name) for kind in kinds for name in names[kind] for _ in range(TRIES)][: tries * len(kinds)]
    plan += [("", name) for name in nobody for _ in range(TRIES)][:tries]
    random.shuffle(plan)
    times: dict[str, list[float]] = {kind: [] for kind in [*kinds, ""]}
    with Conn(gate.base, 30) as conn:
        for _ in range(50):
            _login(conn, secrets.token_hex(8))
        for kind, name in plan:
            times[kind].append(_login(conn, name))
    return [Compared(kind, times[kind], times[""]) for kind in kinds]


def _login(conn: Conn, name: str) -> float:
    """How long a wrong password takes to be refused. Each comes from another address, or that would have to wait."""
    body = json.dumps({"username": name, "password": "none that anybody has"}).encode()
    address = ".".join(str(random.randrange(1, 224)) for _ in range(4))
    said = (f"POST {LOGIN}?key={KEY}&login=true HTTP/1.1\r\nHost: gate.example.com\r\nX-Forwarded-For: {address}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n")  # fmt: skip
    began = time.perf_counter()
    conn.send(said.encode() + body)
    answer = conn.read("POST")
    took = time.perf_counter() - began
    if answer.status != 401:
        raise RuntimeError(f"{answer.status} {answer.body!r} for a wrong password")
    return took


def _own_hash(gate: Tollgate) -> str:
    """One as the gate makes them."""
    name = secrets.token_hex(8)
    gate.command("user", "add", "--realm", REALM, name, input="the password of one user\n")
    database = sqlite3.connect(f"file:{gate.directory / 'tollgate.db'}?mode=ro", uri=True)
    try:
        columns = [row[1] for row in database.execute("PRAGMA table_info(users)")]
        (column,) = [each for each in columns if "password" in each and "hash" in each or each == "password"]
        for (value,) in database.execute(f"SELECT {column} FROM users"):
            if str(value).startswith("$argon2id$"):
                return str(value)
    finally:
        database.close()
    raise RuntimeError("no hash in the gate's database")
