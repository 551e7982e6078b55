"""Clients that ask without a pause, and what became of each request."""

import json
import multiprocessing
import re
import signal
import subprocess
import tempfile
import threading
from dataclasses import dataclass, field

from . import h2_clients, websocket_clients
from .machine import Failed, Process, until
from .site import KEY


@dataclass
class Counts:
    """Of one kind of client."""

    name: str
    done: int = 0
    # Answered with another status than 200, or answered wrongly.
    failed: int = 0
    refused: int = 0
    # Closed or reset before the answer was whole.
    broken: int = 0
    timeouts: int = 0
    notes: list = field(default_factory=list)

    @property
    def lost(self):
        return self.failed + self.refused + self.broken + self.timeouts

    def row(self):
        cells = [self.name, f"{self.done:,}", self.failed, self.refused, self.broken, self.timeouts, "; ".join(self.notes)]
        return "| " + " | ".join(str(cell) for cell in cells) + " |"


HEADER = (
    "| clients | done | failed | refused | reset or broken off | timed out | |\n|---|--:|--:|--:|--:|--:|---|"
)

WRK = """
local count = 0
local key = {{ ["X-API-Key"] = "{key}", ["Authorization"] = "{authorization}", ["Connection"] = "{connection}" }}
request = function()
    count = count + 1
    if {posts} and count % 4 == 0 then return wrk.format("POST", "{path}", key, string.rep("x", 1024)) end
    return wrk.format("GET", "{path}", key)
end
{delay}
done = function(summary, latency, requests)
    local e = summary.errors
    io.write(string.format('\\nSUMMARY {{"done":%d,"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d,"p50":%d,"p99":%d,"max":%d}}\\n',
        summary.requests, e.connect, e.read, e.write, e.status, e.timeout,
        latency:percentile(50), latency:percentile(99), latency.max))
end
"""


class Wrk:
    """HTTP/1.1, over connections that are kept or over a new one for each request."""

    def __init__(self, site, token, keep=True, connections=8, pause=2, path="/app/x", name=None, posts=True):
        self.name = name or ("HTTP/1.1, keep-alive (wrk)" if keep else "HTTP/1.1, a connection each (wrk)")
        self.latency = {}
        self.script = tempfile.NamedTemporaryFile("w", suffix=".lua")
        connection = "keep-alive" if keep else "close"
        delay = f"delay = function() return math.random(0, {2 * pause}) end" if pause else ""
        authorization = f"Bearer {token}"
        self.script.write(
            WRK.format(key=KEY, authorization=authorization, connection=connection, path=path, delay=delay, posts=str(posts).lower())
        )
        self.script.flush()
        # Ended by SIGINT, at which it prints what it has counted.
        argv = ["wrk", "-t1", f"-c{connections}", "-d3600s", "--timeout", "30s", "-s", self.script.name, site.base]
        self.process = Process(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def stop(self):
        self.process.send(signal.SIGINT)
        said = self.process.child.communicate(timeout=60)[0]
        self.process.ended()
        self.script.close()
        found = re.search(r"^SUMMARY (.*)$", said, re.M)
        if not found:
            raise Failed(f"wrk said: {said[-500:]}")
        told = json.loads(found[1])
        self.latency = {name: told[name] / 1000 for name in ("p50", "p99", "max")}
        notes = [f"median {self.latency['p50']:.1f} ms, longest {self.latency['max']:.0f} ms"]
        broken = told["read"] + told["write"]
        return [Counts(self.name, told["done"], told["status"], told["connect"], broken, told["timeout"], notes)]

    def end(self):
        self.process.end()


class H2Load:
    """HTTP/2 over TLS, run after run. Only where the gate closes no connection: h2load has no notion of GOAWAY."""

    def __init__(self, site, token, requests=600, rate=100):
        self.argv = ["h2load", "-t1", "-c4", "-m8", f"-n{requests}", f"--rps={rate}"]
        self.argv += ["-H", f"x-api-key: {KEY}", "-H", f"authorization: Bearer {token}", f"{site.base}/app/x"]
        self.counts = Counts("HTTP/2 over TLS (h2load)")
        self.runs, self.process, self.stopped = 0, None, threading.Event()
        self.runner = threading.Thread(target=self._run, daemon=True)
        self.runner.start()

    def _run(self):
        while not self.stopped.is_set():
            self.process = Process(self.argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            said = self.process.child.communicate()[0]
            self.process.ended()
            found = re.search(r"requests: (\d+) total, (\d+) started, \d+ done, (\d+) succeeded.*, (\d+) timeout", said)
            total, _, succeeded, timeouts = map(int, found.groups()) if found else (1, 0, 0, 0)
            self.counts.done += succeeded
            self.counts.timeouts += timeouts
            self.counts.failed += total - succeeded - timeouts
            if total > succeeded:
                self.counts.notes.append(said[-300:])
            self.runs += 1

    def stop(self):
        # The run that has begun is finished.
        self.stopped.set()
        self.runner.join(120)
        self.counts.notes.append(f"{self.runs} runs")
        return [self.counts]

    def end(self):
        self.stopped.set()
        if self.process:
            self.process.end()


class Own:
    """Clients of our own, in a process of their own."""

    def __init__(self, run, *arguments):
        context = multiprocessing.get_context("spawn")
        self.done = context.Value("Q", 0, lock=False)
        self.line, theirs = context.Pipe()
        self.process = context.Process(target=run, args=(theirs, self.done, *arguments), daemon=True)
        self.process.start()

    def stop(self):
        self.line.send("stop")
        if not self.line.poll(60):
            raise Failed("clients did not stop")
        counts = [Counts(**count) for count in self.line.recv()]
        self.process.join()
        return counts

    def end(self):
        if self.process.is_alive():
            self.process.kill()
        self.process.join()


class Traffic:
    """All of them, from one start to one stop."""

    def __init__(self, site, token, uninterrupted=False):
        ca = str(site.authority.path)
        self.own = [
            Own(h2_clients.run, site.port, ca, token),
            Own(websocket_clients.run, site.port, ca, token),
        ]
        self.clients = [Wrk(site, token), Wrk(site, token, keep=False, connections=4, pause=5), *self.own]
        if uninterrupted:
            self.clients.append(H2Load(site, token))
        self.more()

    def more(self, count=50):
        """Waits until each of our own has some more answers; wrk does not tell before its end."""
        before = [own.done.value for own in self.own]
        for own, start in zip(self.own, before):
            until("requests are answered", lambda own=own, start=start: own.done.value >= start + count)

    def stop(self):
        """What became of all requests."""
        return [count for client in self.clients for count in client.stop()]

    def end(self):
        for client in self.clients:
            client.end()


def table(counts):
    return "\n".join([HEADER, *(count.row() for count in counts)])


def check(counts):
    """Nothing may be lost."""
    return [f"{count.name}: {count.lost} lost" for count in counts if count.lost or not count.done]
