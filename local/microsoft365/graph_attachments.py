"""Graph: attachments of messages."""

from typing import Any

from local.microsoft365.clock import iso
from local.microsoft365.ids import IMMUTABLE, outlook_id
from local.microsoft365.mailbox import Message
from local.microsoft365.mime_read import Attachment, attachment_json

JSON = dict[str, Any]
KEY = b"attachment ids.."


def attachments_of(message: Message) -> list[Attachment]:
    """Return the attachments in the MIME and those added later."""
    return [*message.source.content().attachments, *(message.extra or [])]


def attachment_id(message: Message, index: int) -> str:
    """Return the id of the attachment at a place."""
    return outlook_id(KEY, IMMUTABLE, message.number, index + 1)


def attachments_json(message: Message, *, content: bool) -> list[JSON]:
    """Return all attachments as Graph writes them."""
    when = iso(message.received)
    return [
        attachment_json(one, attachment_id(message, index), when, content=content)
        for index, one in enumerate(attachments_of(message))
    ]
