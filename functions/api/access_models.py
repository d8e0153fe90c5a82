"""What the contracts of users, roles, clients and addresses share."""

from collections.abc import Callable, Iterable
from typing import Annotated, Self

from fastapi import Header, Query
from pydantic import Field, StringConstraints

from functions.api.paging import Pages
from shared.access.ip_ranges import IpRange, Origin, merge, parse_range
from shared.access.role_model import Network
from shared.kit.api_model import ApiModel

MOST_RANGES = 100
MOST_IDS = 1000

IfMatch = Annotated[
    str | None,
    Header(alias="If-Match", description="The ETag you read; 428 without, 412 when it is old"),
]
Name = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f]+$")]
Text = Annotated[str, StringConstraints(max_length=1000, pattern=r"^[^\x00-\x1f]*$")]
PersonName = Annotated[
    str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f]+$")
]
Email = Annotated[
    str, StringConstraints(min_length=3, max_length=320, pattern=r"^[^\s@]+@[^\s@]+$")
]
Code = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z]+$")]
Id = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[0-9A-Za-z-]+$")]
Ids = Annotated[list[Id], Field(max_length=MOST_IDS)]
Area = Annotated[str, StringConstraints(pattern=r"^(services|licences)$")]
Areas = Annotated[list[Area], Field(min_length=1, max_length=2)]
Search = Annotated[str, Query(max_length=200)]
Codes = Annotated[list[Code], Field(max_length=100)]


class RangeModel(ApiModel):
    """Addresses from start to end, or one CIDR block in `start`."""

    start: Annotated[str, StringConstraints(min_length=2, max_length=64)] = Field(
        examples=["203.0.113.10"]
    )
    end: Annotated[str, StringConstraints(min_length=2, max_length=64)] | None = Field(
        default=None, examples=["203.0.113.20"]
    )
    origin: Origin | None = Field(
        default=None, description="Who defined it; ignored when sent: it is whoever calls"
    )

    @classmethod
    def of(cls, given: IpRange) -> Self:
        """The range as text."""
        return cls(start=str(given.start), end=str(given.end), origin=given.origin)


class NetworkModel(ApiModel):
    """From where calls are admitted. Off admits everyone; on and empty, nobody."""

    is_on: bool = False
    ranges: Annotated[list[RangeModel], Field(max_length=MOST_RANGES)] = []

    @classmethod
    def of(cls, network: Network) -> Self:
        """The switch and the ranges."""
        return cls(is_on=network.is_on, ranges=[RangeModel.of(each) for each in network.ranges])

    def parsed(self, origin: Origin) -> Network:
        """The rule; `RangeInvalid` (400) for a range that is none (CUS-46)."""
        parsed = (parse_range(each.start, each.end, origin) for each in self.ranges)
        return Network(is_on=self.is_on, ranges=tuple(merge(parsed)))


def only(customer_ids: list[str] | None) -> frozenset[str] | None:
    """A list of customers as a limit; None limits nothing."""
    return None if customer_ids is None else frozenset(customer_ids)


def found_in(search: str, *texts: str) -> bool:
    """Whether any of the texts holds what was searched for, in any case."""
    needle = search.casefold()
    return not needle or any(needle in text.casefold() for text in texts)


async def page_of[T](
    pages: Pages,
    items: Iterable[T],
    key: Callable[[T], tuple[str, str]],
    size: int,
    skip_token: str | None,
) -> tuple[list[T], str | None]:
    """One page of what is in memory anyway, in order of `key`, and the link to the next."""
    place = await pages.place(skip_token)
    ordered = sorted(items, key=key)
    if place:
        ordered = [item for item in ordered if key(item) > (place["key"], place["id"])]
    page = ordered[:size]
    if len(ordered) <= size:
        return page, None
    last, its_id = key(page[-1])
    return page, await pages.link({"key": last, "id": its_id}, size)
