"""Verified traffic beside a flood of logins, which keeps every thread that hashes busy and their queue full."""

import re
import statistics
import subprocess
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

from soak.machine import Failed, Process, mebibytes, time_passes, until

from . import drive
from .field import Field
from .gate import KEY, LOGIN, ORIGIN, PASSWORD

# What a hash takes: argon2id with 19 MiB.
HASH_BYTES = 19 << 20
CLIENTS = 128
# `hash_queue`, by default.
QUEUE = 64
# A gate throttles guesses by name and address, so each has others; a quarter is right. The clients don't heed Retry-After.
FLOOD = """
ok, wrong, busy, other, asked = 0, 0, 0, 0, 0
local threads = {}
setup = function(thread) table.insert(threads, thread) end
request = function()
    asked = asked + 1
    local body = asked %% 4 == 0 and '{"username":"alice","password":"%(password)s"}'
        or string.format('{"username":"user-%%d","password":"guess %%d"}', asked, asked)
    local from = string.format("10.%%d.%%d.%%d", math.random(0, 255), math.random(0, 255), math.random(1, 254))
    return wrk.format("POST", "%(path)s", { ["Host"] = wrk.headers["Host"], ["X-API-Key"] = "%(key)s", ["Origin"] = "%(origin)s",
        ["Content-Type"] = "application/json", ["X-Forwarded-For"] = from }, body)
end
delay = function() return math.random(0, 400) end
response = function(status)
    if status == 200 then ok = ok + 1 elseif status == 401 then wrong = wrong + 1
    elseif status == 503 then busy = busy + 1 else other = other + 1 end
end
done = function(summary)
    local e, t = summary.errors, threads[1]
    io.write(string.format('\\nFLOOD %%d %%d %%d %%d %%d\\n', t:get("ok"), t:get("wrong"), t:get("busy"), t:get("other"),
        e.connect + e.read + e.write + e.timeout))
end
"""
# Beside what keeps the gate as busy as it can be, one that leaves it room: a request each 16 ms of every connection.
PACED = "delay = function() return math.random(0, 32) end\n"


