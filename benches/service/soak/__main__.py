"""The parts, in order, and the report."""

import argparse
import datetime
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

from . import changes, disk, idle, sick, slow
from .machine import Process, adopt_orphans, end_all, output, raise_file_limit

# Name, heading, what does it, and how much of it in full and with --quick.
PARTS = [
    ("reload", "Reloads under load", changes.reload, 200, 10),
    ("restart", "Restarts behind open sockets", changes.restart, 20, 2),
    ("handover", "Handovers to a new binary", changes.handover, 20, 2),
    ("upstreams", "Sick upstreams", sick.upstreams, 12, 3),
    ("idle", "Idle connections", idle.idle, 10_000, 500),
    ("slow", "Slow clients", slow.slow, 25, 8),
    ("disk", "A store that can't be written to", disk.disk, 5, 1),
]


class Lab:
    def __init__(self, binary, directory, quick):
        self.binary, self.directory, self.quick = binary, directory, quick


def main():
    options = arguments()
    # As Ctrl-C does: what was started is ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    adopt_orphans()
    raise_file_limit(65_536)
    sections, faults, began = [], [], time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tollgate-soak-") as directory:
        lab = Lab(options.binary.resolve(), Path(directory), options.quick)
        for name, heading, part, full, quick in PARTS:
            if name in options.parts:
                section, wrong = measure(lab, name, heading, part, quick if options.quick else full)
                sections.append(section)
                faults += wrong
        report = "\n\n".join([*title(lab, time.monotonic() - began, faults), *sections]) + "\n"
    print(report)
    if options.report:
        options.report.write_text(report)
    return 1 if faults else 0


def arguments():
    parser = argparse.ArgumentParser(prog="benches/service/run", description="The gate under load; prints a report.")
    names = [name for name, *_ in PARTS]
    parser.add_argument("parts", nargs="*", help=f"all of them, or some of: {', '.join(names)}")
    parser.add_argument("--binary", required=True, type=Path, help="the program to test; the default is a release build")
    parser.add_argument("--quick", action="store_true", help="small numbers")
    parser.add_argument("--report", type=Path, help="where to write the report, too")
    options = parser.parse_args()
    unknown = set(options.parts) - set(names)
    if unknown:
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    options.parts = options.parts or names
    return options


def measure(lab, name, heading, part, count):
    """One part: its section of the report, and its faults."""
    start = time.monotonic()
    print(f"{name} …", file=sys.stderr, flush=True)
    try:
        paragraphs, faults = part(lab, count)
    except Exception as error:
        traceback.print_exc()
        log = lab.directory / name / "log"
        if log.exists():
            print(log.read_text(errors="replace")[-3000:], file=sys.stderr)
        paragraphs, faults = [], [f"{type(error).__name__}: {error}"]
    finally:
        end_all(*reversed(Process.all))
        Process.all.clear()
    took = time.monotonic() - start
    print(f"{name}: {took:.0f} s, {'; '.join(faults) or 'all well'}", file=sys.stderr, flush=True)
    verdict = "\n".join(f"**Fault: {fault}**" for fault in faults) or "All well."
    return "\n\n".join([f"## {heading}", *paragraphs, f"{verdict} ({took:.0f} s)"]), [f"{name}: {fault}" for fault in faults]


def title(lab, took, faults):
    """What was measured, on what, with what."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    versions = [
        output([lab.binary, "--version"]),
        first_line(["wrk", "-v"]).split(" [")[0],
        first_line(["h2load", "--version"]),
        first_line(["nginx", "-v"]).removeprefix("nginx version: "),
        first_line(["slowhttptest", "-h"]) or "slowhttptest",
        f"Python {platform.python_version()}",
    ]
    load = os.getloadavg()
    about = [
        f"{datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d %H:%M} UTC, {took / 60:.1f} minutes",
        f"{os.cpu_count()} cores ({processor()}), {memory:.0f} GiB, Linux {platform.release()}; load average at the end {load[1]:.1f}",
        "; ".join(version for version in versions if version),
        f"{commit()}{', with --quick' if lab.quick else ''}",
    ]
    verdict = "Nothing was lost that should not have been." if not faults else f"{len(faults)} faults, see below."
    lines = [f"- {line}" for line in about]
    return ["# The service under load", "What `benches/service/run` measured:", "\n".join(lines), verdict]


def processor():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def commit():
    git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12"]
    done = subprocess.run(git, capture_output=True, text=True)
    return f"commit {done.stdout.strip()}" if done.returncode == 0 else "no commit"


def first_line(argv):
    done = subprocess.run(argv, capture_output=True, text=True)
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    return lines[0].strip() if lines else ""


if __name__ == "__main__":
    sys.exit(main())
