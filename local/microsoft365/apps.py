"""The registrations file, and proofs of an application's identity (secret or certificate)."""

import base64
import hashlib
import hmac
from pathlib import Path
from typing import Any

import orjson
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from local.microsoft365.roles import wanted_by
from local.microsoft365.tenant import Application
from local.microsoft365.tokens import unb64

JSON = dict[str, Any]


class BadRegistrations(Exception):
    """The registrations file cannot be used; the message says why."""


def load(path: Path) -> JSON:
    """Read the registrations file; raises BadRegistrations."""
    try:
        value = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError) as problem:
        raise BadRegistrations(f"cannot read registrations {path}: {problem}") from problem
    if not isinstance(value, dict) or not isinstance(value.get("apps"), list):
        raise BadRegistrations(f'registrations {path} need "partnerTenantId" and "apps"')
    return value


def applications(registrations: JSON) -> dict[str, Application]:
    """Return the registered applications by client id; raises BadRegistrations."""
    found = {}
    for entry in registrations.get("apps", []):
        try:
            app = Application(
                client_id=entry["clientId"].lower(),
                name=entry.get("name", entry["clientId"]),
                kind=entry["kind"],
                home_tenant=entry.get("homeTenantId") or registrations["partnerTenantId"],
                secret_sha256=entry.get("secretSha256"),
                app_roles=list(entry.get("appRoles", [])),
                wanted_roles=list(entry.get("requiredRoles") or wanted_by(entry.get("name", ""))),
            )
            if entry.get("certificatePem"):
                app.certificates.append(
                    x509.load_pem_x509_certificate(entry["certificatePem"].encode())
                )
        except (KeyError, AttributeError, ValueError) as problem:
            raise BadRegistrations(f"bad registration {entry!r:.80}: {problem}") from problem
        found[app.client_id] = app
    return found


def certificate_of(key: JSON) -> x509.Certificate:
    """Read the certificate of a Graph keyCredential; raises ValueError."""
    raw = base64.b64decode(key.get("key") or "")
    if raw.startswith(b"-----"):
        return x509.load_pem_x509_certificate(raw)
    return x509.load_der_x509_certificate(raw)


def secret_matches(app: Application, secret: str) -> bool:
    """Compare a client secret with the registered hash."""
    given = hashlib.sha256(secret.encode()).hexdigest()
    return bool(app.secret_sha256) and hmac.compare_digest(given, str(app.secret_sha256).lower())


def assertion_problem(
    app: Application, assertion: str, audiences: set[str], now: float
) -> tuple[int, str] | None:
    """Check a client assertion; return (AADSTS code, message) of what is wrong, None when good."""
    try:
        head, body, signature = assertion.split(".")
        header = orjson.loads(unb64(head))
        claims = orjson.loads(unb64(body))
        sealed = unb64(signature)
    except (ValueError, TypeError):
        return 50027, "JWT token is invalid or malformed."
    algorithm = header.get("alg")
    if algorithm not in ("RS256", "PS256"):
        return 5002738, f"Invalid JWT token. '{algorithm}' is not a supported signature algorithm."
    pad: padding.AsymmetricPadding = (
        padding.PKCS1v15()
        if algorithm == "RS256"
        else padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
    )
    for certificate in app.certificates:
        key = certificate.public_key()
        if isinstance(key, rsa.RSAPublicKey):
            try:
                key.verify(sealed, f"{head}.{body}".encode(), pad, hashes.SHA256())
            except InvalidSignature:
                continue
            break
    else:
        text = "The certificate with identifier used to sign the client assertion is not "
        return 700027, text + "registered on application. [Reason - The key was not found.]"
    if claims.get("iss") != app.client_id or claims.get("sub") != app.client_id:
        return 700021, "Client assertion application identifier doesn't match 'client_id'."
    if claims.get("aud") not in audiences:
        return 700023, "Client assertion audience claim does not match the endpoint."
    if not float(claims.get("nbf", 0)) - 300 <= now <= float(claims.get("exp", 0)) + 300:
        return 700024, "Client assertion is not within its valid time range."
    return None
