"""The licences of the demo: a pool that was ordered, seats that follow the tenant, and why."""

from local.demo.api import Json, NotAsSaid
from local.demo.show import say, table
from local.demo.story import Story

SLOT = "CBM-M365"


def license_customer(story: Story) -> None:
    """Assign from the pool; nobody types a number: it is what is assigned in Microsoft 365."""
    before = _pool(story)
    path = f"/customers/{story.customer}/subscriptions"
    made = story.api.post(path, {"slot": SLOT, "source": "Direct"})["subscription"]
    people = sum(user["licensed"] for user in story.tenant["users"])
    if made["quantity"] != people:
        raise NotAsSaid(f"{made['quantity']} seats were assigned to {people} licensed users")
    after = _pool(story)
    say(f"POST …/subscriptions → {made['quantity']} seats, {made['mode']}, to {made['expiresOn']}")
    rows = [
        [word, each["total"], each["assigned"], each["available"]]
        for word, each in (("before", before), ("now", after))
    ]
    table([f"pool {after['item']}", "bought", "assigned", "left"], rows)
    reasons = story.api.get(f"{path}/{SLOT}/explain")["reasons"]
    say(f"[dim]why {reasons[-1]['value']}: {reasons[-1]['sentence']}[/]")
    told = story.api.post("/ledger:verify")
    if not told["ok"] or after["available"] != before["available"] - people:
        raise NotAsSaid(f"the ledger does not add up: {told}")
    say(f"[green]✓[/] {told['events']} events of the ledger tell every balance again")


def _pool(story: Story) -> Json:
    for pool in story.api.get("/pools")["value"]:
        if pool["item"] == SLOT and pool["source"] == "Direct":
            return dict(pool)
    raise NotAsSaid("the partner has no pool to assign from")
