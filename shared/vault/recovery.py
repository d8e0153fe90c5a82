"""Makes recovery keys (V7). Customers make theirs themselves; this is for drills and tests.

The private half never comes to the service: `create_repository` takes the public half only.
"""

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from shared.vault.format.keys import MIN_RSA_BITS


def new_recovery_key(password: str | None = None, bits: int = MIN_RSA_BITS) -> tuple[bytes, bytes]:
    """(private PEM, public PEM), as the two openssl lines of docs/checking-and-leaving.md."""
    key = rsa.generate_private_key(65537, max(bits, MIN_RSA_BITS))
    sealing: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password:
        sealing = serialization.BestAvailableEncryption(password.encode())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, sealing
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private, public
