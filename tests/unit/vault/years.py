"""A vault on WORM storage whose clock the test moves: runs, keepers and garbage, day by day."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.kit.clock import FixedClock
from shared.vault.format.names import new_repository_id
from shared.vault.garbage import Swept, condemn, sweep
from shared.vault.lockkeeper import Kept, keep_keys, keep_locks
from shared.vault.model import ObjectRef, SnapshotHead
from shared.vault.service import Vault, create_repository, open_repository
from shared.vault.upkeep import Upkeep
from tests.unit.vault.copies import recovery
from tests.unit.vault.world import MAILBOX, NOW, Work, key_store
from tests.unit.vault.worm import WormBlobs

YEAR = timedelta(days=365)


@dataclass
class Years:
    """One repository with locks; `now` moves by `pass_`."""

    clock: FixedClock = field(default_factory=lambda: FixedClock(NOW))
    key_lock: str = "rolling"
    repo: str = field(default_factory=new_repository_id)
    runs: int = 0

    def __post_init__(self) -> None:
        self.store = WormBlobs(self.clock)
        self.control = WormBlobs(self.clock)

    @property
    def now(self) -> datetime:
        return self.clock.now()

    def pass_(self, **time: float) -> None:
        self.clock.advance(timedelta(**time))

    async def create(self) -> Vault:
        return await create_repository(
            self.store, self.control, key_store(), repo_id=self.repo, tenant_id="t", now=self.now,
            recovery_public_pem=recovery()[1], locks=self.store, key_lock=self.key_lock,  # type: ignore[arg-type]
        )  # fmt: skip

    async def open(self) -> Vault:
        return await open_repository(
            self.store, self.control, key_store(), repo_id=self.repo, locks=self.store,
            clock=self.clock,
        )  # fmt: skip

    async def upkeep(self) -> Upkeep:
        return await (await self.open()).upkeep()

    async def backup(
        self, work: Work, *, keep: timedelta | None = YEAR, ref: ObjectRef = MAILBOX
    ) -> SnapshotHead:
        """One run with one slice, sealed now."""
        vault = await self.open()
        self.runs += 1
        run = await vault.open_run(ref, f"run{self.runs}")
        part = await run.slice(0)
        await work(run, part)
        await part.finish({}, more=False)
        return await run.seal(
            enumerated={}, started=self.now, ended=self.now,
            expires=None if keep is None else self.now + keep, kind="incremental",
        )  # fmt: skip

    async def oid(self, ref: ObjectRef = MAILBOX) -> str:
        return await (await self.open()).oid(ref)

    async def keepers(self, *enabled: str) -> Kept:
        up = await self.upkeep()
        first, second = await keep_locks(up, enabled), await keep_keys(up)
        return Kept(first.extended + second.extended, first.alarms + second.alarms)

    async def collect(self, oid: str, *, enabled: bool = True) -> Swept:
        """Sweep what waited long enough, then condemn anew."""
        up = await self.upkeep()
        done = await sweep(up, oid, enabled=enabled)
        await condemn(up, oid, enabled=enabled)
        return done

    async def collect_wholly(self, oid: str, *, enabled: bool = True) -> Swept:
        """Condemn, wait, sweep."""
        await condemn(await self.upkeep(), oid, enabled=enabled)
        self.pass_(days=4)
        return await sweep(await self.upkeep(), oid, enabled=enabled)
