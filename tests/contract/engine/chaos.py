"""One mailbox and one drive under random changes, copied night after night without tables."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from local.certs import Certificates, ClientCredential
from local.microsoft365 import running
from local.microsoft365.clock import Clock as SimulatorClock
from local.microsoft365.faults import read_rule
from local.microsoft365.start import create
from local.microsoft365.truth import truth
from local.microsoft365.world import Size
from local.registrations import Registrations
from shared.kit.config import Settings
from shared.microsoft365.drive import Drive as DriveReader
from shared.microsoft365.exchange import ExchangeMailbox
from shared.microsoft365.model import Budget
from shared.microsoft365.tokens import Tokens
from shared.microsoft365.transport import GraphTransport
from shared.microsoft365.wire import Wire
from shared.protection.passes import Pass
from shared.protection.slices import Bounds, run_slice
from shared.vault.model import GraphUse, ObjectRef, SnapshotHead
from shared.vault.run import Run
from shared.vault.service import Vault
from tests.contract.engine.people import People
from tests.contract.engine.truth import file_differences, mail_differences
from tests.contract.graph.conftest import SharedClock
from tests.unit.vault.world import World

WORLD = Size(users=1, mails=8, files=6, mail_mean=3_000, file_mean=2_000, real=False)


@dataclass
class Stage:
    """A simulator with its clients; every example gets the same world anew."""

    ending: AsyncExitStack
    sim: Any
    settings: Settings
    registrations: Registrations
    clock: SharedClock
    wire: Any = None
    tokens: Any = None
    quotas: Any = None
    """Of our own pace; None = those of production."""

    @classmethod
    async def open(cls, certificates: Certificates, credential: ClientCredential) -> "Stage":
        ending = AsyncExitStack()
        registrations, simulated = Registrations(), SimulatorClock(datetime.now(UTC))
        server = await ending.enter_async_context(
            running(
                registrations=registrations.document(credential),
                certificate=certificates.server_certificate,
                key=certificates.server_key,
                clock=simulated,
                users=1, mails=0, files=0,
            )
        )  # fmt: skip
        configuration = Settings(
            authority=server.https,
            graph=server.https,
            reader_client_id=registrations.reader,
            restorer_client_id=registrations.restorer,
            onboarding_client_id=registrations.onboarding,
            client_credential=credential.pem,
        )
        clock = SharedClock(simulated)
        return cls(ending, server.sim, configuration, registrations, clock)

    async def close(self) -> None:
        await self._disconnect()
        await self.ending.aclose()

    async def _connect(self) -> None:
        """A client that remembers nothing of earlier examples."""
        await self._disconnect()
        self.wire = Wire(clock=self.clock, sleep=self.clock.sleep, quotas=self.quotas)
        self.tokens = Tokens(self.settings, wire=self.wire)

    async def _disconnect(self) -> None:
        if self.tokens is not None and self.wire is not None:
            await self.tokens.close()
            await self.wire.close()

    async def fresh(self, size: Size = WORLD) -> "Chaos":
        """The world as it was in the beginning, and an empty vault."""
        sim = self.sim
        made = create(size)
        # Client assertions are made by the real clock, so each example begins at the present.
        sim.clock.restart(datetime.now(UTC))
        await self._connect()
        sim.tenants = made.tenants
        sim.delta_epoch = 0
        sim.faults.rules.clear()
        sim.throttle.reset()
        tenant = next(iter(sim.tenants.values()))
        app = sim.applications[self.registrations.reader]
        from local.microsoft365.consent_pages import grant

        grant(sim, tenant, app, None)
        user = next(iter(tenant.users.values()))
        return Chaos(self, tenant.id, People(sim, user), await World().create())


@dataclass
class Chaos:
    """The tenant's side and the vault's side of one example."""

    stage: Stage
    tenant: str
    people: People
    vault: Vault
    runs: int = 0
    roots: dict[str, str] = field(default_factory=dict)

    nights: ClassVar[int] = 0
    FAULTS: ClassVar[dict[str, dict[str, Any]]] = {
        "empty page": {"action": "emptyPage", "match": {"path": "delta"}},
        "throttled": {"action": "throttle", "match": {"path": "users/|drives/", "nth": 2}},
        "unavailable": {"action": "unavailable", "match": {"path": "users/|drives/", "nth": 3}},
        "expired once": {"action": "expireDelta", "match": {"path": "delta", "nth": 2}},
        "broken mail": {"action": "serverError", "match": {"path": "value"}},
        "cut short": {"action": "truncate", "match": {"path": "value|_content", "nth": 2}},
        "dead address": {"action": "deadUrl", "match": {"path": "_content"}},
        "reset": {"action": "reset", "match": {"path": "users/|drives/", "nth": 4}},
    }

    # -- nights -------------------------------------------------------------------------------

    async def misfortune(self, kind: str, times: int) -> None:
        self.stage.sim.faults.rules.append(read_rule({**self.FAULTS[kind], "times": times}))

    async def night(self, items: int, during: list[Any], dies: int = 0) -> list[SnapshotHead]:
        """One run per object; changes fall between slices, and slice `dies` is done twice."""
        Chaos.nights += 1
        self.runs += 1
        heads = []
        for ref in self.objects():
            changes = iter(during)
            heads.append(await self.run(ref, items, changes, dies))
        return heads

    def objects(self) -> list[ObjectRef]:
        mine = (self.people.user.display_name, self.people.user.upn)
        return [
            ObjectRef("mailbox", self.people.user.id, *mine),
            ObjectRef("drive", self.people.drive.id, *mine),
        ]

    async def run(self, ref: ObjectRef, items: int, changes: Any, dies: int) -> SnapshotHead:
        number, more = 0, True
        while more:
            run = await self.vault.open_run(ref, f"{ref.workload}-{self.runs}")
            if dies and number == dies:
                await self._die(ref, run, number, items)
                run = await self.vault.open_run(ref, f"{ref.workload}-{self.runs}")
            end = await self._slice(ref, run, number, items)
            more, number = end.more, number + 1
            assert number < 2_000, "the run does not end"
            for what, one, other in next(changes, []):
                self.people.act(what, one, other)
            if end.not_before is not None:
                wait = (end.not_before - self.stage.clock.now()).total_seconds()
                self.stage.sim.clock.advance(max(0.0, wait))
        run = await self.vault.open_run(ref, f"{ref.workload}-{self.runs}")
        standing = Pass.model_validate(run.state)
        now = self.people.now()
        return await run.seal(
            enumerated=standing.enumerated(),
            since=standing.since(),
            containers_total=standing.containers(),
            started=now,
            ended=now,
            expires=now + timedelta(days=365),
            kind=standing.kind(has_parent=run.parent is not None),
        )

    async def _die(self, ref: ObjectRef, run: Run, number: int, items: int) -> None:
        """The worker is gone in the middle of a slice: nothing of it was committed."""
        task = asyncio.create_task(self._slice(ref, run, number, items))
        await asyncio.sleep(0.004)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def _slice(self, ref: ObjectRef, run: Run, number: int, items: int) -> Any:
        stage = self.stage
        deadline = stage.clock.now() + timedelta(minutes=10)
        transport = GraphTransport(
            stage.settings, stage.tokens, self.tenant, Budget(deadline=deadline),
            client_id=stage.registrations.reader, wire=stage.wire,
        )  # fmt: skip

        def spent() -> GraphUse:
            use = transport.use
            return GraphUse(use.requests, use.ru, use.throttled, use.waited_s)

        workload: Any = (
            ExchangeMailbox(transport, ref.source_id)
            if ref.workload == "mailbox"
            else DriveReader(transport, ref.source_id)
        )
        bounds = Bounds(deadline, items=items)
        return await run_slice(workload, run, number, bounds=bounds, clock=stage.clock, meter=spent)

    async def quiet_night(self, items: int) -> None:
        """Nothing changes while it runs: a complete snapshot is the tenant."""
        for ref, head in zip(self.objects(), await self.night(items, []), strict=True):
            if head.status == "complete":
                await self.equal(ref, head)

    async def last_night(self) -> None:
        """Everything is well again: complete, equal, and the night after costs the floor only."""
        self.stage.sim.faults.rules.clear()
        self.stage.sim.clock.advance(310)
        heads = await self.night(500, [])
        if any(head.status != "complete" for head in heads):
            heads = await self.night(500, [])
        again = await self.night(500, [])
        for ref, head, after in zip(self.objects(), heads, again, strict=True):
            assert head.status == after.status == "complete", (ref, head.document["counts"])
            await self.equal(ref, after)
            assert after.root == head.root
            assert after.counts["protected"] == after.counts["metadata"] == 0
            containers = after.counts["containers"]
            assert containers["complete"] == containers["total"]
            assert after.document["graph"]["requests"] == containers["total"]

    async def equal(self, ref: ObjectRef, head: SnapshotHead) -> None:
        """The snapshot says what the tenant says, item by item and folder by folder."""
        snapshot = await self.vault.open_snapshot(ref, head.n)
        opened: Any = _Opened(snapshot)
        wanted = await truth(self.people.user)
        rows = {row.source_id: row async for row in snapshot.rows()}
        assert len(rows) == head.items
        if ref.workload == "drive":
            wrong = await file_differences(opened, wanted)
            assert wrong == [], wrong
            folders = {i for i, row in rows.items() if row.kind == "folder"}
            there = {one["id"] for one in wanted["driveFolders"]}
            assert folders == there, (folders - there, there - folders)
            return
        wrong = await mail_differences(opened, wanted)
        assert wrong == [], wrong
        for mail in wanted["mails"]:
            row = rows[mail["id"]]
            assert bool(row.item.get("x", 0) & 1) == mail["isRead"], mail
            assert row.item.get("m", {}).get("categories", []) == mail["categories"], mail
        shown = {one["id"]: one for one in wanted["folders"] if not one["hidden"]}
        held = {i: row for i, row in rows.items() if row.kind == "folder"}
        assert {i: (row.name, row.parent) for i, row in held.items()} == {
            i: (one["name"], one["parentId"])
            for i, one in shown.items()
            if one["wellKnown"] != "msgfolderroot"
        }


@dataclass
class _Opened:
    snapshot: Any
