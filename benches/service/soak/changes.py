"""Reloads, restarts and handovers, with all kinds of clients asking the whole time."""

import os
import signal
import socket
import time
from pathlib import Path

from .load import Traffic, check, table
from .machine import Failed, end_all, until
from .site import KEY, Site
from .upstreams import Echo, Nginx

FORWARDED = 'access = "user"\nupstream = ["http://127.0.0.1:{port}"]'


class Scene:
    """A gate with TLS, its apps, and a user."""

    def __init__(self, lab, name, behind_sockets=False):
        directory = lab.directory / name
        directory.mkdir()
        self.directory = directory
        self.parts = [Nginx(directory / "nginx"), Echo()]
        self.forwarded = FORWARDED.format(port=self.parts[0].port)
        routes = {"/app": self.forwarded, "/ws": FORWARDED.format(port=self.parts[1].port)}
        self.site = Site(lab.binary, directory, routes)
        self.parts.append(self.site)
        if behind_sockets:
            self.site.start_behind_sockets()
        else:
            self.site.start()
        self.token = self.site.user("alice")
        self.asked = 0

    def traffic(self, **options):
        traffic = Traffic(self.site, self.token, **options)
        self.parts.append(traffic)
        return traffic

    def expect(self, status, path="/app/x", key=KEY, reason=""):
        answer = self.site.ask("GET", path, {"X-API-Key": key, "Authorization": f"Bearer {self.token}"})
        self.asked += 1
        if answer[0] != status or reason.encode() not in answer[2]:
            raise Failed(f"{path}: {answer[0]} {answer[2][:200]!r} instead of {status} {reason}")

    def end(self):
        end_all(*reversed(self.parts))

    def faults(self):
        log = self.site.log()
        return [f"the log has a panic: {log[log.index('panicked') :][:300]}"] if "panicked" in log else []


def reload(lab, count):
    """The file and what it names change again and again."""
    scene = Scene(lab, "reload")
    try:
        traffic, site = scene.traffic(uninterrupted=True), scene.site
        began, times, kinds = time.monotonic(), [], {}
        for number in range(count):
            change = CHANGES[number % len(CHANGES)]
            generation = site.status()["generation"]
            start = time.monotonic()
            verify = change(scene, number)
            until("the new policy is in force", lambda: site.status()["generation"] > generation)
            times.append(time.monotonic() - start)
            verify()
            kinds[change.__name__] = kinds.get(change.__name__, 0) + 1
            if number % 10 == 9:
                broken(scene)
                traffic.more(20)
        counts = traffic.stop()
        took = time.monotonic() - began
        generations = site.status()["generation"] - 1
        times.sort()
        what = ", ".join(f"{kinds[change.__name__]} × {change.__doc__}" for change in CHANGES if change.__name__ in kinds)
        said = (
            f"{count} reloads in {took:.0f} s ({what}), each seen to be in force; in between, {count // 10} files with an error, which "
            f"changed nothing. From the change to the new policy: median {times[len(times) // 2] * 1000:.0f} ms, longest "
            f"{times[-1] * 1000:.0f} ms. Generations: {generations}."
        )
        faults = check(counts) + scene.faults()
        if generations < count:
            faults.append(f"{generations} generations instead of {count}")
        return [said, table(counts)], faults
    finally:
        scene.end()


def api_key(scene, number):
    """API key replaced"""
    before = dict(scene.site.keys)
    scene.site.keys = {f"key{number}": f"secret-number-{number}"}
    scene.site.write()

    def verify():
        scene.expect(200, key=f"secret-number-{number}")
        for secret in before.values():
            scene.expect(400, key=secret, reason="key_unknown")

    return verify


