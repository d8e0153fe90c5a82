"""The key store of a deployment: an RSA key in Azure Key Vault or Managed HSM (vault.md 5.1).

The private half never leaves Key Vault: wrapping is done here with the public half, unwrapping is
one `unwrapKey` call with RSA-OAEP-256. A wrap names the version of the key that made it, so a
rotation in Key Vault leaves every older wrap readable until its version is disabled.
"""

import asyncio
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from shared.vault.errors import KeyRefused
from shared.vault.format import keys as key_format
from shared.vault.keystore import Wrapped

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.keyvault.keys.aio import KeyClient

SEALED = "-sealed-recovery"
"""Added to the key's name: whose public half seals recovery wraps that nobody else holds (V7)."""
CURRENT_SECONDS = 600.0
"""How long the current version is believed: a rotation is followed within ten minutes."""
# What Key Vault answers when this key will never open this wrap; anything else may pass.
_REFUSALS = frozenset({400, 403, 404})


class KeyVaultStore:
    """`key_url`: `https://{vault}/keys/{name}`, without a version. Errors: KeyRefused, Azure's."""

    def __init__(self, key_url: str, credential: "AsyncTokenCredential", **options: Any) -> None:
        place = urlsplit(key_url)
        parts = place.path.strip("/").split("/")
        if place.scheme != "https" or len(parts) != 2 or parts[0] != "keys":
            raise ValueError("the key store has to be https://{vault}/keys/{name}")
        self._vault, self._name = f"https://{place.netloc}", parts[1]
        self._credential, self._options = credential, options
        self._client: KeyClient | None = None
        self._current: tuple[float, str, rsa.RSAPublicKey] | None = None
        self._lock = asyncio.Lock()

    def __repr__(self) -> str:
        return f"KeyVaultStore({self._vault}/keys/{self._name})"

    async def wrap(self, secret: bytes) -> Wrapped:
        """Wrap with the newest version of the key."""
        async with self._lock:
            if self._current is None or time.monotonic() - self._current[0] > CURRENT_SECONDS:
                kid, public = await self._public(self._name)
                self._current = (time.monotonic(), kid, public)
            _, kid, public = self._current
        return Wrapped(kid, key_format.wrap_rsa(public, secret))

    async def unwrap(self, kid: str, ciphertext: bytes) -> bytes:
        """Unwrap with the version named; `KeyRefused` for another vault, key, or a foreign wrap."""
        from azure.core.exceptions import HttpResponseError
        from azure.keyvault.keys.crypto import KeyWrapAlgorithm

        prefix = f"{self._vault}/keys/{self._name}/"
        version = kid.removeprefix(prefix)
        if not kid.startswith(prefix) or not version.isalnum():
            raise KeyRefused(f"{kid[:200]} is no version of the key of this deployment")
        # Asked for by name and version: the address in a blob is never called.
        crypto = self._open().get_cryptography_client(self._name, key_version=version)
        try:
            found = await crypto.unwrap_key(KeyWrapAlgorithm.rsa_oaep_256, ciphertext)
        except HttpResponseError as refused:
            if refused.status_code in _REFUSALS:
                raise KeyRefused(f"Key Vault refuses {kid}: {refused.status_code}") from None
            raise
        return bytes(found.key)

    async def sealed_public_pem(self) -> bytes:
        """Public half of the sealed recovery key."""
        _, public = await self._public(self._name + SEALED)
        return public.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    async def close(self) -> None:
        """End the connections."""
        if self._client is not None:
            await self._client.close()
            self._client = None

    async def _public(self, name: str) -> tuple[str, rsa.RSAPublicKey]:
        from azure.core.exceptions import ResourceNotFoundError

        try:
            found = await self._open().get_key(name)
        except ResourceNotFoundError:
            raise KeyRefused(f"Key Vault has no key {name}") from None
        jwk: Any = found.key
        if not jwk.n or not jwk.e:
            raise KeyRefused(f"{name} is no RSA key")
        numbers = rsa.RSAPublicNumbers(int.from_bytes(jwk.e), int.from_bytes(jwk.n))
        if numbers.n.bit_length() < key_format.MIN_RSA_BITS:
            raise KeyRefused(f"{name} has fewer than {key_format.MIN_RSA_BITS} bits")
        return str(found.id), numbers.public_key()

    def _open(self) -> "KeyClient":
        if self._client is None:
            from azure.keyvault.keys.aio import KeyClient

            self._client = KeyClient(self._vault, self._credential, **self._options)
        return self._client
