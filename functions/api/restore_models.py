"""JSON contracts of restores: what to bring back, how it goes, what it would lose."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from functions.api.protection_models import GraphOut, ObjectId
from shared.kit import ids
from shared.kit.api_model import ApiModel, Instant
from shared.restore import service
from shared.restore.choosing import Wanted
from shared.restore.fidelity import Loss
from shared.restore.model import Entry, EntryState, Restore, RestoreState, Target
from shared.restore.preview import EFFECTS, Preview
from shared.restore.statistics import Statistics

Key = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]


class TargetIn(ApiModel):
    """Where the items go; the default is a new folder `Restored <date>`."""

    place: Literal["original", "folder"] = "folder"
    folder: Annotated[str, StringConstraints(min_length=1, max_length=1000)] | None = Field(
        default=None, description="Path with slashes; for place=folder"
    )
    object_id: ObjectId | None = Field(
        default=None, description="Another mailbox or drive; of another customer with confirmation"
    )
    confirm_customer_id: Annotated[str, StringConstraints(max_length=64)] | None = Field(
        default=None,
        description="Only where the target is another customer's: that customer's id, as a "
        "confirmation that data leaves its tenant. Needs the permission CrossTenantRestore.",
    )


class RestoreInStart(ApiModel):
    """What to bring back: items, a folder, or (with neither) the whole object."""

    object_id: ObjectId
    snapshot: Annotated[int, Field(ge=1)]
    items: Annotated[list[Key], Field(min_length=1, max_length=service.MAX_ITEMS)] | None = None
    folder: Key | None = None
    target: TargetIn = TargetIn()
    collision: Literal["skip", "copy", "replace"] = "skip"
    with_permissions: bool = Field(
        default=False,
        description="Also give the own permissions of files and folders back, as far as the "
        "restore point holds them; about one a second, and nobody is mailed",
    )

    def wanted(self) -> Wanted:
        """The request as the service takes it."""
        return Wanted(
            object_id=self.object_id,
            snapshot=self.snapshot,
            items=list(dict.fromkeys(self.items)) if self.items is not None else None,
            folder=self.folder,
            place=self.target.place,
            target_folder=self.target.folder,
            target_object_id=self.target.object_id,
            confirmed_customer_id=self.target.confirm_customer_id,
            collision=self.collision,
            with_permissions=self.with_permissions,
        )

    @property
    def leaves_customer(self) -> bool:
        """Whether the target is an object of another customer: ids carry their customer's."""
        other = self.target.object_id or self.object_id
        return other[: ids.CUSTOMER_LENGTH] != self.object_id[: ids.CUSTOMER_LENGTH]


class TargetOut(ApiModel):
    """Where the items go."""

    place: Literal["original", "folder"]
    folder: list[str]
    object_id: str
    customer_id: str | None = Field(description="Another customer, when it is; else null")

    @classmethod
    def of(cls, target: Target) -> "TargetOut":
        """The target as partners see it."""
        return cls(
            place=target.place,
            folder=target.folder,
            object_id=target.object_id,
            customer_id=target.customer_id or None,
        )


class RestoreOut(ApiModel):
    """A restore: the only status there is (RST-09)."""

    id: str
    customer_id: str
    object_id: str
    workload: str
    snapshot: int
    requested_by: str
    target: TargetOut
    collision: str
    with_permissions: bool
    state: RestoreState
    progress_percent: int
    total: int
    entries: dict[EntryState, int] = Field(description="Items by result")
    created_at: Instant
    started_at: Instant | None
    ended_at: Instant | None
    graph: GraphOut
    error: str | None

    @classmethod
    def of(cls, restore: Restore) -> "RestoreOut":
        """The restore as partners see it."""
        own = {"id", "target", "entries", "graph", "progress_percent"}
        values = {name: getattr(restore, name) for name in cls.model_fields if name not in own}
        use = restore.graph
        return cls(
            id=restore.restore_id,
            target=TargetOut.of(restore.target),
            entries={EntryState(state): number for state, number in restore.entries.items()},
            progress_percent=service.percent(restore),
            graph=GraphOut(
                requests=use.requests,
                ru=use.ru,
                throttled=use.throttled,
                waited_seconds=round(use.waited_s, 3),
            ),
            **values,
        )


