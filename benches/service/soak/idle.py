"""Thousands of connections that nobody uses."""

import multiprocessing
import socket
import threading
import time

from .load import Wrk, check, table
from .machine import Failed, end_all, mebibytes, raise_file_limit, resident, time_passes, until
from .site import KEY, Site
from .upstreams import Nginx

OPENERS = 4


def idle(lab, count):
    """Memory for each of them, and whether others are served."""
    directory = lab.directory / "idle"
    directory.mkdir()
    nginx = Nginx(directory / "nginx")
    rows = ["| | before | with them open | a connection | after | opened in | others meanwhile: p50, p99, longest |", "|---|--:|--:|--:|--:|--:|---|"]
    counts, faults = [], []
    try:
        for name, tls in (("plain", False), ("TLS", True)):
            row, more, wrong = measure(lab, directory / name, nginx, name, tls, count)
            rows.append(row)
            counts += more
            faults += wrong
        said = (
            f"{count:,} connections with keep-alive, each of which has had one request answered through the gate, and is then left "
            "alone. Memory is the RSS of the process. Its `keepalive` is 10 minutes here, so that none is closed while they are counted."
        )
        return [said, "\n".join(rows), table(counts)], faults
    finally:
        nginx.end()


def measure(lab, directory, nginx, name, tls, count):
    directory.mkdir()
    route = f'access = "user"\nupstream = ["http://127.0.0.1:{nginx.port}"]'
    site = Site(lab.binary, directory, {"/app": route}, tls=tls, limits=f'[limits]\nkeepalive = "10m"\nconnections = {count + 1000}')
    wrk = crowd = None
    try:
        gate = site.start()
        token = site.user("alice")
        # What a gate takes that has had something to do.
        warm = Wrk(site, token, connections=32, pause=0)
        time_passes(2)
        warm.stop()
        before = resident(gate.pid)
        start = time.monotonic()
        crowd = Crowd(site, token, count)
        opened = time.monotonic() - start
        there = open_connections(site)
        with_them = resident(gate.pid)
        wrk = Wrk(site, token, name=f"HTTP/1.1 beside {count:,} idle ones, {name}")
        time_passes(5)
        counts = wrk.stop()
        alive = crowd.leave()
        until("the gate has noticed", lambda: open_connections(site) < 100)
        after = resident(gate.pid)
        faults = check(counts)
        if alive != count or there < count:
            faults.append(f"{name}: {alive} of {count} connections were open at the end, the gate had {there}")
        latency = ", ".join(f"{wrk.latency[which]:.1f} ms" for which in ("p50", "p99", "max"))
        each = f"{(with_them - before) / count:,.0f} bytes"
        row = f"| {name} | {mebibytes(before)} | {mebibytes(with_them)} | {each} | {mebibytes(after)} | {opened:.1f} s | {latency} |"
        return row, counts, faults
    finally:
        end_all(wrk, crowd, site)


def open_connections(site):
    """Sockets of the gate's process that are connected at its port."""
    port = f"{site.port:04X}"
    established = "01"
    with open("/proc/net/tcp", encoding="ascii") as table_of_sockets:
        rows = (line.split() for line in table_of_sockets)
        return sum(row[1].endswith(f":{port}") and row[3] == established for row in rows)


class Crowd:
    """Connections, held by a process of their own, from several addresses."""

    def __init__(self, site, token, count):
        context = multiprocessing.get_context("spawn")
        self.line, theirs = context.Pipe()
        ca = str(site.authority.path) if site.authority else None
        self.process = context.Process(target=hold, args=(theirs, site.port, ca, token, count), daemon=True)
        self.process.start()
        if not self.line.poll(300):
            raise Failed("the connections did not get open")
        said = self.line.recv()
        if said != "open":
            self.end()
            raise Failed(said)

    def leave(self):
        """Closes them, and returns how many were still open."""
        self.line.send("leave")
        alive = self.line.recv()
        self.process.join()
        return alive

    def end(self):
        if self.process.is_alive():
            self.process.kill()
        self.process.join()


def hold(line, port, ca, token, count):
    """Opens them, says so, and holds them until it is told to leave."""
    import ssl

    if raise_file_limit(count + 1000) < count + 100:
        line.send(f"can't open {count} files: raise the limit of open files")
        return
    context = ssl.create_default_context(cafile=ca) if ca else None
    request = f"GET /app/x HTTP/1.1\r\nHost: gate\r\nX-API-Key: {KEY}\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    connections, faults = [], []

    def open_some(number):
        try:
            for _ in range(number, count, OPENERS):
                # An address has some 28,000 ports, of which those of closed connections take a minute to come back.
                connection = socket.create_connection(("127.0.0.1", port), 60, (f"127.0.1.{number + 1}", 0))
                connection.settimeout(60)
                if context:
                    connection = context.wrap_socket(connection, server_hostname="127.0.0.1")
                connection.sendall(request)
                answer = b""
                while b"behind the gate\n" not in answer:
                    part = connection.recv(4096)
                    if not part:
                        raise OSError(f"closed after {answer!r}")
                    answer += part
                if not answer.startswith(b"HTTP/1.1 200 "):
                    raise OSError(repr(answer))
                connections.append(connection)
        except OSError as error:
            faults.append(f"connection {len(connections)}: {error!r}")

    threads = [threading.Thread(target=open_some, args=(number,)) for number in range(OPENERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    line.send(faults[0] if faults else "open")
    line.recv()
    alive = 0
    for connection in connections:
        connection.setblocking(False)
        try:
            # The end of the connection is a read of nothing; one that is open has nothing to read yet.
            alive += bool(connection.recv(1))
        except (BlockingIOError, ssl.SSLWantReadError):
            alive += 1
        except OSError:
            pass
    for connection in connections:
        connection.close()
    line.send(alive)
