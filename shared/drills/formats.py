"""Whether bytes that were read back are what they should be: every format is really parsed."""

import json
import re
from collections.abc import Mapping
from typing import Any

from shared.export.formats import format_of
from shared.microsoft365.mime import parse_mail

_BEGINNING = re.compile(rb"\r?\n|(?:From [^\n]*\n)?[!-9;-~]+[ \t]*:")


class FormatWrong(ValueError):
    """The content cannot be what its row says it is."""


def parse(item: Mapping[str, Any], data: bytes) -> None:
    """Parse the content of a row; `FormatWrong` when it is not what its codec says."""
    match item.get("c"):
        case "mime":
            _mail(item, data)
        case "json":
            _document(item, data)
        case _:
            return  # a file is any bytes; its hash has been compared


def _mail(item: Mapping[str, Any], data: bytes) -> None:
    """A message with the identity that Microsoft 365 told of it."""
    mail = parse_mail(data)
    told = item.get("m", {}).get("imid")
    if told and mail.message_id and told.strip() != mail.message_id.strip():
        raise FormatWrong("another message id")
    # A draft may have neither sender, subject nor words: what begins as a header is a message.
    if data and not (_BEGINNING.match(data) or mail.body.strip()):
        raise FormatWrong("nothing of a message")


def _document(item: Mapping[str, Any], data: bytes) -> None:
    """JSON that, where its kind has a format of its own, becomes a file of that format."""
    render = format_of(item).render
    try:
        found = json.loads(data)
        if render is not None:
            render(data)
    except ValueError as wrong:
        raise FormatWrong("not what its kind says") from wrong
    if not isinstance(found, dict):
        raise FormatWrong("no JSON object")
