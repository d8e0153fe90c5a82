"""The matrix holds together, and predicts from what a row says."""

import pytest
from pydantic import ValidationError

from shared.protection.model import WORKLOADS
from shared.restore.fidelity import Prediction, fidelity, read

GOOD = """
version = 1
[[kinds]]
workload = "mailbox"
kind = "mail"
title = "Mail"
export = "eml"
properties = [
  { name = "subject", verdict = "kept", export = "kept", proof = "test", rule = "9", why = "Set as it was." },
  { name = "headers", verdict = "lost", export = "kept", proof = "test", rule = "9", when = "always", why = "Not to be set." },
  { name = "shares", verdict = "lost", export = "lost", proof = "test", rule = "9", when = "unless_permissions", why = "Not asked for." },
]
"""  # noqa: E501


def test_every_workload_is_described() -> None:
    assert {one.workload for one in fidelity().kinds} >= set(WORKLOADS)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('when = "always", ', ""),  # a loss that concerns nothing
        ('verdict = "kept", ', 'verdict = "kept", when = "always", '),
        ('name = "headers"', 'name = "subject"'),
        ('verdict = "lost"', 'verdict = "gone"'),
        ('rule = "9"', 'rules = "9"'),
    ],
)
def test_a_matrix_that_does_not_hold_together_is_refused(old: str, new: str) -> None:
    read(GOOD)
    with pytest.raises(ValidationError):
        read(GOOD.replace(old, new))


def test_losses_are_counted_by_item_and_named_with_their_reason() -> None:
    seen = Prediction(read(GOOD), "mailbox")
    for item in ({"k": "mail"}, {"k": "mail", "x": 16}, {"k": "unknown"}):
        seen.add(item)
    assert [(one.name, one.items, one.verdict) for one in seen.losses()] == [
        ("headers", 2, "lost"), ("shares", 1, "lost"),
    ]  # fmt: skip
    with_permissions = Prediction(read(GOOD), "mailbox", permissions=True)
    with_permissions.add({"k": "mail", "x": 16})
    assert [one.name for one in with_permissions.losses()] == ["headers"]
    assert Prediction(read(GOOD), "drive").losses() == []
