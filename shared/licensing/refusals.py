"""Every refusal of licensing: its code, and with it the rule, the field and the first day it works.

Raised by the pure rules; `rule` names the requirement, `first_allowed` the first day on which the
same request would pass this rule (None: it is not a matter of time).
"""

from datetime import date
from typing import Any

from shared.kit.errors import HoldfastError


class Refusal(HoldfastError):
    """A rule of licensing says no; nothing has changed."""

    code, status, title = "LICENCE_RULE", 422, "A licensing rule forbids this"

    def __init__(
        self,
        detail: str,
        *,
        rule: str,
        pointer: str | None = None,
        first_allowed: date | None = None,
        **extra: Any,
    ) -> None:
        if first_allowed is not None:
            extra["firstAllowedOn"] = first_allowed.isoformat()
        super().__init__(detail, pointer=pointer, rule=rule, **extra)
        self.rule = rule
        self.first_allowed = first_allowed


class InvalidRequest(Refusal):
    """Fields are wrong; each is named."""

    code, status, title = "INVALID_INPUT", 400, "The request is not valid"

    def __init__(self, errors: list[dict[str, str]], *, rule: str) -> None:
        super().__init__(" ".join(error["detail"] for error in errors), rule=rule)
        self.errors = errors


class AmbiguousPool(Refusal):
    """Several pools fit; name source, payment type, subscription name or pool."""

    code, status, title = "AMBIGUOUS_POOL", 400, "Say which pool"


class ActionForbidden(Refusal):
    """Not by this caller, or not at this time for the whole partner."""

    code, status, title = "FORBIDDEN", 403, "You may not do this"


class ManagementSuspended(Refusal):
    """Licence management rests until the outstanding usage reports are in."""

    code, status, title = "LICENSE_MANAGEMENT_SUSPENDED", 403, "Licence management is suspended"


class Tier2NotEnabled(Refusal):
    """The operator has not enabled tier 2 for the partner."""

    code, status, title = "TIER2_NOT_ENABLED", 403, "Tier 2 is not enabled"


class NotSubscribed(Refusal):
    """The customer has no such subscription."""

    code, status, title = "NOT_FOUND", 404, "There is no such subscription"


class PoolUnknown(Refusal):
    """The partner has no such pool."""

    code, status, title = "NOT_FOUND", 404, "There is no such pool"


class MinimumTerm(Refusal):
    """Inside the minimum commitment."""

    code, status, title = "LIC_MIN_TERM", 409, "The minimum commitment is not over"


class MinimumTermDate(Refusal):
    """The chosen day lies inside the minimum commitment."""

    code, status, title = "LIC_MIN_TERM", 422, "The minimum commitment ends later"


class OrderBinds(Refusal):
    """A marketplace order that nobody can cancel was made for the customer."""

    code, status, title = "ORDER_BINDS_CUSTOMER", 409, "An order binds the customer"


class PoolExhausted(Refusal):
    """The pool has less than is asked for."""

    code, status, title = "POOL_EXHAUSTED", 409, "The pool has too little left"


class PoolNotActive(Refusal):
    """The pool has not begun, has ended, or is suspended."""

    code, status, title = "POOL_NOT_ACTIVE", 409, "The pool is not active"


class PoolOvercommitted(Refusal):
    """More is assigned than the pool holds: nothing new until it fits again."""

    code, status, title = "POOL_OVERCOMMITTED", 409, "The pool is overcommitted"


class AlreadyAssigned(Refusal):
    """The customer has it already."""

    code, status, title = "ALREADY_ASSIGNED", 409, "The customer has this subscription"


class SourceAlreadyAssigned(Refusal):
    """The customer has the item from another pool."""

    code, status, title = "SOURCE_ALREADY_ASSIGNED", 409, "One source for each pool item"


class OverriddenByEnterprise(Refusal):
    """An Enterprise licence prevails."""

    code, status, title = "OVERRIDDEN_BY_ENTERPRISE", 409, "An Enterprise licence prevails"


class OverriddenByCmp(Refusal):
    """A licence bought by the customer in a marketplace prevails."""

    code, status, title = "OVERRIDDEN_BY_CMP", 409, "A marketplace licence prevails"


class TrialNotConfigurable(Refusal):
    """A trial has nothing to change; convert it first."""

    code, status, title = "TRIAL_NOT_CONFIGURABLE", 409, "A trial has nothing to configure"


