"""Builds the collaborators of the services once per worker process and event loop."""

import asyncio
import secrets
import weakref
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from shared.kit.blobs import BlobStore
from shared.kit.clock import Clock, SystemClock
from shared.kit.config import Settings, settings
from shared.kit.cursors import KEY_BYTES, SkipTokens
from shared.kit.storage import Storage
from shared.kit.tables import Row, RowExists, Tables

if TYPE_CHECKING:
    from shared.access.client_service import Clients
    from shared.access.grants import GrantBook
    from shared.access.partners import Partners
    from shared.access.role_service import Roles
    from shared.access.user_service import Users
    from shared.audit.service import Trail
    from shared.audit.signing import Signer
    from shared.billing.repository import Prices
    from shared.customers.doors import Doors
    from shared.kit.idempotency import IdempotencyStore
    from shared.kit.ratelimits import RateLimiter
    from shared.licensing.repository import Ledgers
    from shared.marketplace.channels import Channels
    from shared.marketplace.repository import Orders
    from shared.microsoft365.shared_fence import Fences
    from shared.microsoft365.tokens import Tokens
    from shared.usage.repository import UsageRows
    from shared.vault.keystore import KeyStore
    from shared.vault.locks import Locks

# Rows that belong to the deployment and to no partner.
SYSTEM_PARTITION = "system"
CURSOR_KEY_ROW = "cursor-key"
ANSWERS = "answers"
"""Container of large stored answers (Idempotency-Key); rows have the small ones."""
USAGE = "usage"
"""Container of rated months and of the evidence behind them, by SHA-256."""
CHECKPOINTS = "audit"
"""Container of the signed checkpoints; immutable in a deployment."""


