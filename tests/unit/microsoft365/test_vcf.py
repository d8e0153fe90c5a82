"""vCards of stored contacts, read back by another library."""

import base64
import json
import string
from typing import Any

import pytest
import vobject
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.microsoft365.vcf import contact_to_vcf

TEXT = st.text(
    alphabet=st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\u2028\u2029\x85"),
    max_size=120,
)


def card(contact: dict[str, Any]) -> Any:
    return vobject.readOne(contact_to_vcf(json.dumps(contact).encode()).decode())


def test_everything_a_person_set_is_there() -> None:
    photo = bytes(range(256)) * 20
    found = card(
        {
            "id": "AAkAL1",
            "displayName": "Björn Weiß",
            "givenName": "Björn",
            "surname": "Weiß",
            "middleName": "Q",
            "title": "Dr.",
            "nickName": "Bö",
            "companyName": "A, B & Co; KG",
            "department": "Einkauf",
            "jobTitle": "Leitung",
            "birthday": "1980-02-29T11:59:00Z",
            "emailAddresses": [{"name": "B", "address": "b@x.example"}, {"address": "c@x.example"}],
            "businessPhones": ["+49 40 1"],
            "homePhones": ["+49 40 2"],
            "mobilePhone": "+49 170 3",
            "homeAddress": {
                "street": "Am Markt 1",
                "city": "Lübeck",
                "postalCode": "23552",
                "countryOrRegion": "Deutschland",
            },
            "personalNotes": "Zeile 1\nZeile 2; mit, Zeichen\\",
            "categories": ["Kunde", "a,b"],
            "photo": {
                "contentType": "image/jpeg",
                "contentBytes": base64.b64encode(photo).decode(),
            },
            "lastModifiedDateTime": "2026-01-02T03:04:05Z",
        }
    )
    assert found.fn.value == "Björn Weiß"
    assert (found.n.value.family, found.n.value.given) == ("Weiß", "Björn")
    assert (found.n.value.additional, found.n.value.prefix) == ("Q", "Dr.")
    assert found.org.value == ["A, B & Co; KG", "Einkauf"]
    assert [one.value for one in found.email_list] == ["b@x.example", "c@x.example"]
    assert {one.value for one in found.tel_list} == {"+49 40 1", "+49 40 2", "+49 170 3"}
    assert (found.adr.value.street, found.adr.value.city) == ("Am Markt 1", "Lübeck")
    assert (found.adr.value.code, found.adr.value.country) == ("23552", "Deutschland")
    assert found.note.value == "Zeile 1\nZeile 2; mit, Zeichen\\"
    assert found.bday.value == "1980-02-29"
    assert found.photo.value == photo
    assert found.title.value == "Leitung"


@settings(max_examples=100, deadline=None)
@given(name=TEXT, company=TEXT, note=TEXT, street=TEXT)
def test_any_text_comes_back_and_no_line_is_too_long(
    name: str, company: str, note: str, street: str
) -> None:
    contact = {
        "displayName": name, "companyName": company, "personalNotes": note,
        "businessAddress": {"street": street},
    }  # fmt: skip
    made = contact_to_vcf(json.dumps(contact).encode())
    assert all(len(line) <= 75 for line in made.split(b"\r\n"))
    unfolded = made.replace(b"\r\n ", b"").decode().split("\r\n")
    values = {line.partition(":")[0]: line.partition(":")[2] for line in unfolded}
    assert plain(values["FN"]) == (name or company or "?")
    assert plain(values.get("NOTE", "")) == note
    assert plain(values.get("ORG", "")) == company
    if street:
        assert plain(values["ADR;TYPE=WORK"]) == f";;{street};;;;"


def plain(value: str) -> str:
    """A value without its marks, read letter by letter as RFC 2426 says."""
    found, letters = "", iter(value)
    for letter in letters:
        if letter == "\\":
            letter = next(letters)
            found += "\n" if letter in "nN" else letter
        else:
            found += letter
    return found


def test_a_contact_without_anything_still_has_a_name() -> None:
    assert card({}).fn.value == "?"
    assert card({"emailAddresses": [{"address": "a@x.example"}]}).fn.value == "a@x.example"


def test_controls_cannot_break_out_of_their_line() -> None:
    hostile = "x\r\nEND:VCARD\r\nBEGIN:VCARD" + string.whitespace + "\x00"
    made = contact_to_vcf(json.dumps({"displayName": hostile}).encode())
    assert made.count(b"\r\nEND:VCARD\r\n") == 1
    assert made.count(b"BEGIN:VCARD\r\n") == 1


def test_what_is_no_contact_is_refused() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        contact_to_vcf(b"no json")
