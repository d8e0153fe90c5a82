"""A mail to look at, made harmless: text, and HTML without scripts or anything from elsewhere.

Nothing in it may reach out: no remote image, style sheet, font or frame, so that neither a sender
learns that it was read nor a page that shows it is taken over (RST-05).
"""

import html
import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field

from shared.kit.errors import Unprocessable
from shared.microsoft365.mime import Attachment, Mail, parse_mail

MAX_BODY = 1 << 20
"""Characters of a body that are shown."""
MAX_IMAGES = 4 << 20
"""Bytes of pictures inside the mail that are shown in their places."""
# No SVG: it may hold scripts.
PICTURES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
_LINKS = ("https:", "http:", "mailto:", "tel:")
_TAGS = frozenset(
    """a abbr b blockquote br caption center cite code col colgroup dd del div dl dt em figure
    figcaption font h1 h2 h3 h4 h5 h6 hr i img ins kbd li ol p pre q s samp small span strike strong
    sub sup table tbody td tfoot th thead tr tt u ul""".split()  # noqa: SIM905
)
_ATTRIBUTES: dict[str, set[str]] = {
    "a": {"href", "title"},
    "img": {"src", "alt", "width", "height"},
    "td": {"colspan", "rowspan", "align", "valign", "width"},
    "th": {"colspan", "rowspan", "align", "valign", "width"},
    "table": {"border", "cellpadding", "cellspacing", "width", "align"},
    "font": {"color", "size"},
    "ol": {"start", "type"},
}
# What is inside of these goes with them.
_WITH_CONTENT = {"script", "style", "title", "noscript", "template", "svg", "math", "iframe"}
_BREAKS = re.compile(r"<(br|/p|/div|/tr|/li|/h[1-6]|hr)\b[^>]*>", re.IGNORECASE)


class NotAMail(Unprocessable):
    """Only mail has a preview."""

    code, title = "NOT_A_MAIL", "This item is no mail"


@dataclass(frozen=True, slots=True)
class MailPreview:
    """What is shown of a mail."""

    mail: Mail
    text: str
    html: str | None
    blocked: int
    """Things from elsewhere that were left out."""
    is_cut: bool
    """Whether the body is longer than what is shown."""


@dataclass(slots=True)
class _Inside:
    """Pictures that are parts of the mail, and what was not let through."""

    pictures: Mapping[str, Attachment]
    room: int = MAX_IMAGES
    blocked: int = 0
    known: dict[str, str] = field(default_factory=dict)

    def attribute(self, tag: str, name: str, value: str) -> str | None:
        """The value an attribute may keep, None for none: called for every attribute."""
        if (tag, name) == ("a", "href"):
            return value if value.strip().lower().startswith(_LINKS) else None
        if (tag, name) != ("img", "src"):
            return value
        shown = self._picture(value.strip())
        self.blocked += shown is None
        return shown

    def _picture(self, source: str) -> str | None:
        if not source.lower().startswith("cid:"):
            return None
        name = source[4:]
        found = self.pictures.get(name)
        if name not in self.known and found is not None and len(found.content) <= self.room:
            self.room -= len(found.content)
            coded = b64encode(found.content).decode("ascii")
            self.known[name] = f"data:{found.content_type};base64,{coded}"
        return self.known.get(name)


def preview(mime: bytes) -> MailPreview:
    """The preview of a stored message; whatever its bytes are, it raises nothing."""
    mail = parse_mail(mime)
    is_cut, body = len(mail.body) > MAX_BODY, mail.body[:MAX_BODY]
    if not mail.is_html:
        return MailPreview(mail, body, None, 0, is_cut)
    pictures = {
        one.content_id.strip("<>"): one
        for one in mail.attachments
        if one.content_id and one.content_type.lower() in PICTURES
    }
    clean, blocked = sanitise(body, pictures)
    return MailPreview(mail, plain(clean), clean, blocked, is_cut)


def sanitise(body: str, pictures: Mapping[str, Attachment]) -> tuple[str, int]:
    """(Harmless HTML, number of things from elsewhere left out)."""
    import nh3

    inside = _Inside(pictures)
    clean = nh3.clean(
        body,
        tags=set(_TAGS),
        clean_content_tags=_WITH_CONTENT,
        attributes=_ATTRIBUTES,
        attribute_filter=inside.attribute,
        url_schemes={"https", "http", "mailto", "tel", "cid", "data"},
        link_rel="noopener noreferrer nofollow",
        strip_comments=True,
    )
    return clean, inside.blocked


def plain(clean: str) -> str:
    """The text of harmless HTML, a line per line that is shown."""
    import nh3

    broken = _BREAKS.sub(lambda found: found[0] + "\n", clean)
    text = html.unescape(nh3.clean(broken, tags=set(), attributes={}))
    return re.sub(r"\n\s*\n+", "\n\n", text).strip()
