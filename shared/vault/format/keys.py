"""The key hierarchy and its wraps (section 5.1): KEK and recovery key, TMK, object key."""

import json
import os
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from shared.vault.format.errors import Damaged, FormatError, UnknownFormat
from shared.vault.format.primitives import b64u, hex16, hkdf, seal, sha, unb64u, unseal

ALGORITHM = "RSA-OAEP-256"
MIN_RSA_BITS = 3072
_OAEP = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)


class WeakKey(FormatError):
    """A recovery key that is not RSA or shorter than 3,072 bits."""


@dataclass(frozen=True, slots=True)
class TenantKeys:
    """What a tenant master key gives; never shown by repr (V10)."""

    epoch: int
    ops: bytes = field(repr=False)
    wrap: bytes = field(repr=False)
    oid: bytes = field(repr=False)

    @staticmethod
    def of(tmk: bytes, epoch: int = 1) -> "TenantKeys":
        """Derive; `oid` is meaningful for epoch 1 only."""
        return TenantKeys(
            epoch,
            hkdf(tmk, b"holdfast/1/ops"),
            hkdf(tmk, b"holdfast/1/wrap"),
            hkdf(tmk, b"holdfast/1/oid"),
        )


@dataclass(frozen=True, slots=True)
class ObjectKeys:
    """What an object key gives, bound to its repository and object; never shown by repr (V10)."""

    repo: str
    oid: str
    key: bytes = field(repr=False)
    chunk: bytes = field(repr=False)
    leaf: bytes = field(repr=False)

    @staticmethod
    def of(key: bytes, repo: str, oid: str) -> "ObjectKeys":
        """Derive the chunk and leaf keys."""
        return ObjectKeys(
            repo, oid, key, hkdf(key, b"holdfast/1/chunk"), hkdf(key, b"holdfast/1/leaf")
        )


def public_key(pem: bytes) -> rsa.RSAPublicKey:
    """A recovery public key in PEM; `WeakKey` when it is not RSA of at least 3,072 bits."""
    try:
        key = serialization.load_pem_public_key(pem)
    except ValueError as wrong:
        raise WeakKey("not a public key in PEM") from wrong
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size < MIN_RSA_BITS:
        raise WeakKey(f"a recovery key is RSA with at least {MIN_RSA_BITS} bits")
    return key


def private_key(pem: bytes, password: bytes | None = None) -> rsa.RSAPrivateKey:
    """A private key in PEM that its own holder gives; `WeakKey` when it is none or damaged.

    The parts are held against one another, but p and q are not proved prime: that takes half a
    second and tells a holder nothing, who only opens wraps. A wrap names the public half it was
    made for, and what comes out of it has to authenticate everything else.
    """
    try:
        key = serialization.load_pem_private_key(pem, password, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError) as wrong:
        raise WeakKey("not a private key in PEM, or the wrong password") from wrong
    if not isinstance(key, rsa.RSAPrivateKey):
        raise WeakKey("a recovery key is RSA")
    if not _consistent(key.private_numbers()):
        raise WeakKey("a private key whose parts do not belong together")
    return key


def _consistent(key: rsa.RSAPrivateNumbers) -> bool:
    e, n = key.public_numbers.e, key.public_numbers.n
    p, q, d = key.p, key.q, key.d
    return (
        p > 2 and q > 2 and p != q and p & q & 1 == 1 and e > 2 and e & 1 == 1
        and p * q == n
        and e * d % (p - 1) == 1 and e * d % (q - 1) == 1
        and key.dmp1 == d % (p - 1) and key.dmq1 == d % (q - 1)
        and key.iqmp * q % p == 1
    )  # fmt: skip


def spki_sha256(key: rsa.RSAPublicKey) -> str:
    """Hex SHA-256 of the key's SubjectPublicKeyInfo: how a wrap names its recovery key."""
    return sha(
        key.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    ).hex()


def wrap_rsa(key: rsa.RSAPublicKey, secret: bytes) -> bytes:
    """RSA-OAEP-256."""
    return key.encrypt(secret, _OAEP)


