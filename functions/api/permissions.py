"""The permission catalogue in plain language: what a role, an application or a key can hold."""

from typing import Annotated

from fastapi import Depends
from pydantic import Field

from functions.api.routing import Router
from functions.api.security import requires
from shared.access.model import Caller
from shared.access.permissions import CATALOGUE, RIGHTS, Audience
from shared.kit.api_model import ApiModel

router = Router(prefix="/permissions", tags=["roles"])


class PermissionOut(ApiModel):
    """One line of the catalogue."""

    code: str
    title: str
    text: str
    audiences: list[Audience] = Field(description="Who may be given it")
    requires: list[str] = Field(description="Permissions that have to be given with it")
    per_customer: bool = Field(description="Whether customer groups limit it")
    rights: list[str] = Field(description="Rights of routes that need it")


class PermissionList(ApiModel):
    """The whole catalogue; there is never a second page."""

    value: list[PermissionOut]


@router.get("", operation_id="permissions_list", summary="List permissions")
async def list_all(_: Annotated[Caller, Depends(requires("me.read"))]) -> PermissionList:
    """Every permission with its words. What is only for the platform's operator is left out."""
    return PermissionList(
        value=[
            PermissionOut(
                code=each.code,
                title=each.title,
                text=each.text,
                audiences=sorted(each.audiences),
                requires=sorted(each.requires),
                per_customer=each.per_customer,
                rights=sorted(name for name, right in RIGHTS.items() if each.code in right.needs),
            )
            for each in CATALOGUE.values()
            if each.audiences != {Audience.OPERATOR}
        ]
    )
