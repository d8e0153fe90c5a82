"""The chapters of the demo, each a call a partner would make and a table of what came of it."""

import asyncio
import base64
import ssl
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from local.demo.api import Json, NotAsSaid, PartnerApi
from local.demo.proof import Fingerprint, Tenant, differences
from local.demo.show import bar, heading, say, size, table
from local.demo.tenant import ALL, CustomerSide
from local.stack import Stack

SEED = 20
WORK = {
    "newMails": 3,
    "moveMails": 2,
    "flagMails": 3,
    "deleteMails": 1,
    "newFiles": 2,
    "editFiles": 2,
    "moveFiles": 1,
    "renameFiles": 1,
    "deleteFiles": 1,
}
OVER = {"Success", "Warning", "Failed", "Disconnected", "Stopped"}
RESTORED = {"Completed", "CompletedWithErrors", "Failed", "Canceled"}


@dataclass
class Story:
    """What the chapters hand on to each other."""

    stack: Stack
    api: PartnerApi
    side: CustomerSide
    tenant: Json = field(default_factory=dict)
    customer: str = ""
    policy: str = ""
    victim: Json = field(default_factory=dict)
    mails: dict[str, Fingerprint] = field(default_factory=dict)
    files: dict[str, Fingerprint] = field(default_factory=dict)


def meet(story: Story) -> None:
    """The world, and the partner's sign-in."""
    heading(1, "A partner signs in; a customer lives in Microsoft 365")
    story.tenant = story.side.world()
    users = [user for user in story.tenant["users"] if user["licensed"]]
    mails = sum(user["counts"]["mails"] for user in users)
    files = sum(user["counts"]["files"] for user in users)
    partner = story.api.get("/partners/me")
    say(f"partner [b]{partner['name']}[/], token checked by the API")
    say(
        f"tenant [b]{story.tenant['displayName']}[/] ({story.tenant['domain']}): "
        f"{len(users)} licensed users, {mails:,} mails, {files:,} files"
    )
    story.victim = max(users, key=lambda user: _worth(user, story.tenant["admin"]["id"]))


def onboard(story: Story, sign_in: str) -> None:
    """POST /customers, POST …/onboarding, the administrator's consent, until it is active."""
    heading(2, "Onboarding: one call, then the customer's administrator consents")
    created = story.api.post("/customers", {"displayName": story.tenant["displayName"]})
    story.customer = created["id"]
    say(f"POST /customers → {story.customer}, {created['state']}")
    operation = story.api.post(
        f"/customers/{story.customer}/onboarding",
        {
            "legalConfirmation": {"confirmed": True},
            "tenantId": story.tenant["tenantId"],
            "region": "germanywestcentral",
            "retentionYears": 1,
            "services": ["exchange", "onedrive"],
            "signIn": sign_in,
            "policies": "recommended",
            "acknowledgements": ["licensingModelKnown", "usersAndServicesDiscussed", "scopeAgreed"],
        },
    )
    path = f"/customers/{story.customer}/onboarding"
    waiting = story.api.follow(path, lambda run: bool(run["signIn"]) or bool(run["error"]))
    _ended_well(waiting)
    _consent(story, waiting["signIn"])
    shown: set[str] = set()

    def watch(answer: Json) -> bool:
        for step in answer["steps"]:
            if step["state"] == "Succeeded" and step["name"] not in shown:
                shown.add(step["name"])
                say(f"[green]✓[/] {step['name']}  [dim]{step['message']}[/]")
        return answer["status"] in {"Succeeded", "Failed", "Canceled"}

    ended = story.api.follow(f"/operations/{operation['id']}", watch)
    _ended_well(ended)
    customer = story.api.get(f"/customers/{story.customer}")
    _expect(customer["state"] == "Active", f"the customer is {customer['state']}, not Active")
    story.policy = next(iter(story.api.all(f"/customers/{story.customer}/policies")))["id"]
    say(f"customer Active in {customer['region']}, policy {story.policy}")


def back_up(story: Story, number: int, title: str) -> Json:
    """POST /policies/{id}/sessions and watch it; the ended session."""
    heading(number, title)
    story.side.graph_requests()
    started = story.api.post(f"/policies/{story.policy}/sessions")
    path = f"/sessions/{started['id']}"
    with bar("protecting objects") as line:

        def watch(session: Json) -> bool:
            ended = sum(
                n
                for state, n in session["objects"].items()
                if state not in {"Pending", "Running", "Retrying"}
            )
            line.show(
                ended,
                session["found"],
                items=session["counts"]["listed"],
                volume=session["bytes"]["read"],
            )
            return session["state"] in OVER

        session = story.api.follow(path, watch)
    runs = list(story.api.all(f"{path}/objects"))
    _table_of(session, runs, story.side.graph_requests())
    _expect(
        session["state"] == "Success", f"the session ended as {session['state']}: {_failed(runs)}"
    )
    return {**session, "runs": runs}


