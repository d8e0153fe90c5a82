"""The body of a backed-up mail, made harmless, where the customer's settings allow it (CUS-44)."""

from typing import Annotated

from fastapi import Depends
from pydantic import Field

from functions.api.objects import SNAPSHOT, ItemKey, Number
from functions.api.routing import Router
from functions.api.security import requires
from shared.access.model import Caller
from shared.bootstrap import deps
from shared.kit.api_model import ApiModel
from shared.protection import browsing
from shared.protection.mail_preview import MailPreview, NotAMail, preview

router = Router(tags=["objects"])


class PersonOut(ApiModel):
    """A sender or recipient; either may be empty."""

    name: str
    address: str


class AttachmentOut(ApiModel):
    """An attachment: named, not shown."""

    name: str
    content_type: str
    size_bytes: int
    is_inline: bool


class PreviewOut(ApiModel):
    """A mail to look at."""

    item_key: str
    subject: str
    sender: list[PersonOut]
    to: list[PersonOut]
    cc: list[PersonOut]
    bcc: list[PersonOut]
    sent: str = Field(description="As the mail says it; may be empty")
    text: str = Field(description="The body as text")
    html: str | None = Field(
        description="The body without scripts, styles, forms and anything from elsewhere; pictures "
        "inside the mail are data addresses. null for a plain mail"
    )
    blocked: int = Field(description="Pictures from elsewhere that were left out")
    is_cut: bool = Field(description="Whether the body is longer than shown")
    attachments: list[AttachmentOut]

    @classmethod
    def of(cls, item_key: str, seen: MailPreview) -> "PreviewOut":
        """The preview as people see it."""
        mail = seen.mail
        return cls(
            item_key=item_key,
            subject=mail.subject,
            sender=_people(mail.from_ or mail.sender),
            to=_people(mail.to),
            cc=_people(mail.cc),
            bcc=_people(mail.bcc),
            sent=mail.sent,
            text=seen.text,
            html=seen.html,
            blocked=seen.blocked,
            is_cut=seen.is_cut,
            attachments=[
                AttachmentOut(
                    name=one.name,
                    content_type=one.content_type,
                    size_bytes=len(one.content),
                    is_inline=one.inline,
                )
                for one in mail.attachments
            ],
        )


def _people(found: list[tuple[str, str]]) -> list[PersonOut]:
    return [PersonOut(name=name, address=address) for name, address in found]


@router.get(
    SNAPSHOT + "/items/{item_key}/preview",
    operation_id="items_preview",
    summary="Preview the body of a mail",
)
async def get(
    object_id: str,
    n: Number,
    item_key: ItemKey,
    caller: Annotated[Caller, Depends(requires("mails.preview"))],
) -> PreviewOut:
    """403 CUSTOMER_FLAG_OFF where previews are not enabled; 413 over 32 MiB; 422 NOT_A_MAIL."""
    opened = await browsing.open_point(deps(), caller.scope, object_id, n)
    row = await browsing.find_row(opened, item_key)
    if row.item.get("c") != "mime":
        raise NotAMail("Read its content or restore it.")
    data = b"".join([part async for part in browsing.content_of(opened, row)])
    return PreviewOut.of(item_key, preview(data))
