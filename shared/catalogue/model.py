"""What the catalogue says: services, groups, parts, settings, pool items, and their references."""

from enum import StrEnum
from functools import cached_property
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

EVERY_SERVICE = "*"
"""As a prerequisite: any service of this platform that is no add-on (SVC-08)."""


class Channel(StrEnum):
    """Where a pool comes from (MKT-01)."""

    DIRECT = "Direct"
    MARKETPLACE = "Marketplace"
    OFF_MARKETPLACE = "OffMarketplace"


class PaymentModel(StrEnum):
    """How a pool is paid for (MKT-02)."""

    PREPAID = "Prepaid"
    PAYG = "Payg"


class SubscriptionType(StrEnum):
    """What a service is taken as (SVC-20)."""

    TRIAL = "Trial"
    SUBSCRIPTION = "Subscription"


Method = Literal["consent", "customApp", "serviceAccount", "googleServiceAccount", "deviceCode"]
TenantType = Literal[
    "Microsoft365", "Google", "Salesforce", "Dynamics365", "Azure", "Aws", "GoogleCloud", "VMware"
]
Unit = Literal["userSeats", "users", "objects", "units", "capacityGb", "limit"]
Basis = Literal["Microsoft365", "Dynamics365"]


class _Data(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_alias=True,
        validate_by_name=True,
        serialize_by_alias=True,
        extra="forbid",
        frozen=True,
    )


class Group(_Data):
    """A heading of the catalogue."""

    code: str
    name: str
    needs_partner_management: bool = False
    """Not available once the customer manages itself (SVC-02, SVC-06)."""


class Setting(_Data):
    """One value a subscription of a part may carry (features.md 4.2)."""

    name: str
    kind: Literal["choice", "integer", "text", "boolean"]
    choices: tuple[str, ...] = ()
    aliases: dict[str, str] = {}
    minimum: int | None = None
    required: bool = False
    only_with: dict[str, tuple[str, ...]] = {}
    required_with: dict[str, tuple[str, ...]] = {}
    excludes: tuple[str, ...] = ()
    limit: str | None = None
    """Name of the pool's entitlement that bounds the value (SVC-33)."""
    sellable: tuple[str, ...] = ()
    """Choices a provider may set; the others are only read (SVC-45)."""
    migration_by_support: bool = False
    """An active subscription goes from Vendor to Own through a support case only (SVC-32)."""
    rule: str


class Part(_Data):
    """A part of a service: what it draws on, its settings and its modules."""

    code: str
    name: str = ""
    items: tuple[str, ...] = ()
    """Pool items it can draw on; empty when no pool feeds it."""
    modules: tuple[str, ...] = ()
    module_aliases: dict[str, str] = {}
    copied_from: str | None = None
    """The module whose settings the others show (SVC-38 to 40)."""
    quantity_name: str = "userSeats"
    settings: tuple[str, ...] = ()
    fixed: dict[str, str] = {}
    """Settings that follow from choosing this part."""
    measured_with: dict[str, tuple[str, ...]] = {}
    """While these settings hold, the quantity is measured and never sent (SVC-35)."""


class Service(_Data):
    """One thing a customer can be given (features.md 4.1)."""

    code: str
    name: str
    aliases: tuple[str, ...] = ()
    group: str
    platform: Literal["elements", "veeam"] = "elements"
    tenant_types: tuple[TenantType, ...] = ()
    types: tuple[SubscriptionType, ...] = ()
    methods: tuple[Method, ...] = ()
    method_tenants: dict[Method, tuple[TenantType, ...]] = {}
    """Tenant types on which a method is offered; a method not named here: on all."""
    channels: tuple[Channel, ...] = ()
    licence_basis: Basis | None = None
    """Whose assigned licences the seats follow (SVC-26)."""
    shows_licences: Basis | None = None
    protects: tuple[str, ...] = ()
    """Slots whose licences in use are the backed-up users of the tenant (LIC-53)."""
    apps: tuple[str, ...] = ()
    add_on: bool = False
    prerequisites: tuple[str, ...] = ()
    legacy: bool = False
    """Readable and editable where it exists, not selectable anew (AMB-18)."""
    unpooled: bool = False
    """Taken as a subscription without a pool: it is licensed by what is protected (LIC-53)."""
    customer_configures_own_storage: bool = False
    trial_settings: tuple[str, ...] = ()
    """The settings a trial may carry after all (SVC-34)."""
    parts: tuple[Part, ...] = ()


