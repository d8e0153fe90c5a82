"""A sign-in service of one key set on the loopback: tests sign tokens with their own RSA keys.

The validator under test is the real one; only the address of the keys differs.
"""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

TEMPLATE = "{tenantid}"


class Entra:
    """Signs tokens, serves the public keys, counts how often they were fetched."""

    def __init__(self) -> None:
        self.fetched = 0
        self._keys: dict[str, rsa.RSAPrivateKey] = {}
        self._published: list[dict[str, Any]] = []
        entra = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                entra.fetched += 1
                body = json.dumps({"keys": entra._published}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.authority = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self.add_key("one")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def add_key(self, kid: str, issuer: str = "", *, published: bool = True) -> None:
        """A new signing key; the default issuer is the template of every organisation."""
        key = self._keys[kid] = rsa.generate_private_key(65537, 2048)
        if published:
            public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key()))
            issuer = issuer or f"{self.authority}/{TEMPLATE}/v2.0"
            self._published.append(public | {"kid": kid, "use": "sig", "issuer": issuer})

    def claims(self, tenant: str, audience: str, **changed: Any) -> dict[str, Any]:
        """Claims of a good application token; a change to None leaves the claim out."""
        now = int(time.time())
        good = {
            "iss": f"{self.authority}/{tenant}/v2.0",
            "tid": tenant,
            "aud": audience,
            "sub": "subject",
            "oid": "object",
            "ver": "2.0",
            "iat": now,
            "nbf": now,
            "exp": now + 3600,
            "idtyp": "app",
            "azp": "client",
            "azpacr": "1",
            "roles": ["Partner.Admin"],
        }
        return {name: value for name, value in (good | changed).items() if value is not None}

    def sign(self, claims: dict[str, Any], kid: str = "one", algorithm: str = "RS256") -> str:
        """A token signed by the key `kid`."""
        return jwt.encode(claims, self._keys[kid], algorithm, headers={"kid": kid})

    def token(self, tenant: str, audience: str, *, kid: str = "one", **changed: Any) -> str:
        """A signed token with changed claims."""
        return self.sign(self.claims(tenant, audience, **changed), kid)
