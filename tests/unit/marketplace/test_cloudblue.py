"""Bodies of CloudBlue Connect: ids are text, and what is none is kept as malformed."""

from datetime import UTC, date, datetime
from typing import Any

import orjson
import pytest

from shared.marketplace.cloudblue import asset_of, parse
from shared.marketplace.model import Hook, Kind
from shared.marketplace.refusals import ChannelDown

NOW = datetime(2026, 3, 1, tzinfo=UTC)
GOOD: dict[str, Any] = {
    "id": "PR-1", "type": "purchase", "status": "pending", "asset": {"id": "AS-1"},
}  # fmt: skip
ASSET: dict[str, Any] = {
    "id": "AS-1", "status": "active", "product": {"id": "PRD-1", "name": "Backup"},
    "items": [{"mpn": "SEAT", "quantity": "5"}],
    "events": {"created": {"at": "2026-02-01T00:00:00"}}, "params": [],
}  # fmt: skip


def hook(told: Any) -> Hook:
    return Hook(orjson.dumps(told), {})


def test_a_request_is_an_event() -> None:
    event = parse(hook(GOOD), NOW)
    told = (event.event_id, event.external_id, event.kind, event.action, event.status)
    assert told == ("PR-1", "AS-1", Kind.ORDERED, "purchase", "pending")
    assert (event.fault, event.needs_answer) == ("", True)


@pytest.mark.parametrize(
    "odd", [None, 7, True, 1.5, [], ["PR-1"], {"id": "PR-1"}, "", " ", "x" * 201]
)
@pytest.mark.parametrize("where", ["id", "type", "asset"])
def test_an_odd_id_is_malformed_and_names_nothing(where: str, odd: Any) -> None:
    body = hook(GOOD | {where: {"id": odd} if where == "asset" else odd})
    event = parse(body, NOW)
    assert (event.event_id, event.external_id) == (
        f"body-{body.digest[:40]}", f"delivery-{body.digest[:40]}",
    )  # fmt: skip
    assert (event.kind, event.fault_code, event.needs_answer) == (Kind.UNKNOWN, "MALFORMED", False)
    assert "is not a text" in event.fault
    assert event.raw == body.body.decode()


@pytest.mark.parametrize("asset", [None, "AS-1", [], {}, 3])
def test_an_asset_that_is_none_is_malformed(asset: Any) -> None:
    assert parse(hook(GOOD | {"asset": asset}), NOW).fault


@pytest.mark.parametrize("told", [None, [], "PR-1", 3])
def test_a_body_that_is_no_request_is_malformed(told: Any) -> None:
    assert parse(hook(told), NOW).fault


def test_a_status_that_is_no_text_is_none() -> None:
    assert parse(hook(GOOD | {"status": None}), NOW).status is None
    assert parse(hook({name: GOOD[name] for name in ("id", "type", "asset")}), NOW).status is None


def test_an_asset_without_an_id_is_unreadable() -> None:
    assert asset_of(ASSET, date(2026, 3, 1)).external_id == "AS-1"
    for odd in (None, 7, ""):
        with pytest.raises(ChannelDown, match="not understood"):
            asset_of(ASSET | {"id": odd}, date(2026, 3, 1))
