"""Lines of iCalendar and vCard, and a stored contact as a vCard 3.0 (RFC 2426)."""

import re
from typing import Any

_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_PHONES = (("businessPhones", "WORK,VOICE"), ("homePhones", "HOME,VOICE"))
_ADDRESSES = (("businessAddress", "WORK"), ("homeAddress", "HOME"), ("otherAddress", "POSTAL"))
_PARTS = ("street", "city", "state", "postalCode", "countryOrRegion")
_NAMES = ("surname", "givenName", "middleName", "title", "generation")
_WORK = (("jobTitle", "TITLE"), ("profession", "ROLE"), ("businessHomePage", "URL"))
LINE_OCTETS = 75


def text(value: Any) -> str:
    """A value: line ends, commas, semicolons and backslashes marked, controls left out."""
    found = _CONTROLS.sub("", str(value or "").replace("\r\n", "\n").replace("\r", "\n"))
    for mark, told in (("\\", "\\\\"), ("\n", "\\n"), (",", "\\,"), (";", "\\;")):
        found = found.replace(mark, told)
    return found


def lines(found: list[str]) -> bytes:
    """The file: lines of at most 75 octets, never cut inside a character."""
    return "".join(_folded(line) for line in found).encode("utf-8", "replace")


def contact_to_vcf(contact: dict[str, Any]) -> bytes:
    """A stored contact as one vCard; several can be joined into one file."""
    mails = [one["address"] for one in contact.get("emailAddresses") or [] if one.get("address")]
    shown = contact.get("displayName") or contact.get("fileAs") or contact.get("companyName")
    found = ["BEGIN:VCARD", "VERSION:3.0", "N:" + ";".join(text(contact.get(p)) for p in _NAMES)]
    found.append("FN:" + text(shown or next(iter(mails), "?")))
    if contact.get("nickName"):
        found.append("NICKNAME:" + text(contact["nickName"]))
    found += ["EMAIL;TYPE=INTERNET:" + text(mail) for mail in mails]
    for member, kind in _PHONES:
        found += [f"TEL;TYPE={kind}:{text(one)}" for one in contact.get(member) or [] if one]
    if contact.get("mobilePhone"):
        found.append("TEL;TYPE=CELL,VOICE:" + text(contact["mobilePhone"]))
    for member, kind in _ADDRESSES:
        address = contact.get(member) or {}
        if any(address.get(part) for part in _PARTS):
            places = ";".join(text(address.get(part)) for part in _PARTS)
            found.append(f"ADR;TYPE={kind}:;;{places}")
    if contact.get("companyName") or contact.get("department"):
        unit = contact.get("department")
        found.append("ORG:" + text(contact.get("companyName")) + (f";{text(unit)}" if unit else ""))
    found += [f"{name}:{text(contact[one])}" for one, name in _WORK if contact.get(one)]
    if contact.get("birthday"):
        found.append("BDAY:" + text(contact["birthday"])[:10])
    if contact.get("personalNotes"):
        found.append("NOTE:" + text(contact["personalNotes"]))
    if contact.get("categories"):
        found.append("CATEGORIES:" + ",".join(text(one) for one in contact["categories"]))
    photo = contact.get("photo") or {}
    if photo.get("contentBytes"):
        found.append(f"PHOTO;ENCODING=b;TYPE=JPEG:{text(photo['contentBytes'])}")
    if contact.get("id"):
        found.append("UID:" + text(contact["id"]))
    return lines([*found, "END:VCARD"])


def _folded(line: str) -> str:
    pieces, held, room = list[str](), "", LINE_OCTETS
    for letter in line:
        if len((held + letter).encode("utf-8", "replace")) > room:
            pieces.append(held)
            held, room = "", LINE_OCTETS - 1
        held += letter
    return "\r\n ".join([*pieces, held]) + "\r\n"
