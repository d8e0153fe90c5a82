"""A small Key Vault: keys with versions, wrap, unwrap and sign for real, its challenge.

Speaks the part of the REST API (7.x) that the product uses, with Key Vault's errors: 401 with a
`WWW-Authenticate` challenge, 403 for a disabled version, 404 KeyNotFound, 400 for a foreign wrap.
"""

import base64
import json
import ssl
import threading
import time
import uuid
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

RESOURCE = "https://vault.azure.net"
_OAEP = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
JSON = dict[str, Any]


@dataclass
class Version:
    """One version of a key."""

    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
    enabled: bool = True
    made: int = field(default_factory=lambda: int(time.time()))


class Refused(Exception):
    """An error of Key Vault."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status, self.code = status, code


class KeyVault:
    """Serves on 127.0.0.1 with the certificate given; `token` is the only one it takes."""

    def __init__(self, certificate: Path, key: Path, token: str = "let me in") -> None:  # noqa: S107
        self.keys: dict[str, dict[str, Version]] = {}
        self.asked: list[str] = []
        self.token = token
        vault = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                vault._answer(self, None)

            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                vault._answer(self, json.loads(self.rfile.read(length) or b"{}"))

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._server.daemon_threads = True
        self.url = f"https://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def rotate(self, name: str, bits: int = 3072) -> str:
        """Make a key, or the next version of it; the version."""
        version = uuid.uuid4().hex
        self.keys.setdefault(name, {})[version] = Version(rsa.generate_private_key(65537, bits))
        return version

    def make_signing(self, name: str) -> str:
        """Make an EC P-256 key, or the next version of it; the version."""
        version = uuid.uuid4().hex
        self.keys.setdefault(name, {})[version] = Version(ec.generate_private_key(ec.SECP256R1()))
        return version

    def _answer(self, call: BaseHTTPRequestHandler, body: JSON | None) -> None:
        path = call.path.partition("?")[0]
        self.asked.append(f"{call.command} {path}")
        if call.headers.get("Authorization") != f"Bearer {self.token}":
            challenge = f'Bearer authorization="https://login.example/t", resource="{RESOURCE}"'
            self._send(call, 401, _error("Unauthorized"), {"WWW-Authenticate": challenge})
            return
        try:
            self._send(call, 200, self._do(path.strip("/").split("/"), body))
        except Refused as refused:
            self._send(call, refused.status, _error(refused.code))

    def _do(self, parts: list[str], body: JSON | None) -> JSON:
        name = parts[1] if len(parts) > 1 and parts[0] == "keys" else ""
        versions = self.keys.get(name)
        if not versions:
            raise Refused(404, "KeyNotFound")
        version = parts[2] if len(parts) > 2 and parts[2] else list(versions)[-1]
        found = versions.get(version)
        if found is None:
            raise Refused(404, "KeyNotFound")
        kid = f"{self.url}/keys/{name}/{version}"
        if body is None:
            return _bundle(kid, found)
        if not found.enabled:
            raise Refused(403, "Forbidden")
        if isinstance(found.key, ec.EllipticCurvePrivateKey):
            return {"kid": kid, "value": _b64(_signed(found.key, parts[3], body))}
        if body.get("alg") != "RSA-OAEP-256":
            raise Refused(400, "BadParameter")
        given = _unb64(body["value"])
        if parts[3] == "wrapkey":
            return {"kid": kid, "value": _b64(found.key.public_key().encrypt(given, _OAEP))}
        try:
            return {"kid": kid, "value": _b64(found.key.decrypt(given, _OAEP))}
        except ValueError:
            raise Refused(400, "BadParameter") from None

    def _send(
        self, call: BaseHTTPRequestHandler, status: int, body: JSON, headers: JSON | None = None
    ) -> None:
        data = json.dumps(body).encode()
        call.send_response(status)
        for name, value in (headers or {}).items():
            call.send_header(name, value)
        call.send_header("Content-Type", "application/json")
        call.send_header("Content-Length", str(len(data)))
        call.end_headers()
        call.wfile.write(data)


def _signed(key: ec.EllipticCurvePrivateKey, verb: str, body: JSON) -> bytes:
    if (verb, body.get("alg")) != ("sign", "ES256"):
        raise Refused(400, "BadParameter")
    digest = utils.Prehashed(hashes.SHA256())
    r, s = utils.decode_dss_signature(key.sign(_unb64(body["value"]), ec.ECDSA(digest)))
    return r.to_bytes(32) + s.to_bytes(32)


def _bundle(kid: str, found: Version) -> JSON:
    attributes = {"enabled": found.enabled, "created": found.made, "updated": found.made}
    if isinstance(found.key, ec.EllipticCurvePrivateKey):
        point = found.key.public_key().public_numbers()
        place = {"x": _b64(point.x.to_bytes(32)), "y": _b64(point.y.to_bytes(32))}
        shown = {"kid": kid, "kty": "EC", "crv": "P-256", "key_ops": ["sign", "verify"], **place}
        return {"key": shown, "attributes": attributes}
    numbers = found.key.public_key().public_numbers()
    operations = ["wrapKey", "unwrapKey"]
    return {
        "key": {
            "kid": kid,
            "kty": "RSA",
            "key_ops": operations,
            "n": _b64(numbers.n.to_bytes(-(-numbers.n.bit_length() // 8))),
            "e": _b64(numbers.e.to_bytes(3)),
        },
        "attributes": attributes,
    }


def _error(code: str) -> JSON:
    return {"error": {"code": code, "message": code}}


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
