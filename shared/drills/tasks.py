"""What passes between the drill's process and its activities: small, and cheap to import."""

from shared.protection.model import Record


class DrillTask(Record):
    """Which drill; `object_id` for the work on one object, `error` tells the seal what broke."""

    partner_id: str
    drill_id: str
    object_id: str = ""
    error: str | None = None


class DrillPlan(Record):
    """The objects that were drawn."""

    objects: list[str]
