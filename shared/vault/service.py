"""The verbs: create and open a repository, open a run, list and open snapshots."""

import logging
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal

from shared.kit.blobs import BlobMissing, BlobStore
from shared.kit.clock import Clock
from shared.vault.chunker import check_golden, parameters
from shared.vault.errors import (
    ErasurePending,
    SnapshotExpired,
    UnknownRepository,
    UnknownSnapshot,
    VaultDamaged,
    located,
)
from shared.vault.format import names, repofile
from shared.vault.format.keys import ObjectKeys
from shared.vault.format.primitives import hex16, sha
from shared.vault.guard import Guard
from shared.vault.keyring import KeyRing, put_once
from shared.vault.keystore import KeyStore
from shared.vault.locks import Locks, NoLocks
from shared.vault.model import ObjectRef, SnapshotHead
from shared.vault.repository import (
    check_run_id,
    load_heads,
    load_record,
    newest_number,
    record_numbers,
)
from shared.vault.retention import effective_expiry, is_expired
from shared.vault.run import Run
from shared.vault.snapshots import Snapshot
from shared.vault.upkeep import Facts, Upkeep, condemned, marks, note_damage
from shared.vault.versions import OldestFirst

log = logging.getLogger(__name__)


async def create_repository(
    vault: BlobStore,
    control: BlobStore,
    keys: KeyStore,
    *,
    repo_id: str,
    tenant_id: str,
    now: datetime,
    recovery_public_pem: bytes | None = None,
    locks: Locks | None = None,
    key_lock: Literal["rolling", "full"] = "rolling",
) -> "Vault":
    """Make the tenant key and the repository file; repeating it opens what is there.

    Without a recovery key of the customer the wrap goes to a sealed key of ours and the repository
    file says `"recovery":"sealed"` (V7). With `locks` the repository is `lock_mode: full`.
    """
    hex16(repo_id)
    if locks is not None:
        vault = OldestFirst(vault, locks)
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
        lock_mode="none" if locks is None else "full",
        key_lock=key_lock,
    )
    await put_once(vault, names.REPOSITORY, blob)
    return await open_repository(vault, control, keys, repo_id=repo_id, locks=locks)


async def open_repository(
    vault: BlobStore,
    control: BlobStore,
    keys: KeyStore,
    *,
    repo_id: str,
    locks: Locks | None = None,
    clock: Clock | None = None,
) -> "Vault":
    """Open; `VaultTooNew` for an unknown format or feature (V2), `UnknownRepository` for another.

    `locks` is needed to write into a repository of `lock_mode: full`; through it the oldest version
    of a name is read (V64). With `clock`, expired
    snapshots are refused (V57).
    """
    check_golden()
    if locks is not None and not isinstance(vault, OldestFirst):
        vault = OldestFirst(vault, locks)
    try:
        blob = await vault.get(names.REPOSITORY)
    except BlobMissing:
        raise UnknownRepository(f"no repository {repo_id} here") from None
    with located(names.REPOSITORY):
        document = repofile.read(blob)
    if document["repo"] != repo_id:
        raise UnknownRepository(f"the container holds another repository than {repo_id}")
    ring = KeyRing(vault, keys, repo_id)
    ring.digests[names.REPOSITORY] = sha(blob).hex()
    return Vault(vault, control, ring, document, locks, clock)


