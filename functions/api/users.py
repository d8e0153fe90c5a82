"""The partner's users: add, edit, bulk edit, delete (ROL-11 to ROL-15)."""

from typing import Annotated

from fastapi import Depends, Query, Response
from pydantic import Field

from functions.api.access_models import (
    Email,
    Id,
    IfMatch,
    PersonName,
    Search,
    found_in,
    page_of,
)
from functions.api.paging import Pages, address
from functions.api.protection_models import PageOf, PageSize, SkipToken
from functions.api.routing import Router
from functions.api.security import requires
from shared.access.model import Caller
from shared.access.role_model import User
from shared.access.user_service import MOST_AT_ONCE
from shared.bootstrap import deps
from shared.kit.api_model import ApiModel, Instant
from shared.kit.errors import NotFound
from shared.kit.etags import strong_etag

router = Router(tags=["users"])
Reader = Annotated[Caller, Depends(requires("users.read"))]
Writer = Annotated[Caller, Depends(requires("users.write"))]
RoleIds = Annotated[list[Id], Field(min_length=1, max_length=100)]


class UserInEdit(ApiModel):
    """What can be changed of a user; the e-mail stays (ROL-13)."""

    first_name: PersonName
    last_name: PersonName
    role_ids: RoleIds


class UserInAdd(UserInEdit):
    """A person of your tenant."""

    email: Email = Field(description="The Microsoft 365 sign-in name")


class UsersInBulkEdit(ApiModel):
    """Users who hold exactly these roles afterwards (ROL-14)."""

    user_ids: Annotated[list[Id], Field(min_length=1, max_length=MOST_AT_ONCE)]
    role_ids: RoleIds


class UserOut(ApiModel):
    """A user."""

    id: str
    email: str
    first_name: str
    last_name: str
    role_ids: list[str]
    has_signed_in: bool = Field(description="From then on known by object id, not by e-mail")
    created_at: Instant
    created_by: str

    @classmethod
    def of(cls, user: User) -> "UserOut":
        """The user as partners see it."""
        return cls(
            id=user.user_id,
            email=user.email,
            first_name=user.first_name,
            last_name=user.last_name,
            role_ids=list(user.role_ids),
            has_signed_in=user.object_id is not None,
            created_at=user.created_at,
            created_by=user.created_by,
        )


class UserOutcome(ApiModel):
    """What became of one user of a bulk edit."""

    id: str
    status: int = Field(description="As the status of a request for this user alone")
    user: UserOut | None = None
    code: str | None = Field(default=None, description="Of a refusal")


class UserOutcomes(ApiModel):
    """One line for each user, in your order."""

    value: list[UserOutcome]


@router.get("/users", operation_id="users_list", summary="List users")
async def list_page(
    caller: Reader,
    search: Search = "",
    role_id: Annotated[str | None, Query(alias="roleId", max_length=64)] = None,
    maxpagesize: PageSize = 100,
    skip_token: SkipToken = None,
) -> PageOf[UserOut]:
    """By e-mail; filtered by text in name and e-mail, and by role."""
    state = (await deps().grants.known(caller.scope)).state
    chosen = [
        user
        for user in state.users.values()
        if found_in(search, user.email, f"{user.first_name} {user.last_name}")
        and (role_id is None or role_id in user.role_ids)
    ]
    filters = {"search": search or None, "roleId": role_id}
    pages = Pages(caller, "users_list", "/users", filters)
    page, link = await page_of(
        pages, chosen, lambda user: (user.email, user.user_id), maxpagesize, skip_token
    )
    return PageOf(value=[UserOut.of(user) for user in page], next_link=link)


@router.post("/users", operation_id="users_add", summary="Add a user", status_code=201)
async def add(body: UserInAdd, response: Response, caller: Writer) -> UserOut:
    """Known by e-mail until the first sign-in ties the user to an object id of your tenant."""
    given = deps()
    user = await given.users.add_user(
        caller.scope,
        caller.holder,
        email=body.email,
        first_name=body.first_name,
        last_name=body.last_name,
        role_ids=body.role_ids,
        tenant_id=await given.partners.home_of(caller.scope),
        created_by=caller.principal.subject,
    )
    response.headers["Location"] = address(f"/users/{user.user_id}")
    return _shown(response, user)


@router.post("/users:setRoles", operation_id="users_set_roles", summary="Set roles of users")
async def set_roles(body: UsersInBulkEdit, caller: Writer) -> UserOutcomes:
    """All that exist are changed together, or none; a line says so for each."""
    outcome = await deps().users.set_roles(
        caller.scope, caller.holder, body.user_ids, body.role_ids
    )
    return UserOutcomes(
        value=[
            UserOutcome(id=user_id, status=200, user=UserOut.of(user))
            if user
            else UserOutcome(id=user_id, status=404, code=NotFound.code)
            for user_id, user in outcome.items()
        ]
    )


@router.get("/users/{user_id}", operation_id="users_get", summary="Read a user")
async def get(user_id: str, response: Response, caller: Reader) -> UserOut:
    """The user with its ETag."""
    user = (await deps().grants.known(caller.scope)).state.users.get(user_id)
    if user is None:
        raise NotFound("There is no such user.")
    return _shown(response, user)


@router.put("/users/{user_id}", operation_id="users_edit", summary="Edit a user")
async def edit(
    user_id: str, body: UserInEdit, response: Response, caller: Writer, if_match: IfMatch = None
) -> UserOut:
    """Names and roles; 409 LAST_ADMIN when no administrator would be left (ROL-27)."""
    user = await deps().users.edit_user(
        caller.scope,
        caller.holder,
        user_id,
        if_match,
        first_name=body.first_name,
        last_name=body.last_name,
        role_ids=body.role_ids,
    )
    return _shown(response, user)


@router.delete(
    "/users/{user_id}", operation_id="users_delete", summary="Delete a user", status_code=204
)
async def delete(user_id: str, caller: Writer, if_match: IfMatch = None) -> None:
    """Access ends at the next request, an open context with it (ROL-15)."""
    await deps().users.delete_user(caller.scope, user_id, if_match)


def _shown(response: Response, user: User) -> UserOut:
    response.headers["ETag"] = strong_etag(user.etag)
    return UserOut.of(user)
