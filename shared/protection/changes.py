"""Read, decide, save: a pure decision under the ETag; a lost race reads and decides again."""

import asyncio
import random
from collections.abc import Callable

from shared.access.model import Scope
from shared.kit.tables import LostRace, Tables
from shared.protection.model import Policy, ProtectedObject, Session
from shared.protection.repository import (
    get_object,
    get_policy,
    get_session,
    save_object,
    save_policy,
    save_session,
)

_RACES = 12
"""Lost races in a row before somebody has to be told: the writers of one row are few."""


async def change_session(
    tables: Tables, scope: Scope, session_id: str, decide: Callable[[Session], Session | None]
) -> Session:
    """Apply a pure decision under the ETag; None leaves the row as it is.

    A lost race reads again and decides again (architecture.md section 5).
    """
    for _ in range(_RACES):
        session = await get_session(tables, scope, session_id)
        changed = decide(session)
        if changed is None:
            return session
        try:
            return await save_session(tables, scope, changed)
        except LostRace:
            await asyncio.sleep(random.uniform(0.01, 0.1))  # noqa: S311 - spreads writers only
    raise LostRace(f"{session_id} keeps changing; try again.")


async def change_policy(
    tables: Tables, scope: Scope, policy_id: str, decide: Callable[[Policy], Policy | None]
) -> Policy:
    """Apply a pure decision under the ETag; None leaves the row as it is."""
    for _ in range(_RACES):
        policy = await get_policy(tables, scope, policy_id)
        changed = decide(policy)
        if changed is None:
            return policy
        try:
            return await save_policy(tables, scope, changed)
        except LostRace:
            await asyncio.sleep(random.uniform(0.01, 0.1))  # noqa: S311 - spreads writers only
    raise LostRace(f"{policy_id} keeps changing; try again.")


async def change_object(
    tables: Tables,
    scope: Scope,
    object_id: str,
    decide: Callable[[ProtectedObject], ProtectedObject | None],
) -> None:
    """Apply a pure decision under the ETag; None leaves the row as it is."""
    for _ in range(_RACES):
        found = await get_object(tables, scope, object_id)
        changed = decide(found)
        if changed is None:
            return
        try:
            await save_object(tables, scope, changed)
        except LostRace:
            await asyncio.sleep(random.uniform(0.01, 0.1))  # noqa: S311 - spreads writers only
        else:
            return
    raise LostRace(f"{object_id} keeps changing; try again.")
