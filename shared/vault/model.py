"""What passes between the vault and those who use it: objects, cursors, rows, heads, results."""

from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, NotRequired, TypedDict

from shared.vault.format import rows as row_format
from shared.vault.format.primitives import unb64u

Kind = Literal["full", "incremental", "reset"]
Enumeration = Literal["full", "delta"]


class Cursor(TypedDict):
    """Where the enumeration of a container goes on; opaque to the vault."""

    link: str
    kind: Literal["page", "delta"]
    asOf: str
    part: NotRequired[str]
    listed: NotRequired[str]


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """A protected object; workload and source id decide its name in the vault (V5)."""

    workload: str
    source_id: str
    display_name: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True)
class GraphUse:
    """What work cost at Microsoft: requests, resource units, refusals, seconds waited."""

    requests: int = 0
    ru: int = 0
    throttled: int = 0
    waited_s: float = 0

    def plus(self, other: "GraphUse") -> "GraphUse":
        """The sum of both."""
        return GraphUse(
            self.requests + other.requests,
            self.ru + other.ru,
            self.throttled + other.throttled,
            self.waited_s + other.waited_s,
        )


@dataclass(frozen=True, slots=True)
class Declared:
    """Microsoft's own total for the object, where there is one (section 11)."""

    count: int
    as_of: datetime
    how: str

    def document(self) -> dict[str, Any]:
        """As it stands in the head."""
        return {"declared": self.count, "as_of": instant(self.as_of), "how": self.how}


@dataclass(frozen=True, slots=True)
class Row:
    """One item of a snapshot: its JSON exactly as hashed, and where its content stands."""

    raw: bytes
    location: bytes
    packs: list[bytes] | dict[int, bytes] = field(repr=False)
    item: dict[str, Any] = field(repr=False)

    @staticmethod
    def of(raw: bytes, location: bytes, packs: list[bytes]) -> "Row":
        """Decode the item JSON; `packs` is the pack table the location counts in."""
        return Row(raw, location, packs, row_format.decode_item(raw))

    @property
    def source_id(self) -> str:
        """Microsoft's id of the item."""
        return str(self.item["i"])

    @property
    def kind(self) -> str:
        """mail, folder, file..."""
        return str(self.item.get("k", ""))

    @property
    def parent(self) -> str | None:
        """Source id of the parent."""
        return self.item.get("p")

    @property
    def name(self) -> str:
        """Name or subject."""
        return str(self.item.get("n", ""))

    @property
    def version(self) -> str:
        """Microsoft's name of the held state; empty when none is held."""
        return str(self.item.get("v", ""))

    @property
    def size(self) -> int:
        """Content length in bytes."""
        return int(self.item.get("s", 0))

    @property
    def digest(self) -> bytes | None:
        """Content hash; None without content."""
        coded = self.item.get("d")
        return None if coded is None else unb64u(coded)

    @property
    def error(self) -> str | None:
        """Why the listed version's content is not here: `stale`, `skip:...`, `fail:...`."""
        return self.item.get("e")

    @property
    def has_content(self) -> bool:
        """Whether there is content to read, be it empty."""
        return "d" in self.item


@dataclass(frozen=True, slots=True)
class SnapshotHead:
    """The operational part of a snapshot record, and its hash."""

    n: int
    record_hash: str
    document: dict[str, Any] = field(repr=False)

    @property
    def oid(self) -> str:
        """The object's name in the vault."""
        return str(self.document["oid"])

    @property
    def prev(self) -> str:
        """Record hash of the predecessor, hex."""
        return str(self.document["prev"])

    @property
    def root(self) -> str:
        """Merkle root, hex."""
        return str(self.document["root"])

    @property
    def items(self) -> int:
        """Rows, which are leaves (V37)."""
        return int(self.document["items"])

    @property
    def run(self) -> str:
        """The run that committed it."""
        return str(self.document["run"])

    @property
    def workload(self) -> str:
        """mailbox, drive..."""
        return str(self.document["workload"])

    @property
    def kind(self) -> str:
        """full, incremental or reset."""
        return str(self.document["kind"])

    @property
    def status(self) -> str:
        """complete or partial (V38)."""
        return str(self.document["status"])

    @property
    def counts(self) -> dict[str, Any]:
        """Completeness counters (section 11)."""
        return dict(self.document["counts"])

    @property
    def bytes(self) -> dict[str, int]:
        """read, new and stored bytes of the run."""
        return dict(self.document["bytes"])

    @property
    def graph(self) -> GraphUse:
        """What the run cost at Microsoft."""
        return GraphUse(**self.document["graph"])

    @property
    def started(self) -> datetime:
        """When the run began."""
        return parse_instant(self.document["started"])

    @property
    def ended(self) -> datetime:
        """When the run ended: the time of the restore point."""
        return parse_instant(self.document["ended"])

    @property
    def expires(self) -> datetime | None:
        """When it stops being offered; None = never (section 14)."""
        coded = self.document["expires"]
        return None if coded is None else parse_instant(coded)

    def receipt(self) -> dict[str, Any]:
        """What the customer is given (section 12.4)."""
        names = ("repo", "oid", "n", "root", "items", "counts", "ended")
        return {name: self.document[name] for name in names} | {"record_hash": self.record_hash}


@dataclass(frozen=True, slots=True)
class SliceResult:
    """What one slice did; `adopted` = another execution of the same slice had finished first."""

    number: int
    more: bool
    items: int
    counts: dict[str, int]
    read: int
    new: int
    stored: int
    graph: GraphUse
    adopted: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


def instant(moment: datetime) -> str:
    """RFC 3339 in UTC, seconds."""
    if moment.tzinfo is None:
        raise ValueError("instants are aware")
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_instant(text: str) -> datetime:
    """The inverse of `instant`."""
    return datetime.fromisoformat(text)
