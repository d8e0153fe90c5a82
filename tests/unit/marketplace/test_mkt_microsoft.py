"""Rows of Microsoft's list: what names nothing is unreadable, never a subscription called None."""

from typing import Any

import pytest

from shared.marketplace.microsoft import subscription_of
from shared.marketplace.model import Status
from shared.marketplace.refusals import ChannelDown

GOOD: dict[str, Any] = {"id": "s-1", "saasSubscriptionStatus": "Subscribed", "quantity": "7"}


@pytest.mark.parametrize("odd", [None, 7, True, "", " ", [], {"id": "s"}, "x" * 201])
def test_scenario_09_a_row_without_an_id_is_unreadable(odd: Any) -> None:
    told = subscription_of(GOOD)
    assert (told.external_id, told.status, told.quantity) == ("s-1", Status.ACTIVE, 7)
    with pytest.raises(ChannelDown, match="not understood"):
        subscription_of(GOOD | {"id": odd})


@pytest.mark.parametrize("row", [None, "nonsense", [], {}, GOOD | {"term": "y"}])
def test_scenario_09_a_row_that_is_none_is_unreadable(row: Any) -> None:
    with pytest.raises(ChannelDown):
        subscription_of(row)


@pytest.mark.parametrize(
    ("changed", "quantity", "status"),
    [
        ({"quantity": ""}, None, Status.ACTIVE),
        ({"quantity": None, "term": None, "beneficiary": None}, None, Status.ACTIVE),
        ({"quantity": 20, "term": {"termUnit": "PAY"}}, 20, Status.ACTIVE),
        ({"saasSubscriptionStatus": "Suspend"}, 7, Status.PENDING),  # a word nobody knows
        ({"saasSubscriptionStatus": None}, 7, Status.PENDING),
    ],
)
def test_scenario_06_odd_shapes_of_a_subscription(
    changed: dict[str, Any], quantity: int | None, status: Status
) -> None:
    told = subscription_of(GOOD | changed)
    assert (told.quantity, told.status) == (quantity, status)
