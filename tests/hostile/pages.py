"""The table of docs/security-tests.md: a row a number, a column a proxy, footnotes on what failed."""

import re
import time
import tomllib
from pathlib import Path

from .report import FAIL, NONE, cell

NOTES = Path(__file__).parent / "peers" / "notes.toml"
BEGIN, END = "<!-- made by tests/hostile/run --compare --write -->", "<!-- up to here -->"
LESSONS = "<!-- the same, to the end of the page -->"

TITLES = {
    1: "aliases of identity headers", 2: "stripping on every way", 3: "`Connection` against our headers",
    4: "`X-Forwarded-*` of strangers", 5: "headers that steer the judgement",
    6: "privileged user agents", 7: "secrets in logs", 8: "dot segments, slashes, escapes", 9: "public prefixes",
    10: "spellings of a host", 11: "`Host` and `:authority`",
    12: "errors that let in", 13: "bytes after an upgrade", 14: "odd Transfer-Encoding", 15: "two lengths",
    16: "bodies that nobody reads", 17: "cached answers", 18: "floods over HTTP/2",
    19: "CONNECT and upgrades", 20: "the token's algorithm", 21: "times of a token",
    22: "mandatory and doubled members", 23: "sizes of a token", 24: "header members, JWE", 25: "garbage that crashes",
    26: "garbage for a credential", 27: "remembered decisions", 28: "colliding keys", 29: "kinds of token",
    30: "fetching of keys", 31: "unknown users", 32: "guessing", 33: "fresh sessions",
    34: "open redirects", 35: "crafted cookies", 36: "pending logins", 37: "logins at once", 38: "odd names",
    39: "changes of a user", 40: "tokens in URLs and pages", 41: "cost of API keys",
    42: "floods of logins", 43: "lost secrets", 44: "open by default", 45: "disabled users and keys",
    46: "files that others can read", 47: "WebSockets by cookie", 48: "origins",
    49: "unsafe methods by cookie", 50: "preflights and methods",
}  # fmt: skip


def page(reports, checks, text):
    """The page with its table and its list of advisories made anew."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    after = after.partition(LESSONS)[0]
    return f"{before}{BEGIN}\n\n{table(reports)}\n{END}{after}{LESSONS}\n\n{lessons(checks)}"


def table(reports):
    notes, footnotes = tomllib.loads(NOTES.read_text()), []
    names = [f"{report.name} {report.version}" for report in reports]
    lines = [f"Of {time.strftime('%Y-%m-%d')}, against: {'; '.join(names)}.", ""]
    lines += ["| | | " + " | ".join(report.name for report in reports) + " |", "|---" * (2 + len(reports)) + "|"]
    for number, title in TITLES.items():
        row = [outcome(report, number, notes.get(report.name, {}), footnotes) for report in reports]
        lines.append(f"| R{number} | {title} | " + " | ".join(row) + " |")
    totals = [f"{len(passed(report))} of {len(asked(report))}" for report in reports]
    lines += ["| | checks passed, of those that apply | " + " | ".join(totals) + " |", ""]
    lines += [f"{at}. {note}" for at, note in enumerate(footnotes, 1)]
    return "\n".join(lines) + "\n"


def asked(report):
    return [result for result in report.results if result.outcome != NONE]


def passed(report):
    return [result for result in asked(report) if result.outcome != FAIL]


def outcome(report, number, notes, footnotes):
    """What came of a number's checks, with the numbers of its footnotes."""
    results = [result for result in report.results if result.number == f"R{number}"]
    applied = [result for result in results if result.outcome != NONE]
    if not applied:
        reason = results[0].why if results else "no check"
        return "n/a " + " ".join(footnote(footnotes, f"Not applicable: {reason}."))
    failed = [result for result in applied if result.outcome == FAIL]
    if not failed:
        return "pass" if len(applied) == 1 else f"pass ({len(applied)})"
    marks = []
    for result in failed:
        fault = result.faults[0]
        said = (
            notes.get(result.name)
            or f"Sent `{cell(fault.sent)}`; expected: {cell(fault.expected)}; came: {cell(fault.came)}."
        )
        marks += footnote(footnotes, f"{report.name}, `{result.name}`: {said}")
    return f"{len(failed)} of {len(applied)} failed " + " ".join(marks)


def footnote(footnotes, text):
    if text not in footnotes:
        footnotes.append(text)
    return [f"<sup>{footnotes.index(text) + 1}</sup>"]


def lessons(checks):
    """Of each number, the advisories that taught it."""
    found = {}
    for each in checks:
        for lesson in each.lessons:
            found.setdefault(int(re.sub(r"\D", "", each.number)), []).append(lesson)
    lines = ["| | learnt from |", "|---|---|"]
    for number in TITLES:
        by_sentence = {}
        for advisory, product, what in found.get(number, []):
            by_sentence.setdefault(what, []).append(f"{advisory} ({product})")
        said = [f"{', '.join(dict.fromkeys(whose))}: {what}" for what, whose in by_sentence.items()]
        lines.append(f"| R{number} | {cell('; '.join(said))} |")
    return "\n".join(lines) + "\n"
