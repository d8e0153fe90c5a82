"""A day of the customer: what people change, what two restore points tell of it, what is lost."""

import re
from collections import Counter

from local.demo import picture
from local.demo.api import Json
from local.demo.picture import Picture
from local.demo.show import heading, say, table
from local.demo.story import Story, expect
from local.demo.tenant import ALL

SEED = 20
PERSONAL = {
    "newMails": 3, "moveMails": 2, "flagMails": 3, "deleteMails": 1, "newFiles": 2, "editFiles": 2,
    "moveFiles": 1, "renameFiles": 1, "deleteFiles": 1, "newEvents": 1, "editEvents": 1,
    "newContacts": 1, "editContacts": 1,
}  # fmt: skip
SITE = {"newFiles": 1, "editFiles": 1, "newItems": 1, "editItems": 1}
TEAM = {"newMessages": 1, "newReplies": 1, "editMessages": 1}
DONE = {"new": "new", "edit": "edited", "move": "moved", "flag": "flagged", "rename": "renamed",
        "delete": "deleted"}  # fmt: skip
_VERB = re.compile(r"([a-z]+)([A-Z]\w+)")
CHANGES = ("added", "changed", "moved", "deleted")


def work_a_day(story: Story) -> Json:
    """People work: mail arrives, moves and goes, files are edited, talk goes on; the totals."""
    heading(4, "A day passes: people work")
    upns = [user["upn"] for user in story.people]
    tenant = story.tenant["tenantId"]
    totals = {
        "mailboxes and OneDrives": story.side.change(tenant, SEED, users=upns, perUser=PERSONAL),
        "sites": story.side.change(tenant, SEED, perSite=SITE),
        "teams": story.side.change(tenant, SEED, perTeam=TEAM),
    }
    for where, found in totals.items():
        told = [f"{number:,} {_words(name)}" for name, number in found.items() if number]
        if told:
            say(f"{where}: {', '.join(told[:5])}{',' if told[5:] else ''}")
            for at in range(5, len(told), 5):
                say(f"   {', '.join(told[at : at + 5])}{',' if told[at + 5 :] else ''}")
    return totals


def explain_increment(session: Json, totals: Json) -> None:
    """What the increment cost against what had changed."""
    new = sum(
        number
        for found in totals.values()
        for name, number in found.items()
        if name.startswith(("new", "edit"))
    )
    counts, graph = session["counts"], session["graph"]
    say(
        f"{new:,} contents were new or edited: [b]{counts['protected']:,}[/] items stored, "
        "folders included;"
    )
    say(
        f"{counts['metadata']:,} moves, flags and names cost no download; "
        f"{graph['requests']:,} Graph calls for {len(session['runs'])} objects"
    )


def compare(story: Story) -> None:
    """What lies between two restore points, then one item over time."""
    heading(6, "Look into it: compare two restore points, find one file, read its history")
    rows, edited = [], None
    for workload, owner in story.owners.items():
        found = story.protected(workload, owner)
        n = found["lastPoint"]["n"]
        path = f"/objects/{found['id']}/snapshots/{n}/changes"
        changes = list(story.api.all(path, since=str(n - 1), maxpagesize="1000"))
        counted = Counter(kind for one in changes for kind in one["changes"])
        rows.append([f"{workload} {found['displayName']}", *(counted[kind] for kind in CHANGES)])
        if workload == "drive":
            edited = next(
                one["after"] for one in changes
                if one["changes"] == ["changed"] and one["after"]["kind"] == "file"
            )  # fmt: skip
    table([f"restore point {n - 1} → {n}", *CHANGES], rows)
    expect(edited is not None, "no edited file is told between the two restore points")
    assert edited is not None
    query = {"name": edited["name"], "kind": "file"}
    hits = list(story.api.all(f"/customers/{story.customer}/items", **query))
    mine = [one for one in hits if one["itemKey"] == edited["itemKey"]]
    expect(len(mine) == 1, f"the search for {edited['name']} does not find it")
    say(f"GET …/items?name={edited['name']}&kind=file → {len(hits)} found over all objects")
    path = f"/objects/{mine[0]['objectId']}/items/{edited['itemKey']}/history"
    for one in story.api.all(path):
        what = ", ".join(one["changes"]) or "there when memory begins"
        say(f"   restore point {one['snapshot']}: {what}, {one['item']['sizeBytes']:,} bytes")


def disaster(story: Story) -> Picture:
    """The victim loses all, a site is scrambled, a team's talk deleted; what was there before."""
    heading(7, f"Disaster at {story.victim['upn']}, in a site and in a team")
    say("[dim]remembering first how everything looks, through Graph[/]")
    before = picture.take(story)
    tenant, owners = story.tenant["tenantId"], story.owners
    everything = ("deleteMails", "editFiles", "deleteEvents", "deleteContacts")
    struck = [story.side.change(
        tenant, SEED + 1, users=[story.victim["upn"]], perUser=dict.fromkeys(everything, ALL)
    )]  # fmt: skip
    if "site" in owners:
        lost = {"editFiles": ALL, "deleteItems": ALL}
        struck.append(
            story.side.change(tenant, SEED + 1, users=[], sites=[owners["site"]], perSite=lost)
        )
    if "team" in owners:
        lost = {"deleteMessages": 2}  # of each channel; Microsoft takes two messages a second
        struck.append(
            story.side.change(tenant, SEED + 1, users=[], teams=[owners["team"]], perTeam=lost)
        )
    total: Counter[str] = Counter()
    for found in struck:
        total.update(found)
    say(
        f"[red]deleted: {total['deleteMails']:,} mails, {total['deleteEvents']} events, "
        f"{total['deleteContacts']} contacts, {total['deleteItems']} list items, "
        f"{total['deleteMessages']} messages; scrambled: {total['editFiles']:,} files[/]"
    )
    return before


def _words(name: str) -> str:
    """What the simulator calls newMails, in words."""
    verb, thing = _VERB.fullmatch(name).groups()  # type: ignore[union-attr]
    return f"{thing.lower()} {DONE[verb]}"
