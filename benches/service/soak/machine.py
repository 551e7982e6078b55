"""Processes, ports, memory, and waiting for something to become true."""

import ctypes
import os
import resource
import signal
import socket
import subprocess
import time
from pathlib import Path

PATIENCE = 60.0
RESERVED = []


class Failed(Exception):
    """Something did not happen, or something happened that must not."""


def until(what, probe, patience=PATIENCE):
    """Asks `probe` until it answers something true, and returns that."""
    end = time.monotonic() + patience
    while True:
        found = probe()
        if found:
            return found
        if time.monotonic() > end:
            raise Failed(f"not within {patience:.0f} s: {what}")
        time.sleep(0.005)


def time_passes(seconds):
    """A measurement takes its time: nothing is waited for."""
    time.sleep(seconds)


def free_port():
    """A port of 127.0.0.1 without a listener, reserved while this process runs. Its socket is bound and does not listen: Linux gives
    the port to no other socket that binds port 0 and to no connection, and refuses connections to it. A socket with SO_REUSEADDR,
    as servers set it, can bind the port and listen."""
    reservation = socket.socket()
    reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reservation.bind(("127.0.0.1", 0))
    RESERVED.append(reservation)
    return reservation.getsockname()[1]


def adopt_orphans():
    """Successors of a gate are its children, and become ours when it has ended, so that we can wait for them."""
    pr_set_child_subreaper = 36
    ctypes.CDLL(None).prctl(pr_set_child_subreaper, 1, 0, 0, 0)


def raise_file_limit(wanted):
    """The number of files that this process and its children may open: `wanted`, or what the system grants."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(wanted, soft), max(wanted, hard)))
    except (ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def resident(pid):
    """Bytes of memory that a process takes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise Failed(f"process {pid} has no memory")


def mebibytes(count):
    return f"{count / (1 << 20):.1f} MiB"


class Process:
    """One that we started, or that we inherited. It is ended by its own id."""

    # Each one, so that none is left over if its owner could not be made.
    all = []

    def __init__(self, argv=None, pid=None, **options):
        self.child = subprocess.Popen(argv, **options) if argv else None
        self.pid = self.child.pid if self.child else pid
        self.code = None
        Process.all.append(self)

    def ended(self):
        """The exit code, or None as long as it runs."""
        if self.code is not None:
            return self.code
        if self.child:
            self.code = self.child.poll()
        else:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:
                # Its parent has not ended yet, so it is not ours to wait for.
                if Path(f"/proc/{self.pid}").exists():
                    return None
                pid, status = self.pid, 0
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
        return self.code

    def send(self, number):
        if self.ended() is None:
            os.kill(self.pid, number)

    def stop(self, number=signal.SIGTERM, patience=PATIENCE):
        """Signals it, waits, and returns the exit code."""
        self.send(number)
        until(f"process {self.pid} ends", lambda: self.ended() is not None, patience)
        return self.code

    def end(self):
        """However it takes."""
        if self.ended() is None:
            try:
                self.stop(patience=10)
            except Failed:
                self.stop(signal.SIGKILL)


def end_all(*parts):
    """Ends each of them, whatever becomes of the others."""
    faults = []
    for part in parts:
        try:
            if part:
                part.end()
        except Exception as error:
            faults.append(f"{type(part).__name__} did not end: {error!r}")
    if faults:
        raise Failed("; ".join(faults))


def output(argv, accepted=(0,), **options):
    """What a command prints; it has to succeed."""
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)
    if done.returncode not in accepted:
        raise Failed(f"{argv[0]} {argv[1]}: exit code {done.returncode}: {done.stderr.strip()}")
    return done.stdout.strip()
