"""Unwrapped keys in memory, for at most one hour, never in a repr (V7, V8, V10)."""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from shared.kit.blobs import BlobExists, BlobMissing, BlobStore
from shared.vault.errors import KeyAlarm, KeyRefused, UnknownRepository, located
from shared.vault.format import keys as key_format
from shared.vault.format import names
from shared.vault.format.errors import FormatError
from shared.vault.format.keys import ObjectKeys, TenantKeys
from shared.vault.format.primitives import sha, unb64u
from shared.vault.keystore import KeyStore

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

# An hour is what V10 allows; an unwrap is one Key Vault call, so shorter buys nothing.
KEEP_SECONDS = 3600.0


class KeyRing:
    """The keys of one repository: opens and, for new objects, makes them."""

    def __init__(
        self,
        vault: BlobStore,
        store: KeyStore,
        repo: str,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._vault, self._store, self._repo = vault, store, repo
        self._clock = clock
        self._held: dict[str, tuple[float, Any]] = {}
        self.digests: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"KeyRing(repo={self._repo!r})"

    async def tenant(self, epoch: int = 1) -> TenantKeys:
        """Keys derived from the tenant master key of an epoch."""
        name = names.tenant_key(epoch)
        found = self._fresh(name)
        if found is None:
            try:
                blob = self._checked(name, await self._vault.get(name))
            except BlobMissing:
                raise UnknownRepository(f"no tenant key {name}") from None
            try:
                secret = await self._unwrap(name, blob)
            except KeyRefused:
                secret = await self._rewrapped(epoch)
            found = self._keep(name, TenantKeys.of(secret, epoch))
        return found  # type: ignore[no-any-return]

    async def object(self, oid: str, *, create: bool = False) -> ObjectKeys:
        """Keys of an object; `create` makes the object key at its first run (V8: one for ever)."""
        name = names.object_key(oid)
        found = self._fresh(name)
        if found is None:
            try:
                blob = self._checked(name, await self._vault.get(name))
            except BlobMissing:
                if not create:
                    raise
                blob = await self._make(name, oid)
            with located(name):
                tenant = await self.tenant(key_format.object_key_epoch(blob))
                key = key_format.read_object_key_blob(blob, tenant, self._repo, oid)
            found = self._keep(name, ObjectKeys.of(key, self._repo, oid))
        return found  # type: ignore[no-any-return]

    async def create_tenant_key(self, recovery_pem: bytes | None) -> None:
        """Make epoch 1 unless it exists: one KEK wrap and one recovery wrap (V7)."""
        secret = os.urandom(32)
        recovery = self._public(recovery_pem or await self._store.sealed_public_pem())
        kek = await self._store.wrap(secret)
        blob = key_format.tenant_key_blob(
            1,
            (kek.kid, kek.ciphertext),
            (key_format.spki_sha256(recovery), key_format.wrap_rsa(recovery, secret)),
        )
        await put_once(self._vault, names.tenant_key(1), blob)

    async def rewrap_tenant_key(
        self, epoch: int = 1, *, recovery_pem: bytes | None = None
    ) -> str | None:
        """After a rotation of the key-encryption key: one more revision, wrapped with the new one.

        The wrapped key, and so every stored byte, stays as it is (V8). The recovery wrap is copied,
        or made for `recovery_pem` if it is for another key. Returns the new blob's name; None when
        the newest revision has both keys already. `KeyRefused` for a weak recovery key.
        """
        wanted = None if recovery_pem is None else self._public(recovery_pem)
        while True:
            newest = (await self._revisions(epoch))[-1]
            blob = self._checked(newest, await self._vault.get(newest))
            with located(newest):
                _, wraps = key_format.read_tenant_key_blob(blob)
            secret = await self._unwrap(newest, blob)
            await self._proved(newest, secret, epoch)
            current = await self._store.wrap(secret)
            held = next(each for each in wraps if each["to"] == "recovery")
            recovery = held["spki_sha256"], unb64u(held["ct"])
            is_right = wanted is None or recovery[0] == key_format.spki_sha256(wanted)
            if is_right and any(each.get("kid") == current.kid for each in wraps):
                return None
            if wanted is not None and not is_right:
                sealed = key_format.wrap_rsa(wanted, secret)
                recovery = key_format.spki_sha256(wanted), sealed
            name = names.tenant_key(epoch, int(newest[-9:-5]) + 1)
            renewed = key_format.tenant_key_blob(epoch, (current.kid, current.ciphertext), recovery)
            if await put_once(self._vault, name, renewed):
                return name  # otherwise somebody else wrote this revision: look at theirs

    async def recovery_fingerprint(self, epoch: int = 1) -> str:
        """Whose recovery key opens the newest revision: hex SHA-256 of its public half (V7)."""
        newest = (await self._revisions(epoch))[-1]
        blob = self._checked(newest, await self._vault.get(newest))
        with located(newest):
            _, wraps = key_format.read_tenant_key_blob(blob)
        return next(each["spki_sha256"] for each in wraps if each["to"] == "recovery")

    @staticmethod
    def _public(pem: bytes) -> "RSAPublicKey":
        try:
            return key_format.public_key(pem)
        except FormatError as weak:
            raise KeyRefused(str(weak)) from weak

    async def _rewrapped(self, epoch: int) -> bytes:
        """The secret from a later revision: the first one's wrapping key is retired."""
        for name in reversed((await self._revisions(epoch))[1:]):
            blob = self._checked(name, await self._vault.get(name))
            with suppress(KeyRefused):
                secret = await self._unwrap(name, blob)
                await self._proved(name, secret, epoch)
                return secret
        raise KeyRefused(f"no wrap of {names.tenant_key(epoch)} opens with the keys we have")

    async def _proved(self, name: str, secret: bytes, epoch: int) -> None:
        """V8: anybody can wrap a key of their own for us; the vault's opens its object keys.

        `KeyAlarm` otherwise. Nothing was written with a key while there is no object's.
        """
        tenant = TenantKeys.of(secret, epoch)
        async for found in self._vault.list("keys/o/"):
            blob = await self._vault.get(found.name)
            with located(found.name):
                if key_format.object_key_epoch(blob) != epoch:
                    continue
            oid = found.name.split("/")[2]
            try:
                key_format.read_object_key_blob(blob, tenant, self._repo, oid)
            except FormatError:
                raise KeyAlarm(f"{name} wraps another key than the vault's") from None
            return

    async def _revisions(self, epoch: int) -> list[str]:
        prefix = names.tenant_key(epoch)[: -len("0001.json")]
        return sorted([found.name async for found in self._vault.list(prefix)])

    def forget(self) -> None:
        """Drop every unwrapped key."""
        self._held.clear()

    async def _make(self, name: str, oid: str) -> bytes:
        tenant = await self.tenant(1)
        mine = key_format.object_key_blob(tenant, self._repo, oid, os.urandom(32))
        # A racing run may have made it first: then that one is the object's key.
        blob = mine if await put_once(self._vault, name, mine) else await self._vault.get(name)
        self.digests[name] = sha(blob).hex()
        return blob

    async def _unwrap(self, name: str, blob: bytes) -> bytes:
        with located(name):
            _, wraps = key_format.read_tenant_key_blob(blob)
            for wrap in wraps:
                if wrap["to"] == "kek":
                    return await self._store.unwrap(wrap["kid"], unb64u(wrap["ct"]))
        raise KeyRefused(f"{name} has no wrap for a key-encryption key")

    def _checked(self, name: str, blob: bytes) -> bytes:
        digest = sha(blob).hex()
        self.digests[name] = digest
        return blob

    def _fresh(self, name: str) -> Any:
        made, found = self._held.get(name, (0.0, None))
        if found is not None and self._clock() - made > KEEP_SECONDS:
            del self._held[name]
            return None
        return found

    def _keep(self, name: str, keys: Any) -> Any:
        now = self._clock()
        self._held = {n: held for n, held in self._held.items() if now - held[0] <= KEEP_SECONDS}
        self._held[name] = (now, keys)
        return keys


async def put_once(store: BlobStore, name: str, data: bytes) -> bool:
    """Create the blob; False when it existed (which a repeat after a lost answer also sees)."""
    try:
        await store.put(name, data, create_only=True)
    except BlobExists:
        return False
    return True
