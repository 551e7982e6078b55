"""Who is measured with which request, and the proof that each does what it is said to do."""

import http.client
import ssl
from dataclasses import dataclass, field

from soak.machine import Failed

from . import drive
from .gate import KEY, ORIGIN
from .tokens import SUBJECT

PATH = "/app/notes?page=2"


def request(token=None, cookie=None, key=KEY, origin=ORIGIN):
    """The headers that everybody is sent alike, whether it looks at them or not."""
    headers = {"X-API-Key": key, "Origin": origin}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    if cookie:
        headers["Cookie"] = f"__Host-app={cookie}"
    return {name: value for name, value in headers.items() if value}


@dataclass
class Contender:
    name: str
    # The one that is asked first.
    servers: list
    headers: dict
    # What it does for each request, as far as it does not go without saying.
    does: str = ""
    path: str = PATH
    # What every answer must be.
    status: int = 200
    # A file with tokens, another one for each request.
    tokens: object = None
    # "h1" or "h2".
    protocol: str = "h1"
    # Whose certificate it has, if it speaks TLS.
    authority: object = None
    # What must be refused: headers and the status.
    refuses: dict = field(default_factory=dict)
    # Whether the app has to be told who it is.
    tells: bool = False
    # Before each load, and after it with what it was.
    before: object = None
    after: object = None
    results: list = field(default_factory=list)

    @property
    def url(self):
        return f"{'https' if self.authority else 'http'}://127.0.0.1:{self.servers[0].port}{self.path}"

    def load(self, seconds):
        if self.protocol == "h2":
            return drive.H2Load(self.url, self.headers, seconds)
        return drive.Wrk(self.url, self.headers, seconds, tokens=self.tokens)

    def ask(self, headers, path=None):
        """One request, over HTTP/1.1: status and body."""
        port = self.servers[0].port
        if self.authority:
            context = ssl.create_default_context(cafile=self.authority.path)
            connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=context)
        else:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("GET", path or self.path, headers=headers | {"Connection": "close"})
            answer = connection.getresponse()
            return answer.status, answer.read().decode(errors="replace")
        finally:
            connection.close()

    def prove(self):
        """Fails if it passes what it should refuse, refuses what it should pass, or tells the app nothing."""
        if not self.tokens:
            self.must_answer("its own request", self.headers, self.status)
        for what, (headers, status) in self.refuses.items():
            self.must_answer(what, headers, status)
        if self.tells:
            # Nor is somebody believed who names himself.
            for claim in ({}, {"X-Auth-Subject": "mallory"}):
                said = self.ask(self.headers | claim, "/app/echo")[1]
                if f"subject={SUBJECT} " not in said:
                    raise Failed(f"{self.name}: the app was told {said!r}")

    def must_answer(self, what, headers, status):
        got = self.ask(headers)[0]
        if got != status:
            raise Failed(f"{self.name}: {what} was answered with {got}, and not with {status}")


@dataclass
class Result:
    """Of one round. CPU in microseconds a request, of all of its servers and of the first alone; memory in bytes."""

    cpu: float
    front: float
    memory: int
    run: drive.Run


def measure(contender, seconds):
    if contender.before:
        contender.before()
    before = [server.cpu() for server in contender.servers]
    run = contender.load(seconds).wait()
    spent = [server.cpu() - then for server, then in zip(contender.servers, before)]
    memory = sum(server.memory() for server in contender.servers)
    # A refusal is cheap, and so is an error.
    wrong = run.broken + (run.refused if contender.status < 400 else run.done - run.refused)
    if wrong or not run.done:
        raise Failed(f"{contender.name}: {wrong} of {run.done} answers were not {contender.status}")
    if contender.after:
        contender.after(run)
    drive.pause()
    return Result(sum(spent) * 1e6 / run.done, spent[0] * 1e6 / run.done, memory, run)


def race(contenders, rounds, seconds, warm_up, shuffle, say):
    """Everybody in turn, in another order each round."""
    for contender in contenders:
        contender.prove()
    if warm_up:
        for contender in contenders:
            contender.load(1).wait()
    for number in range(rounds):
        order = list(contenders)
        shuffle(order)
        for contender in order:
            contender.results.append(measure(contender, seconds))
        say(f"round {number + 1} of {rounds}")
