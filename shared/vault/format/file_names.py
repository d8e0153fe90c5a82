"""Names that came from a mailbox or drive, made safe for any file system; nothing climbs.

Not a part of the format: the rule by which everybody who takes items out of a vault names them.
"""

import re
import unicodedata

MAX_NAME = 120
_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f]')
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE)
# White space of any alphabet, as Python's strip knows it: none of it is seen at an end.
_ENDS = re.compile(r"^\s+|[\s.]+\Z")
_TAIL = re.compile(r"[\s.]+\Z")
_NOTHING = re.compile(r"[\s._]")
# Marks that change how the rest of a name is shown: an .exe would look like a .txt.
_HIDDEN = {"Cf", "Cc", "Cs", "Co", "Cn", "Zl", "Zp"}


def safe_name(name: str, extension: str = "") -> str:
    """One path step: no separator, device name, trailing dot, control or direction mark."""
    text = unicodedata.normalize("NFC", name.encode("utf-8", "replace").decode())
    text = "".join("_" if unicodedata.category(c) in _HIDDEN else c for c in text)
    text = _FORBIDDEN.sub("_", text).strip()
    stem, dot, ending = text.rpartition(".")
    if not dot or len(ending) > 16 or extension:
        stem, ending = text, ""
    else:
        ending = "." + ending
    text = _cut(stem, MAX_NAME - len(ending.encode())) + ending + extension
    text = _ENDS.sub("", text)
    if not _NOTHING.sub("", text.removesuffix(extension)):
        text = "_" + extension
    return "_" + text if _RESERVED.fullmatch(text) else text


def _cut(text: str, room: int) -> str:
    data = text.encode()[: max(room, 1)]
    return _TAIL.sub("", data.decode(errors="ignore"))
