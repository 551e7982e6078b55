"""What the suite has to know of a proxy: where it is, what it guards, and how one gets past it. A TOML file, or made by
whoever starts the proxy. Every key is explained in docs/security-tests.md.
"""

import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from .tokens import Minter, Rsa, decoded, forged

# Headers of these names come from the proxy or from nobody.
FORWARDED = ["X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Prefix",
             "X-Forwarded-Server", "Forwarded", "X-Real-IP"]  # fmt: skip


@dataclass
class Profile:
    name: str = "a proxy"
    # Where clients connect, as host:port; and what they write into Host.
    base: str = ""
    host: str = ""
    # Where it speaks HTTP/2 without TLS, if it does.
    h2c: str = ""
    # Where its app is to listen; the suite does.
    upstream: str = "127.0.0.1:0"
    # Paths, each with all that is below: for whoever has the credential; for everybody; for whom it takes more.
    protected: str = "/app"
    public: str = "/open"
    role: str = ""
    # A host at which nothing is public, though `public` is at others; and one that is not served at all.
    private_host: str = ""
    unknown_host: str = ""
    # Headers that say who is calling, and the claim that each is from ("" for none).
    identity: dict = field(default_factory=dict)
    # More headers that no client may set: the proxy sets or removes them.
    reserved: list = field(default_factory=list)
    # Lines that each request needs, and is judged without: an API key, say.
    always: list = field(default_factory=list)
    # How a token is presented: lines with {token} in them.
    bearer: str = "Authorization: Bearer {token}"
    cookie: str = ""
    # An API key: its header, a good one, and paths that need it.
    key_header: str = ""
    key: str = ""
    # Tokens, if the suite can't make them.
    token: str = ""
    expired: str = ""
    forged: str = ""
    minter: Minter | None = None
    # A good one without the claims that need not be there.
    bare_token: str = ""
    # The origin of a page that may call.
    origin: str = ""
    # Programs' logs, to be searched for secrets.
    logs: list = field(default_factory=list)
    # A login as the project dialect of Tollgate has: its path.
    login: str = ""
    websocket: bool = True
    # What it has not got, and why: {"r36": "it has no second factor"}.
    lacks: dict = field(default_factory=dict)

    def __post_init__(self):
        self.host = self.host or self.base
        if self.minter:
            self.token = self.token or self.minter.token()
            self.expired = self.expired or self.minter.expired()
            optional = {claim: None for claim in self.identity.values() if claim not in ("", "sub", "jti")}
            self.bare_token = self.bare_token or self.minter.token(**optional)
        self.forged = self.forged or (forged(self.token) if self.token.count(".") == 2 else "x" * len(self.token))

    def lines(self, token=None, cookie=None, host=None, key=True):
        """The header lines of a request that is to pass: Host, what is always needed, and a token."""
        found = [f"Host: {self.host if host is None else host}", *(self.always if key else [])]
        if token is not None:
            found.append(self.bearer.format(token=token))
        if cookie is not None:
            found.append(self.cookie.format(token=cookie))
        return found

    @classmethod
    def load(cls, path):
        """From a TOML file, whose keys are the fields; `[jwt]` says how tokens are made."""
        said = tomllib.loads(Path(path).read_text())
        jwt = said.pop("jwt", None)
        unknown = set(said) - set(cls.__dataclass_fields__)
        if unknown:
            raise SystemExit(f"{path}: no such key: {', '.join(sorted(unknown))}")
        if jwt:
            said["minter"] = minter(jwt)
        return cls(**said)


def minter(jwt):
    """`secret` (text) or `k` (base64url) for HS256; or n, e and d of an RSA key for RS256. `header` and `claims`."""
    header = {"alg": "RS256" if "d" in jwt else "HS256", "typ": "JWT"} | jwt.get("header", {})
    if "d" in jwt:
        return Minter(header, jwt.get("claims", {}), rsa=Rsa.of_jwk(jwt))
    secret = decoded(jwt["k"]) if "k" in jwt else jwt["secret"].encode()
    return Minter(header, jwt.get("claims", {}), secret=secret)
