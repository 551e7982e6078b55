"""What came of the checks: a line each on the terminal, JSON, Markdown."""

import json
from dataclasses import dataclass, field

PASS, FAIL, NONE = "pass", "fail", "not applicable"


@dataclass
class Fault:
    """One expectation that was not met."""

    sent: str
    expected: str
    came: str


@dataclass
class Result:
    """Of one check. `why`: why it does not apply, or in a sentence what failed."""

    name: str
    number: str
    title: str
    lessons: list
    outcome: str = PASS
    why: str = ""
    held: int = 0
    faults: list = field(default_factory=list)
    seconds: float = 0.0

    def line(self):
        mark = {PASS: "pass", FAIL: "FAIL", NONE: "none"}[self.outcome]
        return f"{mark}  {self.name:44} {self.why or f'{self.held} expectations'}  ({self.seconds:.1f} s)"


def shown(data, limit=400):
    """Bytes on a line, so that one can see each."""
    text = data if isinstance(data, str) else repr(data)[2:-1]
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text)} characters)"


class Report:
    def __init__(self, name, version=""):
        self.name, self.version, self.results = name, version, []

    def add(self, result):
        self.results.append(result)

    def count(self, outcome):
        return sum(result.outcome == outcome for result in self.results)

    @property
    def failed(self):
        return [result for result in self.results if result.outcome == FAIL]

    def summary(self):
        held = sum(result.held for result in self.results)
        counts = ", ".join(f"{self.count(outcome)} {outcome}" for outcome in (PASS, FAIL, NONE))
        return f"{self.name} {self.version}: {counts}; {held} expectations held"

    def text(self, verbose=False):
        """The failed ones, with what was sent, and the sum."""
        lines = []
        for result in self.failed:
            lines.append(result.line())
            lines += [f"      learnt    {advisory} ({product}): {what}" for advisory, product, what in result.lessons]
            faults = result.faults if verbose else result.faults[:3]
            for fault in faults:
                lines += [
                    f"      sent      {fault.sent}",
                    f"      expected  {fault.expected}",
                    f"      came      {fault.came}",
                ]
            if len(faults) < len(result.faults):
                lines.append(f"      and {len(result.faults) - len(faults)} more like these")
        return "\n".join([*lines, self.summary()])

    def json(self):
        results = [vars(result) | {"faults": [vars(fault) for fault in result.faults]} for result in self.results]
        return json.dumps({"proxy": self.name, "version": self.version, "results": results}, indent=1)

    def markdown(self):
        rows = [
            f"# {self.name} {self.version}".rstrip(),
            "",
            self.summary() + ".",
            "",
            "| | check | outcome | |",
            "|---|---|---|---|",
        ]
        for result in self.results:
            about = result.why or f"{result.held} expectations"
            rows.append(f"| {result.number} | {result.title} | {result.outcome} | {cell(about)} |")
        for result in self.failed:
            rows += ["", f"## {result.name}", "", "| sent | expected | came |", "|---|---|---|"]
            rows += [f"| `{cell(f.sent)}` | {cell(f.expected)} | {cell(f.came)} |" for f in result.faults[:20]]
        return "\n".join(rows) + "\n"


def cell(text):
    return text.replace("|", "\\|").replace("\n", " ").replace("`", "'")
