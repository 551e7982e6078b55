"""Second opinions: nginx, Apache and HAProxy read the very bytes that the proxy sent to its app, and say what.

Each gets the requests of a connection as they were recorded, and one more after them, which must be the last that it
reads: whoever sees another number of requests, or another method, path, host or length, disagrees.
"""

import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from soak.machine import Process, free_port, until

from .wire import Conn, request

CONFIGS = Path(__file__).with_name("opinions")
END = "/hostile-suite/end"
PROGRAMS = {"nginx": ["nginx", "-v"], "Apache": ["apache2", "-v"], "HAProxy": ["haproxy", "-v"]}


@dataclass
class Reading:
    """What one of them read of one request. `path` is decoded and resolved, if it does that."""

    status: int
    method: str = ""
    target: str = ""
    path: str = ""
    host: str = ""
    length: int | None = None
    headers: dict = field(default_factory=dict)


class Opinion:
    """One server, from its start to its end. `names`: headers whose values it is asked for."""

    def __init__(self, name, directory, names=()):
        self.name, self.directory, self.port = name, directory / name.lower(), free_port()
        self.directory.mkdir()
        # Its workers are not who we are.
        self.directory.chmod(0o755)
        said = subprocess.run(PROGRAMS[name], capture_output=True, text=True)
        self.version = re.search(r"\d+\.\d+\.\d+", said.stdout + said.stderr)[0]
        values = {"directory": str(self.directory), "port": str(self.port)}
        values["headers"] = "".join(f"header {at.lower()} $http_{at.lower().replace('-', '_')}\\n" for at in names)
        for template in CONFIGS.glob(f"{name.lower()}.*"):
            text = re.sub(r"@(\w+)@", lambda match: values[match[1]], template.read_text())
            (self.directory / template.name).write_text(text)
        with open(self.directory / "log", "wb") as log:
            self.process = Process(self.argv(), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until(f"{name} reads", self.up, patience=20)

    def argv(self):
        conf = str(self.directory / f"{self.name.lower()}.cfg")
        return {
            "nginx": ["nginx", "-p", str(self.directory), "-c", conf, "-e", str(self.directory / "error.log")],
            "Apache": ["apache2", "-D", "FOREGROUND", "-f", conf],
            "HAProxy": ["haproxy", "-f", conf],
        }[self.name]

    def up(self):
        if self.process.ended() is not None:
            logs = "".join(path.read_text(errors="replace") for path in self.directory.glob("*log"))
            raise RuntimeError(f"{self.name} ended at its start: {logs[-2000:]}")
        try:
            with Conn(f"127.0.0.1:{self.port}", 2) as conn:
                conn.send(request("GET", "/up", ["Host: up", "Connection: close"]))
                return conn.read().status == 200
        except OSError:
            return False

    def end(self):
        self.process.end()

    def read(self, requests, goes_on=True):
        """Its readings of these bytes; the last is of `END`, if all was read and the connection `goes_on`."""
        with Conn(f"127.0.0.1:{self.port}", 5) as conn:
            conn.send(requests + (request("GET", END, ["Host: end", "Connection: close"]) if goes_on else b""))
            if not goes_on:
                conn.finish()
            found = []
            while True:
                answer = conn.read()
                if answer.status <= 0:
                    return found
                found.append(self._reading(answer))

    @staticmethod
    def _reading(answer):
        text = answer.body.decode("latin-1")
        if answer.status != 200 or not text.startswith("method "):
            return Reading(answer.status)
        about, _, path = text.partition("\npath ")
        reading = Reading(answer.status, path=path.rstrip("\n"))
        for line in about.split("\n"):
            word, _, rest = line.partition(" ")
            if word == "header":
                name, _, value = rest.partition(" ")
                if value:
                    reading.headers[name] = value
            elif word == "length":
                reading.length = int(rest)
            elif word == "headers":
                # HAProxy gives them all, as they stand after it has read them.
                for name, value in re.findall(r"([^:\r\n]*):[ \t]*([^\r\n]*)", bytes.fromhex(rest).decode("latin-1")):
                    if value:
                        reading.headers[name.lower()] = ", ".join(
                            filter(None, [reading.headers.get(name.lower()), value])
                        )
            elif word:
                setattr(reading, word, rest)
        return reading


class Opinions:
    """Those that are installed, each started once."""

    def __init__(self, directory, names=()):
        """`names`: headers that matter; what each reads in them is compared."""
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(0o755)
        self.names = [name.lower() for name in names]
        self.missing = [name for name, (program, _) in PROGRAMS.items() if not shutil.which(program)]
        self.all = [Opinion(name, directory, names) for name in PROGRAMS if name not in self.missing]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        for opinion in self.all:
            opinion.end()

    def of(self, requests, goes_on=True):
        return {opinion.name: opinion.read(requests, goes_on) for opinion in self.all}

    def disagreements(self, heard):
        """`(whose, why)` for each of them that reads a connection otherwise than the app did."""
        # An answer to HEAD has no body to say it in; what was cut off has no end; CONNECT and TRACE are not answered.
        # Nor does nginx read a method in lower case, which is one to HTTP.
        plain = [seen for seen in heard.seen if seen.whole and re.fullmatch("[A-Z_-]+", seen.method)]
        plain = [seen for seen in plain if seen.method not in ("HEAD", "CONNECT", "TRACE")]
        if not plain:
            return []
        goes_on = not any("close" in ",".join(s.values("connection")).lower() or s.version == "HTTP/1.0" for s in plain)
        if not goes_on:
            return [found for seen in plain for found in self._compare([seen], False)]
        return self._compare(plain, True)

    def _compare(self, requests, goes_on):
        found = []
        for name, readings in self.of(b"".join(seen.raw for seen in requests), goes_on).items():
            wanted = len(requests) + goes_on
            if len(readings) != wanted or goes_on and readings[-1].target != END:
                read = [f"{reading.status} {reading.method} {reading.target}" for reading in readings]
                found.append((name, f"{len(requests)} requests and the end were sent, and it read {read}"))
                continue
            for seen, reading in zip(requests, readings):
                seen.readings[name] = reading
                why = self._differs(seen, reading)
                if why:
                    found.append((name, why))
        return found

    def _differs(self, seen, reading):
        # It could read it, and does not do that.
        if reading.status in (405, 501):
            return None
        if reading.status != 200:
            return f"it answers {reading.status}"
        mine = {"method": seen.method, "target": seen.target, "host": ", ".join(seen.values("host"))}
        theirs = {"method": reading.method, "target": reading.target, "host": reading.host}
        if reading.length is not None:
            mine["length"], theirs["length"] = len(seen.body), reading.length
        for name in self.names:
            mine[name] = ", ".join(value for value in seen.values(name) if value)
            theirs[name] = reading.headers.get(name, "")
        # Beyond ASCII they are compared as bytes, whatever text they are.
        different = [f"{key}: {theirs[key]!r}, not {mine[key]!r}" for key in mine if mine[key] != theirs[key]]
        return "; ".join(different) or None
