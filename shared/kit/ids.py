"""Identifiers that carry their partition.

A customer's id is random; everything below a customer starts with the customer's id and a
letter for its kind, so each read is a point read and an id of one customer can never name a
row of another.
"""

import hashlib
import re
import secrets
from datetime import datetime

from shared.kit.errors import NotFound

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
CUSTOMER_LENGTH = 16
# Largest instant an inverted id can hold: 13 digits of milliseconds last until the year 2286.
_MAX_MS = 9_999_999_999_999

POLICY, SESSION, OBJECT, RESTORE, ONBOARDING = "p", "s", "o", "r", "n"
EXPORT, DRILL = "e", "d"
_CUSTOMER = re.compile(rf"[{ALPHABET}]{{{CUSTOMER_LENGTH}}}")
_CHILD = re.compile(rf"([{ALPHABET}]{{{CUSTOMER_LENGTH}}})-([a-z])([0-9a-z]{{4,40}})")


def new_id(length: int = CUSTOMER_LENGTH) -> str:
    """`length` random characters of lower-case Crockford base 32: 5 bits each."""
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def policy_id(customer_id: str) -> str:
    """A new policy id below a customer."""
    return f"{customer_id}-{POLICY}{new_id(8)}"


def object_id(customer_id: str, workload: str, source_id: str) -> str:
    """The id of a protected object: the same workload and source give the same id."""
    digest = hashlib.sha256(f"{workload}\0{source_id}".encode()).hexdigest()
    return f"{customer_id}-{OBJECT}{digest[:20]}"


def newest_first(customer_id: str, kind: str, at: datetime, tail: str | None = None) -> str:
    """An id whose text order is newest first; `tail` makes it deterministic."""
    inverted = _MAX_MS - int(at.timestamp() * 1000)
    return f"{customer_id}-{kind}{inverted:013d}{tail or new_id(4)}"


def customer_of(some_id: str, kind: str) -> str:
    """The customer in a child id of the given kind; NotFound for anything else.

    A malformed id is answered like an unknown one: callers learn nothing from the difference.
    """
    match = _CHILD.fullmatch(some_id)
    if match is None or match[2] != kind:
        raise NotFound(f"There is nothing with the id {some_id[:64]!r}.")
    return match[1]


def is_customer_id(text: str) -> bool:
    """Whether the text has the form of a customer's id."""
    return _CUSTOMER.fullmatch(text) is not None


def kind_of(some_id: str) -> str:
    """The kind letter of a child id; empty for anything that is none."""
    match = _CHILD.fullmatch(some_id)
    return match[2] if match else ""
