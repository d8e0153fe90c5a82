"""MIME to Graph's message, over CPython's own e-mail test messages and some worse ones."""

import base64
from email.message import EmailMessage
from pathlib import Path

import orjson
import pytest
import test.test_email
from hypothesis import given
from hypothesis import strategies as st

from shared.microsoft365 import mail_json
from shared.microsoft365.mime import Attachment, parse_mail

DATA = Path(test.test_email.__file__).parent / "data"
MESSAGES = sorted(DATA.glob("msg_*.txt"))
ROW = {"x": 1, "m": {"sent": "2024-05-06T07:00:00Z", "received": "2024-05-06T07:08:09Z"}}


@pytest.mark.parametrize("path", MESSAGES, ids=lambda path: path.stem)
def test_every_message_becomes_json(path: Path) -> None:
    mail = parse_mail(path.read_bytes())
    message = mail_json.message_json(mail, ROW)
    message["attachments"] = [mail_json.attachment_json(a) for a in mail.attachments]
    assert orjson.loads(orjson.dumps(message))["isRead"]


@given(st.binary(max_size=400))
def test_any_bytes_become_json(content: bytes) -> None:
    heads = b"From: a@b\nContent-Type: multipart/mixed; boundary=x\n\n--x\n"
    for mime in (content, heads + content, b"Subject: " + content):
        mail = parse_mail(mime)
        orjson.dumps(mail_json.message_json(mail, {}))
        orjson.dumps([mail_json.attachment_json(a) for a in mail.attachments])


def test_section_9_1_flags_and_times_are_in_the_same_post() -> None:
    message = mail_json.message_json(parse_mail(b"Subject: x\r\n\r\nbody"), ROW)
    assert message["singleValueExtendedProperties"] == [
        {"id": "Integer 0x0E07", "value": "4"},
        {"id": "SystemTime 0x0039", "value": "2024-05-06T07:00:00Z"},
        {"id": "SystemTime 0x0E06", "value": "2024-05-06T07:08:09Z"},
    ]


def test_a_draft_stays_a_draft_with_its_times() -> None:
    mail = parse_mail(b"Subject: x\r\n\r\nbody")
    assert "singleValueExtendedProperties" not in mail_json.message_json(mail, {"x": 4})
    told = mail_json.message_json(mail, {**ROW, "x": 4})["singleValueExtendedProperties"]
    assert [one["id"] for one in told] == ["SystemTime 0x0039", "SystemTime 0x0E06"]


def test_row_decides_flag_categories_and_importance() -> None:
    row = {
        "x": 2,
        "m": {"categories": ["Blue"], "importance": "high", "flag": {"flagStatus": "complete"}},
    }  # fmt: skip
    message = mail_json.message_json(parse_mail(b"Importance: low\r\n\r\n"), row)
    assert message["flag"] == {"flagStatus": "complete"}
    assert message["categories"] == ["Blue"]
    assert message["importance"] == "high"
    assert not message["isRead"]


def test_bodies_attachments_inline_images_and_nested_mail() -> None:
    mail = EmailMessage()
    mail["Subject"] = "=?utf-8?q?gr=C3=BC=C3=9Fe?="
    mail["From"] = '"Last, First" <a@b.c>'
    mail.set_content("plain")
    mail.add_alternative("<img src='cid:pic'>", subtype="html")
    html = mail.get_payload()[1]  # type: ignore[index]
    html.add_related(b"png", maintype="image", subtype="png", cid="<pic>", disposition="inline")
    mail.add_attachment(b"\0\1", maintype="application", subtype="pdf", filename="ü.pdf")
    inner = EmailMessage()
    inner["Subject"] = "inside"
    inner.set_content("deep")
    inner.add_attachment(b"x", maintype="image", subtype="gif", filename="x.gif")
    mail.add_attachment(inner)
    found = parse_mail(mail.as_bytes())
    assert found.subject == "grüße"
    assert found.from_ == [("Last, First", "a@b.c")]
    assert found.is_html
    assert "cid:pic" in found.body
    by_name = {a.name: a for a in found.attachments}
    assert by_name["ü.pdf"].content == b"\0\1"
    assert [a.content_id for a in found.attachments if a.inline] == ["pic"]
    nested = mail_json.attachment_json(by_name["inside"])
    assert nested["@odata.type"] == "#microsoft.graph.itemAttachment"
    assert nested["item"]["body"]["content"].strip() == "deep"
    assert base64.b64decode(nested["item"]["attachments"][0]["contentBytes"]) == b"x"


@pytest.mark.parametrize(
    ("mime", "subject", "body"),
    [
        (b"Subject: =?nope?q?x?=\n\nhi", "=?nope?q?x?=", "hi"),
        (b"Content-Type: text/plain; charset=nonsense\n\nh\xfci", "", "h\ufffdi"),
        (b"Content-Type: multipart/mixed\n\nno boundary", "", ""),
        (b"Content-Transfer-Encoding: base64\n\n!!!", "", None),
        (b"\xff\xfe broken \n\n", "", None),
        (b"", "", ""),
    ],
)
def test_malformed_mail_is_taken_as_it_is(mime: bytes, subject: str, body: str | None) -> None:
    mail = parse_mail(mime)
    assert mail.subject == subject
    if body is not None:
        assert mail.body.strip() == body


def test_no_recipient_is_invented_and_none_without_address_is_lost() -> None:
    mail = parse_mail(b"To: undisclosed-recipients:;, Bob, bob@x\nFrom: nobody\n\n")
    assert mail.to == [("", "Bob"), ("", "bob@x")]
    assert mail.from_ == [("", "nobody")]
    message = mail_json.message_json(parse_mail(b'To: "Only" <>\n\n'), ROW)
    assert message["toRecipients"] == [{"emailAddress": {"name": "Only"}}]
    assert "from" not in message
    assert "sender" not in message


def test_attachments_are_split_by_size() -> None:
    def sized(size: int) -> Attachment:
        return Attachment(str(size), "a/b", bytes(size))

    small = [sized(1_500_000), sized(1_500_000), sized(10)]
    inside, beside, by_session, too_large = mail_json.split_attachments(
        [*small, sized(2_900_000), sized(3_000_001), sized(150_000_001)]
    )
    assert [len(a.content) for a in inside] == [1_500_000, 10]
    assert [len(a.content) for a in beside] == [1_500_000, 2_900_000]
    assert [len(a.content) for a in by_session] == [3_000_001]
    assert [len(a.content) for a in too_large] == [150_000_001]
