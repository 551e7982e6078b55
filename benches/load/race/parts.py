"""Who runs against whom."""

from . import peers
from .awake import Awake
from .contenders import Contender, race, request
from .field import Field
from .report import Section
from .tokens import ALGORITHMS

MANY = 100_000
PUBLIC = "API key, origin; takes identity headers of clients out; metrics"
REVOCATIONS = 1_000_000


def checks(lab):
    """Each algorithm, and everybody else."""
    field = Field(lab, lab.directory / "checks")
    bare = field.plain("bare pingora", field.bare())
    reference = field.haproxy_checks()
    ours = [
        Contender("Tollgate, a public route and no token", [field.gate()], request(), PUBLIC, path="/public/notes?page=2"),
        field.tollgate("HS256"),
        field.tollgate("HS256", cookie=True),
        field.tollgate("RS256"),
        field.tollgate("ES256"),
    ]
    for algorithm in ("HS256", "RS256"):
        ours += [field.tollgate(algorithm, label, gate=gate) for label, gate in field.other_builds(algorithm)]
    theirs = [
        *(field.bare_checks(algorithm) for algorithm in ALGORITHMS),
        field.plain("HAProxy", peers.haproxy_plain(field.directory, field.app)),
        reference,
        field.haproxy_same(),
        field.haproxy_checks("RS256"),
        field.haproxy_same("RS256"),
        field.haproxy_checks("ES256"),
        field.plain("nginx", peers.nginx_plain(field.directory, field.app)),
        field.nginx_auth_request(),
        field.plain("Caddy", peers.caddy(field.directory, field.app)),
        field.caddy_forward_auth(),
        field.plain("Apache", peers.apache(field.directory, field.app)),
        field.apache_openidc(),
    ]
    said = (
        "A token that the gate has seen before, in `Authorization` if nothing else is said. Its rules ask for an API key and "
        "an origin beside it, and everybody is sent both. Columns with × are medians of the ratios of each round."
    )
    return run(lab, Section("checks", said, [bare, *ours, *theirs], bare, reference), 5)


def tokens(lab):
    """Tokens that are not known, or no good."""
    field = Field(lab, lab.directory / "tokens")
    bare = field.plain("bare pingora", field.bare())
    reference = field.haproxy_checks()
    contenders = [bare]
    for algorithm in ALGORITHMS:
        for label, gate in [("", field.gate(algorithm)), *field.other_builds(algorithm)]:
            forged = field.forged(algorithm)
            contenders += [
                field.tollgate_never_seen(algorithm, label, gate),
                field.tollgate_refusing("a forged token", forged, algorithm, label, gate),
            ]
    contenders += [
        field.tollgate_refusing("an expired token", field.key().expired()),
        field.tollgate_refusing("no token", None),
        reference,
    ]
    said = (
        "*Each token new*: every request brings a token of its own, whose signature has to be verified and which is then "
        "remembered; the gate's own metrics have to agree that it had seen none of them. "
        "Who is refused costs no request to the app, so that the ratios say by how much refusing is cheaper than forwarding."
    )
    return run(lab, Section("tokens", said, contenders, bare, reference), 3)


