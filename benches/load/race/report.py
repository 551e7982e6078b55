"""What was measured, as Markdown."""

from dataclasses import dataclass

from . import figures
from .figures import middle, ratio, spread


@dataclass
class Section:
    """A table and what has to be said of it."""

    part: str
    said: str
    contenders: list
    bare: object
    haproxy: object
    # What the second column of ratios is to.
    second: str = "HAProxy HS256"

    def markdown(self):
        shared = [one for one in self.contenders if len(one.servers) > 1]
        notes = [f"{one.name}: {middle(one, figures.front):.0f} µs without the responder." for one in shared]
        return "\n\n".join(filter(None, [self.said, self.table(), " ".join(notes)]))

    def table(self):
        head = ["", "CPU a request, µs", "from–to", "× bare pingora", f"× {self.second}", "requests/s"]
        head += ["p50, µs", "p99, µs", "from–to", "p99.9, µs", "memory, MiB"]
        rows = [self.row(contender) for contender in self.contenders]
        return "\n".join(["| " + " | ".join(head) + " |", "|---" + "|--:" * (len(head) - 1) + "|", *rows])

    def row(self, one):
        cells = [
            bold(one),
            f"{middle(one, figures.cpu):.0f}",
            between(spread(one, figures.cpu)),
            f"{ratio(one, self.bare):.2f}",
            f"{ratio(one, self.haproxy):.2f}",
            f"{middle(one, figures.rate):,.0f}",
            f"{middle(one, lambda result: result.run.p50):,.0f}",
            f"{middle(one, figures.p99):,.0f}",
            between(spread(one, figures.p99)),
            f"{middle(one, lambda result: result.run.p999):,.0f}",
            f"{middle(one, lambda result: result.memory) / (1 << 20):.0f}",
        ]
        return "| " + " | ".join(cells) + " |"

    def brief(self, names):
        """For docs/performance.md: some of the rows, few of the columns."""
        rows = ["| | CPU a request | × bare pingora | × HAProxy HS256 | requests/s | p99 |", "|---|--:|--:|--:|--:|--:|"]
        for one in self.contenders:
            if one.name in names or one.name.startswith("Tollgate ("):
                cells = [bold(one), f"{middle(one, figures.cpu):.0f} µs"]
                cells += [f"{ratio(one, self.bare):.2f}", f"{ratio(one, self.haproxy):.2f}"]
                cells += [f"{middle(one, figures.rate):,.0f}", f"{middle(one, figures.p99) / 1000:.1f} ms"]
                rows.append("| " + " | ".join(cells) + " |")
        return "\n".join(rows)


def bold(one):
    return f"**{one.name}**" if one.name.startswith("Tollgate") else one.name


def between(pair):
    return f"{pair[0]:,.0f}–{pair[1]:,.0f}"


def what_each_does(sections):
    """A line for each kind of work."""
    found = {}
    for one in (one for section in sections for one in section.contenders):
        found.setdefault(one.does, []).append(one.name)
    return "\n".join(f"- {does}: {'; '.join(dict.fromkeys(names))}." for does, names in found.items())
