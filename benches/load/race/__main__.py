"""The parts, in order, and the report."""

import argparse
import random
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

from soak.machine import Process, adopt_orphans, end_all, raise_file_limit

from . import login, pages, parts, train

# Name, heading, and what does it.
PARTS = [
    ("checks", "What a check costs", parts.checks),
    ("tokens", "Tokens that are new, or no good", parts.tokens),
    ("protocols", "HTTP/2 and TLS", parts.protocols),
    ("sizes", "Many keys, routes and revocations", parts.sizes),
    ("awake", "With cores that don't sleep", parts.awake),
    ("login", "Beside a flood of logins", login.login),
]
SEED = 7


class Lab:
    """What was asked for, and where files are put."""

    def __init__(self, options, directory):
        self.binary, self.also = options.binary.resolve(), [(name, Path(path).resolve()) for name, path in options.also]
        self.bare = options.bare.resolve() if options.bare else None
        self.quick, self.rounds, self.seconds = options.quick, options.rounds, options.seconds
        self.directory = directory
        self.shuffle = random.Random(SEED).shuffle

    @staticmethod
    def say(what):
        print(f"  {what}", file=sys.stderr, flush=True)


def main():
    options = arguments()
    if options.list:
        print("\n".join(f"{name:10} {heading}" for name, heading, _ in PARTS))
        return 0
    # As Ctrl-C does: what was started is ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    adopt_orphans()
    raise_file_limit(65_536)
    if options.write:
        pages.check()
    with tempfile.TemporaryDirectory(prefix="tollgate-load-") as directory:
        directory = Path(directory)
        # nginx's files have to be reached by whoever it runs as.
        directory.chmod(0o755)
        lab = Lab(options, directory)
        if options.parts == ["train"]:
            return run_training(lab)
        began, others = time.monotonic(), pages.others()
        if others > 0.1:
            lab.say(f"this machine is busy: others take {others:.0%} of its cores, and the figures will be theirs, too")
        done = [measure(lab, name, heading, part) for name, heading, part in PARTS if name in options.parts]
        report = pages.Report(lab, done, time.monotonic() - began, max(others, pages.others()))
    print(report.markdown())
    if options.report:
        options.report.write_text(report.markdown())
        plot = report.plot()
        if plot:
            options.report.with_suffix(".svg").write_text(plot)
    if options.write and not report.faults:
        pages.write(report)
    return 1 if report.faults else 0


def run_training(lab):
    try:
        train.train(lab)
    finally:
        end_everything()
    return 0


def measure(lab, name, heading, part):
    """One part: what it found, or its fault."""
    start = time.monotonic()
    print(f"{name} …", file=sys.stderr, flush=True)
    sections, fault = [], None
    try:
        sections = part(lab)
    except Exception as error:
        traceback.print_exc()
        fault = f"{type(error).__name__}: {error}"
    finally:
        end_everything()
    took = time.monotonic() - start
    print(f"{name}: {took:.0f} s, {fault or 'all well'}", file=sys.stderr, flush=True)
    return pages.Done(name, heading, sections, fault, took)


def end_everything():
    end_all(*reversed(Process.all))
    Process.all.clear()


def arguments():
    parser = argparse.ArgumentParser(prog="benches/load/run", description="What the check of a token costs; prints a report.")
    names = [name for name, *_ in PARTS]
    parser.add_argument("parts", nargs="*", help=f"all of them, or some of: {', '.join(names)}; or train, which measures nothing")
    parser.add_argument("--list", action="store_true", help="the parts")
    parser.add_argument("--binary", type=Path, help="the gate to measure; the default is a release build")
    parser.add_argument("--bare", type=Path, help="bare pingora; the default is the example of this name, built likewise")
    parser.add_argument("--also", action="append", default=[], type=named, metavar="NAME=PATH", help="another build of the gate")
    parser.add_argument("--quick", action="store_true", help="short loads, whose figures mean nothing")
    parser.add_argument("--rounds", type=int, help="how often everybody has a turn")
    parser.add_argument("--seconds", type=int, default=3, help="how long a turn is; the default is 3")
    parser.add_argument("--report", type=Path, help="where to write the report, too; the plot beside it")
    parser.add_argument("--write", action="store_true", help="the tables and the plot into docs/")
    options = parser.parse_args()
    unknown = set(options.parts) - {*names, "train"}
    if unknown:
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(names)}, and train")
    if "train" in options.parts and len(options.parts) > 1:
        parser.error("train goes alone")
    if not options.list and not options.binary:
        parser.error("--binary is needed")
    options.parts = options.parts or names
    if options.write and "checks" not in options.parts:
        parser.error("--write needs the part checks")
    return options


def named(text):
    name, _, path = text.partition("=")
    if not path:
        raise argparse.ArgumentTypeError("NAME=PATH")
    return name, path


if __name__ == "__main__":
    sys.exit(main())
