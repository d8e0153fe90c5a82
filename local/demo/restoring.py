"""What was lost comes back: told beforehand, restored, and compared with what was there before."""

from local.demo import picture
from local.demo.api import Json
from local.demo.picture import Picture
from local.demo.proof import differences
from local.demo.show import bar, heading, say, size, table
from local.demo.story import Story, consent, expect

OVER = {"Completed", "CompletedWithErrors", "Failed", "Canceled"}
COLLISIONS = {"mailbox": "skip", "drive": "replace", "site": "replace", "team": "skip"}
"""What was deleted is put beside what is there; what was scrambled is replaced."""


def restore(story: Story) -> None:
    """Everything back from the last restore point, each object in one call, after a look ahead."""
    heading(8, "Restore: what was deleted to its own place, over what was scrambled")
    say("the Reader cannot write: the administrator lets the Restorer in for this hour")
    link = story.api.post(f"/customers/{story.customer}/consent:link", {"app": "restorer"})
    consent(story, {"way": "adminConsent", "link": link["link"]})
    wanted = {workload: _wanted(story, workload) for workload in story.owners}
    _preview(story, wanted)
    for workload, body in wanted.items():
        _run(story, workload, body)
    restorer = story.stack.registrations.restorer
    story.side.take_consent_back(story.tenant["tenantId"], restorer)
    say("[dim]the administrator takes the Restorer's permission back[/]")


def prove(story: Story, before: Picture) -> None:
    """Everything that was lost, compared with what is there now."""
    heading(9, "Proof: every restored item read back and compared")
    after = picture.take(story)
    lost = {kind: differences(found, after[kind]) for kind, found in before.items()}
    rows = [
        [kind, len(found), len(found) - len(lost[kind]), len(lost[kind])]
        for kind, found in before.items()
    ]
    table(["", "before", "equal now", "different"], rows)
    wrong = [f"{len(names)} {kind}: {names[:3]}" for kind, names in lost.items() if names]
    expect(not wrong, f"not as before: {'; '.join(wrong)}")
    say("[green]✓[/] mails: subject, people, times, flags, body, attachments; files: every byte")
    say("[green]✓[/] events: every day of every series; contacts, list items: every member;")
    say("   messages: author, words and pictures, in their threads")


def _wanted(story: Story, workload: str) -> Json:
    found = story.protected(workload, story.owners[workload])
    return {
        "objectId": found["id"],
        "snapshot": found["lastPoint"]["n"],
        "target": {"place": "original"},
        "collision": COLLISIONS[workload],
    }


def _preview(story: Story, wanted: dict[str, Json]) -> None:
    """What each restore would do, before anything is written."""
    rows = []
    for workload, body in wanted.items():
        seen = story.api.post("/restores:preview", body)
        at_least = f"{seen['estimate']['seconds']} s"
        rows.append(
            [workload, f"{seen['items']:,}", size(seen["bytes"]), seen["collision"]["policy"],
             at_least, len(seen["losses"])]
        )  # fmt: skip
    table(
        ["POST /restores:preview", "items", "bytes", "collision", "at least", "known losses"], rows
    )
    why = story.api.post("/restores:preview", wanted["mailbox"])["losses"]
    event = next((one for one in why if one["name"] == "attendees"), why[0])
    say(f"[dim]one of them, {event['name']}: {event['why']}[/]")


def _run(story: Story, workload: str, body: Json) -> None:
    started = story.api.post("/restores", body)
    path = f"/restores/{started['id']}"
    with bar(f"restoring {workload}") as line:

        def watch(answer: Json) -> bool:
            waiting = sum(answer["entries"].get(state, 0) for state in ("Pending", "Started"))
            ended = sum(answer["entries"].values()) - waiting
            line.show(ended, answer["total"], items=ended)
            return answer["state"] in OVER

        ended = story.api.follow(path, watch)
    bad = [entry for entry in story.api.all(f"{path}/items") if entry["state"] == "Failed"]
    expect(
        ended["state"] == "Completed",
        f"the restore ended as {ended['state']}: {[(e['name'], e['error']) for e in bad[:5]]}",
    )
