"""JWTs, good ones and others, with the standard library alone."""

import base64
import hashlib
import hmac
import json
import random
import secrets
import time

SHA256_INFO = bytes.fromhex("3031300d060960864801650304020105000420")


def encoded(data):
    """base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decoded(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def as_json(value):
    """A value as JSON; text and bytes as they are, so that one can write what no JSON library would."""
    if isinstance(value, bytes):
        return value
    return value.encode() if isinstance(value, str) else json.dumps(value, separators=(",", ":")).encode()


def hs256(secret, signed):
    return hmac.digest(secret, signed, hashlib.sha256)


class Rsa:
    """A key pair for RS256."""

    def __init__(self, n, e, d):
        self.n, self.e, self.d = n, e, d

    @classmethod
    def new(cls, bits=2048):
        while True:
            p, q = prime(bits // 2), prime(bits // 2)
            if p != q and (p * q).bit_length() == bits and (p - 1) % 65537 and (q - 1) % 65537:
                return cls(p * q, 65537, pow(65537, -1, (p - 1) * (q - 1)))

    @classmethod
    def of_jwk(cls, jwk):
        return cls(*(int.from_bytes(decoded(jwk[name]), "big") for name in "ned"))

    def sign(self, signed):
        size = (self.n.bit_length() + 7) // 8
        info = SHA256_INFO + hashlib.sha256(signed).digest()
        padded = b"\0\1" + b"\xff" * (size - len(info) - 3) + b"\0" + info
        return pow(int.from_bytes(padded, "big"), self.d, self.n).to_bytes(size, "big")

    def jwk(self, kid):
        number = {"n": self.n, "e": self.e}
        number = {name: encoded(value.to_bytes((value.bit_length() + 7) // 8, "big")) for name, value in number.items()}
        return {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": kid} | number

    def der(self):
        """The public half as SubjectPublicKeyInfo."""
        numbers = sequence(integer(self.n) + integer(self.e))
        oid = bytes.fromhex("300d06092a864886f70d0101010500")
        return sequence(oid + tagged(3, b"\0" + numbers))

    def pem(self):
        text = base64.encodebytes(self.der()).replace(b"\n", b"")
        lines = b"\n".join(text[at : at + 64] for at in range(0, len(text), 64))
        return b"-----BEGIN PUBLIC KEY-----\n" + lines + b"\n-----END PUBLIC KEY-----\n"


def tagged(tag, content):
    size = len(content)
    if size < 128:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 128 | len(length)]) + length + content


def sequence(content):
    return tagged(0x30, content)


def integer(value):
    return tagged(2, value.to_bytes(value.bit_length() // 8 + 1, "big"))


SMALL = [n for n in range(3, 2000, 2) if all(n % d for d in range(3, int(n**0.5) + 1, 2))]


def prime(bits):
    while True:
        n = secrets.randbits(bits) | (3 << bits - 2) | 1
        if all(n % small for small in SMALL) and all(probably_prime(n) for _ in range(8)):
            return n


def probably_prime(n):
    d, s = n - 1, 0
    while d % 2 == 0:
        d, s = d // 2, s + 1
    x = pow(random.randrange(2, n - 1), d, n)
    if x in (1, n - 1):
        return True
    return any((x := x * x % n) == n - 1 for _ in range(s - 1))


class Minter:
    """Makes tokens as an issuer does: with its key, its header and its claims, all of which a check can change."""

    def __init__(self, header, claims, secret=None, rsa=None):
        """`secret` (bytes) for HS256, or `rsa` for RS256. `claims` has none that is a time."""
        self.header, self.claims, self.secret, self.rsa = header, claims, secret, rsa

    def sign(self, signed):
        return self.rsa.sign(signed) if self.rsa else hs256(self.secret, signed)

    def times(self, ttl=3600, age=60):
        now = int(time.time())
        return {"iat": now - age, "nbf": now - age, "exp": now + ttl}

    def said(self, **claims):
        """A whole set of claims; None takes one out."""
        said = self.claims | self.times() | {"jti": secrets.token_hex(16)} | claims
        return {name: value for name, value in said.items() if value is not None}

    def token(self, **claims):
        return self.compact(self.header, self.said(**claims))

    def expired(self):
        return self.token(**self.times(ttl=-600, age=1200))

    def with_header(self, header, **claims):
        """Signed as ever, under this header; members that are None are left out."""
        header = {name: value for name, value in (self.header | header).items() if value is not None}
        return self.compact(header, self.said(**claims))

    def compact(self, header, claims, sign=None):
        """Both as JSON values or as text; `sign` makes the signature of these bytes."""
        signed = f"{encoded(as_json(header))}.{encoded(as_json(claims))}"
        return f"{signed}.{encoded((sign or self.sign)(signed.encode()))}"


def forged(token):
    """The same claims and another signature, of the same length."""
    head, claims, signature = token.split(".")
    return f"{head}.{claims}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"
