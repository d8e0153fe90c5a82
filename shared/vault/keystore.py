"""Where key-encryption keys live: a port with one local implementation.

In Azure the port's implementation wraps with a Key Vault or Managed HSM key (RSA, wrapKey and
unwrapKey with RSA-OAEP-256, `kid` = the key's versioned identifier); it arrives with that
dependency. Keys never leave the store; only wrapped tenant master keys pass through.
"""

import asyncio
import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Protocol

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from shared.vault.errors import KeyRefused
from shared.vault.format import keys as key_format
from shared.vault.format.errors import FormatError


class Wrapped(NamedTuple):
    """A wrapped secret and the key that can unwrap it."""

    kid: str
    ciphertext: bytes


class KeyStore(Protocol):
    """Wraps and unwraps tenant master keys with RSA-OAEP-256 (vault.md 5.1)."""

    async def wrap(self, secret: bytes) -> Wrapped:
        """Wrap with the current key-encryption key."""
        ...

    async def unwrap(self, kid: str, ciphertext: bytes) -> bytes:
        """Unwrap with the named key; `KeyRefused` when it is unknown or does not fit."""
        ...

    async def sealed_public_pem(self) -> bytes:
        """Public half of the sealed recovery key, for customers who decline their own (V7)."""
        ...


class FileKeyStore:
    """A software key store in a directory, for local runs. Keys are made at first use, 0600."""

    def __init__(self, directory: Path | str) -> None:
        self._directory = Path(directory)
        self._loaded: dict[str, rsa.RSAPrivateKey] = {}  # checking a key at load takes long

    def __repr__(self) -> str:
        return f"FileKeyStore({str(self._directory)!r})"

    async def wrap(self, secret: bytes) -> Wrapped:
        """Wrap with the key of this directory."""
        key = await asyncio.to_thread(self._key, "kek")
        public = key.public_key()
        kid = "file:" + key_format.spki_sha256(public)
        return Wrapped(kid, key_format.wrap_rsa(public, secret))

    async def unwrap(self, kid: str, ciphertext: bytes) -> bytes:
        """Unwrap; `KeyRefused` when the wrap is not for this directory's key."""
        key = await asyncio.to_thread(self._key, "kek")
        if kid != "file:" + key_format.spki_sha256(key.public_key()):
            raise KeyRefused(f"the key store holds no key {kid}")
        try:
            return key_format.unwrap_rsa(key, ciphertext)
        except FormatError:
            raise KeyRefused("the key does not open this wrap") from None

    async def sealed_public_pem(self) -> bytes:
        """Public half of the sealed recovery key."""
        key = await asyncio.to_thread(self._key, "sealed-recovery")
        return key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def _key(self, name: str) -> rsa.RSAPrivateKey:
        if name not in self._loaded:
            path = self._directory / f"{name}.pem"
            if not path.exists():
                self._make(path)
            try:
                self._loaded[name] = key_format.private_key(path.read_bytes())
            except FormatError as wrong:
                raise KeyRefused(f"{path.name}: {wrong}") from wrong
        return self._loaded[name]

    def _make(self, path: Path) -> None:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        key = rsa.generate_private_key(65537, key_format.MIN_RSA_BITS)
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        draft = path.with_suffix(f".{os.getpid()}-{os.urandom(4).hex()}")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(pem)
        # A link is create-if-absent: of two processes starting at once, both use the first key.
        with suppress(FileExistsError):
            os.link(draft, path)
        draft.unlink()