class EntryOut(ApiModel):
    """What became of one item."""

    item_key: str
    kind: str
    name: str
    size_bytes: int
    folder: list[str]
    state: EntryState
    target_item_id: str | None
    notes: list[str]
    error: str | None

    @classmethod
    def of(cls, entry: Entry) -> "EntryOut":
        """The line as partners see it."""
        return cls(
            item_key=entry.item_key,
            kind=entry.kind,
            name=entry.name,
            size_bytes=entry.size,
            folder=entry.folder,
            state=entry.state,
            target_item_id=entry.target_id,
            notes=entry.notes,
            error=entry.error,
        )


class RefusalOut(ApiModel):
    """An item that cannot be restored."""

    item_key: str
    name: str
    code: str


class EstimateOut(ApiModel):
    """The earliest that Microsoft's quotas allow: a floor, not a promise."""

    requests: int
    resource_units: int = Field(description="SharePoint and OneDrive; 0 for mailboxes")
    seconds: int
    limited_by: Literal["requests", "upload", "resourceUnits", "dayBudget", "ingress"]


class CollisionOut(ApiModel):
    """What happens to items that are there already."""

    policy: Literal["skip", "copy", "replace"]
    effect: str
    expected: int = Field(
        description="Chosen items that the newest restore point still holds where they go to"
    )


class PreviewOut(ApiModel):
    """What a restore would do; nothing has been changed."""

    object_id: str
    snapshot: int
    target: TargetOut
    items: int
    folders: int
    bytes: int
    losses: list[Loss] = Field(description="From the fidelity matrix, for the chosen items")
    estimate: EstimateOut
    collision: CollisionOut
    refused: int = Field(description="Items without held content; the restore reports them failed")
    refusals: list[RefusalOut] = Field(description="The first 100 of them")

    @classmethod
    def of(cls, seen: Preview) -> "PreviewOut":
        """The preview as partners see it."""
        opened, cost = seen.choice.opened, seen.estimate
        return cls(
            object_id=opened.found.object_id,
            snapshot=opened.head.n,
            target=TargetOut.of(seen.choice.target),
            items=seen.load.items,
            folders=seen.load.folders,
            bytes=seen.load.bytes,
            losses=seen.losses,
            estimate=EstimateOut.model_validate(cost, from_attributes=True),
            collision=CollisionOut(
                policy=seen.collision,
                effect=EFFECTS[seen.collision],
                expected=seen.expected_collisions,
            ),
            refused=seen.refused,
            refusals=[
                RefusalOut.model_validate(one, from_attributes=True) for one in seen.refusals
            ],
        )


class MonthOut(ApiModel):
    """Restores of one month."""

    month: str
    restores: int
    average: str = Field(description="Per customer, two digits", examples=["2.00"])


class StatisticsOut(ApiModel):
    """Restores of all customers you see, by month and customer (RST-06)."""

    month: str
    restores: int
    average: str = Field(description="Per customer, two digits", examples=["2.00"])
    change: int = Field(description="More than in the month before")
    highest_customer_id: str | None
    highest_restores: int
    by_customer: dict[str, int]
    history: list[MonthOut] = Field(description="Newest first")

    @classmethod
    def of(cls, found: Statistics) -> "StatisticsOut":
        """The numbers as partners see them."""
        return cls(
            month=found.month,
            restores=found.restores,
            average=str(found.average),
            change=found.change,
            highest_customer_id=found.highest,
            highest_restores=found.highest_restores,
            by_customer=found.by_customer,
            history=[
                MonthOut(month=one.month, restores=one.restores, average=str(one.average))
                for one in found.history
            ],
        )
