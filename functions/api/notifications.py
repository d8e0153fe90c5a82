"""Whom a customer wants told of backups and restores, and what there was to tell."""

from typing import Annotated

from fastapi import Depends, Response
from pydantic import Field, StringConstraints

from functions.api.access_models import IfMatch, Text
from functions.api.paging import Pages
from functions.api.protection_models import PageOf, PageSize, SkipToken
from functions.api.routing import Router
from functions.api.security import requires
from shared.access.model import Caller
from shared.bootstrap import deps
from shared.kit.api_model import ApiModel, Instant
from shared.notifications import service
from shared.notifications.model import DEFAULT_TOPICS, Contact, Contacts, Topic

router = Router(prefix="/customers/{customer_id}", tags=["notifications"])
Reader = Annotated[Caller, Depends(requires("customers.read"))]
MAX_CONTACTS = 100
Email = Annotated[
    str, StringConstraints(max_length=254, pattern=r"^[^@\s\x00-\x1f<>,;]+@[^@\s\x00-\x1f<>,;]+$")
]


class ContactIn(ApiModel):
    """A person and the topics it is told of."""

    email: Email
    name: Text = ""
    topics: Annotated[list[Topic], Field(max_length=len(Topic))] = Field(
        default=list(DEFAULT_TOPICS), description="Empty: told of nothing for now"
    )


class ContactsBody(ApiModel):
    """All contacts of a customer."""

    contacts: Annotated[list[ContactIn], Field(max_length=MAX_CONTACTS)]

    @classmethod
    def of(cls, held: Contacts) -> "ContactsBody":
        """As they are held."""
        return cls(
            contacts=[
                ContactIn(email=one.email, name=one.name, topics=list(one.topics))
                for one in held.contacts
            ]
        )


class NotificationOut(ApiModel):
    """Something to be told, and to whom."""

    id: str
    topic: Topic
    subject: str = Field(description="Id of the session or restore it is about")
    outcome: str = Field(description="State in which that ended")
    happened_at: Instant
    recipients: list[str]


@router.get(
    "/contacts", operation_id="contacts_get", summary="Read whom a customer wants told of what"
)
async def get(customer_id: str, response: Response, caller: Reader) -> ContactsBody:
    """Every contact with its topics (NTF-03)."""
    held = await service.get_contacts(deps(), caller.scope, customer_id)
    return _shown(response, held)


@router.put(
    "/contacts", operation_id="contacts_set", summary="Set whom a customer wants told of what"
)
async def set_all(
    customer_id: str,
    body: ContactsBody,
    response: Response,
    caller: Annotated[Caller, Depends(requires("customers.write"))],
    if_match: IfMatch = None,
) -> ContactsBody:
    """Replaces all contacts; changes of licences are told to those only who choose them."""
    wanted = [
        Contact(email=one.email, name=one.name, topics=tuple(dict.fromkeys(one.topics)))
        for one in body.contacts
    ]
    held = await service.set_contacts(deps(), caller.scope, customer_id, wanted, if_match)
    return _shown(response, held)


@router.get(
    "/notifications",
    operation_id="notifications_list",
    summary="List what a customer's contacts are told",
)
async def list_page(
    customer_id: str, caller: Reader, maxpagesize: PageSize = 100, skip_token: SkipToken = None
) -> PageOf[NotificationOut]:
    """Ended sessions and restores that somebody had chosen to be told of, newest first (RST-07)."""
    path = f"/customers/{customer_id}/notifications"
    pages = Pages(caller, "notifications_list", path, {})
    after = (await pages.place(skip_token)).get("after", "")
    found, last = await service.list_notifications(
        deps(), caller.scope, customer_id, after=after, limit=maxpagesize
    )
    link = await pages.link({"after": last} if last else None, maxpagesize)
    shown = [
        NotificationOut(
            id=one.notification_id,
            topic=one.topic,
            subject=one.subject,
            outcome=one.outcome,
            happened_at=one.happened_at,
            recipients=list(one.recipients),
        )
        for one in found
    ]
    return PageOf(value=shown, next_link=link)


def _shown(response: Response, held: Contacts) -> ContactsBody:
    response.headers["ETag"] = service.etag_of(held)
    return ContactsBody.of(held)