class TrialUsed(Refusal):
    """The customer has had its trial of the service."""

    code, status, title = "TRIAL_USED", 409, "One trial per customer and service"


class NotATrial(Refusal):
    """Only a running trial can be converted."""

    code, status, title = "NOT_A_TRIAL", 409, "This is no running trial"


class SubscriptionEnded(Refusal):
    """It has expired; assign it anew."""

    code, status, title = "SUBSCRIPTION_EXPIRED", 409, "The subscription has expired"


class SubscriptionSuspended(Refusal):
    """Its pool is suspended; nothing changes until it is reinstated."""

    code, status, title = "SUBSCRIPTION_SUSPENDED", 409, "The subscription is suspended"


class SubscriptionSuperseded(Refusal):
    """A licence of higher rank is in force."""

    code, status, title = "SUBSCRIPTION_SUPERSEDED", 409, "Another licence is in force"


class StorageMigration(Refusal):
    """Earlier backups have to be moved by support."""

    code, status, title = "STORAGE_MIGRATION_REQUIRED", 409, "Ask support to move the backups"


class CommandReused(Refusal):
    """The command id belongs to another request."""

    code, status, title = "COMMAND_REUSED", 422, "This command id was used before"


class PaymentModelConflict(Refusal):
    """A customer has one payment model at a time."""

    code, status, title = "PAYMENT_MODEL_CONFLICT", 422, "One payment model per customer"


class NoPool(Refusal):
    """The partner owns no pool for it."""

    code, status, title = "NO_POOL", 422, "You own no pool for this"


class TrialOnly(Refusal):
    """There is only a trial of it."""

    code, status, title = "TRIAL_ONLY", 422, "Only a trial is offered"


class TypeNotOffered(Refusal):
    """The service is not offered in this form."""

    code, status, title = "TYPE_NOT_OFFERED", 422, "Not offered in this form"


class PremiumNotAvailable(Refusal):
    """The customer manages itself."""

    code, status, title = "PREMIUM_NOT_AVAILABLE", 422, "Not under customer management"


class PrerequisiteMissing(Refusal):
    """No prerequisite of the add-on is active."""

    code, status, title = "PREREQUISITE_MISSING", 422, "A prerequisite is missing"


class ExpiryAfterPool(Refusal):
    """A subscription ends with its pool at the latest."""

    code, status, title = "EXPIRY_AFTER_POOL", 422, "The pool ends before this day"


class ExpiryInPast(Refusal):
    """The day is over."""

    code, status, title = "EXPIRY_IN_PAST", 422, "The day is over"


class AutoNotSupported(Refusal):
    """Its quantity cannot follow the tenant's licences."""

    code, status, title = "AUTO_NOT_SUPPORTED", 422, "Automatic adjustment is not offered"


class RetentionExceeds(Refusal):
    """More retention than was bought."""

    code, status, title = "RETENTION_EXCEEDS_PURCHASE", 422, "More retention than was bought"


class PlanNotSellable(Refusal):
    """Providers cannot sell the plan."""

    code, status, title = "PLAN_NOT_SELLABLE", 422, "The plan cannot be sold"


class NotPoolable(Refusal):
    """The item is not sold on this channel: the order is parked."""

    code, status, title = "NOT_POOLABLE_ON_CHANNEL", 422, "Not sold on this channel"


class PaymentOptionNotAllowed(Refusal):
    """Channel, payment model and option do not go together."""

    code, status, title = "PAYMENT_OPTION_NOT_ALLOWED", 422, "Not a way to pay on this channel"


class TermTooShort(Refusal):
    """The contract's term is too short."""

    code, status, title = "TERM_TOO_SHORT", 422, "The term is too short"


class PrepaidNotReducible(Refusal):
    """A committed pool is not reduced during its term."""

    code, status, title = "PREPAID_NOT_REDUCIBLE", 409, "Committed until the term ends"


class BatchLimit(Refusal):
    """Too many customers in one batch."""

    code, status, title = "BATCH_LIMIT", 422, "Too many customers at once"


class MassChange(Refusal):
    """Automation would move too much at once: a person has to agree."""

    code, status, title = "MASS_CHANGE_STOPPED", 409, "Too much would change at once"


class TenantNotRead(Refusal):
    """The tenant's licences could not be read, so nothing follows them."""

    code, status, title = "TENANT_NOT_READ", 409, "The tenant could not be read"
