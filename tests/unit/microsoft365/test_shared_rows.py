"""Pure parts of sites and teams: names, columns, posted bodies, first words."""

import pytest

from shared.microsoft365.list_restore import makeable
from shared.microsoft365.team_restore import body_of, channel_name, later
from shared.microsoft365.team_rows import first_words, images_of

IMAGE = '<img src="https://g/v1.0/teams/t/channels/c/messages/1/hostedContents/abc/$value" alt="x">'


@pytest.mark.parametrize(
    ("column", "name"),
    [
        ({"name": "A", "text": {}, "id": "1"}, "A"),
        ({"name": "B", "calculated": {"formula": "=1"}}, None),
        ({"name": "C", "text": {}, "readOnly": True}, None),
        ({"name": "D", "number": {}, "hidden": True}, None),
        ({"name": "Title", "text": {}}, None),
    ],
)
def test_only_columns_that_graph_can_create_are_created(
    column: dict[str, object], name: str | None
) -> None:
    made = makeable(column)
    assert (made or {}).get("name") == name
    assert "id" not in (made or {})


def test_m34_a_time_moves_by_milliseconds_over_the_second() -> None:
    assert later("2026-01-01T00:00:59.999Z", 1) == "2026-01-01T00:01:00.000Z"


def test_channel_names_are_what_teams_accepts() -> None:
    assert channel_name("Q&A: a/b", "Restored 2026-01-01") == "Q A a b Restored 2026-01-01"
    assert len(channel_name("x" * 80, "y")) == 50


def test_mentions_become_text_and_images_are_sent_along() -> None:
    stored = {
        "from": {"user": {"id": "u"}},
        "body": {"contentType": "html", "content": f'<p><at id="0">Ada</at> {IMAGE}</p>'},
        "reactions": [{"reactionType": "like"}],
        "hostedContents": [{"id": "abc", "contentType": "image/png", "contentBytes": "AA=="}],
    }
    assert images_of(stored) == ["abc"]
    body, notes = body_of(stored, "2026-01-01T00:00:00.000Z")
    assert body["body"]["content"] == '<p>Ada <img src="../hostedContents/abc/$value"></p>'
    assert body["hostedContents"][0]["@microsoft.graph.temporaryId"] == "abc"
    assert notes == ["mentions_as_text", "reactions_lost"]
    assert first_words(stored["body"]) == "Ada"
