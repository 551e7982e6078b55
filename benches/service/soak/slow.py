"""slowhttptest: clients that take their time, on purpose."""

import csv
import subprocess
import time

from .load import Wrk, check, table
from .machine import Process, end_all, mebibytes, resident, time_passes
from .site import KEY, Site
from .upstreams import LARGE, Nginx

CONNECTIONS = 1000
MODES = [
    ("-H", "slow headers", ["-i", "5", "-x", "24"]),
    ("-B", "slow body", ["-i", "5", "-s", "8192", "-x", "10"]),
    ("-R", "ranges", ["-a", "5", "-b", "3000", "-t", "HEAD"]),
    ("-X", "slow read", ["-w", "512", "-y", "1024", "-n", "5", "-z", "32", "-r", "50"]),
]


def slow(lab, seconds):
    """Its four modes, with the limits that a gate has by default."""
    directory = lab.directory / "slow"
    directory.mkdir()
    nginx = Nginx(directory / "nginx")
    route = 'access = "{access}"\nupstream = ["http://127.0.0.1:{port}"]'
    routes = {"/app": route.format(access="user", port=nginx.port), "/files": route.format(access="key", port=nginx.port)}
    site = Site(lab.binary, directory, routes, tls=False)
    rows = ["| mode | connections | available | closed by the gate at the end | memory, at most | others meanwhile: p50, p99, longest |", "|---|--:|---|--:|--:|---|"]
    counts, faults, wrk = [], [], None
    try:
        site.start()
        token = site.user("alice")
        for flag, name, options in MODES:
            wrk = Wrk(site, token, name=f"HTTP/1.1 beside {name}")
            seen, memory = attack(site.base, flag, options, seconds, directory / f"gate{flag}", site.gate.pid)
            counts += wrk.stop()
            latency = ", ".join(f"{wrk.latency[which]:.1f} ms" for which in ("p50", "p99", "max"))
            rows.append(f"| {flag} {name} {seen.row()} | {mebibytes(memory)} | {latency} |")
            if seen.unavailable:
                # Whether it is the machine that can't do it.
                alone, _ = attack(f"http://127.0.0.1:{nginx.port}", flag, options, seconds, directory / f"nginx{flag}", nginx.process.pid)
                rows.append(f"| {flag} {name}, at nginx itself {alone.row()} | | |")
                if not alone.unavailable:
                    faults.append(f"{name}: not available in {seen.unavailable} of {seen.seconds} seconds")
            if not seen.connections:
                faults.append(f"{name}: nothing was connected")
        said = (
            f"slowhttptest with {CONNECTIONS} connections, for {seconds} s a mode, against default limits. It looks itself, each second, "
            f"whether the service is available; slow reads are of a file of {mebibytes(LARGE)}."
        )
        return [said, "\n".join(rows), table(counts)], faults + check(counts)
    finally:
        end_all(wrk, site, nginx)


class Seen:
    """What slowhttptest has seen, second by second."""

    def __init__(self, path):
        with open(path, encoding="ascii") as lines:
            rows = list(csv.DictReader(lines))
        self.seconds = len(rows)
        self.unavailable = sum(int(row["Service Available"]) == 0 for row in rows)
        self.connections = max(int(row["Connected"]) + int(row["Closed"]) for row in rows)
        self.closed = int(rows[-1]["Closed"])

    def row(self):
        return f"| {self.connections} | {self.seconds - self.unavailable} of {self.seconds} s | {self.closed}"


def attack(base, flag, options, seconds, report, pid):
    """Runs it. Returns what it has seen, and the most memory that a process took meanwhile."""
    argv = ["slowhttptest", flag, "-r", "200", *options, "-c", str(CONNECTIONS), "-l", str(seconds), "-p", "3"]
    argv += ["-g", "-o", str(report), "-u", f"{base}/files/large?key={KEY}"]
    process = Process(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    most, end = 0, time.monotonic() + seconds + 60
    try:
        while process.ended() is None and time.monotonic() < end:
            most = max(most, resident(pid))
            time_passes(0.25)
    finally:
        process.end()
    return Seen(report.with_suffix(".csv")), most
