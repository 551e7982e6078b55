"""Clients that ask without a pause, and what it cost."""

import json
import re
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from soak.machine import Failed, Process

CONNECTIONS = 32

# Statuses above 399 are counted by wrk itself; to look at each answer would cost more than the answer.
DONE = """
done = function(summary, latency, requests)
    local e = summary.errors
    io.write(string.format('\\nSUMMARY {"done":%d,"took":%d,"status":%d,"other":%d,"p50":%d,"p99":%d,"p999":%d}\\n',
        summary.requests, summary.duration, e.status, e.connect + e.read + e.write + e.timeout,
        latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
"""
# One token after the other, each made into a request before the first is sent. The load ends with the last.
TOKENS = """
local requests, at = {}, 0
init = function()
    for line in io.lines("%s") do
        local fields = { ["Host"] = wrk.headers["Host"], ["Authorization"] = "Bearer " .. line, %s }
        requests[#requests + 1] = wrk.format(nil, nil, fields)
    end
end
request = function()
    at = at + 1
    if at >= #requests then
        wrk.thread:stop()
        at = #requests
    end
    return requests[at]
end
"""


@dataclass
class Run:
    """Of one load: requests and their latencies in microseconds."""

    done: int
    seconds: float
    refused: int
    broken: int
    p50: float
    p99: float
    p999: float

    @property
    def rate(self):
        return self.done / self.seconds


class Wrk:
    """HTTP/1.1, over connections that are kept. `tokens`: a file, a line for each request."""

    def __init__(self, url, headers, seconds, connections=CONNECTIONS, tokens=None, extra=""):
        self.script = tempfile.NamedTemporaryFile("w", suffix=".lua")
        if tokens:
            fields = ", ".join(f'["{name}"] = "{value}"' for name, value in headers.items())
            self.script.write(TOKENS % (tokens, fields))
        self.script.write(extra + DONE)
        self.script.flush()
        argv = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s"]
        argv += ["-s", self.script.name, *(word for pair in headers.items() for word in ("-H", ": ".join(pair))), url]
        self.process = Process(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def wait(self):
        said = self.process.child.communicate(timeout=600)[0]
        self.process.ended()
        self.script.close()
        found = re.search(r"^SUMMARY (.*)$", said, re.M)
        if not found:
            raise Failed(f"wrk said: {said[-500:]}")
        told = json.loads(found[1])
        return Run(told["done"], told["took"] / 1e6, told["status"], told["other"], told["p50"], told["p99"], told["p999"])


class H2Load:
    """HTTP/2: a few connections with several streams each, as many requests in flight as wrk has."""

    STREAMS = 8

    def __init__(self, url, headers, seconds):
        self.log = tempfile.NamedTemporaryFile("r", suffix=".log")
        self.seconds = seconds
        argv = ["h2load", "-t1", f"-c{CONNECTIONS // self.STREAMS}", f"-m{self.STREAMS}"]
        argv += [f"-D{seconds}", "--log-file", self.log.name]
        argv += [*(word for pair in headers.items() for word in ("-H", ": ".join(pair))), url]
        self.process = Process(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def wait(self):
        said = self.process.child.communicate(timeout=600)[0]
        self.process.ended()
        rows = [line.split("\t") for line in Path(self.log.name).read_text().splitlines()]
        self.log.close()
        times = sorted(int(row[2]) for row in rows)
        found = re.search(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", said)
        if not found or not times:
            raise Failed(f"h2load said: {said[-500:]}")
        good, other, refused, failed = map(int, found.groups())
        errors = re.search(r"(\d+) failed, (\d+) errored, (\d+) timeout", said)
        broken = other + failed + int(errors[2]) + int(errors[3])

        def at(share):
            return times[min(len(times) - 1, int(share * len(times)))]

        return Run(good + refused, float(self.seconds), refused, broken, at(0.5), at(0.99), at(0.999))


def pause():
    """Lets what a load has left be done: closed connections."""
    time.sleep(0.05)
