"""One line of the trail: who, for whom, what, before and after, when, from where, how it ended."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from shared.audit import chain

# Texts from outside are cut, so that nobody can make a line too large to be stored.
SHORT, LONG, MOST_DETAILS = 128, 512, 20


def _cut(length: int) -> BeforeValidator:
    def cut(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        # Lone surrogates have no UTF-8 form; a refusal must be recorded even so.
        return value.encode("utf-8", "replace").decode()[:length]

    return BeforeValidator(cut)


def _fewest(value: Any) -> Any:
    return dict(list(value.items())[:MOST_DETAILS]) if isinstance(value, dict) else value


ShortText = Annotated[str, _cut(SHORT)]
LongText = Annotated[str, _cut(LONG)]


class _Part(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, frozen=True, extra="forbid"
    )


class Outcome(StrEnum):
    """How the action ended."""

    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"


class Actor(_Part):
    """Who acted; the identity is tenant + subject, the name is for reading."""

    kind: Literal["user", "application", "apiKey", "customerUser", "system"]
    subject: ShortText
    tenant_id: ShortText = ""
    name: ShortText = ""


class Target(_Part):
    """What was acted upon."""

    kind: ShortText
    id: ShortText


class Source(_Part):
    """From where: the caller's address, its program, the trace id of the request."""

    address: ShortText = ""
    agent: LongText = ""
    trace_id: ShortText = ""


class Entry(_Part):
    """What a caller hands in; the trail adds number, instant and chain."""

    actor: Actor
    action: ShortText
    """Noun and verb, dotted: `role.delete`."""
    target: Target
    outcome: Outcome = Outcome.DONE
    customer_id: ShortText | None = None
    """For whom: the customer concerned, None for the partner itself."""
    on_behalf_of: Actor | None = None
    """The second identity while acting in a customer's context (RST-01, ACC-08)."""
    context_id: ShortText | None = None
    before: ShortText | None = None
    """`state_hash` of the state before; None when there was none."""
    after: ShortText | None = None
    code: ShortText | None = None
    """Code of the refusal or failure."""
    source: Source = Source()
    details: Annotated[dict[ShortText, LongText], BeforeValidator(_fewest)] = Field(
        default_factory=dict
    )
    """Small facts for reading, such as the names of changed members; never secrets."""


@dataclass(frozen=True, slots=True)
class Intent:
    """A change that was announced and has not ended yet; the line that tells of it removes it."""

    partner_id: str
    month: str
    key: str


class Line(Entry):
    """A line as stored and exported."""

    version: Literal[1] = 1
    partner_id: str
    seq: int
    """1, 2, 3 … per partner, without a gap."""
    at: datetime
    """Never before the line above it: `seq` order is time order."""
    previous: str
    hash: str


def seal(entry: Entry, *, partner_id: str, seq: int, at: datetime, previous: str) -> bytes:
    """The canonical text of the line that continues the chain after `previous`."""
    body = entry.model_dump(mode="json", by_alias=True, exclude_none=True)
    body |= {"version": 1, "partnerId": partner_id, "seq": seq, "previous": previous}
    return chain.seal(body | {"at": instant(at)})


def read(text: bytes | str) -> Line:
    """The line in its canonical text."""
    return Line.model_validate(orjson.loads(text))


def instant(at: datetime) -> str:
    """RFC 3339 in UTC with microseconds: text order is time order."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def state_hash(state: Any) -> str | None:
    """SHA-256 of a state as canonical JSON: proves what it was without showing it."""
    if state is None:
        return None
    if isinstance(state, BaseModel):
        state = state.model_dump(mode="json")
    return chain.digest(state)
