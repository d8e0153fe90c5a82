"""A vault opened with the recovery key: repository file, tenant keys, object keys."""

from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa

from holdfast_vault.findings import Broken, CannotCheck, checking
from holdfast_vault.source import Directory
from shared.vault.format import keys as key_format
from shared.vault.format import names, repofile
from shared.vault.format.errors import FormatError
from shared.vault.format.keys import ObjectKeys, TenantKeys
from shared.vault.format.primitives import hex16


def recovery_key(path: Path, password: str | None) -> rsa.RSAPrivateKey:
    """The private key in a PEM file; `CannotCheck` when it is none."""
    try:
        pem = path.read_bytes()
    except OSError as wrong:
        raise CannotCheck(f"the recovery key cannot be read: {wrong.strerror}") from wrong
    try:
        return key_format.private_key(pem, password.encode() if password else None)
    except FormatError as wrong:
        raise CannotCheck(f"{path.name}: {wrong}") from wrong


def repository(source: Directory) -> dict[str, Any]:
    """The repository file with the highest number (V2)."""
    found = source.names("repo/")
    if not found:
        raise CannotCheck(f"{source.root} holds no repository file: is it a copy of a vault?")
    with checking("V2", found[-1]):
        document = repofile.read(source.read(found[-1]))
        hex16(document["repo"])
        return document


def objects(source: Directory) -> list[str]:
    """Ids of all objects that have a record."""
    return sorted({name.split("/")[1] for name in source.names("o/") if name.endswith(".hfs")})


def numbers(source: Directory, oid: str) -> list[int]:
    """Snapshot numbers of an object, ascending."""
    found = [name for name in source.names(names.records(oid)) if name.endswith(".hfs")]
    with checking("V6", f"o/{oid}/s/"):
        return sorted(names.record_number(name) for name in found)


class Vault:
    """Keys and names of one repository."""

    def __init__(self, source: Directory, key: rsa.RSAPrivateKey) -> None:
        self.source = source
        self.document = repository(source)
        self.repo: str = self.document["repo"]
        self._tenants = self._recover(key)
        self._objects: dict[str, ObjectKeys | None] = {}

    def tenant(self, epoch: Any) -> TenantKeys:
        """Keys of a tenant master key; `Broken` when the vault has no such epoch."""
        found = self._tenants.get(epoch)
        if found is None:
            raise Broken("V8", names.tenant_key(int(epoch)), "a tenant key in use is missing")
        return found

    def object(self, oid: str) -> ObjectKeys | None:
        """Keys of an object; None when its key blob is gone: it was erased (section 17)."""
        if oid not in self._objects:
            self._objects[oid] = self._open(oid)
        return self._objects[oid]

    def _recover(self, key: rsa.RSAPrivateKey) -> dict[int, TenantKeys]:
        found: dict[int, TenantKeys] = {}
        mine = key_format.spki_sha256(key.public_key())
        foreign = 0
        for name in self.source.names("keys/t/"):
            with checking("V7", name):
                blob = self.source.read(name)
                _, wraps = key_format.read_tenant_key_blob(blob)
                if all(wrap.get("spki_sha256") != mine for wrap in wraps):
                    foreign += 1
                    continue
                epoch, tmk = key_format.recover_tenant_key(blob, key)
                tenant = TenantKeys.of(tmk, epoch)
            if found.setdefault(epoch, tenant).wrap != tenant.wrap:
                raise Broken("V8", name, "two revisions of one epoch hold different keys")
        if not found:
            why = "is for another vault" if foreign else "opens nothing: the copy has no keys/t"
            raise CannotCheck(f"wrong recovery key: the given key {why}")
        return found

    def _open(self, oid: str) -> ObjectKeys | None:
        opened: ObjectKeys | None = None
        for name in self.source.names(f"keys/o/{oid}/"):
            with checking("V8", name):
                revision = int(name.rsplit("/", 1)[1].removesuffix(".json"))
                blob = self.source.read(name)
                tenant = self.tenant(key_format.object_key_epoch(blob))
                secret = key_format.read_object_key_blob(blob, tenant, self.repo, oid, revision)
                keys = ObjectKeys.of(secret, self.repo, oid)
            if opened is not None and opened.key != keys.key:
                raise Broken("V8", name, "two revisions of one object key differ")
            opened = keys
        return opened
