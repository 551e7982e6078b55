"""The report as a whole, and what of it stands in docs/performance.md."""

import datetime
import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path

from soak.machine import Failed, output, time_passes

from .plot import plot
from .report import what_each_does

ROOT = Path(__file__).parents[3]
PAGE, REPORT, PLOT = (ROOT / "docs" / name for name in ("performance.md", "performance-report.md", "performance.svg"))
BEGIN, END = "<!-- load:begin -->", "<!-- load:end -->"
BRIEF = {
    "bare pingora",
    "bare pingora, jsonwebtoken HS256",
    "Tollgate HS256",
    "Tollgate RS256",
    "Tollgate ES256",
    "HAProxy jwt_verify HS256",
    "HAProxy HS256, the gate's rules",
    "HAProxy jwt_verify RS256",
    "nginx auth_request HS256",
    "Caddy forward_auth HS256",
    "Apache mod_auth_openidc HS256",
}


VERSIONS = {"haproxy": "-v", "nginx": "-v", "caddy": "version", "apache2": "-v", "wrk": "-v", "h2load": "--version"}


@dataclass
class Done:
    """A part that was run."""

    name: str
    heading: str
    sections: list
    fault: str
    # Seconds.
    took: float

    def markdown(self):
        verdict = f"**Fault: {self.fault}**" if self.fault else f"({self.took:.0f} s)"
        return "\n\n".join([f"## {self.heading}", *(section.markdown() for section in self.sections), verdict])


class Report:
    def __init__(self, lab, done, took, others):
        self.lab, self.done, self.others = lab, done, others
        self.faults = [one for one in done if one.fault]
        self.date = datetime.datetime.now(datetime.timezone.utc)
        self.took = took
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
        self.machine = f"{os.cpu_count()} cores ({processor()}), {memory:.0f} GiB, Linux {platform.release()}"
        self.versions = versions(lab)

    def markdown(self):
        about = [
            f"{self.date:%Y-%m-%d %H:%M} UTC, {self.took / 60:.1f} minutes",
            f"{self.machine}; before it began and after it ended, others took {self.others:.0%} of the cores",
            self.versions,
            commit() + (", with --quick: these figures mean nothing" if self.lab.quick else ""),
        ]
        head = ["# What the check of a token costs", "What `benches/load/run` measured:"]
        head.append("\n".join(f"- {line}" for line in about))
        if not self.faults:
            head.append("Every answer was the one that was expected.")
        else:
            head.append(f"{len(self.faults)} parts failed, see below.")
        sections = [self.checks()] if self.checks() else [section for one in self.done for section in one.sections]
        what = what_each_does(sections)
        tail = ["## Who does what", what] if what else []
        return "\n\n".join([*head, HOW, *(one.markdown() for one in self.done), *tail]) + "\n"

    def checks(self):
        """The section of the part that everything is compared by, if it was run."""
        return next((one.sections[0] for one in self.done if one.name == "checks" and one.sections), None)

    def plot(self):
        section = self.checks()
        return plot(section, f"{self.date:%Y-%m-%d}, {self.machine}") if section else None

    def brief(self):
        """What stands in docs/performance.md."""
        lines = [
            f"On {self.date:%Y-%m-%d}, {self.machine}; one worker each, 32 connections, answers of 20 bytes; medians of "
            "interleaved rounds, ratios within a round. [performance-report.md](performance-report.md) has all of it.",
            self.checks().brief(BRIEF),
            "![CPU time a request of each proxy](performance.svg)",
        ]
        return "\n\n".join(lines)


HOW = """\
Everybody has one worker, keeps its connections to clients and to the app, and logs no requests; all are up at the same time, and
one at a time is asked, in turn, in another order each round. The app is nginx with an answer of 20 bytes. wrk asks over 32
connections as fast as it is answered. CPU is that of all threads of the proxy's processes, in user space and kernel, from
`/proc/PID/task/*/schedstat`, by requests answered; clients and app are not in it, but share the cores, and so bound
`requests/s`. Figures are medians of the rounds, with the lowest and the highest; ratios are medians of each round's own.
Before the load, everybody who checks has passed the good token, told the app whose it is, and refused: none, a forged, an
unsigned and an expired one; the gate and whoever has its rules also those of other issuers and audiences, a missing and a wrong
API key, and another origin. An answer with another status than expected during the load is a fault, and ends the part."""


def others():
    """How much of the cores is taken while nothing of ours runs, for a second."""

    def ticks():
        user, nice, system, idle, waiting, *rest = map(int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9])
        return user + nice + system + sum(rest), idle + waiting

    busy, idle = ticks()
    time_passes(1)
    busy, idle = (now - then for now, then in zip(ticks(), (busy, idle)))
    return busy / max(1, busy + idle)


def versions(lab):
    """Of everybody, as they say it themselves."""
    said = [output([lab.binary, "--version"])]
    said += [f"{name}: {output([path, '--version'])}" for name, path in lab.also]
    lock = (ROOT / "Cargo.lock").read_text()
    said += [f"{name} {version(lock, name)}" for name in ("pingora", "jsonwebtoken")]
    for program, option in VERSIONS.items():
        done = subprocess.run([program, option], capture_output=True, text=True)
        lines = (done.stdout + done.stderr).strip().splitlines()
        line = lines[0].split(" [")[0].split(" 20")[0] if lines else "?"
        for before in ("nginx version: ", "Server version: ", "HAProxy version "):
            line = line.removeprefix(before)
        said.append(line if program.removesuffix("2") in line.lower() else f"{program} {line}")
    done = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", "libapache2-mod-auth-openidc"], capture_output=True, text=True)
    if done.returncode == 0:
        said.append(f"mod_auth_openidc {done.stdout}")
    return "; ".join(said)


def version(lock, name):
    """Of a crate that was built in."""
    _, _, rest = lock.partition(f'name = "{name}"\nversion = "')
    return rest.partition('"')[0]


def processor():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def commit():
    git = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12"]
    done = subprocess.run(git, capture_output=True, text=True)
    return f"commit {done.stdout.strip()}" if done.returncode == 0 else "no commit"


def check():
    """Whether there is a place for it, before a quarter of an hour is spent."""
    text = PAGE.read_text()
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise Failed(f"docs/performance.md needs the lines {BEGIN} and {END}, once each")


def write(report):
    REPORT.write_text(report.markdown())
    PLOT.write_text(report.plot())
    before, _, rest = PAGE.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n{report.brief()}\n{END}{after}")
