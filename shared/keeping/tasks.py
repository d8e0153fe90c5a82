"""What passes between the processes of keeping and their activities: small, cheap to import."""

from shared.protection.model import Record


class RoundTask(Record):
    """One repository in one night."""

    partner_id: str
    customer_id: str
    repository_id: str
    night: str
    """YYYY-MM-DD"""


class Kept(Record):
    """One object of a vault, as tonight's round needs it."""

    oid: str
    enabled: bool = False
    """Whether an enabled policy covers it: its newest point lives on (V61)."""
    years: int | None = None
    """The longest retention a policy promises; 0 without end, None nothing new (V55)."""
    n: int = 0
    """The newest point that the control plane knows."""
    record: str = ""


class Batch(Record):
    """Some objects of one round."""

    task: RoundTask
    number: int
    objects: list[Kept]


class VerifyTask(Record):
    """One verification."""

    partner_id: str
    verification_id: str
    part: int = 0
