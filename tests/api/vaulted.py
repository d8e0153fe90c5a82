"""Puts real items into the real vault of a customer of `World`: what a backup would have left."""

from datetime import timedelta
from typing import Any

from shared.access.model import Scope
from shared.customers import repository as customers
from shared.protection import repository as protection
from shared.protection import vaults
from shared.protection.browsing import item_key, ref_of
from shared.protection.model import Point
from shared.vault.model import SnapshotHead
from tests.api.world import START, World

HTML = b"""\
From: Ada <ada@partner.example>
To: you@mine.example
Subject: Look
Message-ID: <look@partner.example>
Date: Mon, 05 Jan 2026 10:00:00 +0000
Content-Type: text/html; charset=utf-8

<p onclick="steal()">Seen <b>well</b></p><script>steal()</script>
<img src="https://tracker.example/you.gif"><a href="javascript:steal()">x</a>
"""


def mail(n: int) -> bytes:
    """A plain message."""
    return f"Subject: message {n}\r\nMessage-ID: <{n}@x.example>\r\n\r\nbody {n}\r\n".encode()


MAILS = {"m-html": HTML, **{f"m-{n}": mail(n) for n in range(1, 4)}}


async def back_up(two: World, whose: dict[str, str], scope: Scope) -> dict[str, str]:
    """One restore point of the customer's mailbox; source id -> item key."""
    deps = two.deps
    customer = await customers.get(deps.tables, scope, whose["customer_id"])
    found = await protection.get_object(deps.tables, scope, whose["object_id"])
    await vaults.ensure_vault(deps, customer)
    vault = await vaults.open_vault(deps, customer)
    run = await vault.open_run(ref_of(found), "run-1")
    part = await run.slice(0)
    await part.put({"i": "F1", "k": "folder", "n": "Inbox", "v": "1"}, None)
    for source_id, content in MAILS.items():
        row = {"i": source_id, "k": "mail", "p": "F1", "n": source_id, "v": "1", "c": "mime"}
        await part.put(row, content)
    await part.put({"i": "J1", "k": "note", "p": "F1", "n": "a note", "v": "1", "c": "json"}, b"{}")
    cursor: Any = {"link": "x", "kind": "delta", "asOf": "now"}
    await part.finish({"F1": cursor}, more=False)
    head: SnapshotHead = await run.seal(
        enumerated={"F1": "delta"}, started=START, ended=START + timedelta(minutes=5),
        expires=None, kind="full",
    )  # fmt: skip
    point = Point(
        n=head.n, status="complete", ended_at=head.ended, items=head.items, root=head.root,
        record=head.record_hash,
    )  # fmt: skip
    await protection.save_object(deps.tables, scope, found.model_copy(update={"last_point": point}))
    return {name: item_key(head.oid, name) for name in (*MAILS, "F1", "J1")}


SECOND = START + timedelta(days=1)


async def back_up_again(two: World, whose: dict[str, str], scope: Scope) -> None:
    """A second restore point: m-1 is another, m-2 stands elsewhere, m-3 is gone, two are new."""
    deps = two.deps
    found = await protection.get_object(deps.tables, scope, whose["object_id"])
    vault = await vaults.open_vault(
        deps, await customers.get(deps.tables, scope, whose["customer_id"])
    )
    run = await vault.open_run(ref_of(found), "run-2")
    part = await run.slice(0)
    row: dict[str, Any] = {"k": "mail", "p": "F1", "v": "2", "c": "mime"}
    await part.put({"i": "F2", "k": "folder", "n": "Elsewhere", "v": "1"}, None)
    await part.put(row | {"i": "m-1", "n": "m-1"}, mail(11))
    await part.put(row | {"i": "m-2", "n": "m-2", "p": "F2", "v": "1"}, MAILS["m-2"])
    part.gone("m-3", "F1")
    at = int(SECOND.timestamp())
    told = {"w": "Bo Berg <bo@partner.example>", "o": ["cy@mine.example"], "t": at}
    await part.put(row | {"i": "m-9", "n": "Budget 2026", **told}, mail(9))
    await part.put(row | {"i": "m-8", "n": "Holiday", "t": at - 86_400}, mail(8) + b"x" * 900)
    cursor: Any = {"link": "y", "kind": "delta", "asOf": "now"}
    await part.finish({"F1": cursor, "F2": cursor}, more=False)
    head: SnapshotHead = await run.seal(
        enumerated={"F1": "delta", "F2": "delta"}, started=SECOND,
        ended=SECOND + timedelta(minutes=5), expires=None, kind="incremental",
    )  # fmt: skip
    point = Point(
        n=head.n, status="complete", ended_at=head.ended, items=head.items, root=head.root,
        record=head.record_hash,
    )  # fmt: skip
    await protection.save_object(deps.tables, scope, found.model_copy(update={"last_point": point}))
