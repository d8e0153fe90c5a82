"""Ids that a repeated request makes again: derived from its Idempotency-Key's claim.

A request that died after it made something is repeated with the same key and gets the same seed;
the id it derives names what is there already, so nothing is made twice.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from shared.kit.ids import ALPHABET, CUSTOMER_LENGTH, new_id


@dataclass(slots=True)
class _Seed:
    text: str = ""
    made: Counter[str] = field(default_factory=Counter)


_seed: ContextVar[_Seed | None] = ContextVar("seed", default=None)


@contextmanager
def seeding() -> Iterator[None]:
    """One request: a seed sown inside ends with it."""
    token = _seed.set(_Seed())
    try:
        yield
    finally:
        _seed.reset(token)


def sow(text: str) -> None:
    """Ids of this request are derived from `text` from now on."""
    seed = _seed.get()
    if seed is not None:
        seed.text = text


def made_id(kind: str) -> str:
    """The id of the next thing of this kind that the request makes; random without a seed."""
    seed = _seed.get()
    if seed is None or not seed.text:
        return new_id()
    number = seed.made[kind]
    seed.made[kind] += 1
    digest = hashlib.sha256(f"{seed.text}\0{kind}\0{number}".encode()).digest()
    return "".join(ALPHABET[byte & 31] for byte in digest[:CUSTOMER_LENGTH])
