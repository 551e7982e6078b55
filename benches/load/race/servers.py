"""Processes that answer requests: how each is started, and what it costs."""

import socket
import subprocess
from pathlib import Path

from soak.machine import Process, free_port, resident, until


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Server:
    """One program, from its start to its end."""

    def __init__(self, name, directory, argv, port, **options):
        self.name, self.port, self.directory = name, port, directory
        self.log = directory / f"{name}.log"
        with open(self.log, "ab") as log:
            self.process = Process(list(map(str, argv)), stdin=subprocess.DEVNULL, stdout=log, stderr=log, **options)

        def up():
            if self.process.ended() is not None:
                raise RuntimeError(f"{name} ended with {self.process.code}:\n{self.log.read_text(errors='replace')[-2000:]}")
            return listens(port)

        until(f"{name} listens", up)

    def pids(self):
        """It and its descendants."""
        children = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                pid, rest = stat.parent.name, stat.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            children.setdefault(int(rest[1]), []).append(int(pid))
        found, open_ = [], [self.process.pid]
        while open_:
            pid = open_.pop()
            found.append(pid)
            open_ += children.get(pid, [])
        return found

    def cpu(self):
        """Seconds of CPU so far, in user space and in the kernel, to the nanosecond."""
        total = 0
        for pid in self.pids():
            for task in Path(f"/proc/{pid}/task").glob("*/schedstat"):
                try:
                    total += int(task.read_text().split()[0])
                except (OSError, IndexError):
                    continue
        return total / 1e9

    def memory(self):
        """Bytes of resident memory."""
        return sum(resident(pid) for pid in self.pids())

    def end(self):
        self.process.end()


def new(directory, name):
    """A directory for a server's files, and a port."""
    directory = directory / name
    directory.mkdir()
    # nginx's worker, if it is started by root, is somebody else.
    directory.chmod(0o755)
    return directory, free_port()