def unwrap_rsa(key: rsa.RSAPrivateKey, sealed: bytes) -> bytes:
    """The inverse of `wrap_rsa`; `Damaged` for a wrong key or altered wrap."""
    try:
        return key.decrypt(sealed, _OAEP)
    except ValueError:
        raise Damaged("the key does not open this wrap") from None


def tenant_key_blob(epoch: int, kek: tuple[str, bytes], recovery: tuple[str, bytes]) -> bytes:
    """`keys/t`: (kid, ciphertext) of the KEK, (spki hash, ciphertext) of the recovery key (V7)."""
    wraps = [
        {"to": "kek", "kid": kek[0], "alg": ALGORITHM, "ct": b64u(kek[1])},
        {"to": "recovery", "spki_sha256": recovery[0], "alg": ALGORITHM, "ct": b64u(recovery[1])},
    ]
    return _dump({"v": 1, "epoch": epoch, "wraps": wraps})


def read_tenant_key_blob(blob: bytes) -> tuple[int, list[dict[str, str]]]:
    """Epoch and wraps; wraps of unknown kind or algorithm are left out."""
    document = load(blob)
    try:
        if document["v"] != 1:
            raise UnknownFormat(f"key blob version {document['v']!r}")
        wraps = [w for w in document["wraps"] if w.get("alg") == ALGORITHM]
        names = {"kek": "kid", "recovery": "spki_sha256"}
        wraps = [w for w in wraps if names.get(w["to"]) in w and isinstance(w.get("ct"), str)]
        return int(document["epoch"]), wraps
    except (KeyError, TypeError, AttributeError) as wrong:
        raise Damaged("not a tenant key blob") from wrong


def recover_tenant_key(blob: bytes, key: rsa.RSAPrivateKey) -> tuple[int, bytes]:
    """Epoch and TMK, opened with the customer's recovery key; `Damaged` when no wrap is for it."""
    epoch, wraps = read_tenant_key_blob(blob)
    mine = spki_sha256(key.public_key())
    for wrap in wraps:
        if wrap["to"] == "recovery" and wrap.get("spki_sha256") == mine:
            return epoch, unwrap_rsa(key, unb64u(wrap["ct"]))
    raise Damaged("no wrap of this blob is for the given recovery key")


def object_key_blob(
    tenant: TenantKeys, repo: str, oid: str, key: bytes, revision: int = 1
) -> bytes:
    """`keys/o`: the object key under the tenant's wrapping key."""
    nonce = os.urandom(12)
    sealed = seal(tenant.wrap, nonce, key, _bound(repo, oid, revision))
    return _dump(
        {"v": 1, "oid": oid, "tmk": tenant.epoch, "nonce": b64u(nonce), "ct": b64u(sealed)}
    )


def object_key_epoch(blob: bytes) -> int:
    """The TMK epoch an object key blob is wrapped with."""
    epoch = load(blob).get("tmk")
    if not isinstance(epoch, int):
        raise Damaged("an object key blob names no epoch")
    return epoch


def read_object_key_blob(
    blob: bytes, tenant: TenantKeys, repo: str, oid: str, revision: int = 1
) -> bytes:
    """The object key."""
    document = load(blob)
    try:
        if document["v"] != 1:
            raise UnknownFormat(f"key blob version {document['v']!r}")
        nonce, sealed = unb64u(document["nonce"]), unb64u(document["ct"])
    except (KeyError, TypeError) as wrong:
        raise Damaged("not an object key blob") from wrong
    return unseal(tenant.wrap, nonce, sealed, _bound(repo, oid, revision))


def load(blob: bytes) -> dict[str, Any]:
    """A JSON object; `Damaged` when it is none."""
    try:
        document = json.loads(blob)
    except ValueError as wrong:
        raise Damaged("not JSON") from wrong
    if not isinstance(document, dict):
        raise Damaged("not a JSON object")
    return document


def _bound(repo: str, oid: str, revision: int) -> bytes:
    return b"holdfast/1/ok" + hex16(repo) + hex16(oid) + revision.to_bytes(4)


def _dump(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