class Vault:
    """One repository."""

    def __init__(
        self, store: BlobStore, control: BlobStore, ring: KeyRing, document: dict[str, Any],
        locks: Locks | None = None, clock: Clock | None = None,
    ) -> None:  # fmt: skip
        self._store, self._control, self._ring = store, control, ring
        self._locks, self._clock = locks, clock
        self._shared: dict[str, datetime] = {}
        self._oids: dict[tuple[str, str], str] = {}
        self.document = document
        self.repo = str(document["repo"])

    def __repr__(self) -> str:
        return f"Vault(repo={self.repo!r})"

    @property
    def key_digests(self) -> dict[str, str]:
        """Name -> hex SHA-256 of the key blobs seen; every record repeats them (V8)."""
        return {n: digest for n, digest in self._ring.digests.items() if n != names.REPOSITORY}

    def object(self, ref: ObjectRef) -> "ObjectHandle":
        """A handle on one protected object."""
        return ObjectHandle(self, ref)

    async def oid(self, ref: ObjectRef) -> str:
        """The object's name in the vault: of the first generation that is not gone (V70)."""
        known = self._oids.get((ref.workload, ref.source_id))
        if known is None:
            k_oid, generation = (await self._ring.tenant(1)).oid, 0
            while True:
                known = names.oid(k_oid, ref.workload, ref.source_id, generation)
                if not (await marks(self._control, known)).gone:
                    break
                generation += 1
            self._oids[ref.workload, ref.source_id] = known
        return known

    async def upkeep(self) -> Upkeep:
        """What the keepers work with: K_ops, locks and facts, no content key."""
        ops = (await self._ring.tenant(1)).ops
        locks = self._locks or NoLocks(self._store, self._clock)
        return Upkeep(self._store, self._control, locks, ops, self.document)

    async def facts(self, ref: ObjectRef) -> Facts:
        """What is promised of an object beside its records: hold, longer retention, erasure."""
        return await (await self.upkeep()).facts(await self.oid(ref))

    async def rewrap(self, recovery_public_pem: bytes | None = None) -> str | None:
        """Wrap the tenant key with the current key-encryption key, if it is not (V8).

        With `recovery_public_pem` also for the customer's recovery key, and the repository file
        says so from then on (V7). What was wrapped for an earlier key stays readable with it.
        """
        made = await self._ring.rewrap_tenant_key(recovery_pem=recovery_public_pem)
        if recovery_public_pem is not None:
            await self._name_holder()
        return made

    async def _name_holder(self) -> None:
        listed = sorted([one.name async for one in self._store.list(names.REPOSITORIES)])
        blob = await self._store.get(listed[-1])
        with located(listed[-1]):
            document = repofile.read(blob)
        if document["recovery"] != "customer":
            name = names.repository_file(int(listed[-1][-9:-5]) + 1)
            await put_once(self._store, name, repofile.changed(document, recovery="customer"))

    async def recovery_fingerprint(self) -> str:
        """Whose recovery key opens this vault: hex SHA-256 of its public half."""
        return await self._ring.recovery_fingerprint()

    async def keys_of(self, oid: str) -> ObjectKeys:
        """The keys of an object: for checks that open its packs."""
        return await self._ring.object(oid)

    async def open_run(self, ref: ObjectRef, run_id: str) -> Run:
        """W0: open a run, or go on with it; makes the object's key at its first run."""
        check_run_id(run_id)
        if self.document["lock_mode"] == "full" and self._locks is None:
            raise ValueError("a repository with locks is written through its lock port (V53)")
        oid = await self.oid(ref)
        found = await marks(self._control, oid)
        if found.erasing:
            raise ErasurePending("the object is marked for erasure")
        keys = await self._ring.object(oid, create=True)
        tenant = await self._ring.tenant(1)
        digests = self._ring.digests
        used = (names.REPOSITORY, names.tenant_key(tenant.epoch), names.object_key(oid))
        guard = Guard(
            {name: digests[name] for name in used if name in digests},
            self._locks,
            str(self.document["key_lock"]),
            self._shared,
            frozenset(await condemned(self._control, found.lists)),
            found.damaged,
        )
        run = Run(self._store, self._control, keys, tenant, ref, run_id, guard)
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

    async def _readable(self, ref: ObjectRef) -> list[SnapshotHead]:
        """Every snapshot whose head can be read: one damaged record hides no other."""
        oid = await self.oid(ref)
        ops = (await self._ring.tenant(1)).ops
        found: list[SnapshotHead] = []
        numbers = await record_numbers(self._store, oid)
        try:
            return await load_heads(self._store, ops, self.repo, oid, numbers)
        except (VaultDamaged, UnknownSnapshot):
            for n in numbers:
                try:
                    loaded = await load_record(self._store, ops, self.repo, oid, n)
                    found.append(loaded.snapshot)
                except (VaultDamaged, UnknownSnapshot) as wrong:
                    log.error("snapshot %d of o/%s/ is not offered: %s", n, oid, wrong)  # noqa: TRY400
        return found

    async def note_damage(self, ref: ObjectRef, blobs: Iterable[str]) -> int:
        """Tell the next run of an object what is damaged; how many blobs nobody knew of."""
        return await note_damage(self._control, await self.oid(ref), blobs)

    async def offered(self, ref: ObjectRef) -> list[SnapshotHead]:
        """Restore points, newest first: without what has expired and is not held (V57, V58)."""
        found = await self._readable(ref)
        if self._clock is None or not any(
            is_expired(head.expires, self._clock.now(), held=False) for head in found
        ):
            return found
        facts = await (await self.upkeep()).facts(await self.oid(ref))
        return [head for head in found if not self._is_over(head, facts)]

    async def open_snapshot(self, ref: ObjectRef, n: int | None = None) -> Snapshot:
        """Open snapshot `n`, or the newest; `UnknownSnapshot` when there is none."""
        oid = await self.oid(ref)
        n = await newest_number(self._store, oid) if n is None else n
        ops = (await self._ring.tenant(1)).ops
        loaded = await load_record(self._store, ops, self.repo, oid, n)
        await self._refuse_expired(oid, loaded.snapshot)
        try:
            keys = await self._ring.object(oid)
        except BlobMissing:
            raise UnknownSnapshot("the object's key is gone: its content was erased") from None
        return Snapshot(self._store, loaded, keys, ops)

    async def _refuse_expired(self, oid: str, head: SnapshotHead) -> None:
        """V57; facts are read only when the record itself says that it expired."""
        if self._clock is None or not is_expired(head.expires, self._clock.now(), held=False):
            return
        if self._is_over(head, await (await self.upkeep()).facts(oid)):
            raise SnapshotExpired(f"snapshot {head.n} expired at {head.document['expires']}")

    def _is_over(self, head: SnapshotHead, facts: Facts) -> bool:
        if self._clock is None:
            return False
        expires = effective_expiry(
            head.ended, head.expires, facts.longest, unlimited=facts.unlimited
        )
        return is_expired(expires, self._clock.now(), held=facts.held)


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
