"""Upstreams that are killed, hang, are slow, break off, and come back."""

import http.client
import json
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from .load import check, table, Wrk
from .machine import end_all, mebibytes, resident
from .site import KEY, Site
from .upstreams import Nginx, Sick

TIMEOUTS = 'connect_timeout = "500ms"\nread_timeout = "500ms"'
ASKING, EACH = 16, 64
# Seconds: the timeouts of a route with two servers, or the rest of one that was ejected, and a machine that is busy.
LONGEST = 10.0
# By how much memory may differ between the rounds after the first third and the last: what the allocator keeps.
LEEWAY = 8 << 20
# Health, and what the documentation says of a route with one server, and of one with two that share it.
EXPECTED = {
    "well": ({"200"}, {"200"}),
    "dead": ({"502 upstream_failed"}, {"502 upstream_failed", "503 upstream_unavailable"}),
    "hung": ({"504 upstream_timeout"}, {"504 upstream_timeout", "503 upstream_unavailable"}),
    "slow": ({"200"}, {"200"}),
    "breaking": ({"broken off"}, {"broken off"}),
}


def upstreams(lab, rounds):
    """Each illness in turn, again and again, while a healthy app beside it is asked."""
    directory = lab.directory / "upstreams"
    directory.mkdir()
    nginx, sick, other = Nginx(directory / "nginx"), Sick(), Sick()
    one = f'access = "user"\nupstream = ["http://127.0.0.1:{sick.port}"]\n{TIMEOUTS}'
    two = f'access = "user"\nupstream = ["http://127.0.0.1:{sick.port}", "http://127.0.0.1:{other.port}"]\n{TIMEOUTS}'
    well = f'access = "user"\nupstream = ["http://127.0.0.1:{nginx.port}"]'
    site = Site(lab.binary, directory, {"/app": well, "/one": one, "/two": two}, tls=False)
    wrk = None
    try:
        gate = site.start()
        token = site.user("alice")
        wrk = Wrk(site, token, connections=4, pause=5, name="HTTP/1.1 to the healthy app meanwhile")
        seen = {path: {health: Counter() for health in EXPECTED} for path in ("/one", "/two")}
        faults, memory, slowest, resting = [], [], 0.0, 0.0
        for _ in range(rounds):
            for health in ("dead", "well", "hung", "well", "slow", "breaking", "well"):
                sick.become(health)
                other.become(health)
                if health == "well":
                    resting = max(resting, come_back(site, token))
                for path in ("/one", "/two"):
                    answers = ask_all(site, path, token)
                    seen[path][health].update(what for what, _ in answers)
                    slowest = max(slowest, *(took for _, took in answers))
            memory.append(resident(gate.pid))
        counts = wrk.stop()
        for path, number in (("/one", 0), ("/two", 1)):
            for health, expected in EXPECTED.items():
                wrong = {what: count for what, count in seen[path][health].items() if what not in expected[number]}
                if wrong:
                    faults.append(f"{path}, {health}: {wrong}")
        if max(slowest, resting) > LONGEST:
            faults.append(f"a request took {slowest:.1f} s; an app that was well again was used after {resting:.1f} s")
        settled = memory[len(memory) // 3 :]
        if max(settled) - settled[0] > LEEWAY:
            faults.append(f"memory grew from {mebibytes(settled[0])} to {mebibytes(max(settled))}")
        rows = ["| the app | one server | two servers, both so |", "|---|---|---|"]
        rows += [f"| {health} | {told(seen['/one'][health])} | {told(seen['/two'][health])} |" for health in EXPECTED]
        rounds_said = (
            f"{rounds} rounds of an app that is killed, comes back, hangs, comes back, is slow, resets its connections in the middle of "
            f"the body, and comes back; {ASKING} clients. The slowest of all requests took {slowest:.2f} s (connect_timeout and "
            f"read_timeout: 500 ms). Apps that were well again were used after {resting:.1f} s at the latest."
        )
        memory_said = "Memory of the gate (RSS) after each round: " + ", ".join(mebibytes(size) for size in memory) + "."
        return [rounds_said, "\n".join(rows), memory_said, table(counts)], faults + check(counts)
    finally:
        end_all(wrk, site, sick, other, nginx)


def told(counter):
    return ", ".join(f"{count:,} × {what}" for what, count in counter.most_common())


def come_back(site, token):
    """Asks until both routes answer again: a server that failed may rest for a moment. Returns how long that took."""
    start = time.monotonic()
    for path in ("/one", "/two"):
        row = 0
        while row < 4 and time.monotonic() - start < LONGEST:
            row = row + 1 if ask(site, path, token)[0] == "200" else 0
    return time.monotonic() - start


def ask_all(site, path, token):
    connections = threading.local()
    with ThreadPoolExecutor(ASKING) as pool:
        return list(pool.map(lambda _: ask(site, path, token, connections), range(EACH)))


def ask(site, path, token, kept=None):
    """What became of one request, and the seconds that it took. `kept` holds a thread's connection."""
    kept = kept or threading.local()
    connection = getattr(kept, "connection", None) or site.connect(timeout=LONGEST * 3)
    start = time.monotonic()
    try:
        connection.request("GET", path, headers={"X-API-Key": KEY, "Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        body = answer.read()
        what = "200" if answer.status == 200 else f"{answer.status} {json.loads(body)['reason']}"
        kept.connection = connection
    except (http.client.IncompleteRead, ConnectionResetError):
        what = "broken off"
    except (OSError, http.client.HTTPException, ValueError) as error:
        what = repr(error)
    if not what[:3].isdecimal():
        connection.close()
        kept.connection = None
    return what, time.monotonic() - start
