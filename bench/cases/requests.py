"""Graph requests per new mail and per unchanged object, as the simulated Microsoft 365 counts."""

from bench.customer import bench_customer
from bench.figure import Figure
from local.demo.api import Json

WORLD = ("--users", "3", "--mails", "150", "--files", "60", "--generated-only")
NEW_MAILS = 200


def measure() -> list[Figure]:
    """First copy, an unchanged night, then a night with new mail only."""
    with bench_customer(*WORLD, unlimited=True) as customer:
        first, _ = customer.session()
        still, _ = customer.session()
        users = [u["upn"] for u in customer.tenant["users"] if u["licensed"]]
        customer.side.change(
            customer.tenant["tenantId"], 5, users=users, perUser={"newMails": NEW_MAILS}
        )
        busy, counted = customer.session()
        folders = {
            user["upn"]: _folders(customer.side.truth(customer.tenant["tenantId"], user["id"]))
            for user in customer.tenant["users"]
            if user["licensed"]
        }
    mail = sum(_calls(run) for run in _of(busy, "mailbox"))
    new = sum(run["counts"]["protected"] for run in _of(busy, "mailbox"))
    over_floor = mail - sum(_calls(run) for run in _of(still, "mailbox"))
    spare = max(_calls(r) - folders[r["address"]] for r in _of(still, "mailbox"))
    drives = max(_calls(run) for run in _of(still, "drive"))
    items = first["counts"]["protected"]
    return [
        Figure(
            "Graph requests per new mail", mail / new, "calls", f"{new} mails, {mail} calls", 1.1
        ),
        Figure("the same over the poll floor", over_floor / new, "calls", "goal 1: 1.02", 1.02),
        Figure("unchanged mailbox: requests less folders", spare, "calls", str(folders), 2),
        Figure("unchanged drive: requests", drives, "calls", "", 1),
        Figure("first copy: requests per item", first["graph"]["requests"] / items, "calls"),
        Figure("calls inside a Retry-After window", counted["insideFence"], "calls", "", 0),
    ]


def _folders(truth: Json) -> int:
    """What has a cursor of its own in a mailbox: calendars and contact folders too."""
    return sum(len(truth[kind]) for kind in ("folders", "calendars", "contactFolders"))


def _of(session: Json, workload: str) -> list[Json]:
    found = [r for r in session["runs"] if r["workload"] == workload and r["state"] != "Skipped"]
    assert found, f"no {workload} was protected"
    return found


def _calls(run: Json) -> int:
    return int(run["graph"]["requests"])
