"""What the doors of the channels refuse, and what parks an order."""

from shared.kit.errors import Conflict, Forbidden, Gone, HoldfastError, Unauthorized, Unavailable


class CallerUnproven(Unauthorized):
    """The delivery is not proven to come from the channel."""

    code, title = "CHANNEL_TOKEN_INVALID", "The sender is not proven"


class CallerForeign(Forbidden):
    """A good token of somebody else."""

    code, title = "CHANNEL_CALLER_FOREIGN", "The sender is not this channel"


class ChannelOff(HoldfastError):
    """The deployment has no settings for the channel."""

    code, status, title = "CHANNEL_NOT_CONFIGURED", 404, "This channel is not in use"


class ChannelDown(Unavailable):
    """The channel does not answer, or answers 5xx: later is right."""

    code, title = "CHANNEL_UNAVAILABLE", "The channel does not answer"


class ChannelRefuses(HoldfastError):
    """The channel answers 4xx to what we asked."""

    code, status, title = "CHANNEL_REFUSES", 422, "The channel refuses"

    def __init__(self, detail: str, *, answered: int) -> None:
        super().__init__(detail)
        self.answered = answered


class LandingInvalid(Gone):
    """The landing token is unknown or older than a day."""

    code, title = "LANDING_TOKEN_INVALID", "This link is no longer good"


class OrderBusy(Unavailable):
    """Another event of the order is being applied."""

    code, title = "ORDER_BUSY", "The order is being worked on"


class OrderClaimed(Conflict):
    """The order belongs to another partner."""

    code, title = "ORDER_CLAIMED", "The order belongs to somebody else"


class DocumentReused(Conflict):
    """The document's id stands for another document."""

    code, title = "DOCUMENT_REUSED", "This document id was used before"


class Parked(HoldfastError):
    """The order waits for a person: not an error of the channel, nothing is lost."""

    code, status, title = "ORDER_PARKED", 409, "The order waits for a person"

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.why = code
