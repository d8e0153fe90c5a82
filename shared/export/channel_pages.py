"""A team's channel as a page for people: its threads in order, harmless, pictures inside: pure.

The JSON of every message stands beside it and is what proofs speak of. A page is made of pieces
that each stand alone, for it may be written in several slices; HTML needs no end tags of its body.
"""

import html
import re
from base64 import b64decode
from typing import Any

import orjson

from shared.microsoft365.mime import Attachment
from shared.microsoft365.team_rows import author_of
from shared.protection.mail_preview import PICTURES, sanitise
from shared.vault.model import Row

PAGE = "conversation.html"
KINDS = frozenset({"message", "reply"})
_IMAGE = re.compile(
    r"""(<img\b[^>]*?\bsrc=["'])[^"']*/hostedContents/([^/"']+)/\$value""", re.IGNORECASE
)
_EMOJI = re.compile(r"""<emoji\b[^>]*?\balt=["']([^"']{1,16})["'][^>]*>""", re.IGNORECASE)
_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:;\
 style-src 'unsafe-inline'">
<meta name="referrer" content="no-referrer">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title>
<style>
body {{ font: 15px/1.45 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem;
  color: #222; background: #fff; overflow-wrap: anywhere }}
article {{ border-top: 1px solid #ddd; padding: .7rem 0 }}
article.reply {{ border-top: 0; border-left: 3px solid #ccd; margin-left: 1.5rem;
  padding: .3rem 0 .3rem .9rem }}
header {{ color: #666; font-size: .85rem }} header b {{ color: #222 }} h2 {{ font-size: 1rem;
  margin: .2rem 0 }} img {{ max-width: 100% }} p {{ margin: .3rem 0 }}
footer {{ color: #666; font-size: .85rem }}
</style></head><body>
<h1>{title}</h1>
"""


def order_of(row: Row) -> tuple[str, bytes]:
    """(Channel, place in its page) of a message or reply: threads by time, replies below.

    Messages are numbered by the millisecond they were written in.
    """
    container, _, rest = row.source_id.partition("/")
    root, _, own = rest.partition("/")
    return container, _number(root) + _number(own)


def beginning(title: str) -> bytes:
    """What stands above the first message."""
    return _HEAD.format(title=html.escape(title or "Channel")).encode()


def article(kind: str, stored: bytes) -> bytes:
    """A message of the page; whatever its bytes are, it raises nothing."""
    try:
        told = orjson.loads(stored)
    except ValueError:
        return unreadable(kind)
    if not isinstance(told, dict):
        return unreadable(kind)
    who = html.escape(author_of(_dict(told.get("from"))) or "somebody")
    when = html.escape(str(told.get("createdDateTime") or ""))
    edited = " · edited" if told.get("lastEditedDateTime") else ""
    parts = [f'<article class="{_class(kind)}"><header><b>{who}</b> <time datetime="{when}">']
    parts.append(f"{when[:16].replace('T', ' ')} UTC</time>{edited}</header>")
    if subject := told.get("subject"):
        parts.append(f"<h2>{html.escape(str(subject))}</h2>")
    parts += [_body(told), _attachments(told), "</article>\n"]
    return "".join(parts).encode("utf-8", "replace")


def unreadable(kind: str) -> bytes:
    """What stands in the place of a message that could not be read."""
    return (
        f'<article class="{_class(kind)}"><footer>This message could not be read; '
        "manifest.jsonl says why.</footer></article>\n"
    ).encode()


def _body(told: dict[str, Any]) -> str:
    body = _dict(told.get("body"))
    content = str(body.get("content") or "")
    if str(told.get("messageType") or "message") != "message":
        return "<footer>An event of the channel</footer>"
    if str(body.get("contentType")).lower() != "html":
        return "<p>" + html.escape(content).replace("\n", "<br>") + "</p>"
    shown = _EMOJI.sub(lambda found: html.escape(found[1]), _IMAGE.sub(r"\1cid:\2", content))
    return f"<div>{sanitise(shown, _pictures(told))[0]}</div>"


def _pictures(told: dict[str, Any]) -> dict[str, Attachment]:
    found: dict[str, Attachment] = {}
    for one in _list(told.get("hostedContents")):
        kind = str(one.get("contentType") or "").lower()
        if kind not in PICTURES:
            continue
        try:
            data = b64decode(str(one.get("contentBytes") or ""), validate=True)
        except ValueError:
            continue
        found[str(one.get("id"))] = Attachment("", kind, data)
    return found


def _attachments(told: dict[str, Any]) -> str:
    names = [str(one.get("name") or "") for one in _list(told.get("attachments"))]
    shown = ", ".join(html.escape(name) for name in names if name)
    return f"<footer>Attached: {shown}</footer>" if shown else ""


def _class(kind: str) -> str:
    return "reply" if kind == "reply" else "message"


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _number(name: str) -> bytes:
    known = name.isascii() and name.isdigit() and len(name) < 19
    return (int(name) if known else 0).to_bytes(8)
