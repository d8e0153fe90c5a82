"""Signing and checking tokens: RS256 with keys made at run time."""

import base64
import uuid
from typing import Any

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from local.microsoft365.clock import Clock

JSON = dict[str, Any]


def b64(data: bytes) -> str:
    """Encode as JOSE does."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def unb64(text: str) -> bytes:
    """Decode what `b64` made; raises ValueError."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Signer:
    """The signing keys of the simulated Entra; the newest signs, all are published."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._keys: dict[str, rsa.RSAPrivateKey] = {}
        self._checked: dict[str, JSON] = {}
        self.rotate()

    def rotate(self) -> str:
        """Start a new key and return its kid."""
        kid = b64(uuid.uuid4().bytes)
        self._keys[kid] = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        return kid

    def jwks(self, origin: str) -> JSON:
        """Return the key set, each key with the issuer template it may sign for."""
        keys = []
        for kid, key in self._keys.items():
            numbers = key.public_key().public_numbers()
            keys.append(
                {
                    "kty": "RSA",
                    "use": "sig",
                    "kid": kid,
                    "n": b64(numbers.n.to_bytes(256)),
                    "e": b64(numbers.e.to_bytes(3)),
                    "issuer": f"{origin}/{{tenantid}}/v2.0",
                }
            )
        return {"keys": keys}

    def sign(self, claims: JSON, lifetime: int) -> str:
        """Return a token with times and uti added."""
        now = int(self._clock.seconds())
        full = {
            "iat": now,
            "nbf": now,
            "exp": now + lifetime,
            "uti": b64(uuid.uuid4().bytes),
            "ver": "2.0",
            **claims,
        }
        kid, key = list(self._keys.items())[-1]
        head = b64(orjson.dumps({"typ": "JWT", "alg": "RS256", "kid": kid}))
        text = f"{head}.{b64(orjson.dumps(full))}"
        signature = key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{text}.{b64(signature)}"

    def check(self, token: str) -> JSON | None:
        """Return the claims of a token signed here, whatever its age; None for any other text."""
        known = self._checked.get(token)
        if known is not None:
            return known
        try:
            head, body, signature = token.split(".")
            header = orjson.loads(unb64(head))
            key = self._keys[header["kid"]]
            key.public_key().verify(
                unb64(signature), f"{head}.{body}".encode(), padding.PKCS1v15(), hashes.SHA256()
            )
            claims: JSON = orjson.loads(unb64(body))
        except (ValueError, KeyError, TypeError, InvalidSignature):
            return None
        if len(self._checked) > 5000:
            self._checked.clear()
        self._checked[token] = claims
        return claims