def origin(scene, number):
    """origin replaced"""
    scene.site.origins = [f"https://app{number}.example.com"]
    scene.site.write()

    def verify():
        headers = {"Authorization": f"Bearer {scene.token}", "Origin": f"https://app{number}.example.com"}
        if scene.site.ask("GET", "/app/x", headers)[0] != 200:
            raise Failed("the new origin is refused")
        if scene.site.ask("GET", "/app/x", headers | {"Origin": "https://app.example.com"})[0] != 403:
            raise Failed("an origin that is not listed is let in")

    return verify


def route(scene, number):
    """route moved"""
    before = [path for path in scene.site.routes if path.startswith("/moved")]
    for path in before:
        del scene.site.routes[path]
    scene.site.routes[f"/moved{number}"] = scene.forwarded
    scene.site.write()

    def verify():
        scene.expect(200, f"/moved{number}")
        for path in before:
            scene.expect(404, path, reason="route_not_found")

    return verify


def certificate(scene, _):
    """certificate and key replaced"""
    serial = scene.site.authority.issue()

    def shown():
        with socket.create_connection(("127.0.0.1", scene.site.port), 30) as plain:
            with scene.site.authority.context().wrap_socket(plain, server_hostname="127.0.0.1") as tls:
                return int(tls.getpeercert()["serialNumber"], 16)

    # The two files change one after the other, and each change is looked at.
    return lambda: until("the new certificate is shown", lambda: shown() == serial)


def hang_up(scene, _):
    """SIGHUP"""
    scene.site.gate.send(signal.SIGHUP)
    return lambda: scene.expect(200)


CHANGES = [api_key, hang_up, origin, route, certificate]


def broken(scene):
    """A file that is no good, and then the good one again."""
    site = scene.site
    generation = site.status()["generation"]
    site.write(site.text().replace("[store]", "[store]\nspeed = 1"))
    until("the bad file is noticed", lambda: not site.status()["last_reload"]["ok"])
    scene.expect(200)
    if site.status()["generation"] != generation:
        raise Failed("a bad file is in force")
    site.write()
    until("the good file is in force", lambda: site.status()["generation"] > generation)


def restart(lab, count):
    """A new process behind sockets that stay open, as with tollgate.socket."""
    scene = Scene(lab, "restart", behind_sockets=True)
    try:
        traffic, site = scene.traffic(), scene.site
        pauses, faults = [], []
        for _ in range(count):
            start = time.monotonic()
            code = site.gate.stop()
            if code:
                faults.append(f"a gate ended with {code}")
            stopped = time.monotonic()
            site.start_behind_sockets()
            pauses.append((stopped - start, time.monotonic() - stopped))
            traffic.more()
        counts = traffic.stop()
        said = (
            f"{count} restarts. From SIGTERM to the end of the old process: {spread(stop for stop, _ in pauses)}; from there until the new "
            f"one was ready: {spread(start for _, start in pauses)}. Meanwhile, connections waited in the queue of the socket."
        )
        return [said, table(counts)], faults + check(counts) + scene.faults()
    finally:
        scene.end()


def handover(lab, count):
    """SIGUSR2, after another file was put where the program is."""
    scene = Scene(lab, "handover")
    try:
        traffic, site = scene.traffic(), scene.site
        times, faults = [], []
        for _ in range(count):
            inode = site.replace_binary()
            start = time.monotonic()
            old = site.hand_over()
            until("the old gate ends", lambda: old.ended() is not None)
            times.append(time.monotonic() - start)
            if old.code:
                faults.append(f"a gate ended with {old.code}")
            if os.stat(Path(f"/proc/{site.gate.pid}/exe")).st_ino != inode:
                faults.append("the successor is not the new file")
            traffic.more()
        counts = traffic.stop()
        said = f"{count} handovers, each to another file at the same path. From SIGUSR2 to the end of the old process: {spread(times)}."
        return [said, table(counts)], faults + check(counts) + scene.faults()
    finally:
        scene.end()


def spread(seconds):
    times = sorted(seconds)
    return f"median {times[len(times) // 2]:.1f} s, longest {times[-1]:.1f} s"
