"""Opens the storage clients of this process once: tables and blob containers."""

import contextlib
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from shared.kit.blobs import AzureBlobs
from shared.kit.config import Settings
from shared.kit.tables import Tables

if TYPE_CHECKING:
    from azure.data.tables.aio import TableServiceClient
    from azure.identity.aio import ManagedIdentityCredential
    from azure.storage.blob.aio import ContainerClient

# One Put Blob carries a whole pack or record (at most 64 MiB), so a blob is one transaction.
SINGLE_TRANSFER_BYTES = 64 * 1024 * 1024 + 65_536
# As the SDK's own transport for blobs has them.
BLOB_WIRE = {
    "connection_timeout": 20,
    "read_timeout": 60,
    "connection_data_block_size": 256 * 1024,
}


class Storage:
    """Lazy clients over one account; `close()` ends their connections."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._closing: list[object] = []
        self._regions: dict[str, Storage] = {}

    @cached_property
    def tables(self) -> Tables:
        """All tables with names known beforehand."""
        return Tables(self.table_service)

    @cached_property
    def table_service(self) -> "TableServiceClient":
        """The connection itself, for tables whose names are made at run time (audit)."""
        from azure.data.tables.aio import TableServiceClient

        from shared.kit.transport import Transport

        wire = Transport()
        if self._settings.storage_connection:
            service = TableServiceClient.from_connection_string(
                self._settings.storage_connection.get_secret_value(), transport=wire
            )
        else:
            service = TableServiceClient(
                endpoint=self._settings.tables_url, credential=self.credential, transport=wire
            )
        self._closing.append(service)
        return service

    def in_region(self, region: str) -> "Storage":
        """The account of a region; this one where the deployment has one account for all.

        KeyError for a region without an account: data never lands in another region (BKP-25).
        """
        if not self._settings.region_storage or not region:
            return self
        if region not in self._regions:
            place = self._settings.region_storage[region]
            kind = "blobs_url" if place.startswith("http") else "storage_connection"
            value = place if kind == "blobs_url" else SecretStr(place)
            none = {"storage_connection": None, "blobs_url": ""}
            there = self._settings.model_copy(update={**none, kind: value, "region_storage": {}})
            self._regions[region] = Storage(there)
            self._closing.append(self._regions[region])
        return self._regions[region]

    def client_of(self, name: str) -> "ContainerClient":
        """The service's own client of a container: for locks and versions."""
        return self._blobs.get_container_client(name)  # type: ignore[no-any-return]

    async def container(self, name: str, *, create: bool = False) -> AzureBlobs:
        """One blob container; created first when `create` and missing."""
        from azure.core.exceptions import ResourceExistsError

        client = self._blobs.get_container_client(name)
        if create:
            with contextlib.suppress(ResourceExistsError):
                await client.create_container()
        return AzureBlobs(client)

    async def close(self) -> None:
        """Close every client opened so far."""
        for client in reversed(self._closing):
            await client.close()  # type: ignore[attr-defined]
        self._closing.clear()

    @cached_property
    def _blobs(self):  # type: ignore[no-untyped-def]
        from azure.storage.blob.aio import BlobServiceClient

        from shared.kit.transport import Transport

        sizes: dict[str, Any] = {
            "max_single_put_size": SINGLE_TRANSFER_BYTES,
            "max_single_get_size": SINGLE_TRANSFER_BYTES,
            "transport": Transport(**BLOB_WIRE),
        }
        if self._settings.storage_connection:
            service = BlobServiceClient.from_connection_string(
                self._settings.storage_connection.get_secret_value(), **sizes
            )
        else:
            service = BlobServiceClient(
                self._settings.blobs_url, credential=self.credential, **sizes
            )
        self._closing.append(service)
        return service

    @cached_property
    def credential(self) -> "ManagedIdentityCredential":
        """The identity of the deployment, for storage and for Key Vault."""
        from azure.identity.aio import ManagedIdentityCredential

        credential = ManagedIdentityCredential(client_id=self._settings.identity_client_id or None)
        self._closing.append(credential)
        return credential
