"""CPU a request of everybody, as bars. SVG by hand: it is small, and it can be read on light and on dark pages."""

from html import escape

from . import figures
from .figures import middle, ratio, spread

WIDTH, LABELS, RIGHT = 860, 300, 130
BAR, GAP, TOP = 18, 8, 58

STYLE = """
text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328; }
.title { font-weight: 600; font-size: 15px; }
.note, .tick { fill: #59636e; font-size: 12px; }
.us { font-weight: 600; }
.bar { fill: #9aa4af; } .bar.us { fill: #1a7f5a; }
.grid { stroke: #d1d9e0; } .spread { stroke: #1f2328; }
.reference { stroke: #bc4c00; stroke-dasharray: 4 3; }
@media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; } .note, .tick { fill: #9198a1; }
    .bar { fill: #59636e; } .bar.us { fill: #3fb68b; }
    .grid { stroke: #3d444d; } .spread { stroke: #e6edf3; }
    .reference { stroke: #f0883e; }
}
"""


def plot(section, note):
    """The medians, with a line from the lowest round to the highest, and the ratio to bare pingora beside each."""
    contenders = section.contenders
    most = max(spread(one, figures.cpu)[1] for one in contenders)
    step = next(step for step in (5, 10, 20, 25, 50, 100, 200, 250, 500, 1000, 2000, 5000) if most / step <= 8)
    scale = (WIDTH - LABELS - RIGHT) / (most * 1.02)
    height = TOP + len(contenders) * (BAR + GAP) + 34
    bottom = TOP + len(contenders) * (BAR + GAP)

    def x(value):
        return round(LABELS + value * scale, 1)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        'role="img" aria-labelledby="title">',
        '<title id="title">CPU time a request, by proxy</title>',
        f"<style>{STYLE}</style>",
        '<text class="title" x="12" y="22">CPU time a request, µs: less is better</text>',
        f'<text class="note" x="12" y="40">{escape(note)}</text>',
    ]
    for value in range(0, int(most) + 1, step):
        parts.append(f'<line class="grid" x1="{x(value)}" x2="{x(value)}" y1="{TOP - 4}" y2="{bottom}"/>')
        parts.append(f'<text class="tick" x="{x(value)}" y="{bottom + 16}" text-anchor="middle">{value}</text>')
    at = x(middle(section.bare, figures.cpu))
    parts.append(f'<line class="reference" x1="{at}" x2="{at}" y1="{TOP - 4}" y2="{bottom}"/>')
    for number, one in enumerate(contenders):
        y = TOP + number * (BAR + GAP)
        middle_y = y + BAR / 2
        value, (low, high) = middle(one, figures.cpu), spread(one, figures.cpu)
        us = " us" if one.name.startswith("Tollgate") else ""
        parts += [
            f'<text class="label{us}" x="{LABELS - 8}" y="{middle_y + 4.5}" text-anchor="end">{escape(one.name)}</text>',
            f'<rect class="bar{us}" x="{x(0)}" y="{y}" width="{round(value * scale, 1)}" height="{BAR}" rx="2"/>',
            f'<line class="spread" x1="{x(low)}" x2="{x(high)}" y1="{middle_y}" y2="{middle_y}"/>',
            f'<text class="value" x="{x(high) + 6}" y="{middle_y + 4.5}">{value:.0f} · {ratio(one, section.bare):.2f} × bare</text>',
        ]
    parts.append("</svg>")
    return "\n".join(parts) + "\n"
