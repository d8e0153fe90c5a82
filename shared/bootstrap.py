"""Builds the collaborators of the services once per worker process and event loop."""

import asyncio
import secrets
import weakref
from functools import cached_property
from typing import TYPE_CHECKING

from shared.kit.blobs import BlobStore
from shared.kit.clock import Clock, SystemClock
from shared.kit.config import Settings, settings
from shared.kit.cursors import KEY_BYTES, SkipTokens
from shared.kit.storage import Storage
from shared.kit.tables import Row, RowExists, Tables

if TYPE_CHECKING:
    from shared.microsoft365.tokens import Tokens
    from shared.vault.keystore import KeyStore

# Rows that belong to the deployment and to no partner.
SYSTEM_PARTITION = "system"
CURSOR_KEY_ROW = "cursor-key"


class Deps:
    """What a service may need; each part is opened at its first use.

    Tests hand in their own clock or storage; nothing here is replaced at run time.
    """

    def __init__(
        self,
        configuration: Settings | None = None,
        *,
        clock: Clock | None = None,
        storage: Storage | None = None,
    ) -> None:
        self.settings = configuration or settings()
        self.clock: Clock = clock or SystemClock()
        self.storage = storage or Storage(self.settings)
        self._skip_tokens: SkipTokens | None = None

    @property
    def tables(self) -> Tables:
        """All tables."""
        return self.storage.tables

    @cached_property
    def tokens(self) -> "Tokens":
        """App-only tokens in customers' tenants."""
        from shared.microsoft365.tokens import Tokens

        return Tokens(self.settings)

    @cached_property
    def keys(self) -> "KeyStore":
        """The key store that wraps repository keys (vault.md)."""
        from shared.vault.keystore import FileKeyStore

        kind, _, directory = self.settings.key_store.partition(":")
        if kind != "file" or not directory:
            raise ValueError("HOLDFAST_KEY_STORE has to be file:<directory> in this version")
        return FileKeyStore(directory)

    async def vault_stores(
        self, repo_id: str, *, create: bool = False
    ) -> tuple[BlobStore, BlobStore]:
        """The vault and the control container of a repository; made first when `create`."""
        vault = await self.storage.container(f"vault-{repo_id}", create=create)
        control = await self.storage.container(f"control-{repo_id}", create=create)
        return vault, control

    async def skip_tokens(self) -> SkipTokens:
        """Seals the places inside paged lists, with the deployment's key made by `prepare`."""
        if self._skip_tokens is None:
            row = await self.tables["Access"].get(SYSTEM_PARTITION, CURSOR_KEY_ROW)
            self._skip_tokens = SkipTokens(bytes.fromhex(row.values["key"]))
        return self._skip_tokens

    async def close(self) -> None:
        """End every connection opened here."""
        tokens = self.__dict__.get("tokens")
        if tokens is not None and hasattr(tokens, "close"):
            await tokens.close()
        await self.storage.close()


_open: "weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Deps]" = weakref.WeakKeyDictionary()


def deps() -> Deps:
    """The collaborators of the running event loop: connections belong to one loop."""
    loop = asyncio.get_running_loop()
    found = _open.get(loop)
    if found is None:
        found = _open[loop] = Deps()
    return found


def use(given: Deps) -> None:
    """Make `given` the collaborators of the running loop: for tests and scripts."""
    _open[asyncio.get_running_loop()] = given


async def prepare(given: Deps) -> None:
    """Create tables and the deployment's own keys: once per deployment, not per request."""
    await given.tables.create_all()
    try:
        await given.tables["Access"].insert(
            Row(SYSTEM_PARTITION, CURSOR_KEY_ROW, {"key": secrets.token_hex(KEY_BYTES)})
        )
    except RowExists:
        return  # a second start keeps the key: cursors handed out stay good
