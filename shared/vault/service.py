"""The verbs: create and open a repository, open a run, list and open snapshots."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from shared.kit.blobs import BlobMissing, BlobStore
from shared.vault.chunker import check_golden, parameters
from shared.vault.errors import UnknownRepository, UnknownSnapshot, located
from shared.vault.format import names, repofile
from shared.vault.format.primitives import hex16, sha
from shared.vault.keyring import KeyRing, put_once
from shared.vault.keystore import KeyStore
from shared.vault.model import ObjectRef, SnapshotHead
from shared.vault.repository import (
    check_run_id,
    load_heads,
    load_record,
    newest_number,
    record_numbers,
)
from shared.vault.run import Run
from shared.vault.snapshots import Snapshot


async def create_repository(
    vault: BlobStore,
    control: BlobStore,
    keys: KeyStore,
    *,
    repo_id: str,
    tenant_id: str,
    now: datetime,
    recovery_public_pem: bytes | None = None,
) -> "Vault":
    """Make the tenant key and the repository file; repeating it opens what is there.

    Without a recovery key of the customer the wrap goes to a sealed key of ours and the repository
    file says `"recovery":"sealed"` (V7).
    """
    hex16(repo_id)
    ring = KeyRing(vault, keys, repo_id)
    try:
        await vault.size(names.tenant_key(1))
    except BlobMissing:
        await ring.create_tenant_key(recovery_public_pem)
    blob = repofile.build(
        repo=repo_id,
        tenant=tenant_id,
        created=now,
        chunker=parameters(),
        recovery="sealed" if recovery_public_pem is None else "customer",
    )
    await put_once(vault, names.REPOSITORY, blob)
    return await open_repository(vault, control, keys, repo_id=repo_id)


async def open_repository(
    vault: BlobStore,
    control: BlobStore,
    keys: KeyStore,
    *,
    repo_id: str,
    known_keys: Mapping[str, str] | None = None,
) -> "Vault":
    """Open; `VaultTooNew` for an unknown format or feature (V2), `UnknownRepository` for another.

    `known_keys` maps key blob names to their recorded hex SHA-256: others raise `KeyAlarm` (V8).
    """
    check_golden()
    try:
        blob = await vault.get(names.REPOSITORY)
    except BlobMissing:
        raise UnknownRepository(f"no repository {repo_id} here") from None
    with located(names.REPOSITORY):
        document = repofile.read(blob)
    if document["repo"] != repo_id:
        raise UnknownRepository(f"the container holds another repository than {repo_id}")
    ring = KeyRing(vault, keys, repo_id, known=known_keys)
    ring.digests[names.REPOSITORY] = sha(blob).hex()
    return Vault(vault, control, ring, document)


class Vault:
    """One repository."""

    def __init__(
        self, store: BlobStore, control: BlobStore, ring: KeyRing, document: dict[str, Any]
    ) -> None:
        self._store, self._control, self._ring = store, control, ring
        self.document = document
        self.repo = str(document["repo"])

    def __repr__(self) -> str:
        return f"Vault(repo={self.repo!r})"

    @property
    def key_digests(self) -> dict[str, str]:
        """Name -> hex SHA-256 of the key blobs seen: for the control plane to record (V8)."""
        return {n: digest for n, digest in self._ring.digests.items() if n != names.REPOSITORY}

    def object(self, ref: ObjectRef) -> "ObjectHandle":
        """A handle on one protected object."""
        return ObjectHandle(self, ref)

    async def oid(self, ref: ObjectRef) -> str:
        """The object's name in the vault."""
        return names.oid((await self._ring.tenant(1)).oid, ref.workload, ref.source_id)

    async def open_run(self, ref: ObjectRef, run_id: str) -> Run:
        """W0: open a run, or go on with it; makes the object's key at its first run."""
        check_run_id(run_id)
        oid = await self.oid(ref)
        keys = await self._ring.object(oid, create=True)
        tenant = await self._ring.tenant(1)
        digests = self._ring.digests
        used = (names.REPOSITORY, names.tenant_key(tenant.epoch), names.object_key(oid))
        files = {name: digests[name] for name in used if name in digests}
        run = Run(self._store, self._control, keys, tenant, ref, run_id, files)
        return await run.open()

    async def head(self, ref: ObjectRef) -> SnapshotHead | None:
        """The newest snapshot; one listing and one read."""
        oid = await self.oid(ref)
        newest = await newest_number(self._store, oid)
        if not newest:
            return None
        ops = (await self._ring.tenant(1)).ops
        return (await load_record(self._store, ops, self.repo, oid, newest)).snapshot

    async def snapshots(self, ref: ObjectRef) -> list[SnapshotHead]:
        """All snapshots, newest first; expired ones included, their `expires` says so."""
        oid = await self.oid(ref)
        ops = (await self._ring.tenant(1)).ops
        numbers = await record_numbers(self._store, oid)
        return await load_heads(self._store, ops, self.repo, oid, numbers)

    async def open_snapshot(self, ref: ObjectRef, n: int | None = None) -> Snapshot:
        """Open snapshot `n`, or the newest; `UnknownSnapshot` when there is none."""
        oid = await self.oid(ref)
        n = await newest_number(self._store, oid) if n is None else n
        ops = (await self._ring.tenant(1)).ops
        loaded = await load_record(self._store, ops, self.repo, oid, n)
        try:
            keys = await self._ring.object(oid)
        except BlobMissing:
            raise UnknownSnapshot("the object's key is gone: its content was erased") from None
        return Snapshot(self._store, loaded, keys, ops)


class ObjectHandle:
    """The same verbs bound to one object."""

    def __init__(self, vault: Vault, ref: ObjectRef) -> None:
        self._vault, self.ref = vault, ref

    async def oid(self) -> str:
        """The object's name in the vault."""
        return await self._vault.oid(self.ref)

    async def head(self) -> SnapshotHead | None:
        """The newest snapshot, or None."""
        return await self._vault.head(self.ref)

    async def snapshots(self) -> list[SnapshotHead]:
        """All snapshots, newest first."""
        return await self._vault.snapshots(self.ref)
