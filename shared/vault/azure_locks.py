"""The lock port over Azure Blob Storage: version-level immutability, mode Locked (section 14)."""

from collections.abc import AsyncIterator, Callable
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from shared.vault.locks import Immutable, LockRefused, Version

if TYPE_CHECKING:
    from azure.storage.blob.aio import ContainerClient

_INCLUDE = ["versions", "immutabilitypolicy", "legalhold"]


class AzureLocks:
    """A container with versioning and version-level immutability."""

    def __init__(self, container: "ContainerClient") -> None:
        self._container = container

    async def versions(self, prefix: str = "", *, deleted: bool = False) -> AsyncIterator[Version]:
        """All versions; Azure lists the versions of a name oldest first."""
        include = [*_INCLUDE, "deleted"] if deleted else _INCLUDE
        async for blob in self._container.list_blobs(
            name_starts_with=prefix or None, include=include
        ):
            policy: Any = blob.immutability_policy
            yield Version(
                blob.name,
                blob.version_id or "",
                blob.size,
                blob.creation_time or blob.last_modified,
                bool(blob.is_current_version),
                policy.expiry_time if policy is not None else None,
                bool(blob.has_legal_hold),
                bool(blob.deleted),
            )

    async def read(self, found: Version, offset: int = 0, length: int | None = None) -> bytes:
        """Bytes of exactly this version."""
        stream = await self._container.get_blob_client(found.name).download_blob(
            offset=offset if offset or length is not None else None,
            length=length,
            version_id=found.version or None,
        )
        return bytes(await stream.readall())

    async def lock(self, found: Version, until: datetime) -> None:
        """A locked policy. The mode is always sent: without it Azure sets an unlocked one."""
        from azure.storage.blob import ImmutabilityPolicy

        policy = ImmutabilityPolicy(expiry_time=until, policy_mode="Locked")
        with _conflicts(LockRefused, found.name):
            await self._container.get_blob_client(found.name).set_immutability_policy(
                policy, version_id=found.version or None
            )

    async def hold(self, found: Version, on: bool) -> None:
        """The legal-hold flag of this version."""
        await self._container.get_blob_client(found.name).set_legal_hold(
            on, version_id=found.version or None
        )

    async def delete(self, found: Version) -> None:
        """This version only; Delete without a version id would merely hide the current one."""
        from azure.core.exceptions import ResourceNotFoundError

        try:
            with _conflicts(Immutable, found.name):
                await self._container.get_blob_client(found.name).delete_blob(
                    version_id=found.version or None
                )
        except ResourceNotFoundError:
            return

    async def now(self) -> datetime:
        """The `Date` of an answer of this container."""
        seen: list[datetime] = []

        def look(answer: Any) -> None:
            seen.append(parsedate_to_datetime(answer.http_response.headers["Date"]))

        await self._container.get_container_properties(raw_response_hook=look)
        return seen[-1]


class _conflicts:  # noqa: N801 - reads as a statement
    """Azure's 409 and 412 as the refusal of the port."""

    def __init__(self, refusal: Callable[[str], Exception], name: str) -> None:
        self._refusal, self._name = refusal, name

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, wrong: BaseException | None, trace: object) -> None:
        if getattr(wrong, "status_code", None) in (409, 412):
            raise self._refusal(self._name) from wrong