class Flood:
    """From its start until it is stopped, or for some seconds at most."""

    def __init__(self, gate, seconds):
        self.gate, self.seconds, self.queue = gate, seconds, []
        self.script = tempfile.NamedTemporaryFile("w", suffix=".lua")
        self.script.write(FLOOD % {"password": PASSWORD, "path": LOGIN, "key": KEY, "origin": ORIGIN})
        self.script.flush()
        self.hashes, self.rejected = self.counts()
        argv = ["wrk", "-t1", f"-c{CLIENTS}", f"-d{seconds}s", "--timeout", "30s", "-s", self.script.name]
        argv.append(f"http://127.0.0.1:{gate.port}/")
        self.process = Process(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        until("logins wait", lambda: gate.metric("tollgate_hash_queue_length") > 1)
        self.ended = threading.Event()
        self.watcher = threading.Thread(target=self.watch, daemon=True)
        self.watcher.start()

    def watch(self):
        while not self.ended.wait(0.2):
            self.queue.append(self.gate.metric("tollgate_hash_queue_length"))

    def counts(self):
        return self.gate.metric("tollgate_hashes_total"), self.gate.metric("tollgate_hash_rejected_total")

    def wait(self):
        said = self.process.child.communicate(timeout=600)[0]
        self.process.ended()
        self.ended.set()
        self.watcher.join()
        self.script.close()
        found = re.search(r"^FLOOD (\d+) (\d+) (\d+) (\d+) (\d+)$", said, re.M)
        if not found:
            raise Failed(f"wrk said: {said[-500:]}")
        right, wrong, self.busy, other, broken = map(int, found.groups())
        self.asked = right + wrong + self.busy
        if other or broken:
            raise Failed(f"of the logins {other} were answered otherwise than with 200, 401 or 503, and {broken} not at all")
        if not right or not wrong:
            raise Failed("no login got through")
        hashes, rejected = self.counts()
        self.hashes, self.rejected = hashes - self.hashes, rejected - self.rejected


@dataclass
class Pair:
    """Of one round."""

    quiet: drive.Run
    flooded: drive.Run
    # Bytes: the most that the gate took with the flood.
    peak: int
    flood: Flood


class LoginSection:
    contenders = ()

    def __init__(self, said, styles, memory):
        self.said, self.styles, self.memory = said, styles, memory

    def markdown(self):
        head = ["verified traffic", "quiet: p50, µs", "p99, µs", "requests/s", "with the flood: p50, µs", "p99, µs", "requests/s"]
        head += ["p99, × quiet", "from–to"]
        rows = ["| " + " | ".join(head) + " |", "|---" + "|--:" * 8 + "|"]
        for name, pairs in self.styles.items():
            times = [pair.flooded.p99 / pair.quiet.p99 for pair in pairs]
            cells = [name]
            for side in ("quiet", "flooded"):
                for of in ("p50", "p99", "rate"):
                    cells.append(f"{statistics.median(getattr(getattr(pair, side), of) for pair in pairs):,.0f}")
            cells += [f"{statistics.median(times):.2f}", f"{min(times):.2f}–{max(times):.2f}"]
            rows.append("| " + " | ".join(cells) + " |")
        return "\n\n".join([self.said, "\n".join(rows), self.memory])

    @property
    def ratio(self):
        """The p99 of those who leave room, by its quiet value."""
        return statistics.median(pair.flooded.p99 / pair.quiet.p99 for pair in self.styles["at its own pace"])


def login(lab):
    field = Field(lab, lab.directory / "login")
    # One proxy in front of it, so that the flood can come from many addresses.
    gate = field.gate(server='threads = 1\ntrusted_proxies = ["127.0.0.1"]')
    gate.add_user("alice")
    hash_threads = int(gate.metric("tollgate_hash_threads"))
    user = field.tollgate()
    user.prove()
    # As many connections as with the flood, and nobody logs in.
    drive.Wrk(user.url, user.headers, 2, connections=drive.CONNECTIONS + CLIENTS).wait()
    quiet = most(gate)
    rounds = lab.rounds or (1 if lab.quick else 3)
    seconds = 2 if lab.quick else 4
    styles = {"at its own pace": [], "as fast as it can": []}
    for number in range(rounds):
        for name, pairs in styles.items():
            pairs.append(measure(gate, user, seconds, PACED if "pace" in name else "", flood_first=number % 2 == 1))
        lab.say(f"round {number + 1} of {rounds}")
    pairs = [pair for some in styles.values() for pair in some]
    flooded = max(pair.peak for pair in pairs)
    memory = (
        f"Memory at its highest: {mebibytes(quiet)} with as many connections before the first login, {mebibytes(flooded)} with "
        f"the flood: {mebibytes(flooded - quiet)} more. What hashes take is {hash_threads} × {mebibytes(HASH_BYTES)}."
    )
    return [LoginSection(told([pair.flood for pair in pairs], hash_threads), styles, memory)]


def told(floods, hash_threads):
    """What the flood was."""
    asked = statistics.median(flood.asked / flood.seconds for flood in floods)
    hashed = statistics.median(flood.hashes / flood.seconds for flood in floods)
    busy = sum(flood.busy for flood in floods) / sum(flood.asked for flood in floods)
    looks = [length for flood in floods for length in flood.queue]
    full = sum(length >= QUEUE - 1 for length in looks) / max(1, len(looks))
    return (
        f"{CLIENTS} clients log in, a quarter of them with the right password, and come again within 0.4 s whatever they are "
        f"told: {asked:,.0f} logins a second, for {hash_threads} thread{'s' if hash_threads > 1 else ''} that did {hashed:,.0f} "
        f"hashes. {busy:.0%} were told 503, and the queue was full at {full:.0%} of the looks at it. Beside them, "
        f"{drive.CONNECTIONS} connections with a token that is known, at their own pace, and as fast as they can. Quiet and flooded "
        "in turn; the ratio is the median of the rounds' own."
    )


def measure(gate, user, seconds, pace, flood_first):
    runs, found, peak = {}, None, 0
    for flooded in (True, False) if flood_first else (False, True):
        flood = Flood(gate, seconds + 2) if flooded else None
        if flood:
            time_passes(1)
        run = drive.Wrk(user.url, user.headers, seconds, extra=pace).wait()
        if run.refused or run.broken or not run.done:
            raise Failed(f"of verified requests {run.refused} were refused and {run.broken} broke")
        if flood:
            peak, found = most(gate), flood
            flood.wait()
            until("the pool is idle", lambda: gate.metric("tollgate_hash_busy") + gate.metric("tollgate_hash_queue_length") == 0)
        runs[flooded] = run
    return Pair(runs[False], runs[True], peak, found)


def most(gate):
    """Bytes: the highest of its resident memory."""
    status = Path(f"/proc/{gate.process.pid}/status").read_text()
    return int(re.search(r"^VmHWM:\s+(\d+) kB$", status, re.M)[1]) * 1024
