"""What billing refuses, each with its stable code."""

from shared.kit.errors import Unprocessable


class PriceMissing(Unprocessable):
    """Something was used that the price book does not know; `items` names it."""

    code, title = "PRICE_MISSING", "The price book has no price for what was used"


class SuppositionImpossible(Unprocessable):
    """A what-if question assumes what cannot be; the pointer names the change."""

    code, title = "SUPPOSITION_IMPOSSIBLE", "This cannot be supposed"
