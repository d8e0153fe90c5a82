"""The ground truth of sites and teams, for comparison with backups."""

import hashlib
from typing import Any

from local.microsoft365.site import Site
from local.microsoft365.sources import sha256_of
from local.microsoft365.team import Message, Team, iso_ms
from local.microsoft365.tenant import Tenant

JSON = dict[str, Any]


def summary(tenant: Tenant) -> JSON:
    """Return the sites and teams that /_sim/world shows."""
    return {
        "sites": [
            {"id": site.id, "name": site.display_name, "webUrl": site.web_url}
            for site in tenant.sites.values()
        ],
        "teams": [
            {
                "id": team.id,
                "name": team.name,
                "siteId": team.site.id,
                "channels": [
                    {"id": one.id, "name": one.name, "membership": one.membership}
                    for one in team.channels.values()
                ],
            }
            for team in tenant.teams.values()
        ],
    }


def site_truth(site: Site) -> JSON:
    """Return every file and list item of a site."""
    return {
        "id": site.id,
        "libraries": [
            {
                "driveId": library.drive.id,
                "name": library.name,
                "files": [
                    {"id": i.id, "path": i.path(), "sha256": sha256_of(i.source), "size": i.size}
                    for i in library.drive.items.values()
                    if i.source is not None
                ],
            }
            for library in site.libraries
        ],
        "lists": [
            {
                "id": one.id,
                "name": one.name,
                "columns": [column["name"] for column in one.columns],
                "items": [
                    {"id": str(item.number), "fields": item.fields, "etag": one.etag(item)}
                    for item in one.items.values()
                ],
            }
            for one in site.lists
        ],
    }


def team_truth(team: Team) -> JSON:
    """Return every channel with its living messages and replies."""
    return {
        "id": team.id,
        "name": team.name,
        "channels": [
            {
                "id": channel.id,
                "name": channel.name,
                "membership": channel.membership,
                "migrating": channel.migrating,
                "messages": [
                    _message(one)
                    for root in channel.messages.values()
                    for one in (root, *root.replies)
                    if one.deleted is None
                ],
            }
            for channel in team.channels.values()
        ],
    }


def _message(one: Message) -> JSON:
    return {
        "id": one.id,
        "rootId": one.root.id if one.root else None,
        "authorId": one.author.id,
        "createdDateTime": iso_ms(one.created),
        "etag": str(one.modified),
        "subject": one.subject,
        "content": one.content,
        "hosted": [hashlib.sha256(data).hexdigest() for _, data in one.hosted.values()],
        "reactions": len(one.reactions),
    }
