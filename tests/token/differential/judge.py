"""Makes and judges tokens with PyJWT and joserfc: what two libraries say that nobody of Tollgate wrote.

make KEYS            prints [[maker, algorithm, token], ...]
judge KEYS TOKENS    prints [[PyJWT accepts, joserfc accepts], ...], in the order of the tokens
"""

import json
import sys
import time
import warnings

import jwt
from joserfc import jwt as jose_jwt
from joserfc.jwk import KeySet, import_key

# EdDSA has a second name since RFC 9864; ours is the first.
warnings.simplefilter("ignore")

task, keys_file = sys.argv[1:3]
setup = json.load(open(keys_file))
keys, issuer, audience = setup["keys"], setup["issuer"], setup["audience"]
algorithms = [key["alg"] for key in keys]


def make():
    now = int(time.time())
    claims = {"iss": issuer, "sub": "user", "aud": audience, "iat": now, "exp": now + 3600}
    variants = [
        claims,
        {**claims, "aud": ["other", audience], "nbf": now, "scope": "read write"},
        {**claims, "name": "Zoë ☃ \U0001f600", "nested": {"a": [1, 2.5, None, True]}, "big": 2**60},
    ]
    made = []
    for key in keys:
        for payload in variants:
            headers = {"kid": key["kid"], "typ": "JWT"}
            token = jwt.encode(payload, key["pem"], algorithm=key["alg"], headers=headers)
            made.append(["PyJWT", key["alg"], token])
            private = import_key(key["pem"], {"RSA": "RSA", "EC": "EC", "OKP": "OKP"}[key["jwk"]["kty"]])
            headers = {"alg": key["alg"], "kid": key["kid"], "typ": "at+jwt"}
            made.append(["joserfc", key["alg"], jose_jwt.encode(headers, payload, private, algorithms=algorithms)])
    return made


def judge(tokens):
    set_of_pyjwt = {key["kid"]: (jwt.PyJWK(key["jwk"]).key, key["alg"]) for key in keys}
    set_of_joserfc = KeySet.import_key_set({"keys": [key["jwk"] for key in keys]})
    by_algorithm = {key["alg"]: set_of_joserfc.get_by_kid(key["kid"]) for key in keys}
    registry = jose_jwt.JWTClaimsRegistry(
        leeway=5,
        iss={"essential": True, "value": issuer},
        aud={"essential": True, "value": audience},
        exp={"essential": True},
        sub={"essential": True},
    )

    def pyjwt(token):
        header = jwt.get_unverified_header(token)
        kid, alg = header.get("kid"), header.get("alg")
        if kid is None:
            kid = next(key["kid"] for key in keys if key["alg"] == alg)
        key, of_key = set_of_pyjwt[kid]
        jwt.decode(
            token,
            key,
            algorithms=[of_key],
            audience=audience,
            issuer=issuer,
            leeway=5,
            options={"require": ["exp", "sub", "iss", "aud"]},
        )

    def joserfc(token):
        def choose(obj):
            kid = obj.headers().get("kid")
            return by_algorithm[obj.headers()["alg"]] if kid is None else set_of_joserfc.get_by_kid(kid)

        decoded = jose_jwt.decode(token, choose, algorithms=algorithms)
        registry.validate(decoded.claims)

    def accepts(verify, token):
        # Whatever is thrown at a forged token is a refusal.
        try:
            verify(token)
        except Exception:
            return False
        return True

    return [[accepts(pyjwt, token), accepts(joserfc, token)] for token in tokens]


print(json.dumps(make() if task == "make" else judge(json.load(open(sys.argv[3])))))
