"""The real engine against a simulated Microsoft 365 (TLS), real tables, and a vault in memory."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from local.azurite import Azurite
from shared.access.model import Scope
from shared.bootstrap import Deps
from shared.customers import repository as customers
from shared.customers.model import AppBinding, Customer, CustomerState, Service
from shared.kit.blobs import MemoryBlobs
from shared.kit.ids import new_id
from shared.kit.storage import Storage
from shared.microsoft365 import wire as wires
from shared.protection import browsing, engine, process, repository, service
from shared.protection.model import ObjectRun, Session
from shared.protection.slices import Bounds
from shared.protection.tasks import ObjectTask, SessionTask, SliceAnswer
from shared.restore import process as restoring
from shared.restore import service as restores
from shared.restore.choosing import Wanted
from shared.restore.model import Restore
from shared.restore.tasks import RestoreTask
from shared.vault.keystore import FileKeyStore
from tests.contract.graph.conftest import Cloud, certificates, cloud, credential, size

__all__ = ["certificates", "cloud", "credential", "size"]


class MemoryStorage(Storage):
    """Real tables, containers in memory."""

    def __init__(self, settings: Any) -> None:
        super().__init__(settings)
        self.containers: dict[str, MemoryBlobs] = {}

    async def container(self, name: str, *, create: bool = False) -> Any:
        return self.containers.setdefault(name, MemoryBlobs())

    def in_region(self, region: str) -> Any:
        return self


@dataclass
class Ground:
    """A customer with its policy; runs sessions the way the process does, without its host."""

    cloud: Cloud
    deps: Deps
    customer: Customer
    policy_id: str
    scope: Scope
    slices: list[SliceAnswer] = field(default_factory=list)

    async def start(self) -> SessionTask:
        session = await service.start_session(
            self.deps, self.scope, self.policy_id, requested_by="test"
        )
        return SessionTask(partner_id=self.scope.partner_id, session_id=session.session_id)

    async def back_up(self, *, items: int = 5000) -> Session:
        """One whole session; small `items` make many slices."""
        job = await self.start()
        plan = await process.plan_session(self.deps, job)
        disconnected = plan.outcome == "disconnected"
        for group in range(plan.groups):
            for task in await process.list_group(self.deps, job, group):
                answer = await self.protect(task, items=items)
                disconnected = disconnected or answer.outcome == "disconnected"
        ended = {"disconnected": disconnected, "error": plan.detail or None}
        await process.seal_session(self.deps, job.model_copy(update=ended))
        return await self.session(job)

    async def protect(self, task: ObjectTask, *, items: int = 5000) -> SliceAnswer:
        """Slice after slice, then the seal: what `protect_object` does."""
        number = 0
        while True:
            answer = await self.slice(task, number, items=items)
            if answer.outcome != "more":
                break
            if answer.not_before is not None:
                now = self.deps.clock.now()
                await self.cloud.clock.sleep(max(0, (answer.not_before - now).total_seconds()))
            number += 1
        if answer.outcome in {"done", "stopped"}:
            await engine.seal_object(self.deps, task)
        return answer

    async def slice(self, task: ObjectTask, number: int, *, items: int = 5000) -> SliceAnswer:
        from datetime import timedelta

        bounds = Bounds(self.deps.clock.now() + timedelta(minutes=10), items=items)
        answer = await engine.protect_slice(
            self.deps, task.model_copy(update={"number": number}), bounds
        )
        self.slices.append(answer)
        return answer

    async def session(self, job: SessionTask) -> Session:
        return await repository.get_session(self.deps.tables, self.scope, job.session_id)

    async def runs(self, session: Session) -> dict[tuple[str, str], ObjectRun]:
        """(workload, source id) -> the object's row."""
        found: dict[tuple[str, str], ObjectRun] = {}
        for shard in range(session.shards):
            for run in await repository.list_runs(self.deps.tables, session, shard):
                found[run.workload, run.source_id] = run
        return found

    async def held(self, run: ObjectRun, n: int | None = None) -> dict[str, Any]:
        """Source id -> row of the object's snapshot."""
        opened = await self.opened(run, n)
        return {row.source_id: row async for row in opened.snapshot.rows()}

    async def opened(self, run: ObjectRun, n: int | None = None) -> browsing.Opened:
        number = n or run.snapshot
        assert number is not None
        return await browsing.open_point(self.deps, self.scope, run.object_id, number)

    async def restore(self, run: ObjectRun, **wanted: Any) -> Restore:
        """One whole restore, the way its process does it."""
        made = await restores.start_restore(
            self.deps,
            self.scope,
            Wanted(object_id=run.object_id, snapshot=run.snapshot or 0, **wanted),
            requested_by="test",
        )
        return await self.finish(made)

    async def finish(self, made: Restore) -> Restore:
        task = RestoreTask(partner_id=self.scope.partner_id, restore_id=made.restore_id)
        await restoring.plan_restore(self.deps, task)
        number, error = 0, None
        while True:
            at = task.model_copy(update={"number": number})
            answer = await restoring.restore_slice(self.deps, at)
            if answer.outcome != "more":
                error = answer.error
                break
            number += 1
        await restoring.seal_restore(self.deps, task.model_copy(update={"error": error}))
        return await restores.get_restore(self.deps, self.scope, made.restore_id)


@pytest.fixture
async def ground(cloud: Cloud, azurite: Azurite, tmp_path: Any) -> AsyncIterator[Ground]:
    settings = cloud.settings.model_copy(update={"storage_connection": _secret(azurite.connection)})
    deps = Deps(settings, clock=cloud.clock, storage=MemoryStorage(settings))
    deps.__dict__["tokens"] = cloud.tokens
    deps.__dict__["keys"] = FileKeyStore(tmp_path / "keys")
    wires._wires[asyncio.get_running_loop()] = cloud.wire
    await deps.tables.create_all()
    scope = Scope(f"partner-{new_id(6)}")
    now = cloud.clock.now()
    customer = await customers.add(
        deps.tables,
        scope,
        Customer(
            customer_id=new_id(),
            partner_id=scope.partner_id,
            display_name="Contoso",
            state=CustomerState.ACTIVE,
            tenant_id=cloud.tenant_id,
            region="westeurope",
            retention_years=1,
            services=[Service.EXCHANGE, Service.ONEDRIVE],
            consent=AppBinding(
                reader_client_id=settings.reader_client_id,
                restorer_client_id=settings.restorer_client_id,
            ),
            created_at=now,
            updated_at=now,
        ),
    )
    policy = await service.create_recommended_policy(deps, scope, customer)
    yield Ground(cloud, deps, customer, policy.policy_id, scope)
    await deps.storage.close()


def _secret(text: str) -> Any:
    from pydantic import SecretStr

    return SecretStr(text)
