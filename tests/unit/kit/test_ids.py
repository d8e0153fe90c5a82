"""Ids that carry their partition: order, determinism, refusal of everything else."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.kit import ids
from shared.kit.errors import NotFound

CUSTOMER = "0123456789abcdef"
AT = datetime(2026, 1, 1, tzinfo=UTC)


def test_newer_ids_sort_first() -> None:
    older = ids.newest_first(CUSTOMER, ids.SESSION, AT)
    newer = ids.newest_first(CUSTOMER, ids.SESSION, AT + timedelta(milliseconds=1))
    assert newer < older


def test_a_child_names_its_customer_and_kind() -> None:
    run = ids.newest_first(CUSTOMER, ids.ONBOARDING, AT)
    assert ids.customer_of(run, ids.ONBOARDING) == CUSTOMER
    assert ids.kind_of(run) == ids.ONBOARDING


def test_the_same_source_gives_the_same_object() -> None:
    assert ids.object_id(CUSTOMER, "mailbox", "u") == ids.object_id(CUSTOMER, "mailbox", "u")
    assert ids.object_id(CUSTOMER, "mailbox", "u") != ids.object_id(CUSTOMER, "drive", "u")


@pytest.mark.parametrize("bad", ["", CUSTOMER, f"{CUSTOMER}-x", f"{CUSTOMER}-p../..", "é-p1234"])
def test_a_malformed_id_is_answered_like_an_unknown_one(bad: str) -> None:
    with pytest.raises(NotFound):
        ids.customer_of(bad, ids.POLICY)
    assert ids.kind_of(bad) == ""


def test_an_id_of_another_kind_is_unknown() -> None:
    with pytest.raises(NotFound):
        ids.customer_of(ids.policy_id(CUSTOMER), ids.SESSION)
