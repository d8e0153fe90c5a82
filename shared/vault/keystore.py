"""Where key-encryption keys live: a port, and its implementation for one machine.

In Azure the keys are in Key Vault (azure_keystore.py). Keys never leave the store; only tenant
master keys pass through, to be wrapped and unwrapped.
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
        key = await asyncio.to_thread(self._named, kid)
        try:
            return key_format.unwrap_rsa(key, ciphertext)
        except FormatError:
            raise KeyRefused("the key does not open this wrap") from None

    async def rotate(self) -> str:
        """Make a new wrapping key; the old one goes on opening what it wrapped. The new id."""
        return await asyncio.to_thread(self._rotate)

    async def retire(self, kid: str) -> None:
        """Delete an old key: what only it has wrapped is lost. `KeyRefused` for the current one."""
        current = await asyncio.to_thread(self._key, "kek")
        if kid == _kid(current):
            raise KeyRefused("the current key cannot be retired: rotate first")
        (self._directory / f"{_file_of(kid)}.pem").unlink(missing_ok=True)
        self._loaded.pop(_file_of(kid), None)

    async def sealed_public_pem(self) -> bytes:
        """Public half of the sealed recovery key."""
        key = await asyncio.to_thread(self._key, "sealed-recovery")
        return key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def _named(self, kid: str) -> rsa.RSAPrivateKey:
        current = self._key("kek")
        if _kid(current) == kid:
            return current
        if (self._directory / f"{_file_of(kid)}.pem").exists():
            return self._key(_file_of(kid))
        self._loaded.pop("kek")  # another process may have rotated it
        if _kid(self._key("kek")) == kid:
            return self._key("kek")
        raise KeyRefused(f"the key store holds no key {kid}")

    def _rotate(self) -> str:
        path, old = self._directory / "kek.pem", self._key("kek")
        kept = self._directory / f"{_file_of(_kid(old))}.pem"
        with suppress(FileExistsError):
            os.link(path, kept)
        fresh = self._directory / f"next-{os.urandom(4).hex()}.pem"
        self._make(fresh)
        fresh.replace(path)
        self._loaded.pop("kek")
        return _kid(self._key("kek"))

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


def _kid(key: rsa.RSAPrivateKey) -> str:
    return "file:" + key_format.spki_sha256(key.public_key())


def _file_of(kid: str) -> str:
    digest = kid.removeprefix("file:")
    return f"kek-{digest}" if digest.isalnum() else "kek-unknown"