class VaultStores(NamedTuple):
    """Where a vault is: its blobs, its keepers' facts, and its locks where storage has them."""

    vault: BlobStore
    control: BlobStore
    locks: "Locks | None" = None


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
        self._idempotency: IdempotencyStore | None = None
        self._trail: Trail | None = None

    @property
    def tables(self) -> Tables:
        """All tables."""
        return self.storage.tables

    @cached_property
    def grants(self) -> "GrantBook":
        """What every caller may do, remembered while nothing changed."""
        from shared.access.grants import GrantBook

        return GrantBook(self.tables["Access"], self.clock)

    @cached_property
    def partners(self) -> "Partners":
        """Partners and their home tenants."""
        from shared.access.partners import Partners

        return Partners(self.tables, self.clock)

    @cached_property
    def users(self) -> "Users":
        """The verbs on users."""
        from shared.access.user_service import Users

        return Users(self.tables["Access"], self.clock)

    @cached_property
    def roles(self) -> "Roles":
        """The verbs on roles and customer groups."""
        from shared.access.role_service import Roles

        return Roles(self.tables["Access"])

    @cached_property
    def clients(self) -> "Clients":
        """The verbs on API clients and API keys."""
        from shared.access.client_service import Clients

        return Clients(self.tables["Access"], self.clock)

    @cached_property
    def doors(self) -> "Doors":
        """Who enters a customer's environment."""
        from shared.customers.doors import Doors

        return Doors(self.tables, self.grants, self.clock)

    @cached_property
    def tokens(self) -> "Tokens":
        """App-only tokens in customers' tenants."""
        from shared.microsoft365.tokens import Tokens

        return Tokens(self.settings)

    @cached_property
    def fences(self) -> "Fences":
        """What the workers of a tenant tell each other about Microsoft's refusals."""
        from shared.microsoft365.shared_fence import TABLE, TableFences

        return TableFences(self.tables[TABLE], self.clock)

    @cached_property
    def keys(self) -> "KeyStore":
        """The key store that wraps repository keys (vault.md): Key Vault, or a directory."""
        if self.settings.key_store.startswith("https://"):
            from shared.vault.azure_keystore import KeyVaultStore

            return KeyVaultStore(self.settings.key_store, self.storage.credential)
        from shared.vault.keystore import FileKeyStore

        return FileKeyStore(self._key_directory())

    def _key_directory(self) -> str:
        kind, _, directory = self.settings.key_store.partition(":")
        if kind != "file" or not directory:
            raise ValueError(
                "HOLDFAST_KEY_STORE has to be file:<directory> or https://{vault}/keys/{name}"
            )
        return directory

    @cached_property
    def limiter(self) -> "RateLimiter":
        """Counts requests per partner and caller, over all workers."""
        from shared.kit.ratelimits import Policy, RateLimiter

        policy = Policy(quota=self.settings.rate_quota)
        return RateLimiter(self.tables["RateLimits"], self.clock, policy)

    @cached_property
    def ledgers(self) -> "Ledgers":
        """Pools, subscriptions and the ledger of every partner."""
        from shared.catalogue.service import catalogue
        from shared.licensing.repository import TABLE, Ledgers

        return Ledgers(self.tables[TABLE], self.clock, catalogue())

    @cached_property
    def orders(self) -> "Orders":
        """Deliveries of channels and the orders they make."""
        from shared.marketplace.repository import TABLE, Orders

        return Orders(self.tables[TABLE], self.clock)

    @cached_property
    def channels(self) -> "Channels":
        """The marketplaces and sellers, each with its adapter."""
        from shared.marketplace.channels import Channels

        return Channels(self.settings, self.clock, self.orders)

    @cached_property
    def signer(self) -> "Signer":
        """Signs the checkpoints of the audit trail."""
        if self.settings.key_store.startswith("https://"):
            from shared.audit.azure_signing import SIGNING, KeyVaultSigner

            vault, _, name = self.settings.key_store.partition("/keys/")
            return KeyVaultSigner(vault, name + SIGNING, self.storage.credential)
        from shared.audit.signing import FileSigner

        return FileSigner(self._key_directory())

    async def idempotency(self) -> "IdempotencyStore":
        """Remembers the answers to requests with an Idempotency-Key."""
        from shared.kit.idempotency import IdempotencyStore

        if self._idempotency is None:
            answers = await self.storage.container(ANSWERS)
            self._idempotency = IdempotencyStore(self.tables["Idempotency"], answers, self.clock)
        return self._idempotency

    @cached_property
    def prices(self) -> "Prices":
        """Price books, billing profiles and how customers are billed."""
        from shared.billing.repository import TABLE, Prices

        return Prices(self.tables[TABLE], self.clock)

    async def usage(self) -> "UsageRows":
        """Days, months and reports of usage."""
        from shared.usage.repository import CONTAINER, DAYS, MONTHS, UsageRows

        blobs = await self.storage.container(CONTAINER)
        return UsageRows(self.tables[DAYS], self.tables[MONTHS], blobs)

    async def trail(self) -> "Trail":
        """The audit trail."""
        from shared.audit.repository import AuditTables
        from shared.audit.service import Trail

        if self._trail is None:
            tables = AuditTables(self.storage.table_service)
            checkpoints = await self.storage.container(CHECKPOINTS)
            self._trail = Trail(tables, self.clock, checkpoints, lambda: self.signer)
        return self._trail

    async def vault_stores(
        self, vault_id: str, *, region: str = "", create: bool = False
    ) -> VaultStores:
        """The containers of a vault in its region; made first when `create` (BKP-25, SEC-02)."""
        storage = self.storage.in_region(region)
        vault = await storage.container(f"vault-{vault_id}", create=create)
        control = await storage.container(f"control-{vault_id}", create=create)
        if self.settings.lock_mode == "none":
            return VaultStores(vault, control)
        from shared.vault.azure_locks import AzureLocks

        return VaultStores(vault, control, AzureLocks(storage.client_of(f"vault-{vault_id}")))

    async def skip_tokens(self) -> SkipTokens:
        """Seals the places inside paged lists.

        With HOLDFAST_CURSOR_KEY, else with the deployment's own key, made by `prepare`; places
        sealed with the latter stay good after the setting has come.
        """
        if self._skip_tokens is None:
            row = await self.tables["Access"].get(SYSTEM_PARTITION, CURSOR_KEY_ROW)
            keys = [bytes.fromhex(row.values["key"])]
            if self.settings.cursor_key is not None:
                keys.insert(0, bytes.fromhex(self.settings.cursor_key.get_secret_value()))
            self._skip_tokens = SkipTokens(*keys)
        return self._skip_tokens

    async def close(self) -> None:
        """End every connection opened here."""
        channels = self.__dict__.get("channels")
        if channels is not None:
            await channels.close()
        for name in ("tokens", "keys"):
            opened = self.__dict__.get(name)
            if opened is not None and hasattr(opened, "close"):
                await opened.close()
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
    """Create tables, containers and the deployment's keys: once per deployment, not per request."""
    await given.tables.create_all()
    for container in (ANSWERS, USAGE, CHECKPOINTS):
        await given.storage.container(container, create=True)
    try:
        await given.tables["Access"].insert(
            Row(SYSTEM_PARTITION, CURSOR_KEY_ROW, {"key": secrets.token_hex(KEY_BYTES)})
        )
    except RowExists:
        return  # a second start keeps the key: cursors handed out stay good
