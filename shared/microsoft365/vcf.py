"""Turns a stored contact into a vCard: pure.

Version 3.0 (RFC 2426), which every address book reads, Outlook among them; 4.0 many do not.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from shared.microsoft365.event_attachments import loads

LINE_OCTETS = 75
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_PHONES = (("businessPhones", "WORK,VOICE"), ("homePhones", "HOME,VOICE"))
_ADDRESSES = (("businessAddress", "WORK"), ("homeAddress", "HOME"), ("otherAddress", "POSTAL"))
_PARTS = ("street", "city", "state", "postalCode", "countryOrRegion")
# What a vCard has no name for, by the names Outlook writes.
_OWN = (
    ("manager", "X-MS-MANAGER"), ("assistantName", "X-MS-ASSISTANT"), ("spouseName", "X-MS-SPOUSE"),
    ("officeLocation", "X-MS-OFFICE"), ("initials", "X-INITIALS"),
    ("yomiGivenName", "X-PHONETIC-FIRST-NAME"), ("yomiSurname", "X-PHONETIC-LAST-NAME"),
    ("yomiCompanyName", "X-PHONETIC-ORG"),
)  # fmt: skip


def contact_to_vcf(stored: bytes) -> bytes:
    """A stored contact (the JSON of a row of kind `contact`) as one vCard.

    Several can be joined into one file. Raises ValueError for bytes that are no stored contact.
    """
    contact = loads(stored)
    lines = ["BEGIN:VCARD", "VERSION:3.0", "PRODID:-//Holdfast//Backup//EN"]
    lines += _names(contact)
    lines += _reached(contact)
    lines += _work(contact)
    lines += _more(contact)
    lines.append("END:VCARD")
    return "".join(_folded(line) for line in lines).encode()


def _names(contact: Mapping[str, Any]) -> list[str]:
    parts = ("surname", "givenName", "middleName", "title", "generation")
    mail = next((one.get("address") for one in contact.get("emailAddresses") or []), None)
    shown = contact.get("displayName") or contact.get("fileAs") or contact.get("companyName")
    lines = [
        "N:" + ";".join(_text(contact.get(part)) for part in parts),
        "FN:" + _text(shown or mail or "?"),
    ]
    if contact.get("nickName"):
        lines.append("NICKNAME:" + _text(contact["nickName"]))
    return lines


def _reached(contact: Mapping[str, Any]) -> list[str]:
    lines = [
        "EMAIL;TYPE=INTERNET:" + _text(one["address"])
        for one in contact.get("emailAddresses") or []
        if one.get("address")
    ]
    for member, kind in _PHONES:
        lines += [f"TEL;TYPE={kind}:" + _text(one) for one in contact.get(member) or [] if one]
    if contact.get("mobilePhone"):
        lines.append("TEL;TYPE=CELL,VOICE:" + _text(contact["mobilePhone"]))
    for member, kind in _ADDRESSES:
        address = contact.get(member) or {}
        if any(address.get(part) for part in _PARTS):
            places = ";".join(_text(address.get(part)) for part in _PARTS)
            lines.append(f"ADR;TYPE={kind}:;;{places}")
    lines += ["IMPP:" + _text(one) for one in contact.get("imAddresses") or [] if one]
    return lines


def _work(contact: Mapping[str, Any]) -> list[str]:
    lines = []
    if contact.get("companyName") or contact.get("department"):
        company, unit = contact.get("companyName"), contact.get("department")
        lines.append("ORG:" + _text(company) + (f";{_text(unit)}" if unit else ""))
    for member, name in (
        ("jobTitle", "TITLE"),
        ("profession", "ROLE"),
        ("businessHomePage", "URL"),
    ):
        if contact.get(member):
            lines.append(f"{name}:{_text(contact[member])}")
    return lines


def _more(contact: Mapping[str, Any]) -> list[str]:
    lines = []
    if contact.get("birthday"):
        # Graph gives a day as an instant shortly before noon in UTC: the day is what counts.
        lines.append("BDAY:" + _text(contact["birthday"])[:10])
    if contact.get("personalNotes"):
        lines.append("NOTE:" + _text(contact["personalNotes"]))
    if contact.get("categories"):
        lines.append("CATEGORIES:" + ",".join(_text(one) for one in contact["categories"]))
    lines += [f"{name}:{_text(contact[member])}" for member, name in _OWN if contact.get(member)]
    lines += ["X-MS-CHILD:" + _text(child) for child in contact.get("children") or [] if child]
    photo = contact.get("photo") or {}
    if photo.get("contentBytes"):
        kind = str(photo.get("contentType") or "image/jpeg").rpartition("/")[2].upper()
        kind = "".join(filter(str.isalnum, kind)) or "JPEG"
        lines.append(f"PHOTO;ENCODING=b;TYPE={kind}:{photo['contentBytes']}")
    if contact.get("lastModifiedDateTime"):
        lines.append("REV:" + _text(contact["lastModifiedDateTime"]))
    if contact.get("id"):
        lines.append("UID:" + _text(contact["id"]))
    return lines


def _text(text: Any) -> str:
    """A value: line ends, commas, semicolons and backslashes marked, controls left out."""
    found = str(text or "").replace("\r\n", "\n").replace("\r", "\n")
    found = _CONTROLS.sub("", found)
    for mark, told in (("\\", "\\\\"), ("\n", "\\n"), (",", "\\,"), (";", "\\;")):
        found = found.replace(mark, told)
    return found


def _folded(line: str) -> str:
    """Lines of at most 75 octets, never cut inside a character (RFC 2425 5.8.1)."""
    return "\r\n ".join(_pieces(line)) + "\r\n"


def _pieces(line: str) -> Iterable[str]:
    if line.isascii():
        first, rest = line[:LINE_OCTETS], line[LINE_OCTETS:]
        step = LINE_OCTETS - 1
        return [first, *(rest[at : at + step] for at in range(0, len(rest), step))]
    pieces: list[str] = []
    piece, octets = "", 0
    for letter in line:
        size = len(letter.encode())
        if octets + size > LINE_OCTETS - (1 if pieces else 0):
            pieces.append(piece)
            piece, octets = "", 0
        piece += letter
        octets += size
    return [*pieces, piece]
