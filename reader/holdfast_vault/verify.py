"""Every rule that can be checked with the recovery key (section 12, steps 3 to 6)."""

import json
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from holdfast_vault.chain import check_chain, check_names, collect, read_documents
from holdfast_vault.findings import Broken, CannotCheck, Finding, checking
from holdfast_vault.snapshot import Entry, Part, Snapshot
from holdfast_vault.vault import Vault, numbers, objects
from shared.vault.format import names, packs, rows, tree
from shared.vault.format.chunks import ChunkCipher
from shared.vault.format.errors import Damaged
from shared.vault.format.packs import Entry as PackEntry
from shared.vault.format.primitives import sha, unb64u
from shared.vault.format.tree import EMPTY_ROOT

CONTAINER_KINDS = {"folder", "list", "channel", "calendar", "contactfolder"}
Say = Callable[[str], None]


class Bucket(NamedTuple):
    """What a verified bucket contributes to its snapshot."""

    root: bytes
    rows: Counter[str]


class Verifier:
    """Checks a whole copy; what is broken stands in `findings`."""

    def __init__(self, vault: Vault, *, deep: bool, say: Say) -> None:
        self._vault, self._deep, self._say = vault, deep, say
        self.findings: list[Finding] = []
        self.counts: Counter[str] = Counter()
        self._seen: set[str] = set()
        self._base: dict[tuple[str, int], Bucket] = {}
        self._tables: dict[str, dict[int, PackEntry] | None] = {}
        self._whole: set[tuple[int, str]] = set()
        # Deep: packs whose name was held against their bytes, entries that an item has opened.
        self._named: set[str] = set()
        self._opened: set[tuple[str, int]] = set()
        self._held, self._bytes = "", memoryview(b"")

    def run(self, wanted: str | None = None) -> None:
        """All objects, or one."""
        source = self._vault.source
        _, found = check_chain(source, blobs=not self._deep)
        self.findings += found
        for oid in objects(source):
            if wanted is None or oid == wanted:
                self._object(oid)
        if self._deep:  # the packs that were opened have been hashed
            self.findings += check_names(source, self._named)

    def _note(self, work: Callable[[], object]) -> None:
        collect(self.findings, work)

    def _object(self, oid: str) -> None:
        self.counts["objects"] += 1
        before = len(self.findings)
        self._base.clear()
        self._tables.clear()
        self._whole.clear()
        self._opened.clear()
        erased = False

        def key() -> None:
            nonlocal erased
            erased = self._vault.object(oid) is None

        self._note(key)
        if erased and not self._certified(oid):
            what = "the key is gone and no certificate says that the object was erased"
            self.findings.append(Finding("V8", names.object_key(oid), what))
        found = numbers(self._vault.source, oid) if len(self.findings) == before else []
        snapshots: list[Snapshot] = []
        for n in found:
            self._note(lambda n=n: snapshots.append(Snapshot(self._vault, oid, n, self._seen)))  # type: ignore[misc]
        for snap in snapshots:
            self.counts["snapshots"] += 1
            self._note(partial(self._counters, snap))
            self._note(partial(self._dependencies, snap))
            if erased:
                self._note(partial(self._joined, snap))
            else:
                self._note(partial(self._rows, snap))
        if snapshots:
            self._note(partial(self._files, snapshots[-1]))
        if self._deep and not erased and found:
            self._packs(oid)
        wrong = len(self.findings) - before
        state = "erased, chain and roots hold" if erased and not wrong else f"{wrong} findings"
        self._say(f"{oid}: {len(snapshots)} snapshots, {state if wrong or erased else 'ok'}")

    def _certified(self, oid: str) -> bool:
        for name in self._vault.source.names("certs/"):
            try:
                document = json.loads(self._vault.source.read(name))
                if any(one["oid"] == oid for one in document["objects"]):
                    return True
            except (ValueError, KeyError, TypeError):
                self.findings.append(Finding("V69", name, "a certificate that cannot be read"))
        return False

    def _files(self, snap: Snapshot) -> None:
        """Repository file and key blobs are those the writer used (V8)."""
        for name, digest in snap.head.get("files", {}).items():
            if name.startswith("keys/o/") and not self._vault.source.has(name):
                continue  # erased: the certificate was asked for above
            if sha(self._vault.source.read(name)).hex() != digest:
                raise Broken("V8", name, f"not what the writer of {snap.name} used")

    def _counters(self, snap: Snapshot) -> None:
        with checking("V36", snap.name):
            counts = snap.head["counts"]
            parts = counts["protected"] + counts["metadata"] + counts["unchanged"]
            troubled = sum(counts["skipped"].values()) + sum(counts["failed"].values())
            if counts["listed"] != parts + troubled:
                raise Damaged("listed is not the sum of its outcomes")
        with checking("V37", snap.name):
            if snap.head["items"] != counts["held"] + counts["stale"] + counts["unheld"]:
                raise Damaged("items is not held + stale + unheld")
        with checking("V38", snap.name):
            containers = counts["containers"]
            whole = not counts["failed"] and containers["complete"] >= containers["total"]
            if snap.head["status"] == "complete" and not whole:
                raise Damaged("said to be complete, but something failed or was not enumerated")

    def _dependencies(self, snap: Snapshot) -> None:
        """V29, V34: base parts, host record and every pack of the tables exist."""
        tables = [snap.tail_packs, *(part.packs for part in snap.parts)]
        wanted = {names.pack(snap.oid, pack) for table in tables for pack in table} | {snap.host}
        for name in sorted(wanted):
            if not self._vault.source.has(name):
                raise Broken("V34", name, f"snapshot {snap.n} needs it and it is missing")

    def _joined(self, snap: Snapshot) -> None:
        if tree.join(snap.bucket_roots()) != snap.root:
            raise Broken("V41", snap.name, "bucket roots do not join to the root")

    def _rows(self, snap: Snapshot) -> None:
        """V26, V37, V41: rows lead to the root, and there are as many as the head says."""
        recorded, total = snap.bucket_roots(), Counter[str]()
        where = {b: part for part in snap.parts for b in range(part.first, part.end)}
        for bucket in range(1 << snap.bits):
            if bucket in snap.touched:
                found = self._bucket(snap, snap.entries(bucket))
            elif bucket in where:
                found = self._base_bucket(snap, where[bucket], bucket)
            else:
                found = Bucket(EMPTY_ROOT, Counter())
            if found.root != recorded[bucket]:
                raise Broken("V41", snap.name, f"rows of bucket {bucket} do not lead to its root")
            total += found.rows
        if tree.join(recorded) != snap.root:
            raise Broken("V41", snap.name, "bucket roots do not join to the root")
        said = snap.head["counts"]
        for name in ("held", "stale", "unheld", "folders"):
            if total[name] != said[name]:
                raise Broken("V37", snap.name, f"{name} says {said[name]}, there are {total[name]}")
        self.counts["items"] += snap.head["items"]

    def _base_bucket(self, snap: Snapshot, part: Part, bucket: int) -> Bucket:
        key = (part.name, bucket)
        if key not in self._base:
            held = {entry.key: entry for entry in snap.base_entries(bucket)}
            self._base[key] = self._bucket(snap, held)
        return self._base[key]

    def _bucket(self, snap: Snapshot, held: dict[bytes, Entry]) -> Bucket:
        k_leaf, total = snap.keys.leaf, Counter[str]()
        pairs = []
        for key in sorted(held):
            entry = held[key]
            with checking("V25", f"{snap.name} item {entry.core.i!r}"):
                pairs.append((key, rows.leaf_of(k_leaf, key, entry.core, entry.item)))
                error = entry.core.e
                total["held" if error is None else "stale" if error == "stale" else "unheld"] += 1
                total["folders"] += entry.core.k in CONTAINER_KINDS
            self._place(snap, entry)
        return Bucket(tree.root(pairs), total)

    def _place(self, snap: Snapshot, entry: Entry) -> None:
        """Locations lie inside existing packs; deep: they are entries of the pack's table."""
        with checking("V29", f"{snap.name} item {entry.core.i!r}"):
            location = rows.parse_location(entry.location, entry.core.s, entry.core.d)
            for place in location.places:
                name = names.pack(snap.oid, entry.packs[place.pack])
                if place.offset + place.length > self._vault.source.size(name):
                    raise Broken("V29", name, f"ends before the content of {entry.core.i!r}")
                if self._deep:
                    self._in_table(name, place)
            if bool(location.places) != bool(entry.core.s):
                raise Damaged("a length without content, or content without length")
        if not self._deep or entry.core.d is None:
            return
        short = len(location.places) == 1 and location.places[0].digest == unb64u(entry.core.d)
        if not (short and not location.listed) and (snap.n, entry.core.d) not in self._whole:
            self._whole.add((snap.n, entry.core.d))
            for _ in snap.content(entry):
                pass
            self._opened.update((name, place.offset) for name, place in snap.places(entry))

    def _in_table(self, name: str, place: rows.Place) -> None:
        table = self._table(name)
        if table is None:
            return  # the pack itself is a finding
        found = table.get(place.offset)
        wanted = (place.digest, place.offset, place.length, place.plain, place.codec)
        if found is None or tuple(found) != wanted:
            raise Broken("V20", name, f"no entry of its table is what a row says of {place.offset}")

    def _table(self, name: str) -> dict[int, PackEntry] | None:
        """Entries by offset of a pack whose name is right; None when the pack is broken."""
        if name not in self._tables:
            self._tables[name] = None
            self._note(partial(self._read_table, name))
        return self._tables[name]

    def _read_table(self, name: str) -> None:
        keys = self._vault.object(name.split("/")[1])
        if keys is None:
            return
        with checking("V19", name):
            blob = self._blob(name)
            if sha(blob).hex() != name.rsplit("/", 1)[1].split(".")[0]:
                raise Damaged("a pack's name is not the hash of its bytes")
            self._named.add(name)
        with checking("V13", name):
            entries = packs.read_toc(blob, keys.chunk)
        self._tables[name] = {entry.offset: entry for entry in entries}

    def _blob(self, name: str) -> memoryview:
        if self._held != name:
            self._held = ""  # a read that fails leaves neither pack
            self._bytes = self._vault.source.read_whole(name)
            self._held = name
        return self._bytes

    def _packs(self, oid: str) -> None:
        """Open what no item has opened: packs without a retained row are evidence as well."""
        for name in self._vault.source.names(f"o/{oid}/p/"):
            self._note(partial(self._rest, name))

    def _rest(self, name: str) -> None:
        table = self._table(name)
        keys = self._vault.object(name.split("/")[1])
        if table is None or keys is None:
            return
        cipher = ChunkCipher(keys.chunk, self._vault.repo)
        rest = [entry for at, entry in table.items() if (name, at) not in self._opened]
        if rest:
            with checking("V13", name):
                for _ in packs.check_entries(self._blob(name), rest, cipher):
                    pass
        self.counts["packs"] += 1
        self.counts["bytes"] += sum(entry.plain for entry in table.values())