def show_snapshot(story: Story) -> None:
    """The newest snapshot of the victim's mailbox: root, chain, counters."""
    mailbox = _object(story, "mailbox")
    newest = story.api.get(f"/objects/{mailbox['id']}/snapshots/{mailbox['lastPoint']['n']}")
    say(
        f"snapshot {newest['n']} of {mailbox['address']}: "
        f"{newest['items']:,} items, {newest['status']}"
    )
    say(f"root hash   [yellow]{newest['root']}[/]")
    say(f"record hash [yellow]{newest['recordHash']}[/]")


def check_against_truth(story: Story) -> None:
    """Every mail and file of the tenant: the hash in the newest snapshot against the source."""
    checked, wrong = 0, []
    for user in story.tenant["users"]:
        if not user["licensed"]:
            continue
        truth = story.side.truth(story.tenant["tenantId"], user["id"])
        for workload, kind in (("mailbox", "mails"), ("drive", "files")):
            if not truth[kind]:
                continue
            found = _object(story, workload, user["id"])
            path = f"/objects/{found['id']}/snapshots/{found['lastPoint']['n']}/items"
            held = [
                _hex(item["contentHash"])
                for item in story.api.all(path, maxpagesize="1000")
                if item["kind"] == kind.removesuffix("s")
            ]
            expected = [one["sha256"] for one in truth[kind]]
            checked += len(expected)
            if sorted(held) != sorted(expected):
                wrong.append(f"{user['upn']} ({workload})")
    _expect(not wrong, f"the snapshot differs from the source: {', '.join(wrong[:5])}")
    say(
        f"[green]✓[/] all {checked:,} mails and files of the tenant: "
        "hash in the vault = hash at the source"
    )


def work_a_day(story: Story) -> Json:
    """People work: mail arrives, moves and goes, files are edited."""
    heading(4, "A day passes: people work")
    totals = story.side.change(
        story.tenant["tenantId"], SEED,
        [u["upn"] for u in story.tenant["users"] if u["licensed"]], **WORK,
    )  # fmt: skip
    table(["change", "number"], ((_words(name), f"{n:,}") for name, n in totals.items() if n))
    return totals


def explain_increment(session: Json, totals: Json) -> None:
    """What the increment cost against what had changed."""
    counts, graph = session["counts"], session["graph"]
    content = totals["newMails"] + totals["newFiles"] + totals["editFiles"]
    say(
        f"{content:,} contents were new or edited: [b]{counts['protected']:,}[/] items stored, "
        "new folders included; "
        f"{counts['metadata']:,} moves, flags and names cost no download; "
        f"{counts['gone']:,} were gone"
    )
    say(f"{graph['requests']:,} Graph calls for {len(session['runs'])} objects")


def disaster(story: Story) -> None:
    """The victim loses every mail of the inbox and all files are scrambled."""
    heading(6, f"Disaster at {story.victim['upn']}")
    asyncio.run(_remember(story))
    totals = story.side.change(
        story.tenant["tenantId"], SEED + 1, [story.victim["upn"]], deleteMails=ALL, editFiles=ALL
    )
    say(f"[red]{totals['deleteMails']:,} mails deleted, {totals['editFiles']:,} files encrypted[/]")


def restore(story: Story) -> None:
    """Mailbox and drive back from the last snapshot, each in one call."""
    heading(7, "Restore: the mailbox into its own folders, the files over the damaged ones")
    say("the Reader cannot write: the administrator lets the Restorer in for this hour")
    link = story.api.post(f"/customers/{story.customer}/consent:link", {"app": "restorer"})
    _consent(story, {"way": "adminConsent", "link": link["link"]})
    _restore_object(story, "mailbox", "skip")
    _restore_object(story, "drive", "replace")
    restorer = story.stack.registrations.restorer
    story.side.take_consent_back(story.tenant["tenantId"], restorer)
    say("[dim]the administrator takes the Restorer's permission back[/]")


def _restore_object(story: Story, workload: str, collision: str) -> None:
    found = _object(story, workload)
    started = story.api.post(
        "/restores",
        {
            "objectId": found["id"],
            "snapshot": found["lastPoint"]["n"],
            "target": {"place": "original"},
            "collision": collision,
        },
    )
    path = f"/restores/{started['id']}"
    with bar(f"restoring {workload}") as line:

        def watch(answer: Json) -> bool:
            waiting = sum(answer["entries"].get(state, 0) for state in ("Pending", "Started"))
            ended = sum(answer["entries"].values()) - waiting
            line.show(ended, answer["total"], items=ended)
            return answer["state"] in RESTORED

        ended = story.api.follow(path, watch)
    bad = [entry for entry in story.api.all(f"{path}/items") if entry["state"] == "Failed"]
    _expect(
        ended["state"] == "Completed",
        f"the restore ended as {ended['state']}: {[(e['name'], e['error']) for e in bad[:5]]}",
    )


