"""Customer groups: named sets of customers that roles are limited to (ROL-21)."""

from typing import Annotated

from fastapi import Depends, Response
from pydantic import Field

from functions.api.access_models import Id, IfMatch, Name, Search, found_in, page_of
from functions.api.paging import Pages, address
from functions.api.protection_models import PageOf, PageSize, SkipToken
from functions.api.routing import Router
from functions.api.security import requires
from shared.access.model import Caller
from shared.access.role_model import CustomerGroup
from shared.bootstrap import deps
from shared.customers.service import require_known
from shared.kit.api_model import ApiModel
from shared.kit.errors import NotFound
from shared.kit.etags import strong_etag

router = Router(prefix="/customer-groups", tags=["roles"])
Reader = Annotated[Caller, Depends(requires("groups.read"))]
Writer = Annotated[Caller, Depends(requires("groups.write"))]
MOST_MEMBERS = 10_000


class GroupIn(ApiModel):
    """A group as you want it."""

    name: Name = Field(examples=["South"])
    customer_ids: Annotated[list[Id], Field(max_length=MOST_MEMBERS)]


class GroupOut(ApiModel):
    """A customer group."""

    id: str
    name: str
    customer_ids: list[str]

    @classmethod
    def of(cls, group: CustomerGroup) -> "GroupOut":
        """The group as partners see it."""
        return cls(id=group.group_id, name=group.name, customer_ids=sorted(group.customers))


@router.get("", operation_id="customer_groups_list", summary="List customer groups")
async def list_page(
    caller: Reader,
    search: Search = "",
    maxpagesize: PageSize = 100,
    skip_token: SkipToken = None,
) -> PageOf[GroupOut]:
    """By name."""
    state = (await deps().grants.known(caller.scope)).state
    chosen = [group for group in state.groups.values() if found_in(search, group.name)]
    filters = {"search": search or None}
    pages = Pages(caller, "customer_groups_list", "/customer-groups", filters)
    page, link = await page_of(
        pages, chosen, lambda each: (each.name.casefold(), each.group_id), maxpagesize, skip_token
    )
    return PageOf(value=[GroupOut.of(group) for group in page], next_link=link)


@router.post(
    "", operation_id="customer_groups_create", summary="Create a customer group", status_code=201
)
async def create(body: GroupIn, response: Response, caller: Writer) -> GroupOut:
    """Of customers that you see yourself."""
    given, customers = deps(), frozenset(body.customer_ids)
    await require_known(given, caller.allow("customers.read").scope, customers)
    group = await given.roles.create_group(
        caller.scope, caller.holder, name=body.name, customers=customers
    )
    response.headers["Location"] = address(f"/customer-groups/{group.group_id}")
    return _shown(response, group)


@router.get("/{group_id}", operation_id="customer_groups_get", summary="Read a customer group")
async def get(group_id: str, response: Response, caller: Reader) -> GroupOut:
    """The group with its ETag."""
    group = (await deps().grants.known(caller.scope)).state.groups.get(group_id)
    if group is None:
        raise NotFound("There is no such customer group.")
    return _shown(response, group)


@router.put("/{group_id}", operation_id="customer_groups_edit", summary="Edit a customer group")
async def edit(
    group_id: str, body: GroupIn, response: Response, caller: Writer, if_match: IfMatch = None
) -> GroupOut:
    """Whoever holds a role limited to the group sees what was added at once."""
    given, customers = deps(), frozenset(body.customer_ids)
    await require_known(given, caller.allow("customers.read").scope, customers)
    group = await given.roles.edit_group(
        caller.scope, caller.holder, group_id, if_match, name=body.name, customers=customers
    )
    return _shown(response, group)


@router.delete(
    "/{group_id}",
    operation_id="customer_groups_delete",
    summary="Delete a customer group",
    status_code=204,
)
async def delete(group_id: str, caller: Writer, if_match: IfMatch = None) -> None:
    """409 GROUP_IN_USE while a role is limited to it."""
    await deps().roles.delete_group(caller.scope, group_id, if_match)


def _shown(response: Response, group: CustomerGroup) -> GroupOut:
    response.headers["ETag"] = strong_etag(group.etag)
    return GroupOut.of(group)
