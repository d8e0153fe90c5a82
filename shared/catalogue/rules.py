"""Pure questions to the catalogue: which settings are right, what modules show, who fits whom."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from shared.catalogue.model import (
    EVERY_SERVICE,
    Catalogue,
    Method,
    Part,
    Place,
    Service,
    Setting,
    TenantType,
)
from shared.kit.errors import NotFound, Unprocessable


class ServiceUnknown(NotFound):
    """No service or slot with this code."""

    code, title = "SERVICE_UNKNOWN", "The catalogue has no such service"


class TenantTypeMismatch(Unprocessable):
    """The service cannot be authenticated on a tenant of this type (SVC-46)."""

    code, title = "TENANT_TYPE_MISMATCH", "The service does not fit this tenant"


class MethodNotAllowed(Unprocessable):
    """The service does not offer this way to authenticate (CON-01)."""

    code, title = "METHOD_NOT_ALLOWED", "The service is not authenticated this way"


@dataclass(frozen=True, slots=True)
class Fault:
    """One wrong setting."""

    name: str
    code: str
    rule: str
    detail: str


INVALID = "INVALID_INPUT"
EXCEEDS = "RETENTION_EXCEEDS_PURCHASE"
NOT_SELLABLE = "PLAN_NOT_SELLABLE"


def service(catalogue: Catalogue, code: str) -> Service:
    """The service; `ServiceUnknown` (404)."""
    found = catalogue.service_by_code.get(code)
    if found is None:
        raise ServiceUnknown(f"There is no service {code[:40]!r}.")
    return found


def place(catalogue: Catalogue, slot: str) -> Place:
    """The place of a slot (a pool item's code, or a service's without pool item)."""
    found = catalogue.place_by_slot.get(slot)
    if found is None:
        detail = f"There is nothing called {slot[:40]!r} to subscribe to."
        raise ServiceUnknown(detail, pointer="/slot")
    return found


def needs_partner_management(catalogue: Catalogue, of: Service) -> bool:
    """Whether the service is closed under customer management (SVC-02, SVC-06)."""
    return any(g.needs_partner_management for g in catalogue.groups if g.code == of.group)


def meets_prerequisite(catalogue: Catalogue, add_on: Service, active: Iterable[str]) -> bool:
    """Whether one of the active services makes the add-on available (SVC-07, SVC-08)."""
    for code in active:
        held = catalogue.service_by_code[code]
        if code in add_on.prerequisites:
            return True
        if (
            EVERY_SERVICE in add_on.prerequisites
            and not held.add_on
            and held.platform == "elements"
        ):
            return True
    return False


def check_tenant_type(of: Service, tenant_type: TenantType) -> None:
    """`TenantTypeMismatch` (422) unless the service supports the type (SVC-46)."""
    if tenant_type not in of.tenant_types:
        wanted = ", ".join(of.tenant_types) or "no tenant"
        raise TenantTypeMismatch(f"{of.name} needs {wanted}.", rule="SVC-46")


def check_method(of: Service, method: Method, tenant_type: TenantType) -> None:
    """`MethodNotAllowed` (422) unless the service offers the method on such a tenant (CON-01)."""
    check_tenant_type(of, tenant_type)
    tenants = of.method_tenants.get(method, of.tenant_types)
    if method not in of.methods or tenant_type not in tenants:
        raise MethodNotAllowed(f"{of.name} offers: {', '.join(of.methods)}.", rule="CON-01")


def part_settings(catalogue: Catalogue, part: Part | None) -> dict[str, Setting]:
    """The settings of a part by their outside name."""
    if part is None:
        return {}
    found = (catalogue.settings[key] for key in part.settings)
    return {setting.name: setting for setting in found}


def is_measured(part: Part | None, settings: Mapping[str, Any]) -> bool:
    """Whether nobody enters a quantity under these settings (SVC-35)."""
    return part is not None and bool(part.measured_with) and _holds(part.measured_with, settings)


def check_settings(
    catalogue: Catalogue,
    at: Place,
    sent: Mapping[str, Any],
    *,
    entitlements: Mapping[str, Any],
    trial: bool = False,
    held: Mapping[str, Any] | None = None,
) -> tuple[dict[str, Any], list[Fault]]:
    """The settings in their one spelling, and every one that is wrong (4.2, SVC-30 to 45).

    What is `held` already stays, also when providers could not sell it (SVC-45).
    """
    of, part = catalogue.service_by_code[at.service], catalogue.part_of(at)
    schema = part_settings(catalogue, part)
    values: dict[str, Any] = {}
    faults: list[Fault] = []
    for name, value in sent.items():
        setting = schema.get(name)
        if setting is None or (trial and name not in of.trial_settings):
            rule = "SVC-25" if setting is not None else _rule_of(catalogue, name)
            why = "A trial has nothing to configure." if setting else f"{of.name} has no {name}."
            faults.append(Fault(name, INVALID, rule, why))
            continue
        clean, fault = _value(setting, value)
        if fault and fault.code == NOT_SELLABLE and (held or {}).get(name) == value:
            clean, fault = value, None
        if fault:
            faults.append(fault)
        else:
            values[name] = clean
    fixed = part.fixed if part and not trial else {}
    for name, only in fixed.items():
        if values.setdefault(name, only) != only:
            faults.append(Fault(name, INVALID, schema[name].rule, f"This part is {only}."))
    if not trial:
        wrong = {fault.name for fault in faults}
        faults += [f for s in schema.values() for f in _together(s, values) if f.name not in wrong]
    vendor_storage = values.get("storage", "Vendor") == "Vendor"
    if vendor_storage and not trial:
        faults += [f for s in schema.values() if (f := _limited(s, values, entitlements))]
    return values, faults


def module_view(
    catalogue: Catalogue, at: Place, quantity: int, settings: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Every module with the leading one's quantity and settings (SVC-11 to 13, 38 to 40)."""
    part = catalogue.part_of(at)
    shown = {"quantity": quantity, "settings": dict(settings)}
    return {module: dict(shown) for module in (part.modules if part else ())}


