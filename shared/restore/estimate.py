"""How long a restore takes at the earliest: pure arithmetic over Microsoft's quotas.

Rule: microsoft365.md section 6, performance.md section 1. A floor and no promise: latency and other
applications only add to it.
"""

import math
from dataclasses import dataclass

from shared.microsoft365.quotas import Quotas, drive_units, share_point_band

DAY = 86_400
INGRESS_BYTES_PER_HOUR = 400_000_000_000
"""Into SharePoint and OneDrive, per app and tenant."""
SMALL_FILE_BYTES = 4_000_000
"""Larger files go by upload session, whose fragments cost no units."""


@dataclass(frozen=True, slots=True)
class Load:
    """What has to be written: things, and how they are made up."""

    items: int = 0
    folders: int = 0
    bytes: int = 0
    large: int = 0
    """Items above `SMALL_FILE_BYTES`."""
    grants: int = 0
    """Invitations and links by which permissions are given back."""

    def plus(self, size: int, *, is_folder: bool, grants: int = 0) -> "Load":
        """With one more item."""
        return Load(
            self.items + (not is_folder),
            self.folders + is_folder,
            self.bytes + (0 if is_folder else size),
            self.large + (not is_folder and size > SMALL_FILE_BYTES),
            self.grants + grants,
        )


@dataclass(frozen=True, slots=True)
class Estimate:
    """Requests and resource units a restore spends, and the seconds it needs at least."""

    requests: int
    resource_units: int
    seconds: int
    limited_by: str
    """requests, upload, resourceUnits, dayBudget, ingress or sharing: what decides."""


def estimate(
    workload: str, load: Load, quotas: Quotas, *, seats: int = 0, replace: bool = False
) -> Estimate:
    """The floor for one object.

    Mailboxes have requests and bytes, SharePoint has units, a team has requests a second.
    """
    if workload == "mailbox":
        return _mailbox(load, quotas, replace=replace)
    if workload == "team":
        # Each message is posted once; what is there is listed fifty threads at a time.
        requests = load.items + load.items // 50 + load.folders * 4
        return Estimate(requests, 0, math.ceil(requests / quotas.teams.per_team), "requests")
    return _drive(load, quotas, seats)


def _mailbox(load: Load, quotas: Quotas, *, replace: bool) -> Estimate:
    quota = quotas.mailbox
    # Look, create, and of a replacement the removal; folders are looked for and created.
    requests = load.items * (3 if replace else 2) + load.folders * 2
    by_requests = max(0, requests - quota.burst) / quota.per_second
    waiting = max(0, load.bytes - quota.upload_bytes)
    by_bytes = waiting * quota.upload_window_seconds / quota.upload_bytes
    seconds = max(by_requests, by_bytes)
    return Estimate(
        requests, 0, math.ceil(seconds), "upload" if by_bytes > by_requests else "requests"
    )


def _drive(load: Load, quotas: Quotas, seats: int) -> Estimate:
    item, write = drive_units(quotas, "item"), drive_units(quotas, "write")
    small = load.items - load.large
    # A small file: look, write, set its times. A large one: look, open a session.
    units = small * (item + 2 * write) + load.large * (item + write)
    units += load.folders * (item + write) + load.grants * drive_units(quotas, "permission")
    requests = small * 3 + load.large * 2 + load.folders * 2 + load.grants
    band, share = share_point_band(quotas, seats), quotas.share_point.share
    days, rest = divmod(units, band.per_day) if units > band.per_day else (0, units)
    by_units = days * DAY + rest * 60 / (band.per_minute * share)
    by_bytes = load.bytes * 3600 / INGRESS_BYTES_PER_HOUR
    limit = "dayBudget" if days else "resourceUnits"
    if by_bytes > by_units:
        limit = "ingress"
    by_grants = load.grants / quotas.share_point.sharing_per_second
    if by_grants > max(by_units, by_bytes):
        limit = "sharing"
    return Estimate(requests, units, math.ceil(max(by_units, by_bytes, by_grants)), limit)
