"""Customers: create, list, read."""

from dataclasses import asdict
from typing import Annotated

from fastapi import Depends, Query, Request, Response
from pydantic import Field, StringConstraints

from functions.api.access_models import IfMatch
from functions.api.paging import Pages
from functions.api.routing import Router
from functions.api.security import requires
from shared.access.contexts import ManagementMode
from shared.access.model import Caller
from shared.bootstrap import deps
from shared.customers import editing, rules, service
from shared.customers.model import ContractType, Customer, CustomerState, Service
from shared.kit.api_model import ApiModel, Instant
from shared.kit.etags import is_not_modified, strong_etag

router = Router(prefix="/customers", tags=["customers"])

MAX_PAGE = 1000
Name = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$")]
Tag = Annotated[str, StringConstraints(min_length=1, max_length=50, pattern=r"^[^\x00-\x1f,]+$")]
Country = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]


class CustomerInCreate(ApiModel):
    """What the partner says of a new customer."""

    display_name: Name = Field(examples=["Contoso"])
    external_id: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = Field(
        default=None, description="The customer's id in your own system", examples=["PSA-4711"]
    )
    country: Country | None = Field(default=None, description="ISO 3166-1 alpha-2", examples=["DE"])
    tags: list[Tag] = Field(default=[], max_length=50)


class FlagsModel(ApiModel):
    """What you enable for the customer (CUS-39 to CUS-44)."""

    self_service: bool = Field(description="Users of the tenant restore their own data")
    create_delete_policy: bool = Field(description="Its admins create and delete policies")
    edit_trigger_policy: bool = Field(description="Its admins edit policies and start jobs")
    auto_create_policies: bool = Field(description="Policies are made when it onboards itself")
    multiple_regions: bool = Field(description="Backups in more than one region")
    email_previews: bool = Field(description="Bodies of backed-up mail may be shown")


class FlagsInEdit(ApiModel):
    """Flags to change; those left out stay."""

    self_service: bool | None = None
    create_delete_policy: bool | None = None
    edit_trigger_policy: bool | None = None
    auto_create_policies: bool | None = None
    multiple_regions: bool | None = None
    email_previews: bool | None = None


class CustomerInEdit(ApiModel):
    """What to change; what is left out stays."""

    display_name: Name | None = None
    tags: Annotated[list[Tag], Field(max_length=50)] | None = None
    region: Annotated[str, StringConstraints(max_length=50)] | None = Field(
        default=None, description="For repositories made from now on"
    )
    management_mode: ManagementMode | None = Field(
        default=None, description="Customer cannot be taken back: 409 MODE_IRREVERSIBLE"
    )
    partner_access: bool | None = Field(
        default=None, description="false locks you out; only the customer can let you in again"
    )
    flags: FlagsInEdit | None = None


class CustomerInResponse(ApiModel):
    """A customer as partners see it (CUS-06)."""

    id: str
    display_name: str
    state: CustomerState
    contract_type: ContractType
    external_id: str | None
    source_type: str | None
    country: str | None
    tags: list[str]
    management_mode: ManagementMode
    partner_access: bool = Field(description="Whether the customer admits you")
    flags: FlagsModel
    tenant_id: str | None
    domain: str | None
    region: str | None
    retention_years: int | None = Field(description="null means without end, once onboarded")
    services: list[Service]
    repository_id: str | None
    activation_at: Instant | None
    created_at: Instant
    updated_at: Instant


class CustomerInList(ApiModel):
    """One page of customers; `nextLink` is absent on the last."""

    value: list[CustomerInResponse]
    next_link: str | None = Field(default=None, exclude_if=lambda link: link is None)


def shown(customer: Customer) -> CustomerInResponse:
    """The customer without what stays inside."""
    names = CustomerInResponse.model_fields.keys() - {"id", "flags", "partner_access"}
    values = {name: getattr(customer, name) for name in names}
    return CustomerInResponse(
        id=customer.customer_id,
        flags=FlagsModel(**asdict(customer.flags)),
        partner_access=customer.door().is_open,
        **values,
    )


