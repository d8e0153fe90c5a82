"""The scheduler of backups, fired by hand: nobody waits for a policy's hour."""

from datetime import timedelta
from typing import Any

import httpx

from shared.access.model import Scope
from shared.protection import changes, repository
from tests.e2e.scene import Customer, Scene


def tick(scene: Scene) -> None:
    """Fire the scheduler's timer by hand, as the Functions tools do."""
    address = f"{scene.stack.urls.api}/admin/functions/start_due_backups"
    assert httpx.post(address, json={"input": ""}).status_code == 202


def make_due(scene: Scene, customer: Customer) -> None:
    """Nobody waits for the policy's hour: its next run was a minute ago."""

    async def move(deps: Any) -> None:
        at = deps.clock.now() - timedelta(minutes=1)
        scope = Scope(customer.partner.get("/partners/me")["partnerId"])
        policy = await changes.change_policy(
            deps.tables,
            scope,
            customer.policy,
            lambda found: found.model_copy(update={"next_run_at": at}),
        )
        await repository.put_due(deps.tables, policy)

    scene.with_storage(move)
