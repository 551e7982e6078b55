"""A bit of everything that a gate does, for a build that is profiled. Nothing is measured."""

import signal

from soak.machine import Failed

from . import drive
from .contenders import PATH, request
from .field import Field
from .gate import KEY, LOGIN, ORIGIN, PASSWORD, Gate
from .tokens import ALGORITHMS

POST = """
wrk.method = "POST"
wrk.body = string.rep("x", 1024)
wrk.headers["Content-Type"] = "text/plain"
"""
# Every fifth is wrong: not so many one after the other that the account would be closed.
LOG_IN = """
local asked = 0
request = function()
    asked = asked + 1
    local password = asked %% 5 == 0 and "wrong" or "%s"
    return wrk.format("POST", nil, { ["Host"] = wrk.headers["Host"], ["X-API-Key"] = "%s", ["Origin"] = "%s",
        ["Content-Type"] = "application/json" }, '{"username":"alice","password":"' .. password .. '"}')
end
"""


def train(lab):
    field = Field(lab, lab.directory / "train")
    keys = [field.key(algorithm) for algorithm in ALGORITHMS]
    gate = Gate(lab.binary, field.directory, "gate", field.app, *keys, api_keys=10, routes=20, server="threads = 1\nh2c = true")
    gate.add_user("alice")
    plain = f"http://127.0.0.1:{gate.port}"
    known = request(field.token())
    # Of a realm: where its routes are, a token, and new ones.
    for number, algorithm in enumerate(ALGORITHMS):
        path = PATH if number == 0 else f"/{algorithm.lower()}/notes?page=2"
        go(lab, f"{algorithm}, known", drive.Wrk, plain + path, request(field.token(algorithm)), 3 if number == 0 else 2)
        go(lab, f"{algorithm}, new", drive.Wrk, plain + path, request(), 1, tokens=field.never_seen(algorithm, 0.2))
        go(lab, f"{algorithm}, forged", drive.Wrk, plain + path, request(field.forged(algorithm)), 1, status=401)
    go(lab, "cookie", drive.Wrk, plain + PATH, request(cookie=field.token()), 2)
    go(lab, "no token", drive.Wrk, plain + PATH, request(), 1, status=401)
    go(lab, "wrong key", drive.Wrk, plain + PATH, request(field.token(), key="a wrong API key"), 1, status=400)
    go(lab, "public", drive.Wrk, plain + "/public/x", request(), 1)
    go(lab, "bodies", drive.Wrk, plain + PATH, known, 2, extra=POST)
    go(lab, "HTTP/2", drive.H2Load, plain + PATH, known, 2)
    go(lab, "logins", drive.Wrk, plain + LOGIN, request(), 2, status=None, connections=4, extra=LOG_IN % (PASSWORD, KEY, ORIGIN))
    stop(gate)
    gate = field.gate(name="gate-tls", tls=field.authority)
    secure = f"https://127.0.0.1:{gate.port}{PATH}"
    go(lab, "HTTP/1.1 over TLS", drive.Wrk, secure, known, 2)
    go(lab, "HTTP/2 over TLS", drive.H2Load, secure, known, 2)
    stop(gate)


def go(lab, what, driver, url, headers, seconds, status=200, **options):
    """One load. `status`: of every answer; None if they differ."""
    run = driver(url, headers, seconds, **options).wait()
    wrong = run.broken + {None: 0, 200: run.refused}.get(status, run.done - run.refused)
    if wrong or not run.done:
        raise Failed(f"{what}: {wrong} of {run.done} answers were not {status}")
    lab.say(f"{what}: {run.done:,} requests")


def stop(gate):
    """As an operator does, so that it writes down what was profiled."""
    code = gate.process.stop(signal.SIGTERM)
    if code != 0:
        raise Failed(f"the gate ended with {code}:\n{gate.log.read_text(errors='replace')[-2000:]}")
