"""The suite of hostile input: the known bugs of authenticating proxies, R1 to R50, held against one.

    tests/hostile/run                                        Tollgate, as built by cargo build --release
    tests/hostile/run --tollgate PATH                        this binary
    tests/hostile/run --base 127.0.0.1:8080 --profile FILE   any proxy that is running
    tests/hostile/run --compare                              Tollgate, nginx with auth_request, Caddy with forward_auth
    tests/hostile/run --naive                                a proxy that checks next to nothing: the checks can fail

docs/security-tests.md says what FILE has to say, and how the suite judges. What it needs beyond Python 3.11 it
installs, and says so: nginx, Apache and HAProxy, as second opinions on what is forwarded.
    parser.add_argument("--part", choices=PARTS, help="only R1 to R50, or only mutations of requests and floods")
    parser.add_argument(
        "--floods", type=float, metavar="SECONDS", help="flood Tollgate for so long with each kind, and tell of its memory"
    )
    parser.add_argument(
        "--timing", type=int, metavar="TRIES", help="the times of so many wrong passwords, of users and of nobody"
    )
"""

import argparse
import contextlib
import importlib
import json
import os
import re
import signal
import sys
import tempfile
from pathlib import Path

from soak.machine import Process, end_all, raise_file_limit

from . import check
from .gate import IDENTITY, Tollgate
from .naive import Careless, Naive
from .opinions import Opinions
from .profile import Profile
from .report import Report
from .upstream import Recorder

# R1 to R50; and mutations of requests, and floods.
PARTS = ["checks", "framing"]


def main():
    options = arguments()
    # As Ctrl-C does: what was started is ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    raise_file_limit(16_384)
    # Debian keeps nginx, haproxy and apache2 there.
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    # Beside the peers, only what has a row in the table.
    for module in [options.part] if options.part else ["checks"] if options.compare else PARTS:
        importlib.import_module(f"{__package__}.{module}")
    checks = [each for each in check.ALL if re.search(options.only, each.name)]
    if options.list:
        for each in sorted(checks, key=lambda each: (int(each.number[1:]), each.name)):
            print(f"{each.name:44} {each.title}")
        return 0
    with tempfile.TemporaryDirectory(prefix="tollgate-hostile-") as directory:
        directory = Path(directory)
        if options.floods or options.timing:
            return measure(options, directory)
        # nginx's and Apache's workers are somebody else.
        directory.chmod(0o755)
        try:
            reports = run(options, checks, directory)
        finally:
            end_all(*reversed(Process.all))
    if options.json:
        options.json.write_text("[" + ",\n".join(report.json() for report in reports) + "]\n")
    if options.markdown:
        options.markdown.write_text("\n".join(report.markdown() for report in reports))
    for report in reports:
        print(report.text(options.verbose))
    return 1 if any(report.failed for report in reports) and not (options.compare or options.naive) else 0


def run(options, checks, directory):
    """A report for each proxy."""
    if options.naive:
        with Recorder() as recorder, contextlib.closing(Naive(recorder.address, directory / "log")) as naive:
            return [one(options, checks, directory, naive.profile(), recorder, Careless(recorder.address), "")]
    if options.compare:
        from . import compare

        return compare.run(options, checks, directory, one)
    profile = Profile.load(options.profile) if options.profile else None
    with Recorder.at(profile.upstream if profile else "127.0.0.1:0") as recorder:
        if not profile:
            with Tollgate(options.tollgate, directory / "tollgate", recorder.address) as gate:
                return [one(options, checks, directory, gate.profile(), recorder, gate, gate.version())]
        profile.base = options.base or profile.base
        profile.host = profile.host or profile.base
        return [one(options, checks, directory, profile, recorder, None, "")]


def measure(options, directory):
    """What takes long, and is told and not judged: floods, and the times of wrong passwords."""
    from .framing import floods, timing

    try:
        if options.floods:
            text, values = floods.main(options.tollgate, directory, options.floods, options.only)
        else:
            text, values = timing.main(options.tollgate, directory, options.timing)
    finally:
        end_all(*reversed(Process.all))
    if options.json:
        options.json.write_text(json.dumps(values, indent=1) + "\n")
    if options.markdown:
        options.markdown.write_text(text)
    print(text)
    return 0


def one(options, checks, directory, profile, recorder, control, version):
    say = (lambda line: print(line, flush=True)) if not options.quiet else (lambda line: None)
    say(f"{profile.name} {version} at {profile.base}")
    report = Report(profile.name, version)
    names = [] if options.alone else [*(profile.identity or IDENTITY)]
    opinions = None
    try:
        if not options.alone:
            opinions = Opinions(directory / f"opinions-of-{re.sub('[^a-z]+', '-', profile.name.lower())}", names)
            say("second opinions: " + ", ".join(f"{each.name} {each.version}" for each in opinions.all))
        return check.run(checks, profile, recorder, report, opinions, control, say)
    finally:
        if opinions:
            opinions.end()


def arguments():
    parser = argparse.ArgumentParser(
        prog="tests/hostile/run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--tollgate", type=Path, metavar="PATH", help="the binary to start; with --compare, too")
    what.add_argument("--base", metavar="HOST:PORT", help="where a proxy listens")
    what.add_argument("--naive", action="store_true", help="against a proxy that checks next to nothing")
    parser.add_argument("--profile", type=Path, metavar="FILE", help="what the suite has to know of it")
    parser.add_argument("--compare", action="store_true", help="against the peers as well")
    parser.add_argument("--write", type=Path, metavar="FILE", help="with --compare: the table to this page")
    parser.add_argument(
        "--keep", type=Path, metavar="DIR", help="with --compare: the peers' files and logs to this directory"
    )
    parser.add_argument(
        "--only", default="", metavar="PATTERN", help="the checks with this in their names, a regular expression"
    )
    parser.add_argument("--part", choices=PARTS, help="only R1 to R50, or only mutations of requests and floods")
    parser.add_argument(
        "--floods", type=float, metavar="SECONDS", help="flood Tollgate for so long with each kind, and tell of its memory"
    )
    parser.add_argument(
        "--timing", type=int, metavar="TRIES", help="the times of so many wrong passwords, of users and of nobody"
    )
    parser.add_argument("--alone", action="store_true", help="without second opinions")
    parser.add_argument("--list", action="store_true", help="the checks")
    parser.add_argument("--json", type=Path, metavar="FILE", help="the report as JSON, too")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="and as Markdown")
    parser.add_argument("--quiet", action="store_true", help="only what failed, and the sum")
    parser.add_argument("--verbose", action="store_true", help="all that failed of a check, not the first three")
    options = parser.parse_args()
    if options.base and not options.profile:
        parser.error("--base needs --profile")
    if not (options.base or options.tollgate or options.naive or options.list or options.profile or options.compare):
        parser.error("one of --tollgate, --base with --profile, --naive and --list is needed")
    return options


if __name__ == "__main__":
    sys.exit(main())
