"""The first chapters of the demo: meet the customer, take it on, back it up.

Every chapter is a call a partner would make and a table of what came of it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from local.demo.api import Json, NotAsSaid, PartnerApi
from local.demo.show import bar, heading, say, size, table
from local.demo.tenant import CustomerSide
from local.stack import Stack

OVER = {"Success", "Warning", "Failed", "Disconnected", "Stopped"}


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
    """Whose data will be lost."""
    recovery: bytes = b""
    """The private half of the customer's recovery key: the customer keeps it."""

    @property
    def people(self) -> list[Json]:
        """The licensed users."""
        return [user for user in self.tenant["users"] if user["licensed"]]

    @property
    def owners(self) -> dict[str, str]:
        """Workload -> whose object of it the disaster strikes; sites and teams as far as any."""
        found = {"mailbox": self.victim["id"], "drive": self.victim["id"]}
        for workload, name in (("site", "sites"), ("team", "teams")):
            if self.tenant[name]:
                found[workload] = self.tenant[name][0]["id"]
        return found

    def protected(self, workload: str, owner: str) -> Json:
        """The protected object of somebody, as it is now."""
        for found in self.api.all(f"/customers/{self.customer}/objects", maxpagesize="1000"):
            if found["workload"] == workload and found["ownerId"] == owner:
                return found
        raise NotAsSaid(f"no {workload} of {owner} is protected")


def meet(story: Story) -> None:
    """The world, and the partner's sign-in."""
    heading(1, "A partner signs in; a customer lives in Microsoft 365")
    story.tenant = story.side.world()
    partner = story.api.get("/partners/me/profile")
    say(f"partner [b]{partner['displayName']}[/], token checked by the API")
    say(f"customer [b]{story.tenant['displayName']}[/] ({story.tenant['domain']}):")
    counts = [user["counts"] for user in story.people]
    has = [f"{len(counts)} licensed users"]
    has += [
        f"{sum(one[name] for one in counts):,} {name}"
        for name in ("mails", "events", "contacts", "files")
    ]
    has += [
        f"{len(story.tenant[f'{name}s'])} {name}{'' if len(story.tenant[f'{name}s']) == 1 else 's'}"
        for name in ("site", "team")
    ]
    say("   " + ", ".join(has))
    admin = story.tenant["admin"]["id"]
    story.victim = max(story.people, key=lambda user: _worth(user, admin))


def onboard(story: Story, sign_in: str) -> None:
    """POST /customers, POST …/onboarding, the administrator's consent, until it is active."""
    heading(2, "Onboarding: one call, then the customer's administrator consents")
    created = story.api.post("/customers", {"displayName": story.tenant["displayName"]})
    story.customer = created["id"]
    say(f"POST /customers → {story.customer}, {created['state']}")
    _give_recovery_key(story)
    operation = story.api.post(
        f"/customers/{story.customer}/onboarding",
        {
            "legalConfirmation": {"confirmed": True},
            "tenantId": story.tenant["tenantId"],
            "region": "germanywestcentral",
            "retentionYears": 1,
            "services": ["exchange", "onedrive", "sharepoint", "teams"],
            "signIn": sign_in,
            "policies": "recommended",
            "acknowledgements": ["licensingModelKnown", "usersAndServicesDiscussed", "scopeAgreed"],
        },
    )
    path = f"/customers/{story.customer}/onboarding"
    waiting = story.api.follow(path, lambda run: bool(run["signIn"]) or bool(run["error"]))
    _ended_well(waiting)
    consent(story, waiting["signIn"])
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
    expect(customer["state"] == "Active", f"the customer is {customer['state']}, not Active")
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
    expect(
        session["state"] == "Success", f"the session ended as {session['state']}: {_failed(runs)}"
    )
    return {**session, "runs": runs}


def show_snapshot(story: Story) -> None:
    """The newest snapshot of the victim's mailbox: root, chain, counters."""
    mailbox = story.protected("mailbox", story.victim["id"])
    newest = story.api.get(f"/objects/{mailbox['id']}/snapshots/{mailbox['lastPoint']['n']}")
    say(
        f"snapshot {newest['n']} of {mailbox['address']}: "
        f"{newest['items']:,} items, {newest['status']}"
    )
    say(f"root hash   [yellow]{newest['root']}[/]")
    say(f"record hash [yellow]{newest['recordHash']}[/]")


def _worth(user: Json, admin: str) -> tuple[int, bool]:
    """Who has most to lose; of equals, not the administrator."""
    return user["counts"]["mails"] + user["counts"]["files"], user["id"] != admin


def _give_recovery_key(story: Story) -> None:
    """The customer makes a key pair and gives the public half away: it can always read its data."""
    from shared.vault.recovery import new_recovery_key

    story.recovery, public = new_recovery_key()
    path = f"/customers/{story.customer}/recovery-key"
    etag = story.api.send("GET", path).headers["ETag"]
    held = story.api.send(
        "PUT", path, {"publicKey": public.decode()}, headers={"If-Match": etag}
    ).json()
    say(f"PUT …/recovery-key → {held['bits']} bits, fingerprint {held['fingerprint'][:16]}…")
    say("[dim]the private half stays with the customer: nobody else ever has it[/]")


def consent(story: Story, sign_in: Json) -> None:
    """The customer's administrator signs in and accepts."""
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
    say(f"[dim]{administrator} presses Accept; lands on our page: “{page[:9]}”[/]")


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


def expect(holds: bool, otherwise: str) -> None:
    """`NotAsSaid` unless it holds."""
    if not holds:
        raise NotAsSaid(otherwise)
