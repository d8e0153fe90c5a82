"""What a restore is asked to bring back, and where to: checked, nothing written.

A start and a preview check the same things in the same order, so that a preview never promises
what the start refuses.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.access.model import Scope
from shared.customers import repository as customers
from shared.customers.model import CustomerState
from shared.kit.errors import Invalid, Unprocessable
from shared.protection import browsing
from shared.protection import repository as protection
from shared.protection.browsing import ItemNotInSnapshot, Opened
from shared.protection.model import ProtectedObject
from shared.restore import rules
from shared.restore.model import Collision, Target
from shared.vault.model import Row

if TYPE_CHECKING:
    from shared.bootstrap import Deps


SHARED_WORKLOADS = frozenset({"drive", "site"})
"""Whose restore points hold permissions of items."""


class TargetUnfit(Unprocessable):
    """The target cannot take these items."""

    code, title = "TARGET_UNFIT", "The target cannot take these items"


class ConfirmationMissing(Unprocessable):
    """Data would go to another customer's tenant, and nobody has said that it shall."""

    code, title = "CONFIRMATION_MISSING", "Confirm that the data goes to another customer"


class ItemIsFolder(Unprocessable):
    """A folder is restored through `folder`."""

    code, title = "ITEM_IS_FOLDER", "This item is a folder"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a caller asks for; names and keys as they came."""

    object_id: str
    snapshot: int
    items: list[str] | None = None
    folder: str | None = None
    place: str = "folder"
    target_folder: str | None = None
    target_object_id: str | None = None
    confirmed_customer_id: str | None = None
    """The customer whose tenant may receive data of another; see `target_object_id`."""
    collision: Collision = "skip"
    with_permissions: bool = False
    """Give shares of files and folders back; nobody is mailed."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Good to go: the restore point, the folder or items of it, and the target."""

    opened: Opened
    target: Target
    items: tuple[str, ...] | None
    top: Row | None
    """The chosen folder."""

    def rows(self) -> AsyncIterator[tuple[Row, list[str]]]:
        """Every chosen row; see `chosen_rows`."""
        return chosen_rows(self.opened, self.items, self.top)


async def chosen_rows(
    opened: Opened, items: Sequence[str] | None, top: Row | None
) -> AsyncIterator[tuple[Row, list[str]]]:
    """Every row of `items`, else of the folder `top`, else of the whole restore point.

    With the names of the folders it stood in, from the top. Refuses an item that is unknown or a
    folder before the first row.
    """
    folders = [row async for row in opened.snapshot.rows() if row.kind in rules.FOLDER_KINDS]
    tree = rules.folder_tree(row.item for row in folders)
    if items is not None:
        for row in await _named(opened, items):
            yield row, rules.path_of(rules.place_of(row.item), tree)
        return
    async for row in opened.snapshot.rows():
        at = rules.place_of(row.item)
        if top is not None and not rules.inside(at, top.source_id, tree):
            continue
        path = rules.path_of(at, tree)
        if row.kind in rules.FOLDER_KINDS and not path:
            continue  # a drive's root is there anyway
        yield row, path


async def _named(opened: Opened, keys: Sequence[str]) -> list[Row]:
    found = await browsing.find_rows(opened, list(keys))
    for at, key in enumerate(keys):
        if key not in found:
            raise ItemNotInSnapshot(
                f"The restore point does not hold {key[:64]!r}.", pointer=f"/items/{at}"
            )
        if found[key].kind in rules.FOLDER_KINDS:
            raise ItemIsFolder("Restore a folder with `folder`.", pointer=f"/items/{at}")
    return [found[key] for key in keys]


async def choose(deps: "Deps", scope: Scope, wanted: Wanted) -> Choice:
    """Check object, restore point, folder and target; the items are checked by `rows`."""
    if wanted.items is not None and wanted.folder is not None:
        raise Invalid("Name items or a folder, not both.", pointer="/items")
    opened = await browsing.open_point(deps, scope, wanted.object_id, wanted.snapshot)
    target = await _target(deps, scope, opened.found, wanted)
    top = None
    if wanted.folder is not None:
        top = await browsing.find_row(opened, wanted.folder)
        if top.kind not in rules.FOLDER_KINDS:
            raise Invalid("This item is not a folder.", pointer="/folder")
    items = tuple(wanted.items) if wanted.items is not None else None
    return Choice(opened, target, items, top)


async def _target(deps: "Deps", scope: Scope, source: ProtectedObject, wanted: Wanted) -> Target:
    found = source
    if wanted.target_object_id not in {None, source.object_id}:
        found = await protection.get_object(deps.tables, scope, str(wanted.target_object_id))
        if found.workload != source.workload:
            raise TargetUnfit("The target is of another kind.", pointer="/target/objectId")
    other = found.customer_id if found.customer_id != source.customer_id else ""
    if other:
        await _check_other(deps, scope, other, wanted)
    elif wanted.confirmed_customer_id is not None:
        raise Invalid(
            "The target is the customer's own: leave it out.", pointer="/target/confirmCustomerId"
        )
    if other and wanted.with_permissions:
        raise TargetUnfit(
            "People of one tenant cannot be given permissions in another.",
            pointer="/withPermissions",
        )
    if wanted.with_permissions and source.workload not in SHARED_WORKLOADS:
        raise Invalid(
            "Only files and folders of drives and sites have permissions to restore.",
            pointer="/withPermissions",
        )
    where = {"object_id": found.object_id, "source_id": found.source_id, "customer_id": other}
    if wanted.place == "original":
        if wanted.target_folder is not None:
            raise Invalid("The original place has no folder.", pointer="/target/folder")
        return Target(place="original", **where)
    try:
        given, now = wanted.target_folder, deps.clock.now()
        folder = rules.default_folder(now) if given is None else rules.folder_names(given)
    except ValueError as wrong:
        raise Invalid(str(wrong), pointer="/target/folder") from wrong
    return Target(place="folder", folder=folder, **where)


async def _check_other(deps: "Deps", scope: Scope, customer_id: str, wanted: Wanted) -> None:
    """Another customer's tenant: named twice, connected, and never into original places."""
    if wanted.confirmed_customer_id != customer_id:
        raise ConfirmationMissing(
            "The target belongs to another customer. Repeat its id in target.confirmCustomerId.",
            pointer="/target/confirmCustomerId",
        )
    customer = await customers.get(deps.tables, scope, customer_id)
    if customer.state is not CustomerState.ACTIVE or not customer.tenant_id:
        raise TargetUnfit("The other customer is not onboarded.", pointer="/target/objectId")
    if wanted.place == "original":
        raise TargetUnfit(
            "Into another tenant only a folder can be the target.", pointer="/target/place"
        )
