"""Changes of a policy: its name and selection, on and off, its end (BKP-06, 07, 10, 11)."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from shared.access.model import Scope
from shared.customers import repository as customers
from shared.kit.errors import Forbidden
from shared.kit.etags import check_if_match, strong_etag
from shared.protection import changes, repositories, repository, rules
from shared.protection.model import BackupType, Policy
from shared.protection.selection import check_objects, check_retention, check_services
from shared.protection.service import AlreadyRunning, check_connected

if TYPE_CHECKING:
    from shared.bootstrap import Deps


class ScheduleSupportOnly(Forbidden):
    """How often a policy runs is changed by a support case only (BKP-07, SUP-07)."""

    code, title = "SCHEDULE_SUPPORT_ONLY", "Only support can change the schedule"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to change; None leaves as it is."""

    name: str | None = None
    backup_type: BackupType | None = None
    services: list[str] | None = None
    include: list[str] | None = None
    exclude: list[str] | None = None
    interval_hours: int | None = None
    others: dict[str, Any] = field(default_factory=dict)
    """`retention_years` and `repository_id`, where None is a word of its own."""


async def edit_policy(
    deps: "Deps", scope: Scope, policy_id: str, if_match: str | None, wanted: Wanted
) -> Policy:
    """Change name, services or selection; the next session goes by it (BKP-06).

    Restore points of what is left out stay until their retention. `ScheduleSupportOnly` for
    `interval_hours`; `LostRace` when somebody else changes the policy at the same time.
    """
    policy = await repository.get_policy(deps.tables, scope, policy_id)
    if wanted.interval_hours is not None:
        raise ScheduleSupportOnly("Open a support case with the interval you need.")
    check_if_match(if_match, strong_etag(policy.etag))
    plain = ("name", "backup_type", "services", "include", "exclude")
    named = {name: getattr(wanted, name) for name in plain}
    update: dict[str, Any] = {name: value for name, value in named.items() if value is not None}
    changed = policy.model_copy(update=update | wanted.others)
    customer = await customers.get(deps.tables, scope, policy.customer_id)
    check_retention(changed.retention_years)
    await repositories.check(deps, customer, changed.repository_id)
    if wanted.services is not None:
        check_services(customer, wanted.services)
    if update.keys() & {"backup_type", "include", "exclude"}:
        await check_objects(
            deps,
            scope,
            policy.customer_id,
            changed.backup_type,
            changed.include,
            changed.exclude,
            {*policy.include, *policy.exclude},
        )
    if changed == policy:
        return policy
    return await repository.save_policy(deps.tables, scope, changed)


async def set_interval(deps: "Deps", scope: Scope, policy_id: str, hours: int) -> Policy:
    """A support case: how often the policy runs, counted from its last run (BKP-07)."""

    def scheduled(policy: Policy) -> Policy | None:
        began = policy.last_run_at or policy.created_at
        due = rules.next_run(began, hours, deps.clock.now())
        changed = policy.model_copy(update={"interval_hours": hours, "next_run_at": due})
        return None if changed == policy else changed

    # As in enable_policy: the Due row first.
    current = await repository.get_policy(deps.tables, scope, policy_id)
    await repository.put_due(deps.tables, scheduled(current) or current)
    policy = await changes.change_policy(deps.tables, scope, policy_id, scheduled)
    await repository.put_due(deps.tables, policy)
    return policy


async def enable_policy(deps: "Deps", scope: Scope, policy_id: str) -> Policy:
    """Scheduled starts resume, with a next run in the future (BKP-10); repeats change nothing.

    `CustomerGone` (409) for a customer that was disconnected.
    """
    now = deps.clock.now()

    def enabled(policy: Policy) -> Policy | None:
        if policy.enabled:
            return None
        at = policy.next_run_at
        if at <= now:
            at = rules.next_run(at, policy.interval_hours, now)
        return policy.model_copy(update={"enabled": True, "next_run_at": at})

    # The Due row first: one whose policy says otherwise is dropped, a missing one never starts.
    current = await repository.get_policy(deps.tables, scope, policy_id)
    await check_connected(deps, scope, current.customer_id)
    await repository.put_due(deps.tables, enabled(current) or current)
    policy = await changes.change_policy(deps.tables, scope, policy_id, enabled)
    await repository.put_due(deps.tables, policy)
    return policy


async def disable_policy(deps: "Deps", scope: Scope, policy_id: str) -> Policy:
    """No scheduled starts; one by hand stays possible (BKP-10). What runs is not stopped."""

    def off(policy: Policy) -> Policy | None:
        return policy.model_copy(update={"enabled": False}) if policy.enabled else None

    return await changes.change_policy(deps.tables, scope, policy_id, off)


async def delete_policy(deps: "Deps", scope: Scope, policy_id: str, if_match: str | None) -> None:
    """The definition goes; sessions and restore points stay until their retention (BKP-11).

    `AlreadyRunning` while a session runs: its process still needs the definition.
    """
    policy = await repository.get_policy(deps.tables, scope, policy_id)
    check_if_match(if_match, strong_etag(policy.etag))
    if policy.running_session_id is not None:
        running = await repository.find_session(deps.tables, scope, policy.running_session_id)
        if rules.is_running(policy, running, deps.clock.now()):
            raise AlreadyRunning(
                "Stop it and wait until it has ended.", sessionId=policy.running_session_id
            )
    await repository.delete_policy(deps.tables, scope, policy)
