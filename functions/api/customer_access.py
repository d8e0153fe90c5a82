"""Who gets into a customer's environment: admin users, addresses, the partner or not."""

from typing import Annotated, Literal

from fastapi import Depends, Request, Response
from pydantic import Field

from functions.api.access_models import Email, IfMatch, NetworkModel, PersonName
from functions.api.routing import Router
from functions.api.security import address_of, requires
from shared.access.ip_ranges import Origin
from shared.access.model import Caller
from shared.bootstrap import deps
from shared.customers import editing, service
from shared.customers.model import AdminUser, Customer
from shared.kit.api_model import ApiModel, Instant
from shared.kit.etags import strong_etag

router = Router(prefix="/customers/{customer_id}", tags=["customer access"])
Reader = Annotated[Caller, Depends(requires("organisation.read"))]
Writer = Annotated[Caller, Depends(requires("organisation.write"))]


class AdminIn(ApiModel):
    """Somebody who becomes an admin user of the customer."""

    email: Email = Field(description="The sign-in name (UPN): no alias, no group")
    first_name: PersonName
    last_name: PersonName


class AdminOut(ApiModel):
    """An admin user of the customer (CUS-50)."""

    id: str
    email: str
    first_name: str
    last_name: str
    origin: Literal["primary", "provider", "customer"]
    has_signed_in: bool
    added_at: Instant

    @classmethod
    def of(cls, admin: AdminUser) -> "AdminOut":
        """The admin user as partner and customer see it."""
        return cls(
            id=admin.admin_id,
            email=admin.email,
            first_name=admin.first_name,
            last_name=admin.last_name,
            origin=admin.origin,
            has_signed_in=admin.object_id is not None,
            added_at=admin.added_at,
        )


class AdminList(ApiModel):
    """Every admin user; there is never a second page."""

    value: list[AdminOut]


class PartnerAccess(ApiModel):
    """Whether the customer admits its partner."""

    is_admitted: bool


@router.get("/admins", operation_id="customer_admins_list", summary="List admin users")
async def list_admins(customer_id: str, response: Response, caller: Reader) -> AdminList:
    """With the ETag of the customer, for a removal."""
    customer = await service.get_customer(deps(), caller.scope, customer_id)
    _tag(response, customer)
    return AdminList(value=[AdminOut.of(admin) for admin in customer.admins])


@router.post(
    "/admins", operation_id="customer_admins_add", summary="Add an admin user", status_code=201
)
async def add_admin(
    customer_id: str, body: AdminIn, response: Response, caller: Writer
) -> AdminOut:
    """You while the customer is pending (409 afterwards); the customer itself at any time."""
    customer, admin = await editing.add_admin(
        deps(),
        caller,
        customer_id,
        email=body.email,
        first_name=body.first_name,
        last_name=body.last_name,
    )
    _tag(response, customer)
    return AdminOut.of(admin)


@router.delete(
    "/admins/{admin_id}",
    operation_id="customer_admins_remove",
    summary="Remove an admin user",
    status_code=204,
)
async def remove_admin(
    customer_id: str, admin_id: str, caller: Writer, if_match: IfMatch = None
) -> None:
    """With the customer's ETag. Contexts opened in this name end as well."""
    await editing.remove_admin(deps(), caller, customer_id, if_match, admin_id)


@router.get("/network", operation_id="customer_network_get", summary="Read admitted addresses")
async def get_network(customer_id: str, response: Response, caller: Reader) -> NetworkModel:
    """Ranges of provider and customer with their origin; any of them admits (CUS-48)."""
    customer = await service.get_customer(deps(), caller.scope, customer_id)
    _tag(response, customer)
    return NetworkModel.of(customer.network)


@router.put("/network", operation_id="customer_network_edit", summary="Set admitted addresses")
async def set_network(
    customer_id: str,
    body: NetworkModel,
    request: Request,
    response: Response,
    caller: Writer,
    if_match: IfMatch = None,
) -> NetworkModel:
    """Sets the switch and the ranges of your own origin; the other's stay."""
    as_customer = caller.acts_for_itself or caller.context is not None
    origin: Origin = "customer" if as_customer else "provider"
    own = [each for each in body.ranges if each.origin in {None, origin}]
    network = body.model_copy(update={"ranges": own}).parsed(origin)
    customer = await editing.set_network(
        deps(), caller, customer_id, if_match, network, address_of(request)
    )
    _tag(response, customer)
    return NetworkModel.of(customer.network)


@router.put(
    "/partner-access",
    operation_id="customer_admit_partner",
    summary="Admit the partner or not",
)
async def admit_partner(
    customer_id: str,
    body: PartnerAccess,
    response: Response,
    caller: Writer,
    if_match: IfMatch = None,
) -> PartnerAccess:
    """Only the customer's own admin users decide; in force at the partner's next request."""
    customer = await editing.admit_partner(
        deps(), caller, customer_id, if_match, is_admitted=body.is_admitted
    )
    _tag(response, customer)
    return PartnerAccess(is_admitted=customer.door().is_open)


def _tag(response: Response, customer: Customer) -> None:
    response.headers["ETag"] = strong_etag(customer.etag)