def prove(story: Story) -> None:
    """Read everything back through Graph and compare with what was there before."""
    heading(8, "Proof: every restored item read back through Graph and hashed")
    mails, files = asyncio.run(_look(story))
    lost = differences(story.mails.values(), mails.values())
    broken = [path for path, was in story.files.items() if files.get(path) != was]
    rows = [
        ["mails", len(story.mails), len(story.mails) - len(lost), len(lost)],
        ["files", len(story.files), len(story.files) - len(broken), len(broken)],
    ]
    table(["", "before", "equal now", "different"], rows)
    _expect(not lost, f"{len(lost)} mails are not as before: {lost[:5]}")
    _expect(not broken, f"{len(broken)} files are not as before: {broken[:5]}")
    say(
        "[green]✓[/] subject, people, times, flags, body and attachments of every mail, "
        "and every byte of every file"
    )


async def _remember(story: Story) -> None:
    story.mails, story.files = await _look(story)


async def _look(story: Story) -> tuple[dict[str, Fingerprint], dict[str, Fingerprint]]:
    trusted = ssl.create_default_context(cafile=str(story.stack.certificates.bundle))
    connector = aiohttp.TCPConnector(ssl=trusted)
    async with aiohttp.ClientSession(connector=connector) as session:
        token = await asyncio.to_thread(story.stack.reader_token, story.tenant["tenantId"])
        tenant = Tenant(session, story.stack.urls.microsoft365_tls, token)
        mails: dict[str, Fingerprint] = {}
        async for _, folder in tenant.folders(story.victim["id"]):
            mails |= await tenant.mails(story.victim["id"], folder)
        return mails, await tenant.files(story.victim["driveId"])


def _worth(user: Json, admin: str) -> tuple[int, bool]:
    """Who has most to lose; of equals, not the administrator."""
    return user["counts"]["mails"] + user["counts"]["files"], user["id"] != admin


def _consent(story: Story, sign_in: Json) -> None:
    administrator = story.tenant["admin"]["upn"]
    if sign_in["way"] == "deviceCode":
        say(f"code [b]{sign_in['userCode']}[/] to be entered at {sign_in['verificationUri']}")
        story.side.enter_device_code(sign_in["userCode"], administrator)
        say(f"[dim]{administrator} enters it[/]")
        return
    say(f"link for the administrator: [dim]{sign_in['link'][:72]}…[/]")
    page = story.side.consent_in_browser(
        sign_in["link"], administrator, str(story.stack.certificates.bundle)
    )
    say(f"[dim]{administrator} presses Accept; our page says: {page[:90]}[/]")


def _object(story: Story, workload: str, owner: str | None = None) -> Json:
    wanted = owner or story.victim["id"]
    for found in story.api.all(f"/customers/{story.customer}/objects", maxpagesize="1000"):
        if found["workload"] == workload and found["ownerId"] == wanted:
            return found
    raise NotAsSaid(f"no {workload} of {wanted} is protected")


def _table_of(session: Json, runs: list[Json], counted: Json) -> None:
    def row(name: str, of: Iterable[Json]) -> list[Any]:
        of = list(of)

        def total(part: str, key: str) -> int:
            return sum(run[part][key] for run in of)

        return [
            name, len(of), f"{sum(run['items'] for run in of):,}",
            f"{total('counts', 'protected'):,}", f"{total('counts', 'metadata'):,}",
            size(total("bytes", "read")), size(total("bytes", "stored")),
            f"{total('graph', 'requests'):,}", total("graph", "throttled"),
        ]  # fmt: skip

    columns = ["", "objects", "items", "read", "metadata", "bytes", "stored", "calls", "throttled"]
    kinds = sorted({run["workload"] for run in runs}, reverse=True)
    table(
        columns,
        [row(k, (r for r in runs if r["workload"] == k)) for k in kinds] + [row("all", runs)],
    )
    say(
        f"{session['state']}; Microsoft 365 counted {counted['total']:,} requests, "
        f"{counted['throttled']} throttled, {counted['insideFence']} inside a Retry-After window"
    )


def _failed(runs: list[Json]) -> str:
    bad = [r for r in runs if r["state"] not in {"Succeeded", "Skipped"}]
    return "; ".join(f"{r['address']}: {r['error'] or r['failedItems'][:2]}" for r in bad[:4])


def _ended_well(answer: Json) -> None:
    error = answer.get("error")
    if error:
        raise NotAsSaid(f"{error['code']}: {error['detail']}")


def _expect(holds: bool, otherwise: str) -> None:
    if not holds:
        raise NotAsSaid(otherwise)


def _hex(content_hash: str | None) -> str:
    padded = (content_hash or "") + "=" * (-len(content_hash or "") % 4)
    return base64.urlsafe_b64decode(padded).hex()


def _words(name: str) -> str:
    return {
        "newMails": "mails arrived", "moveMails": "mails moved", "flagMails": "mails flagged",
        "deleteMails": "mails deleted", "newFiles": "files added", "editFiles": "files edited",
        "moveFiles": "files moved", "renameFiles": "files renamed", "deleteFiles": "files deleted",
    }.get(name, name)  # fmt: skip
