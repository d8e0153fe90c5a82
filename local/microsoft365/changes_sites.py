"""The work of a day in sites and teams, deterministic from a seed."""

import random
from typing import Any

from local.microsoft365.simulator import Simulator
from local.microsoft365.site import Site
from local.microsoft365.sources import seed_of
from local.microsoft365.team import Channel, Message, Team, stamp
from local.microsoft365.tenant import Tenant, User
from local.microsoft365.world_sites import item_fields, words

JSON = dict[str, Any]
ITEM_VERBS = ("newItems", "editItems", "deleteItems")
MESSAGE_VERBS = ("newMessages", "newReplies", "editMessages", "deleteMessages", "reactMessages")


def change(sim: Simulator, tenant: Tenant, body: JSON) -> list[JSON]:
    """Apply `perSite` and `perTeam` counts to the named (default: all) sites and teams.

    `perSite` takes the verbs of files too, applied to every library. Raises KeyError for unknown
    verbs, sites and teams.
    """
    made: list[JSON] = []
    per_site, per_team = body.get("perSite") or {}, body.get("perTeam") or {}
    seed = body.get("seed", 0)
    if per_site:
        for site in _named(tenant.sites, body.get("sites")):
            chance = random.Random(seed_of(seed, site.id, "change"))
            made += _site(sim, tenant, site, per_site, chance)
    if per_team:
        for team in _named(tenant.teams, body.get("teams")):
            chance = random.Random(seed_of(seed, team.id, "change"))
            made += _team(sim, team, per_team, chance)
    return made


def _named[T](things: dict[str, T], names: list[str] | None) -> list[T]:
    return [things[name] for name in (things if names is None else names)]


def _site(
    sim: Simulator, tenant: Tenant, site: Site, counts: JSON, chance: random.Random
) -> list[JSON]:
    from local.microsoft365.changes import FILE_VERBS, change_files

    unknown = set(counts) - {*FILE_VERBS, *ITEM_VERBS}
    if unknown:
        raise KeyError(f"unknown changes {sorted(unknown)}")
    made: list[JSON] = []
    for library in site.libraries:
        made += change_files(sim, library.owner, library.drive, counts, chance)
    now = sim.clock.now()
    people = [user for user in tenant.users.values() if user.licensed]
    for one in site.lists:
        pool = list(one.items.values())
        chance.shuffle(pool)
        for _ in range(int(counts.get("newItems", 0))):
            item = one.add(item_fields(chance, 999), chance.choice(people), now)
            made.append({"site": site.id, "kind": "newItems", "id": str(item.number)})
        for _ in range(min(len(pool), int(counts.get("editItems", 0)))):
            item = pool.pop()
            one.edit(item, {"Status": "done", "Notes": words(chance, 6)}, now)
            made.append({"site": site.id, "kind": "editItems", "id": str(item.number)})
        for _ in range(min(len(pool), int(counts.get("deleteItems", 0)))):
            item = pool.pop()
            one.delete(item, now)
            made.append({"site": site.id, "kind": "deleteItems", "id": str(item.number)})
    return made


def _team(sim: Simulator, team: Team, counts: JSON, chance: random.Random) -> list[JSON]:
    unknown = set(counts) - set(MESSAGE_VERBS)
    if unknown:
        raise KeyError(f"unknown changes {sorted(unknown)}")
    made: list[JSON] = []
    people = list(dict.fromkeys([*team.owners, *team.members]))
    for channel in team.channels.values():
        made += _channel(stamp(sim.clock.now()), channel, people, counts, chance)
    return made


def _channel(
    now: int, channel: Channel, people: list[User], counts: JSON, chance: random.Random
) -> list[JSON]:
    made: list[JSON] = []
    roots = [root for root in channel.messages.values() if root.deleted is None]
    chance.shuffle(roots)
    pool: list[Message] = [
        one for root in roots for one in (root, *root.replies) if one.deleted is None
    ]

    def note(kind: str, message: Message) -> None:
        made.append({"channel": channel.id, "kind": kind, "id": message.id})

    for _ in range(int(counts.get("newMessages", 0))):
        text = f"<p>{words(chance, 7)}</p>"
        note("newMessages", channel.post(chance.choice(people), text, channel.free_time(now)))
    for root in roots[: int(counts.get("newReplies", 0))]:
        text = f"<p>{words(chance, 4)}</p>"
        at = channel.free_time(now)
        note("newReplies", channel.post(chance.choice(people), text, at, root))
    for _ in range(min(len(pool), int(counts.get("editMessages", 0)))):
        message = pool.pop()
        channel.edit(message, f"<p>edited: {words(chance, 5)}</p>", now)
        note("editMessages", message)
    for _ in range(min(len(pool), int(counts.get("reactMessages", 0)))):
        message = pool.pop()
        channel.react(message, chance.choice(people), "heart", now)
        note("reactMessages", message)
    for _ in range(min(len(pool), int(counts.get("deleteMessages", 0)))):
        message = pool.pop()
        channel.delete(message, now)
        note("deleteMessages", message)
    return made
