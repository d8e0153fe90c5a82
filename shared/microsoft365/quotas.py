"""What Microsoft allows: the numbers of quotas.json and the pure functions that read them.

Rule: microsoft365.md section 6 and M25-M27. A deployment may put its own file in the place of ours:
`HOLDFAST_QUOTAS_FILE` names it.
"""

import os
from functools import cache
from pathlib import Path
from typing import Literal

import msgspec

OURS = Path(__file__).with_name("quotas.json")

DriveCall = Literal[
    "item", "download", "deltaWithToken", "deltaWithoutToken", "list", "write", "permission"
]


class MailboxQuota(msgspec.Struct, rename="camel", frozen=True):
    """Per app and mailbox. `burst` + `per_second` * window never exceeds `requests`.

    At most `upload_bytes` are written in `upload_window_seconds`.
    """

    requests: int
    window_seconds: int
    per_second: float
    burst: int
    in_flight: int
    upload_bytes: int = 150_000_000
    upload_window_seconds: int = 300


class SharePointBand(msgspec.Struct, rename="camel", frozen=True):
    """Resource units for tenants of up to `seats` licences (None: any number)."""

    seats: int | None
    per_minute: int
    per_day: int


class SharePointQuota(msgspec.Struct, rename="camel", frozen=True):
    """Per app and tenant; `share` of the band is what we allow ourselves (M26).

    Invitations and sharing links have a limit of their own: 300 in 5 minutes.
    """

    share: float
    window_seconds: int
    bands: list[SharePointBand]
    units: dict[str, int]
    sharing_per_second: float = 0.99


class TeamsQuota(msgspec.Struct, rename="camel", frozen=True):
    """Calls a second: of a tenant, of one team or channel, and of our application over all (M24).

    `burst` + rate never exceeds what Microsoft allows in a second.
    """

    per_second: float
    per_team: float
    shard_per_second: float
    burst: float


class IdentityBand(msgspec.Struct, rename="camel", frozen=True):
    """Directory resource units per window for tenants of up to `seats` users."""

    seats: int | None
    units: int


class IdentityQuota(msgspec.Struct, rename="camel", frozen=True):
    """Per app and tenant."""

    share: float
    window_seconds: int
    bands: list[IdentityBand]
    units: dict[str, int]


class Quotas(msgspec.Struct, rename="camel", frozen=True):
    """All limits the data plane keeps; `day_reserve` is held back for restores (M25)."""

    mailbox: MailboxQuota
    share_point: SharePointQuota
    teams: TeamsQuota
    identity: IdentityQuota
    day_reserve: float


def load_quotas(path: Path | None = None) -> Quotas:
    """Read quotas from `path`; OSError or msgspec.ValidationError when the file is not usable."""
    return msgspec.json.decode((path or OURS).read_bytes(), type=Quotas)


@cache
def default_quotas() -> Quotas:
    """The quotas of this deployment."""
    named = os.environ.get("HOLDFAST_QUOTAS_FILE")
    return load_quotas(Path(named) if named else None)


def share_point_band(quotas: Quotas, seats: int) -> SharePointBand:
    """The band of a tenant with `seats` licences; 0 (unknown) is the smallest."""
    return next(b for b in quotas.share_point.bands if b.seats is None or seats <= b.seats)


def identity_band(quotas: Quotas, seats: int) -> IdentityBand:
    """The directory band of a tenant with `seats` users; 0 (unknown) is the smallest."""
    return next(b for b in quotas.identity.bands if b.seats is None or seats <= b.seats)


def drive_units(quotas: Quotas, call: DriveCall) -> int:
    """Resource units of one SharePoint or OneDrive call (M27)."""
    return quotas.share_point.units[call]


def delta_units(quotas: Quotas, url: str) -> int:
    """Resource units of one drive delta page: cheaper once the link carries a token (M27)."""
    return drive_units(quotas, "deltaWithToken" if "token=" in url else "deltaWithoutToken")


def identity_units(
    quotas: Quotas, call: str, *, select: bool = False, expand: bool = False, top: int = 100
) -> int:
    """Units of one directory call: $select -1, $expand +1, $top below 20 -1, at least 1."""
    units = quotas.identity.units.get(call, quotas.identity.units["other"])
    return max(1, units - select + expand - (top < 20))


def day_budget(quotas: Quotas, seats: int) -> int:
    """Resource units per day a backup may spend, the restore reserve left aside (M25)."""
    return int(share_point_band(quotas, seats).per_day * (1 - quotas.day_reserve))
