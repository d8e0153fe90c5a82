"""Sites and teams of a world: libraries with files, lists with items, channels with threads."""

import random
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from local.microsoft365.drive import Drive
from local.microsoft365.ids import digest, guid
from local.microsoft365.site import Library, Site, SiteList, site_id
from local.microsoft365.sources import GeneratedFile, seed_of, text_pool
from local.microsoft365.team import Channel, Team, stamp
from local.microsoft365.tenant import Tenant, User
from local.microsoft365.world_mail import moment_of
from local.microsoft365.world_names import FILE_NAMES, FOLDER_NAMES

if TYPE_CHECKING:
    from local.microsoft365.world import Size

JSON = dict[str, Any]
SITE_NAMES = ("Intranet", "Qualität & Maße", "Vertrieb", "企画", "Projekt O'Neill", "Archive (old)")
TEAM_NAMES = ("Leitung", "Konstruktion", "Støtte", "Einkauf – Süd", "設計", "Q&A")
CHANNEL_NAMES = ("Planung", "Änderungen", "ideas & more", "週報")
COLUMNS: list[JSON] = [
    {"name": "Status", "displayName": "Status", "choice": {"choices": ["open", "done", "größer"]}},
    {"name": "Amount", "displayName": "Betrag", "number": {"decimalPlaces": "two"}},
    {"name": "Due", "displayName": "Due", "dateTime": {"format": "dateOnly"}},
    {"name": "Notes", "displayName": "Notes", "text": {"allowMultipleLines": True}},
    {"name": "Urgent", "displayName": "Urgent", "boolean": {}},
    {"name": "Double", "displayName": "Double", "calculated": {"formula": "=Amount*2"}},
]
# One pixel: enough to be an image that has to come back byte for byte.
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154"
    "08d763f8cfc000000301010018dd8db00000000049454e44ae426082"
)
SPACE_MS = 60_000


def furnish(size: "Size", tenant: Tenant, newest: datetime) -> None:
    """Give a tenant its sites and teams."""
    people = [user for user in tenant.users.values() if user.licensed] or [tenant.admin]
    for number in range(size.sites):
        name = _name(SITE_NAMES, number)
        tenant.add_site(build_site(size, tenant, name, people, newest))
    for number in range(size.teams):
        build_team(size, tenant, _name(TEAM_NAMES, number), people, newest)


def _name(names: tuple[str, ...], number: int) -> str:
    return names[number % len(names)] + (f" {number}" if number >= len(names) else "")


def build_site(
    size: "Size",
    tenant: Tenant,
    name: str,
    people: list[User],
    newest: datetime,
    *,
    group: str = "",
) -> Site:
    """Build a site with two libraries and two lists (a group's: one library, one list)."""
    key = digest(size.seed, tenant.id, "site", name, group)
    host = f"{tenant.domain.partition('.')[0]}.sharepoint.example"
    short = guid(key.hex())[:8]
    born = moment_of(seed_of(key.hex()), newest) - timedelta(days=900)
    site = Site(key, site_id(host, key), short, name, host, born, group_id=group)
    site.template = "GROUP#0" if group else "STS#3"
    site.description = f"About {name}"
    chance = random.Random(seed_of(size.seed, key.hex()))
    libraries = ["Documents"] if group else ["Documents", "Verträge"]
    for title in libraries:
        library = site.add_library(title, chance.choice(people), born)
        fill_drive(library.drive, chance, size.site_files, size.file_mean, newest)
        library.drive.live = True
    for title in ["Tasks"] if group else ["Tasks", "Größen"]:
        one = site.add_list(title, [dict(column) for column in COLUMNS], born)
        for number in range(size.list_items):
            when = moment_of(seed_of(key.hex(), title, number), newest)
            one.add(item_fields(chance, number), chance.choice(people), when)
        one.live = True
    return site


def fill_drive(drive: Drive, chance: random.Random, count: int, mean: int, when: datetime) -> None:
    """Put files into a library."""
    from local.microsoft365.world import place_file

    for number in range(count):
        stem, dot, ending = chance.choice(FILE_NAMES).rpartition(".")
        path = f"{chance.choice(FOLDER_NAMES)}/{stem} {number}{dot}{ending}".strip("/")
        length = int(chance.expovariate(1 / mean)) if number % 10 else 0
        place_file(drive, path, GeneratedFile(chance.getrandbits(60), length), when)


