"""Keys and tokens that everybody who checks them is given alike. The gate would sign the same ones."""

import base64
import json
import secrets
import time
from concurrent.futures import ThreadPoolExecutor

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

ISSUER = "https://gate.example.com"
AUDIENCE = "app"
SUBJECT = "f49c890269904e88b135c56b4d7e6531"
USERNAME = "alice"
ALGORITHMS = ("HS256", "RS256", "ES256")
DAY = 86_400


class Key:
    """One of an algorithm: as the gate keeps it, as PEM for the others, and signing."""

    def __init__(self, algorithm, directory):
        self.algorithm, self.kid = algorithm, secrets.token_hex(16)
        private = {"HS256": None, "RS256": rsa_key, "ES256": ec_key}[algorithm]
        # Letters and digits, so that it can be written into any configuration.
        self.secret = None if private else secrets.token_hex(32)
        self.private = private() if private else None
        # What a verifier has to be given: the shared secret, or a file with the public key.
        self.pem = None
        if self.private:
            self.pem = directory / f"{algorithm}.pem"
            form = serialization.PublicFormat.SubjectPublicKeyInfo
            self.pem.write_bytes(self.private.public_key().public_bytes(serialization.Encoding.PEM, form))

    def jwk(self):
        """Both halves, as the gate keeps them."""
        now = int(time.time()) - DAY
        about = {"use": "sig", "alg": self.algorithm, "kid": self.kid, "iat": now, "nbf": now}
        if self.private:
            kind = jwt.algorithms.RSAAlgorithm if self.algorithm == "RS256" else jwt.algorithms.ECAlgorithm
            members = kind.to_jwk(self.private, as_dict=True)
            members.pop("key_ops", None)
        else:
            members = {"kty": "oct", "k": base64.urlsafe_b64encode(self.secret.encode()).decode().rstrip("=")}
        return members | about

    def write_jwk(self, directory):
        """A file of the gate's `keys_dir`."""
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / f"{self.kid}.jwk"
        path.write_text(json.dumps(self.jwk()))
        path.chmod(0o600)

    def token(self, ttl=DAY, **claims):
        """An access token as the gate's own."""
        now = int(time.time()) - 60
        about = {"iss": ISSUER, "aud": AUDIENCE, "sub": SUBJECT, "jti": secrets.token_hex(16), "iat": now, "nbf": now}
        said = about | {"exp": now + 60 + ttl, "username": USERNAME} | claims
        headers = {"typ": "at+jwt", "kid": self.kid}
        return jwt.encode(said, self.private or self.secret, self.algorithm, headers)

    def expired(self):
        return self.token(ttl=-600, iat=int(time.time()) - 1200, nbf=int(time.time()) - 1200)

    def many(self, count):
        """So many different ones."""
        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(lambda _: self.token(), range(count)))


def forged(token):
    """The same claims and another signature, of the same length."""
    head, claims, signature = token.split(".")
    first = "A" if signature[0] != "A" else "B"
    return f"{head}.{claims}.{first}{signature[1:]}"


def rsa_key():
    return rsa.generate_private_key(65_537, 2048)


def ec_key():
    return ec.generate_private_key(ec.SECP256R1())
