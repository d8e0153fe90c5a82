"""Pure decisions on resellers: is an invitation good, may one be removed, who may be asked."""

from datetime import datetime, timedelta

from shared.kit.errors import Conflict, Invalid, NotFound, Unprocessable
from shared.resellers.model import Above, Reseller, ResellerState

INVITATION_LIFE = timedelta(days=30)


class ResellerUnknown(NotFound):
    """Unknown, or another partner's."""

    code, title = "NOT_FOUND", "There is no such reseller"


class InvitationInvalid(Invalid):
    """The invitation is unknown, used, withdrawn or too old."""

    code, title = "INVITATION_INVALID", "This invitation is not valid"


class NotJoined(Conflict):
    """The reseller was invited and has not accepted."""

    code, title = "RESELLER_NOT_JOINED", "The reseller has not accepted yet"


class AlreadyJoined(Conflict):
    """It has accepted: there is nothing to invite."""

    code, title = "RESELLER_JOINED", "The reseller has accepted already"


class HasOneAbove(Conflict):
    """A partner has one reseller above it at most."""

    code, title = "RESELLER_OF_ANOTHER", "You are somebody else's reseller"


class HoldsSeats(Conflict):
    """What was passed on has to come back first."""

    code, title = "RESELLER_HOLDS_SEATS", "The reseller still holds seats"


class OfItself(Unprocessable):
    """Nobody is its own reseller."""

    code, title = "RESELLER_OF_ITSELF", "This is your own invitation"


def unknown(some_id: str) -> ResellerUnknown:
    """The one answer for unknown and foreign ids."""
    return ResellerUnknown(f"There is no reseller with the id {some_id[:64]!r}.")


def check_invitation(
    found: Reseller | None, token_hash: str, by: str, now: datetime
) -> tuple[Reseller, bool]:
    """The reseller that `by` becomes, and whether it is so already (RES-01).

    `InvitationInvalid` (400), `OfItself` (422). Accepting twice is accepting once.
    """
    if found is None or found.token_hash != token_hash:
        raise InvitationInvalid("It is unknown. Ask for a new one.", pointer="/token")
    if found.above == by:
        raise OfItself("Send it to the partner you invite.", pointer="/token")
    if found.state is ResellerState.ACTIVE:
        if found.partner_id == by:
            return found, True
        raise InvitationInvalid("It was used already. Ask for a new one.", pointer="/token")
    if found.expires_at <= now:
        raise InvitationInvalid("It has expired. Ask for a new one.", pointer="/token")
    return found, False


def check_one_above(held: Above | None, wanted: Reseller, *, still_there: bool) -> None:
    """`HasOneAbove` (409) for a partner that is somebody's reseller; what is gone does not count.

    `still_there`: whether the reseller that `held` names has not been removed.
    """
    same = held is not None and held.reseller_id == wanted.reseller_id
    if held is not None and still_there and not same:
        raise HasOneAbove("Leave the other one first: it has to remove you.", rule="RES-05")


def joined(reseller: Reseller) -> str:
    """The reseller's own partner id; `NotJoined` (409) before it has accepted."""
    if reseller.partner_id is None or reseller.state is not ResellerState.ACTIVE:
        raise NotJoined("Wait until it has accepted the invitation.", rule="RES-04")
    return reseller.partner_id


def check_removable(held: int) -> None:
    """`HoldsSeats` (409) while seats that were passed on are not back (RES-02, RES-09)."""
    if held:
        raise HoldsSeats(f"Take back its {held} seats first.", rule="RES-09", held=held)
