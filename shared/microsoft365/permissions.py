"""The permissions Holdfast needs, as data per workload, and how a tenant's grant compares (M37).

Selecting a workload adds only its row (M38). Application permissions know no incremental consent:
every addition here means a new consent in every tenant, so add rarely.
"""

from collections.abc import Iterable
from typing import Literal

import msgspec

MANIFEST_VERSION = 2

Workload = Literal["directory", "mailbox", "calendar", "contacts", "drive", "site", "team"]
App = Literal["reader", "restorer"]

MANIFEST: dict[App, dict[Workload, frozenset[str]]] = {
    "reader": {
        "directory": frozenset({"User.Read.All", "GroupMember.Read.All", "Organization.Read.All"}),
        "mailbox": frozenset({"Mail.Read", "MailboxSettings.Read"}),
        "calendar": frozenset({"Calendars.Read"}),
        "contacts": frozenset({"Contacts.Read"}),
        "drive": frozenset({"Files.Read.All", "Sites.Read.All"}),
        "site": frozenset({"Files.Read.All", "Sites.Read.All"}),
        "team": frozenset(
            {
                "Team.ReadBasic.All",
                "TeamSettings.Read.All",
                "TeamMember.Read.All",
                "TeamsTab.Read.All",
                "Channel.ReadBasic.All",
                "ChannelMember.Read.All",
                "ChannelMessage.Read.All",
                "Files.Read.All",
                "Sites.Read.All",
            }
        ),
    },
    "restorer": {
        "directory": frozenset({"User.Read.All"}),
        "mailbox": frozenset({"Mail.ReadWrite"}),
        "calendar": frozenset({"Calendars.ReadWrite"}),
        "contacts": frozenset({"Contacts.ReadWrite"}),
        "drive": frozenset({"Files.ReadWrite.All", "Sites.ReadWrite.All"}),
        "site": frozenset({"Files.ReadWrite.All", "Sites.ReadWrite.All"}),
        "team": frozenset(
            {
                "Teamwork.Migrate.All",
                "Channel.Create",
                "Channel.ReadBasic.All",
                "ChannelMessage.Read.All",
            }
        ),
    },
}
REASONS: dict[str, str] = {
    "User.Read.All": "Find the users to protect and see who is licensed.",
    "GroupMember.Read.All": "Protect the members of a group as one choice.",
    "Organization.Read.All": "Show the organisation's name and its subscriptions.",
    "Mail.Read": "Read mail into the backup.",
    "Calendars.Read": "Read calendars into the backup.",
    "Contacts.Read": "Read contacts into the backup.",
    "MailboxSettings.Read": "Recognise shared and inactive mailboxes.",
    "Files.Read.All": "Read OneDrive files into the backup.",
    "Sites.Read.All": "Read document libraries into the backup.",
    "Mail.ReadWrite": "Write restored mail; only while a restore runs.",
    "Calendars.ReadWrite": "Write restored events; only while a restore runs.",
    "Contacts.ReadWrite": "Write restored contacts; only while a restore runs.",
    "Files.ReadWrite.All": "Write restored files; only while a restore runs.",
    "Sites.ReadWrite.All": "Write into document libraries; only while a restore runs.",
    "Team.ReadBasic.All": "Find the teams to protect.",
    "TeamSettings.Read.All": "Read the settings of teams into the backup.",
    "TeamMember.Read.All": "Read who belongs to a team into the backup.",
    "TeamsTab.Read.All": "Read the tabs of channels into the backup.",
    "Channel.ReadBasic.All": "Find the channels of teams.",
    "ChannelMember.Read.All": "Read who belongs to a private or shared channel.",
    "ChannelMessage.Read.All": "Read messages of channels, and find restored ones again.",
    "Teamwork.Migrate.All": "Write restored messages with author and time; only in a restore.",
    "Channel.Create": "Create the channel that restored messages go to.",
}
"""Why each is needed, in words for the customer's administrator."""


class Comparison(msgspec.Struct, frozen=True):
    """Granted against needed; `degraded` names the workloads that cannot run."""

    state: Literal["healthy", "missing", "excess"]
    missing: frozenset[str]
    excess: frozenset[str]
    degraded: frozenset[str]


def _with_directory(workloads: Iterable[Workload]) -> set[Workload]:
    return {"directory", *workloads}


def needed(workloads: Iterable[Workload], app: App = "reader") -> frozenset[str]:
    """Application permissions for these workloads; the directory's are always among them."""
    rows = MANIFEST[app]
    return frozenset().union(*(rows[workload] for workload in _with_directory(workloads)))


def compare(workloads: Iterable[Workload], roles: Iterable[str], app: App = "reader") -> Comparison:
    """Compare a token's roles with the manifest; missing weighs more than excess (M37)."""
    wanted, granted = _with_directory(workloads), frozenset(roles)
    need = needed(wanted, app)
    missing, excess = need - granted, granted - need
    degraded = frozenset(w for w in wanted if MANIFEST[app][w] - granted)
    state: Literal["healthy", "missing", "excess"] = (
        "missing" if missing else "excess" if excess else "healthy"
    )
    return Comparison(state, missing, excess, degraded)
