"""Roles: permissions, and the customers they are for (ROL-07 to ROL-11, ROL-20)."""

from typing import Annotated

from fastapi import Depends, Response
from pydantic import Field

from functions.api.access_models import (
    Area,
    Areas,
    Codes,
    Ids,
    IfMatch,
    Name,
    Search,
    Text,
    found_in,
    page_of,
)
from functions.api.paging import Pages, address
from functions.api.protection_models import PageOf, PageSize, SkipToken
from functions.api.routing import Router
from functions.api.security import requires
from shared.access.model import Caller
from shared.access.role_model import ADMINISTRATOR, Role
from shared.access.role_repository import State
from shared.access.role_rules import ADMINISTRATOR_ROLE
from shared.bootstrap import deps
from shared.kit.api_model import ApiModel
from shared.kit.errors import NotFound
from shared.kit.etags import strong_etag

router = Router(prefix="/roles", tags=["roles"])
Reader = Annotated[Caller, Depends(requires("roles.read"))]
Writer = Annotated[Caller, Depends(requires("roles.write"))]


class RoleIn(ApiModel):
    """A role as you want it."""

    name: Name = Field(examples=["Backup desk"])
    description: Text = ""
    permissions: Codes = Field(
        description="Codes of GET /permissions; MonitoringAccess comes by itself",
        examples=[["BackupManagement"]],
    )
    customer_group_ids: Ids | None = Field(
        default=None, description="Limits the role to these customer groups; null to none of them"
    )
    areas: Areas = ["services"]


class RoleOut(ApiModel):
    """A role."""

    id: str
    name: str
    description: str
    permissions: list[str]
    customer_group_ids: list[str] | None
    areas: list[Area]
    is_predefined: bool
    user_count: int

    @classmethod
    def of(cls, role: Role, state: State) -> "RoleOut":
        """The role as partners see it."""
        return cls(
            id=role.role_id,
            name=role.name,
            description=role.description,
            permissions=sorted(role.permissions),
            customer_group_ids=None if role.group_ids is None else list(role.group_ids),
            areas=sorted(role.areas),
            is_predefined=role.role_id == ADMINISTRATOR,
            user_count=sum(role.role_id in user.role_ids for user in state.users.values()),
        )


class RoleDeleted(ApiModel):
    """Whose roles have changed by the deletion."""

    user_ids: list[str] = Field(description="The users it was taken from (ROL-09)")


@router.get("", operation_id="roles_list", summary="List roles")
async def list_page(
    caller: Reader,
    search: Search = "",
    maxpagesize: PageSize = 100,
    skip_token: SkipToken = None,
) -> PageOf[RoleOut]:
    """The predefined Administrator and your own, by name."""
    state = (await deps().grants.known(caller.scope)).state
    every = [ADMINISTRATOR_ROLE, *state.roles.values()]
    chosen = [role for role in every if found_in(search, role.name, role.description)]
    pages = Pages(caller, "roles_list", "/roles", {"search": search or None})
    page, link = await page_of(
        pages, chosen, lambda role: (role.name.casefold(), role.role_id), maxpagesize, skip_token
    )
    return PageOf(value=[RoleOut.of(role, state) for role in page], next_link=link)


@router.post("", operation_id="roles_create", summary="Create a role", status_code=201)
async def create(body: RoleIn, response: Response, caller: Writer) -> RoleOut:
    """You cannot give what you do not hold yourself: 403 GRANT_EXCEEDS_OWN."""
    role = await deps().roles.create_role(
        caller.scope,
        caller.holder,
        name=body.name,
        permissions=body.permissions,
        description=body.description,
        group_ids=body.customer_group_ids,
        areas=frozenset(body.areas),
    )
    response.headers["Location"] = address(f"/roles/{role.role_id}")
    return await _shown(response, caller, role)


@router.get("/{role_id}", operation_id="roles_get", summary="Read a role")
async def get(role_id: str, response: Response, caller: Reader) -> RoleOut:
    """The role with its ETag."""
    state = (await deps().grants.known(caller.scope)).state
    role = ADMINISTRATOR_ROLE if role_id == ADMINISTRATOR else state.roles.get(role_id)
    if role is None:
        raise NotFound("There is no such role.")
    return await _shown(response, caller, role)


@router.put("/{role_id}", operation_id="roles_edit", summary="Edit a role")
async def edit(
    role_id: str, body: RoleIn, response: Response, caller: Writer, if_match: IfMatch = None
) -> RoleOut:
    """Replaced as a whole; in force for its users at their next request (ROL-08)."""
    role = await deps().roles.edit_role(
        caller.scope,
        caller.holder,
        role_id,
        if_match,
        name=body.name,
        permissions=body.permissions,
        description=body.description,
        group_ids=body.customer_group_ids,
        areas=frozenset(body.areas),
    )
    return await _shown(response, caller, role)


@router.delete("/{role_id}", operation_id="roles_delete", summary="Delete a role")
async def delete(role_id: str, caller: Writer, if_match: IfMatch = None) -> RoleDeleted:
    """Taken from every user that holds it; their other roles stay (ROL-09)."""
    return RoleDeleted(user_ids=await deps().roles.delete_role(caller.scope, role_id, if_match))


async def _shown(response: Response, caller: Caller, role: Role) -> RoleOut:
    response.headers["ETag"] = strong_etag(role.etag)
    return RoleOut.of(role, (await deps().grants.known(caller.scope)).state)