def check_listing(vault: Vault, path: Path) -> list[Finding]:
    """V53, V64 from a property listing: {name, locked_until, mode, versions} a line."""
    if vault.document.get("lock_mode") != "full":
        raise CannotCheck("the repository has lock_mode none: there are no locks to check (V59)")
    listed = {str(one.get("name")): one for one in read_documents(path)}
    findings = [
        Finding("V64", name, f"has {one['versions']} versions; the oldest is the true one")
        for name, one in listed.items()
        if int(one.get("versions", 1)) > 1
    ]
    for oid in objects(vault.source):
        for n in numbers(vault.source, oid):
            collect(findings, partial(_locks, Snapshot(vault, oid, n), listed, findings))
    return findings


def _locks(snap: Snapshot, listed: dict[str, dict[str, Any]], findings: list[Finding]) -> None:
    if snap.head["expires"] is None:
        return
    with checking("V53", snap.name):
        expires = datetime.fromisoformat(snap.head["expires"])
        wanted = {snap.name, snap.host, *(part.name for part in snap.parts)}
        for table in (snap.tail_packs, *(part.packs for part in snap.parts)):
            wanted |= {names.pack(snap.oid, pack) for pack in table}
        for name in sorted(wanted):
            found = listed.get(name, {})
            until = found.get("locked_until")
            if str(found.get("mode")).lower() != "locked" or until is None:
                findings.append(Finding("V53", name, f"not locked, snapshot {snap.n} needs it"))
            elif datetime.fromisoformat(until) < expires:
                what = f"its lock ends {until}, before snapshot {snap.n} expires"
                findings.append(Finding("V53", name, what))
