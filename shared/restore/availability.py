"""Whether backup, storage and restores work, region by region (OPS-03, RST-08).

Told from what the product knows of the customers the caller sees: how the newest run of every
protected object ended, how the restores of the last day ended, whether the region's storage
answers. Nothing known means nothing is wrong as far as anybody can tell: `checked` is 0 then.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from shared.access.model import Scope
from shared.customers import repository as customers
from shared.protection import repository as protection
from shared.protection.model import RunState
from shared.restore import repository
from shared.restore.model import RestoreState

if TYPE_CHECKING:
    from shared.bootstrap import Deps

Area = Literal["APJ", "EMEA", "AMER"]
Health = Literal["Operational", "Degraded", "Unavailable"]

AREAS: tuple[Area, ...] = ("APJ", "EMEA", "AMER")
STORAGE, RESTORES = "Backup storage", "Restores"
BACKUPS = {
    "mailbox": "Exchange",
    "site": "SharePoint",
    "drive": "OneDrive for Business",
    "team": "Teams",
}
COMPONENTS = (*BACKUPS.values(), STORAGE, RESTORES)
WINDOW = timedelta(hours=24)
DEGRADED_ABOVE = 0.1
"""Share of failures from which on a component is not what it should be."""
PROBE = "holdfast-probe"

_AMER = ("us", "canada", "brazil", "mexico", "chile")
_APJ = (
    "asia", "japan", "korea", "australia", "india", "newzealand", "indonesia", "malaysia",
    "taiwan",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Component:
    """One of the eighteen."""

    area: Area
    name: str
    health: Health
    checked: int
    failed: int


def area_of(region: str) -> Area:
    """The part of the world a storage region lies in; `EMEA` for what has no other: pure."""
    name = region.lower()
    if any(part in name for part in _APJ):
        return "APJ"
    if any(part in name for part in _AMER) and "australia" not in name:
        return "AMER"
    return "EMEA"


def health_of(checked: int, failed: int) -> Health:
    """Unavailable when nothing worked, Degraded when too much did not: pure."""
    if failed and failed == checked:
        return "Unavailable"
    return "Degraded" if checked and failed / checked > DEGRADED_ABOVE else "Operational"


def components(counts: Mapping[tuple[str, str], tuple[int, int]]) -> list[Component]:
    """All eighteen of (area, name) -> (checked, failed), in one fixed order: pure."""
    return [
        Component(area, name, health_of(*counts.get((area, name), (0, 0))),
                  *counts.get((area, name), (0, 0)))
        for area in AREAS
        for name in COMPONENTS
    ]  # fmt: skip


async def read(deps: "Deps", scope: Scope) -> list[Component]:
    """The state of all components now."""
    counts: dict[tuple[str, str], tuple[int, int]] = {}

    def note(region: str, name: str, *, failed: bool) -> None:
        at = (area_of(region), name)
        checked, bad = counts.get(at, (0, 0))
        counts[at] = (checked + 1, bad + failed)

    since = deps.clock.now() - WINDOW
    for customer in await customers.list_all(deps.tables, scope):
        region = customer.region
        if not region:
            continue
        for one in await protection.list_objects(deps.tables, scope, customer.customer_id):
            if one.last_run_state in {RunState.SUCCEEDED, RunState.PARTIAL, RunState.FAILED}:
                failed = one.last_run_state is RunState.FAILED
                note(region, BACKUPS[one.workload], failed=failed)
        for restore_failed in await _restores(deps, scope, customer.customer_id, since):
            note(region, RESTORES, failed=restore_failed)
    for region in deps.settings.regions:
        note(region, STORAGE, failed=not await _answers(deps, region))
    return components(counts)


async def _restores(
    deps: "Deps", scope: Scope, customer_id: str, since: datetime
) -> list[bool]:  # fmt: skip
    """Of every restore that ended since: whether nothing of it worked."""
    found = await repository.list_restores(
        deps.tables, scope, customer_id, limit=1000,
        chosen=lambda one: one.ended_at is not None and one.ended_at >= since
        and one.state is not RestoreState.CANCELED,
    )  # fmt: skip
    return [one.state is RestoreState.FAILED for one in found]


async def _answers(deps: "Deps", region: str) -> bool:
    """Whether the storage of a region answers; what it answers does not matter."""
    from azure.core.exceptions import AzureError

    from shared.kit.blobs import BlobMissing

    try:
        store = await deps.storage.in_region(region).container(PROBE, create=True)
        await store.size("nothing")
    except BlobMissing:
        return True
    except (AzureError, KeyError, OSError):
        return False
    return True
