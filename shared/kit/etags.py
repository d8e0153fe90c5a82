"""Strong ETags and the evaluation of If-Match and If-None-Match (RFC 9110 section 13).

Callers load the resource first, so an unknown or invisible one is 404 and never 412.
"""

import base64
import hashlib
import re

from shared.kit.errors import Invalid, PreconditionFailed, PreconditionRequired

ANY = "*"
# More tags than a client can sensibly hold: a longer list is a mistake or an attack.
MAX_TAGS = 100
_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')


def strong_etag(*table_etags: str) -> str:
    """A strong ETag, quoted, from the weak ETags of the rows that make up the resource."""
    digest = hashlib.sha256("\0".join(table_etags).encode()).digest()
    return '"' + base64.urlsafe_b64encode(digest[:16]).rstrip(b"=").decode() + '"'


def check_if_match(if_match: str | None, current: str, *, required: bool = True) -> None:
    """Let a change pass only when it was decided on the current state.

    `PreconditionRequired` (428) when `required` and no header came, `PreconditionFailed` (412)
    when no tag given is strongly equal to `current`, `Invalid` (400) for a malformed header.
    """
    if if_match is None:
        if required:
            raise PreconditionRequired("Read the resource and send its ETag in If-Match.")
        return
    if if_match.strip() == ANY:
        return
    if not any(not weak and tag == current for weak, tag in _tags(if_match, "If-Match")):
        raise PreconditionFailed("Read the resource again and repeat the change.", etag=current)


def check_if_none_match(if_none_match: str | None, current: str | None) -> None:
    """Let a create-only write pass when nothing is there: `If-None-Match: *` (412 otherwise).

    `current` is None when the resource does not exist.
    """
    if if_none_match is None or current is None:
        return
    if if_none_match.strip() == ANY or any(
        tag == current for _, tag in _tags(if_none_match, "If-None-Match")
    ):
        raise PreconditionFailed("It exists already.", etag=current)


def is_not_modified(if_none_match: str | None, current: str) -> bool:
    """Whether a read may be answered 304: a tag given equals `current` (weak comparison)."""
    if if_none_match is None:
        return False
    if if_none_match.strip() == ANY:
        return True
    return any(tag == current for _, tag in _tags(if_none_match, "If-None-Match"))


def _tags(header: str, name: str) -> list[tuple[bool, str]]:
    parts = header.split(",", MAX_TAGS + 1)  # our own tags hold no comma
    found = [_TAG.fullmatch(part.strip()) for part in parts]
    if len(parts) > MAX_TAGS or any(each is None for each in found):
        raise Invalid(
            f'{name} holds quoted ETags separated by commas, or "*".', pointer=f"/headers/{name}"
        )
    return [(bool(each[1]), f'"{each[2]}"') for each in found if each is not None]
