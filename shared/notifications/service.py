"""Use cases of notifications: set the contacts of a customer, note what is to be told, read it.

    contacts            all contacts of the customer, one row: its partition is the customer
    n~{time}~{hash}     a notification; the time counts backwards, so the newest comes first

A notification's key follows from what it is about, so that a repeated process says nothing twice.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from shared.access.model import Scope
from shared.customers import repository as customers
from shared.kit.errors import Invalid
from shared.kit.etags import check_if_match, strong_etag
from shared.kit.tables import LostRace, Row, RowExists, Tables
from shared.notifications import rules
from shared.notifications.model import Contact, Contacts, Notification, Topic

if TYPE_CHECKING:
    from shared.bootstrap import Deps

TABLE = "Notifications"
CONTACTS = "contacts"
_LAST_MS = 10**14


def etag_of(held: Contacts) -> str:
    """The strong ETag of a customer's contacts, also while there are none."""
    return strong_etag(held.etag)


async def get_contacts(deps: "Deps", scope: Scope, customer_id: str) -> Contacts:
    """All contacts of a customer; NotFound outside the scope."""
    await customers.get(deps.tables, scope, customer_id)
    return await _contacts(deps.tables, customer_id)


async def set_contacts(
    deps: "Deps",
    scope: Scope,
    customer_id: str,
    contacts: Sequence[Contact],
    if_match: str | None,
) -> Contacts:
    """Put these contacts in the place of those that are held (NTF-03); each address once."""
    held = await get_contacts(deps, scope, customer_id)
    check_if_match(if_match, etag_of(held))
    at = rules.twice(contacts)
    if at is not None:
        raise Invalid("This address stands here already.", pointer=f"/contacts/{at}/email")
    made = Contacts(contacts=tuple(contacts))
    row = Row(customer_id, CONTACTS, made.model_dump(mode="json", exclude={"etag"}))
    table = deps.tables[TABLE]
    try:
        if held.etag:
            row.etag = held.etag
            row = await table.replace(row)
        else:
            row = await table.insert(row)
    except (LostRace, RowExists):
        if if_match is not None and if_match.strip() == "*":
            row = await table.upsert(row)
        else:
            check_if_match(if_match, etag_of(await _contacts(deps.tables, customer_id)))
            raise
    return made.model_copy(update={"etag": row.etag})


async def tell(
    tables: Tables, customer_id: str, topic: Topic | None, *, subject: str, outcome: str,
    at: datetime,
) -> bool:  # fmt: skip
    """Note what happened for those who want to know; False when nobody does, or it is noted."""
    if topic is None:
        return False
    chosen = rules.recipients((await _contacts(tables, customer_id)).contacts, topic)
    if not chosen:
        return False
    mark = hashlib.sha256(f"{subject}\0{topic}".encode()).hexdigest()[:16]
    name = f"{_LAST_MS - int(at.timestamp() * 1000):014d}~{mark}"
    noted = Notification(
        notification_id=name,
        customer_id=customer_id,
        topic=topic,
        subject=subject,
        outcome=outcome,
        happened_at=at,
        recipients=chosen,
    )
    try:
        await tables[TABLE].insert(Row(customer_id, f"n~{name}", noted.model_dump(mode="json")))
    except RowExists:
        return False
    return True


async def list_notifications(
    deps: "Deps", scope: Scope, customer_id: str, *, after: str, limit: int
) -> tuple[list[Notification], str | None]:
    """A page of a customer's notifications, newest first, and the id the next page starts after."""
    await customers.get(deps.tables, scope, customer_id)
    found: list[Notification] = []
    place = f"n~{after}" if after else ""
    async for row in deps.tables[TABLE].query(customer_id, prefix="n~", after=place):
        if len(found) == limit:
            return found, found[-1].notification_id
        found.append(Notification.model_validate(row.values))
    return found, None


async def _contacts(tables: Tables, customer_id: str) -> Contacts:
    row = await tables[TABLE].find(customer_id, CONTACTS)
    return Contacts.model_validate(row.values | {"etag": row.etag}) if row else Contacts()