def _rule_of(catalogue: Catalogue, name: str) -> str:
    return next((s.rule for s in catalogue.settings.values() if s.name == name), "4.2")


def _holds(condition: Mapping[str, tuple[str, ...]], values: Mapping[str, Any]) -> bool:
    return all(values.get(name) in allowed for name, allowed in condition.items())


def _value(setting: Setting, value: Any) -> tuple[Any, Fault | None]:
    def wrong(why: str, code: str = INVALID) -> tuple[Any, Fault]:
        return None, Fault(setting.name, code, setting.rule, why)

    if setting.kind == "choice":
        clean = setting.aliases.get(value, value) if isinstance(value, str) else value
        if clean not in setting.choices:
            return wrong(f"One of: {', '.join(setting.choices)}.")
        if setting.sellable and clean not in setting.sellable:
            return wrong(f"Providers can sell: {', '.join(setting.sellable)}.", NOT_SELLABLE)
        return clean, None
    if setting.kind == "boolean":
        return (value, None) if isinstance(value, bool) else wrong("true or false.")
    if setting.kind == "text":
        is_text = isinstance(value, str) and 0 < len(value.strip()) <= 200
        return (value.strip(), None) if is_text else wrong("1 to 200 characters.")
    if not isinstance(value, int) or isinstance(value, bool):
        return wrong("A whole number.")
    if setting.minimum is not None and value < setting.minimum:
        return wrong(f"At least {setting.minimum}.")
    return value, None


def _together(setting: Setting, values: Mapping[str, Any]) -> list[Fault]:
    """Faults of a setting in company of the others."""
    found = []
    has = setting.name in values
    if not has and setting.required:
        found.append("is required.")
    if not has and setting.required_with and _holds(setting.required_with, values):
        found.append(f"is required with {_words(setting.required_with)}.")
    if has and setting.only_with and not _holds(setting.only_with, values):
        found.append(f"goes with {_words(setting.only_with)} only.")
    if has and values[setting.name] is not False:
        found += [f"excludes {other}." for other in setting.excludes if other in values]
    return [Fault(setting.name, INVALID, setting.rule, f"{setting.name} {why}") for why in found]


def _words(condition: Mapping[str, tuple[str, ...]]) -> str:
    return ", ".join(f"{name} = {' or '.join(allowed)}" for name, allowed in condition.items())


def _limited(
    setting: Setting, values: Mapping[str, Any], entitlements: Mapping[str, Any]
) -> Fault | None:
    """A retention beyond what was bought (SVC-33, SVC-34); own storage is not limited (AMB-35)."""
    value = values.get(setting.name)
    if not setting.limit or value is None or value is False:
        return None
    if entitlements.get("retentionUnlimited"):
        return None
    if setting.kind == "boolean":
        return Fault(setting.name, EXCEEDS, setting.rule, "Unlimited retention was not bought.")
    bought = entitlements.get("retentionYears")
    if bought is None:
        return None
    most = bought * 12 if setting.limit == "retentionMonths" else bought
    if value <= most:
        return None
    return Fault(setting.name, EXCEEDS, setting.rule, f"Bought: {most}; asked for: {value}.")
