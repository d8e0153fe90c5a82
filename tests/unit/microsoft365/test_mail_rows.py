"""Rows of mail and the rule that decides whether a message is read again (section 3.1)."""

from typing import Any

import msgspec
import pytest

from shared.microsoft365 import mail_rows
from shared.microsoft365.enumeration import Feed
from shared.microsoft365.mail_rows import MessageEntry, audited, content_changed, message_change

PAGE = msgspec.json.Decoder(Feed[MessageEntry])
MESSAGE: dict[str, Any] = {
    "id": "AAQ=", "changeKey": "CQ", "parentFolderId": "F", "isDraft": False, "isRead": True,
    "flag": {"flagStatus": "flagged"}, "categories": ["Blue"], "importance": "high",
    "hasAttachments": True, "subject": "Hello",
    "from": {"emailAddress": {"name": "Ada", "address": "ada@x"}},
    "toRecipients": [{"emailAddress": {"address": f"{n}@x"}} for n in range(5)],
    "receivedDateTime": "2024-05-06T07:08:09Z", "sentDateTime": "2024-05-06T07:08:00Z",
    "internetMessageId": "<1@x>",
}  # fmt: skip


def _item(**changes: Any) -> dict[str, Any]:
    page = PAGE.decode(msgspec.json.encode({"value": [{**MESSAGE, **changes}]}))
    return message_change("F", page.value[0]).item


def test_row_of_a_message() -> None:
    assert _item() == {
        "i": "AAQ=", "k": "mail", "p": "F", "n": "Hello", "w": "Ada <ada@x>",
        "o": ["0@x", "1@x", "2@x"], "t": 1714979289, "v": "CQ", "x": 1 | 2 | 8, "c": "mime",
        "m": {
            "imid": "<1@x>", "sent": "2024-05-06T07:08:00Z", "received": "2024-05-06T07:08:09Z",
            "categories": ["Blue"], "importance": "high", "flag": {"flagStatus": "flagged"},
        },
    }  # fmt: skip


def test_a_message_of_which_nothing_is_known_still_is_a_row() -> None:
    page = PAGE.decode(b'{"value":[{"id":"A","subject":null,"from":null,"toRecipients":null}]}')
    assert message_change("F", page.value[0]).item == {
        "i": "A", "k": "mail", "p": "F", "x": 0, "c": "mime",
    }  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    [
        {"isRead": False}, {"flag": {"flagStatus": "complete"}}, {"categories": []},
        {"importance": "low"}, {"parentFolderId": "G"},
    ],
)  # fmt: skip
def test_goal_2_metadata_changes_need_no_content(changes: dict[str, Any]) -> None:
    assert not content_changed({**_item(), "d": "x"}, _item(changeKey="CR", **changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"subject": "Other"}, {"hasAttachments": False},
        {"sentDateTime": "2025-01-01T00:00:00Z"}, {"isDraft": True},
    ],
)  # fmt: skip
def test_content_changes_are_read(changes: dict[str, Any]) -> None:
    assert content_changed({**_item(), "d": "x"}, _item(changeKey="CR", **changes))


def test_a_message_without_held_content_is_read() -> None:
    assert content_changed(_item(), _item())
    assert content_changed({**_item(), "d": "x", "e": "stale"}, _item())
    assert not content_changed({**_item(), "d": "x"}, _item())


def test_m14_the_last_occurrence_wins() -> None:
    page = PAGE.decode(
        b'{"value":[{"id":"A","subject":"1"},{"id":"B"},{"id":"A","@removed":{"reason":"deleted"}}]}'
    )
    changes = mail_rows.last_wins(message_change("F", entry) for entry in page.value)
    assert [(c.item["i"], c.removed) for c in changes] == [("B", False), ("A", True)]


def test_m5_ids_that_differ_in_case_are_two_items() -> None:
    page = PAGE.decode(b'{"value":[{"id":"a"},{"id":"A"}]}')
    assert len(mail_rows.last_wins(message_change("F", e) for e in page.value)) == 2


def test_one_metadata_change_in_200_is_audited() -> None:
    share = sum(audited({"i": str(n), "v": "1"}) for n in range(20_000)) / 20_000
    assert 0.003 < share < 0.007
    assert audited({"i": "x", "v": "1"}) == audited({"i": "x", "v": "1"})
