"""What billing refuses, each with its stable code."""

from shared.kit.errors import Invalid, Unavailable, Unprocessable


class PriceMissing(Unprocessable):
    """Something was used that the price book does not know; `items` names it."""

    code, title = "PRICE_MISSING", "The price book has no price for what was used"


class SuppositionImpossible(Unprocessable):
    """A what-if question assumes what cannot be; the pointer names the change."""

    code, title = "SUPPOSITION_IMPOSSIBLE", "This cannot be supposed"


class CurrencyFixed(Unprocessable):
    """A price book keeps its currency: another one is another book."""

    code, title = "CURRENCY_FIXED", "A price book keeps its currency"


class TiersUnordered(Unprocessable):
    """Tiers have to rise, and the last one has no end."""

    code, title = "TIERS_UNORDERED", "The tiers do not follow each other"


class ProfileUnknown(Unprocessable):
    """There is no such billing profile, or no such price book."""

    code, title = "PROFILE_UNKNOWN", "There is no such billing profile or price book"


class RecipientsRequired(Invalid):
    """Billing reports need recipients and a billing profile (CUS-16)."""

    code, title = "RECIPIENTS_REQUIRED", "Billing reports need recipients and a profile"


class CostTableInvalid(Unavailable):
    """The operator's table of cost prices cannot be used; `reasons` says why."""

    code, title = "COST_TABLE_INVALID", "The table of cost prices cannot be used"