@router.post(
    "",
    operation_id="customers_create",
    summary="Create a pending customer",
    status_code=201,
)
async def create(
    body: CustomerInCreate,
    response: Response,
    request: Request,
    caller: Annotated[Caller, Depends(requires("customers.create"))],
) -> CustomerInResponse:
    """A new customer is `Pending` until its onboarding is finished."""
    customer = await service.create_customer(
        deps(),
        caller.allow("customers.read"),  # with the customers it will see afterwards
        display_name=body.display_name,
        external_id=body.external_id,
        country=body.country,
        tags=body.tags,
    )
    response.headers["Location"] = f"{request.url.path}/{customer.customer_id}"
    response.headers["ETag"] = strong_etag(customer.etag)
    return shown(customer)


@router.get("", operation_id="customers_list", summary="List customers")
async def list_page(
    caller: Annotated[Caller, Depends(requires("customers.read"))],
    search: Annotated[
        str, Query(max_length=200, description="In name, domain, external id and id")
    ] = "",
    state: Annotated[list[CustomerState], Query(description="Any of these")] = [],  # noqa: B006
    contract_type: Annotated[list[ContractType], Query(alias="contractType")] = [],  # noqa: B006
    tag: Annotated[list[str], Query(description="All of these")] = [],  # noqa: B006
    orderby: Annotated[str, Query(pattern="^-?displayName$")] = "displayName",
    maxpagesize: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 100,
    skip_token: Annotated[str | None, Query(alias="skipToken", max_length=4096)] = None,
) -> CustomerInList:
    """The customers you may see, by name. Follow `nextLink` as it is."""
    filters = {
        "search": search or None,
        "state": sorted(state) or None,
        "contractType": sorted(contract_type) or None,
        "tag": sorted(tag) or None,
        "orderby": orderby,
    }
    wanted = rules.Wanted(
        search=search,
        states=frozenset(state),
        contract_types=frozenset(contract_type),
        tags=frozenset(tag),
        descending=orderby.startswith("-"),
    )
    pages = Pages(caller, "customers_list", "/customers", filters)
    begin = await pages.place(skip_token)
    after = (begin["name"], begin["id"]) if begin else None
    found, end = await service.list_customers(deps(), caller.scope, wanted, after, maxpagesize)
    place = {"name": end[0], "id": end[1]} if end else None
    link = await pages.link(place, maxpagesize)
    return CustomerInList(value=[shown(customer) for customer in found], next_link=link)


@router.get(
    "/{customer_id}",
    operation_id="customers_get",
    summary="Read a customer",
    responses={304: {"description": "Not modified"}},
)
async def get(
    customer_id: str,
    request: Request,
    response: Response,
    caller: Annotated[Caller, Depends(requires("customers.read"))],
) -> CustomerInResponse | None:
    """The customer with its ETag; `If-None-Match` saves the body."""
    customer = await service.get_customer(deps(), caller.scope, customer_id)
    etag = strong_etag(customer.etag)
    if is_not_modified(request.headers.get("if-none-match"), etag):
        return Response(status_code=304, headers={"ETag": etag})  # type: ignore[return-value]
    response.headers["ETag"] = etag
    return shown(customer)


@router.patch("/{customer_id}", operation_id="customers_edit", summary="Edit a customer")
async def edit(
    customer_id: str,
    body: CustomerInEdit,
    response: Response,
    caller: Annotated[Caller, Depends(requires("customers.write"))],
    if_match: IfMatch = None,
) -> CustomerInResponse:
    """Members that are left out stay as they are."""
    flags = body.flags.model_dump(exclude_none=True, by_alias=False) if body.flags else None
    wanted = editing.Wanted(
        display_name=body.display_name,
        tags=body.tags,
        region=body.region,
        management_mode=body.management_mode,
        partner_access=body.partner_access,
        flags=flags,
    )
    customer = await editing.edit(deps(), caller, customer_id, if_match, wanted)
    response.headers["ETag"] = strong_etag(customer.etag)
    return shown(customer)
