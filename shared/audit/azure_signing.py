"""Signs with an EC P-256 key in Azure Key Vault: the private half never leaves it."""

import hashlib
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.keyvault.keys import KeyVaultKey

SIGNING = "-signing"
"""Added to the name of the deployment's wrapping key: the key that signs."""


class KeyVaultSigner:
    """`vault` is `https://{vault}`; the newest version of the key when it is first used.

    Errors: ValueError when the key is no EC P-256 key, Azure's own.
    """

    def __init__(
        self, vault: str, name: str, credential: "AsyncTokenCredential", **options: Any
    ) -> None:
        self._vault, self._name = vault, name
        self._credential, self._options = credential, options
        self._found: KeyVaultKey | None = None

    def __repr__(self) -> str:
        return f"KeyVaultSigner({self._vault}/keys/{self._name})"

    async def sign(self, data: bytes) -> bytes:
        """The ES256 signature of `data`: 64 bytes."""
        from azure.keyvault.keys.crypto import SignatureAlgorithm
        from azure.keyvault.keys.crypto.aio import CryptographyClient

        key = await self._key()
        async with CryptographyClient(key, self._credential, **self._options) as crypto:
            done = await crypto.sign(SignatureAlgorithm.es256, hashlib.sha256(data).digest())
        return bytes(done.signature)

    async def public_pem(self) -> bytes:
        """The public key, SubjectPublicKeyInfo in PEM."""
        jwk: Any = (await self._key()).key
        numbers = ec.EllipticCurvePublicNumbers(
            int.from_bytes(jwk.x), int.from_bytes(jwk.y), ec.SECP256R1()
        )
        return numbers.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    async def _key(self) -> "KeyVaultKey":
        from azure.keyvault.keys.aio import KeyClient

        if self._found is None:
            async with KeyClient(self._vault, self._credential, **self._options) as client:
                found = await client.get_key(self._name)
            jwk: Any = found.key
            if jwk.crv != "P-256":
                raise ValueError(f"{self._name} is no EC P-256 key")
            self._found = found
        return self._found