class PoolItem(_Data):
    """Something that can be bought once and given to customers (features.md 4.3)."""

    code: str
    name: str
    marketplace_name: str | None = None
    unit: Unit
    channels: tuple[Channel, ...]
    payment_models: tuple[PaymentModel, ...] = (PaymentModel.PREPAID, PaymentModel.PAYG)
    metric: Literal["assigned", "consumed"] = "assigned"
    """What pay-as-you-go bills (AMB-23)."""
    auto_adjust: bool = True
    """Whether seats may follow the customer's assigned licences (LIC-43)."""
    consumed_stay: bool = False
    """What was consumed never returns to the pool (LIC-38)."""
    never_merged: bool = False
    """Every order stays a pool of its own, with its name (LIC-39)."""


class Place(_Data):
    """Where a slot belongs: the service, its part and the pool item it draws on, if any."""

    slot: str
    service: str
    part: str | None = None
    item: str | None = None


class Catalogue(_Data):
    """The whole catalogue; its references hold or it cannot be made."""

    groups: tuple[Group, ...]
    settings: dict[str, Setting]
    services: tuple[Service, ...]
    pool_items: tuple[PoolItem, ...]
    counted_products: dict[Basis, frozenset[str]] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _name_settings(cls, data: Any) -> Any:
        """A setting that does not say its name is called like its key."""
        for key, setting in data.get("settings", {}).items():
            if isinstance(setting, dict):
                setting.setdefault("name", key)
        return data

    @model_validator(mode="after")
    def _references_hold(self) -> Self:
        problems = list(_problems(self))
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @cached_property
    def service_by_code(self) -> dict[str, Service]:
        """Services by code."""
        return {service.code: service for service in self.services}

    @cached_property
    def item_by_code(self) -> dict[str, PoolItem]:
        """Pool items by code."""
        return {item.code: item for item in self.pool_items}

    @cached_property
    def place_by_slot(self) -> dict[str, Place]:
        """What a customer can hold at most once per tenant.

        A slot is named after its pool item, or after the service when no pool feeds it; a second
        part that draws on the same item has the part in its name (AMB-04, AMB-21).
        """
        places: dict[str, Place] = {}
        for service in self.services:
            if not any(part.items for part in service.parts):
                part_code = service.parts[0].code if service.parts else None
                places[service.code] = Place(
                    slot=service.code, service=service.code, part=part_code
                )
            for part in service.parts:
                for item in part.items:
                    slot = item if item not in places else f"{item}.{part.code}"
                    places[slot] = Place(slot=slot, service=service.code, part=part.code, item=item)
        return places

    @cached_property
    def service_of_item(self) -> dict[str, str]:
        """The service a pool item belongs to."""
        return {place.item: place.service for place in self.place_by_slot.values() if place.item}

    def part_of(self, place: Place) -> Part | None:
        """The part a slot stands for; None for a service without parts."""
        parts = self.service_by_code[place.service].parts
        return next((part for part in parts if part.code == place.part), None)


def _problems(catalogue: Catalogue) -> list[str]:
    """Every reference that does not hold, in words."""
    found: list[str] = []
    groups = {group.code for group in catalogue.groups}
    codes = [service.code for service in catalogue.services]
    items = [item.code for item in catalogue.pool_items]
    found += [f"code {code} is there twice" for code in {*codes} if codes.count(code) > 1]
    found += [f"pool item {code} is there twice" for code in {*items} if items.count(code) > 1]
    fed = {i for s in catalogue.services for p in s.parts for i in p.items}
    found += [f"no part draws on pool item {code}" for code in items if code not in fed]
    for service in catalogue.services:
        where = f"service {service.code}"
        if service.group not in groups:
            found.append(f"{where}: no group {service.group}")
        for needed in service.prerequisites:
            if needed != EVERY_SERVICE and needed not in codes:
                found.append(f"{where}: no prerequisite {needed}")
        if service.add_on and (service.types or service.parts):
            found.append(f"{where}: an add-on has no types and no parts")
        if service.methods and not service.tenant_types:
            found.append(f"{where}: methods without a tenant type")
        found += [
            f"{where}: method {method} is not among its methods"
            for method in service.method_tenants
            if method not in service.methods
        ]
        for part in service.parts:
            found += _part_problems(catalogue, f"{where}, part {part.code}", part, items)
    return sorted(found)


def _part_problems(catalogue: Catalogue, where: str, part: Part, items: list[str]) -> list[str]:
    found = [f"{where}: no pool item {item}" for item in part.items if item not in items]
    found += [
        f"{where}: no setting {name}" for name in part.settings if name not in catalogue.settings
    ]
    known = [catalogue.settings[name] for name in part.settings if name in catalogue.settings]
    names = {setting.name for setting in known}
    if len(names) < len(known):
        found.append(f"{where}: two settings of one name")
    if part.copied_from is not None and part.copied_from not in part.modules:
        found.append(f"{where}: no module {part.copied_from}")
    for name in (*part.fixed, *part.measured_with, *(n for s in known for n in s.required_with)):
        if name not in names:
            found.append(f"{where}: it has no setting {name}")
    return found
