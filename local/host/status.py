"""Where a timer's last and next run are remembered: in memory, or as the platform's status blob."""

import asyncio
import importlib
import json
from datetime import datetime
from typing import Any, NamedTuple, Protocol

CONTAINER = "azure-webjobs-hosts"
NEVER = "0001-01-01T00:00:00+00:00"  # the platform writes .NET's smallest date


class TimerStatus(NamedTuple):
    """The last run (None: never ran), the next one due, and when this was written."""

    last: datetime | None
    next: datetime
    updated: datetime

    def document(self) -> dict[str, str]:
        """The platform's JSON form."""
        return {
            "Last": self.last.isoformat() if self.last else NEVER,
            "Next": self.next.isoformat(),
            "LastUpdated": self.updated.isoformat(),
        }


def read_status(text: str | bytes) -> TimerStatus | None:
    """Read the JSON form; None if it is not one (a damaged status counts as none)."""
    try:
        document: dict[str, Any] = json.loads(text)
        last = document["Last"]
        return TimerStatus(
            None if last.startswith("0001-") else datetime.fromisoformat(last),
            datetime.fromisoformat(document["Next"]),
            datetime.fromisoformat(document["LastUpdated"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


class StatusStore(Protocol):
    """Remembers one status per timer. `save` overwrites; `load` gives None for an unknown timer."""

    async def load(self, timer: str) -> TimerStatus | None:
        """The stored status."""

    async def save(self, timer: str, status: TimerStatus) -> None:
        """Replace the stored status."""

    async def close(self) -> None:
        """Release what the store holds."""


class MemoryStatus:
    """Forgets at exit: for an app without AzureWebJobsStorage."""

    def __init__(self) -> None:
        self.known: dict[str, TimerStatus] = {}

    async def load(self, timer: str) -> TimerStatus | None:
        """The status saved in this process."""
        return self.known.get(timer)

    async def save(self, timer: str, status: TimerStatus) -> None:
        """Keep it until the process ends."""
        self.known[timer] = status

    async def close(self) -> None:
        """Nothing is held."""


class BlobStatus:
    """The platform's blobs `azure-webjobs-hosts/timers/{hostId}/Host.Functions.{name}/status`."""

    def __init__(self, connection: str, host_id: str) -> None:
        self._connection = connection
        self._host_id = host_id
        self._client: Any = None
        self._opening = asyncio.Lock()

    async def load(self, timer: str) -> TimerStatus | None:
        """The stored status; None if there is no blob."""
        from azure.core.exceptions import ResourceNotFoundError

        container = await self._container()
        try:
            download = await container.download_blob(self._name(timer))
        except ResourceNotFoundError:
            return None
        return read_status(await download.readall())

    async def save(self, timer: str, status: TimerStatus) -> None:
        """Overwrite the blob."""
        container = await self._container()
        body = json.dumps(status.document())
        await container.upload_blob(self._name(timer), body, overwrite=True)

    async def close(self) -> None:
        """Close the connection to storage."""
        if self._client is not None:
            await self._client.close()

    async def _container(self) -> Any:
        async with self._opening:
            if self._client is None:
                # Half a second of import: off the event loop, and only for apps that have timers.
                blobs = await asyncio.to_thread(importlib.import_module, "azure.storage.blob.aio")
                from azure.core.exceptions import ResourceExistsError

                client = blobs.BlobServiceClient.from_connection_string(self._connection)
                try:
                    await client.create_container(CONTAINER)
                except ResourceExistsError:
                    pass
                except BaseException:
                    await client.close()
                    raise
                self._client = client
        return self._client.get_container_client(CONTAINER)

    def _name(self, timer: str) -> str:
        return f"timers/{self._host_id}/Host.Functions.{timer}/status"
