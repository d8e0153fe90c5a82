"""Azurite on this machine: blobs, queues and tables under an account made for this one run."""

import base64
import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from local.children import Child
from local.node import find_node

PROGRAM = Path(__file__).parent / "node_modules" / "azurite" / "dist" / "src" / "azurite.js"
READY_SECONDS = 60.0
LISTENING = re.compile(r"Azurite (Blob|Queue|Table) service is successfully listening at (\S+)\n")


class AzuriteMissing(RuntimeError):
    """Azurite is not installed."""


@dataclass(frozen=True)
class Account:
    """A storage account: its name and its base64 key."""

    name: str
    key: str

    @staticmethod
    def new() -> "Account":
        """An account that nobody else knows."""
        key = base64.b64encode(secrets.token_bytes(64)).decode()
        return Account(f"holdfast{secrets.token_hex(4)}", key)


class Azurite:
    """A running Azurite, loopback only, on ports that the system chose.

    Without a directory everything stays in memory and ends with the process.
    """

    def __init__(
        self, *, log: Path, directory: Path | None = None, account: Account | None = None
    ) -> None:
        """Start, and return when all three services listen. Raises AzuriteMissing, ChildFailed."""
        if not PROGRAM.exists():
            raise AzuriteMissing("Azurite is not installed: run `make setup`")
        self.account = account or Account.new()
        if directory:
            directory.mkdir(parents=True, exist_ok=True)
        keeping = ["--location", str(directory)] if directory else ["--inMemoryPersistence"]
        self.child = Child(
            "Azurite",
            [
                find_node(),
                str(PROGRAM),
                # Port 0: the system hands out a free one, so no start can meet a taken port.
                *("--blobHost", "127.0.0.1", "--blobPort", "0"),
                *("--queueHost", "127.0.0.1", "--queuePort", "0"),
                *("--tableHost", "127.0.0.1", "--tablePort", "0"),
                *keeping,
                "--silent",
                "--disableTelemetry",
                "--disableProductStyleUrl",
                # The SDKs of the day send a newer version than the emulator knows of.
                "--skipApiVersionCheck",
            ],
            log=log,
            environment={
                **os.environ,
                "AZURITE_ACCOUNTS": f"{self.account.name}:{self.account.key}",
            },
        )
        try:
            found = self.child.wait_until(_all_listening, READY_SECONDS)
        except BaseException:
            self.child.stop()
            raise
        self.blobs = f"{found['Blob']}/{self.account.name}"
        self.queues = f"{found['Queue']}/{self.account.name}"
        self.tables = f"{found['Table']}/{self.account.name}"

    @property
    def connection(self) -> str:
        """The connection string, for `HOLDFAST_STORAGE_CONNECTION` and `AzureWebJobsStorage`."""
        return (
            f"DefaultEndpointsProtocol=http;AccountName={self.account.name};"
            f"AccountKey={self.account.key};BlobEndpoint={self.blobs};"
            f"QueueEndpoint={self.queues};TableEndpoint={self.tables};"
        )

    def stop(self) -> None:
        """End it. May be called twice."""
        self.child.stop()


def _all_listening(output: str) -> dict[str, str] | None:
    found = dict(LISTENING.findall(output))
    return found if len(found) == 3 else None
