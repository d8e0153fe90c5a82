"""Signs checkpoints: a port, its software key for one machine, and the check anyone can make.

In Azure the port signs with a Key Vault key (EC P-256, `sign` with ES256); the private key never
leaves the vault. Signatures are raw r and s, 32 bytes each, as Key Vault gives them.
"""

import asyncio
import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

ALGORITHM = "ES256"
_HALF = 32


class Signer(Protocol):
    """Signs with one EC P-256 key."""

    async def sign(self, data: bytes) -> bytes:
        """The ES256 signature of `data`: 64 bytes."""
        ...

    async def public_pem(self) -> bytes:
        """The public key, SubjectPublicKeyInfo in PEM."""
        ...


class FileSigner:
    """A software key in a directory: for local runs. The key is made at first use, mode 0600."""

    def __init__(self, directory: Path | str) -> None:
        self._path = Path(directory) / "audit-signing.pem"

    async def sign(self, data: bytes) -> bytes:
        """The ES256 signature of `data`: 64 bytes."""
        key = await asyncio.to_thread(self._key)
        r, s = decode_dss_signature(key.sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(_HALF) + s.to_bytes(_HALF)

    async def public_pem(self) -> bytes:
        """The public key, SubjectPublicKeyInfo in PEM."""
        key = await asyncio.to_thread(self._key)
        return key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def _key(self) -> ec.EllipticCurvePrivateKey:
        if not self._path.exists():
            self._make()
        key = serialization.load_pem_private_key(self._path.read_bytes(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise TypeError(f"{self._path.name} holds no EC key")
        return key

    def _make(self) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        draft = self._path.with_suffix(f".{os.getpid()}-{os.urandom(4).hex()}")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(pem)
        # A link is create-if-absent: of two processes starting at once, both use the first key.
        with suppress(FileExistsError):
            os.link(draft, self._path)
        draft.unlink()


def key_id(public_pem: bytes) -> str:
    """SHA-256 of the public key's DER form, hex. ValueError when it is no EC P-256 key."""
    der = _public(public_pem).public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return hashlib.sha256(der).hexdigest()


def is_signed(public_pem: bytes, data: bytes, signature: bytes) -> bool:
    """Whether the key signed `data`. ValueError when the PEM holds no EC P-256 key."""
    key = _public(public_pem)
    if len(signature) != 2 * _HALF:
        return False
    der = encode_dss_signature(int.from_bytes(signature[:_HALF]), int.from_bytes(signature[_HALF:]))
    try:
        key.verify(der, data, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def _public(pem: bytes) -> ec.EllipticCurvePublicKey:
    key = serialization.load_pem_public_key(pem)
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return key
    raise ValueError("not an EC P-256 public key")
