"""Letting a customer go: its licences end, its policies rest, its tenant is free for another."""

import contextlib
from typing import TYPE_CHECKING

from shared.access.model import Scope
from shared.customers import licences
from shared.customers import repository as customers
from shared.customers.model import Customer, CustomerState
from shared.kit.errors import Conflict, NotFound
from shared.licensing import service, wishes
from shared.licensing.repository import Command
from shared.protection import editing, repository
from shared.protection.service import NotRunning, stop_session

if TYPE_CHECKING:
    from shared.bootstrap import Deps


class OnboardingRuns(Conflict):
    """An onboarding is under way; it would connect the customer again."""

    code, title = "ONBOARDING_RUNNING", "The customer is being onboarded"


async def disconnect(
    deps: "Deps", scope: Scope, command: Command, customer_id: str
) -> tuple[Customer, tuple[int, ...]]:
    """Disconnect a customer (CUS-29, CUS-30, LIC-20, AMB-38); the customer and the events.

    `MinimumTerm` (409) names the first day on which it works; then nothing has changed. Licences
    end first, because only they can refuse; every later step may be repeated, so a run that died
    is finished by the next. What runs is stopped; backups stay until their retention.
    """
    about = await licences.asked(deps, scope, customer_id)
    customer = about.customer
    if customer.state is CustomerState.DISCONNECTED:
        return customer, ()
    if customer.state is CustomerState.ONBOARDING:
        raise OnboardingRuns("Cancel the onboarding first.")
    wish = wishes.disconnect(about.facts, about.standing)
    done = await service.perform(deps.ledgers, scope, command, wish)
    for policy in await repository.list_policies(deps.tables, scope, customer_id=customer_id):
        if policy.enabled:
            await editing.disable_policy(deps, scope, policy.policy_id)
        if policy.running_session_id is not None:
            await _stop(deps, scope, policy.running_session_id)
    if customer.tenant_id is not None:
        await customers.release_tenant(deps.tables, scope, customer, customer.tenant_id)
    gone = customer.model_copy(
        update={
            "state": CustomerState.DISCONNECTED,
            "tenant_id": None,
            "admins": [],
            "left_at": deps.clock.now(),
            "updated_at": deps.clock.now(),
            "updated_by": command.actor,
        }
    )
    saved = await customers.save(deps.tables, scope, gone)
    return saved, tuple(event.seq for event in done.events)


async def _stop(deps: "Deps", scope: Scope, session_id: str) -> None:
    """Its process starts no further object and ends it as Stopped."""
    with contextlib.suppress(NotRunning, NotFound):  # over, or claimed and never begun
        await stop_session(deps, scope, session_id)