def protocols(lab):
    """HTTP/2, and TLS."""
    field = Field(lab, lab.directory / "protocols")
    tls = field.authority
    certificate = ["--tls", tls.directory / "gate.pem", tls.directory / "gate.key"]
    bind = f" ssl crt {tls.directory}/both.pem alpn h2,http/1.1"
    bare, bare_tls = field.bare("--h2c"), field.bare(*certificate, name="bare-tls")
    h2c = {"name": "gate-h2c", "server": "threads = 1\nh2c = true"}
    with_tls = {"name": "gate-tls", "tls": tls}
    gates = [("", field.gate(**h2c)), *field.other_builds(**h2c)]
    gates_tls = [("", field.gate(**with_tls)), *field.other_builds(**with_tls)]
    haproxy = peers.haproxy_jwt(field.directory, field.app, field.key())
    haproxy_tls = peers.haproxy_jwt(field.directory, field.app, field.key(), "haproxy-tls", bind)
    sections = []
    for kind, more, servers in [
        ("HTTP/2 without TLS", {"protocol": "h2"}, (bare, gates, haproxy)),
        ("HTTP/1.1 over TLS", {"authority": tls}, (bare_tls, gates_tls, haproxy_tls)),
        ("HTTP/2 over TLS", {"protocol": "h2", "authority": tls}, (bare_tls, gates_tls, haproxy_tls)),
    ]:
        plain = field.plain(f"bare pingora, {kind}", servers[0], **more)
        ours = [field.tollgate(label=label, kind=f", {kind}", gate=gate, **more) for label, gate in servers[1]]
        theirs = field.haproxy_checks(kind=f", {kind}", server=servers[2], **more)
        sections.append(Section("protocols", "", [plain, *ours, theirs], plain, theirs))
    everybody = [contender for section in sections for contender in section.contenders]
    enter(lab, everybody, 3)
    sections[0].said = (
        "HTTP/2 with 4 connections of 8 streams each, from h2load; HTTP/1.1 with 32 connections, from wrk. To the app everybody "
        "speaks HTTP/1.1. Ratios are to those who speak the same."
    )
    return sections


def sizes(lab):
    """Many keys, routes and revocations."""
    field = Field(lab, lab.directory / "sizes")
    many = MANY // (100 if lab.quick else 1)
    revoked = REVOCATIONS // (100 if lab.quick else 1)
    bare = field.plain("bare pingora", field.bare())
    gates = {
        "10 API keys, 10 routes": field.gate(name="gate-small", api_keys=10, routes=10),
        f"{many:,} API keys": field.gate(name="gate-keys", api_keys=many, routes=10),
        f"{many:,} routes": field.gate(name="gate-routes", api_keys=10, routes=many),
        f"{revoked:,} revocations": field.gate(name="gate-revocations", api_keys=10, routes=10, revocations=revoked),
    }
    ours = [field.tollgate(kind=f", {what}", gate=gate) for what, gate in gates.items()]
    started = ", ".join(f"{gate.started_in:.1f} s with {what}" for what, gate in gates.items())
    busy = max(gate.settle() for gate in gates.values())
    said = f"The second column of ratios is to the smallest of these configurations. Starting took {started}."
    if busy > 2:
        said += f" After that one of them was busy with itself for another {busy:.0f} s, which is not in the figures."
    return run(lab, Section("sizes", said, [bare, *ours], bare, ours[0], second="the smallest"), 3)


def awake(lab):
    """The first part again, with cores that don't sleep."""
    field = Field(lab, lab.directory / "awake")
    bare = field.plain("bare pingora", field.bare())
    reference = field.haproxy_checks()
    ours = [field.tollgate("HS256"), field.tollgate("RS256")]
    for algorithm in ("HS256", "RS256"):
        ours += [field.tollgate(algorithm, label, gate=gate) for label, gate in field.other_builds(algorithm)]
    theirs = [
        *(field.bare_checks(algorithm) for algorithm in ("HS256", "RS256")),
        field.plain("HAProxy", peers.haproxy_plain(field.directory, field.app)),
        reference,
        field.haproxy_same(),
        field.haproxy_checks("RS256"),
        field.haproxy_same("RS256"),
        field.nginx_auth_request(),
    ]
    said = (
        "To wake a core that sleeps costs whoever does it, in a virtual machine often more than everything that a proxy does for "
        "a request. Here each core is kept awake by a process that takes only what nobody else wants (`SCHED_IDLE`): what is "
        "left is closer to the proxies' own work, and to a machine that has much to do."
    )
    with Awake():
        return run(lab, Section("awake", said, [bare, *ours, *theirs], bare, reference), 3)


def run(lab, section, rounds):
    enter(lab, section.contenders, rounds)
    return [section]


def enter(lab, contenders, rounds):
    rounds = lab.rounds or (1 if lab.quick else rounds)
    race(contenders, rounds, 1 if lab.quick else lab.seconds, not lab.quick, lab.shuffle, lab.say)