def item_fields(chance: random.Random, number: int) -> JSON:
    """Return the fields of a list item."""
    amount = chance.randint(0, 100_000)
    return {
        "Title": f"{words(chance, 3)} {number}",
        "Status": chance.choice(["open", "done", "größer"]),
        "Amount": amount / 100,
        "Due": f"2026-{chance.randint(1, 12):02}-{chance.randint(1, 28):02}T00:00:00Z",
        "Notes": words(chance, 12) + "\n— “quoted” 🧾",
        "Urgent": chance.random() < 0.3,
        "Double": amount / 50,
    }


def words(chance: random.Random, count: int) -> str:
    """Return some words of the pool."""
    pool = text_pool()
    start = chance.randrange(len(pool) - 400)
    text = pool[start : start + 400].decode("utf-8", "ignore")
    return " ".join(text.split()[1 : count + 1])


def build_team(
    size: "Size", tenant: Tenant, name: str, people: list[User], newest: datetime
) -> Team:
    """Build a team: General, two standard channels, a private and a shared one."""
    identity = guid(size.seed, tenant.id, "team", name)
    site = build_site(size, tenant, name, people, newest, group=identity)
    tenant.add_site(site)
    chance = random.Random(seed_of(size.seed, identity))
    owners = people[:1]
    members = chance.sample(people, k=min(len(people), 5))
    team = Team(identity, name, site, site.created, owners, members, f"Team {name}")
    tenant.teams[identity] = team
    born, everybody = stamp(site.created), list(dict.fromkeys([*owners, *members]))
    for title, kind in (
        ("General", "standard"), (chance.choice(CHANNEL_NAMES), "standard"),
        ("Geheim", "private"), ("Partner", "shared"),
    ):  # fmt: skip
        channel = team.add_channel(title, born, kind)
        if kind != "standard":
            channel.members = list(dict.fromkeys([*owners, *members[:2]]))
            channel.site = build_site(
                size, tenant, f"{name}-{title}", people, newest, group=f"{identity}/{title}"
            )
            channel.site.template = "TEAMCHANNEL#0"
            tenant.add_site(channel.site)
        library = (channel.site or site).libraries[0]
        if library.drive.resolve(f"root:/{channel.folder}") is None:
            library.drive.create(library.drive.root, channel.folder, newest, None)
        channel.tabs.append(team.tab("Wiki", f"https://wiki.example/{guid(channel.id)}"))
        fill_channel(channel, chance, everybody, size.messages, newest)
    return team


def fill_channel(
    channel: Channel, chance: random.Random, people: list[User], count: int, newest: datetime
) -> None:
    """Put threads into a channel, oldest first; every third thread has replies."""
    start = stamp(newest) - (count + 2) * 3 * SPACE_MS
    if count > 2:
        start -= 400 * 86_400_000  # some are older than the eight months a delta reaches back
    for number in range(count):
        if number == count // 2:
            start = stamp(newest) - (count + 2) * 3 * SPACE_MS
        at = channel.free_time(start + number * 3 * SPACE_MS + chance.randrange(1000))
        root = channel.post(
            chance.choice(people), f"<p>{words(chance, 8)} &amp; 🧩 {number}</p>", at
        )
        root.subject = f"Topic {number}" if number % 4 == 0 else None
        if number % 5 == 0:
            name = "aWQ9" + guid(channel.id, at)[:8]
            root.hosted[name] = ("image/png", PIXEL + bytes([number % 256]))
        for reply in range(chance.randint(1, 4) if number % 3 == 0 else 0):
            later = channel.free_time(at + 1000 + reply * 977)
            channel.post(chance.choice(people), f"<p>{words(chance, 5)}</p>", later, root)
        if number % 7 == 3:
            channel.react(root, chance.choice(people), "like", root.modified + 5)


__all__ = ["Library", "SiteList", "furnish"]
