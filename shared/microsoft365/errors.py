"""Every refusal of Microsoft 365 that a caller has to tell apart.

`code` and `status` are those of our own API, as for every `HoldfastError`; what Microsoft said is
in `graph_code`, `graph_status` and `request_id`.
"""

from datetime import datetime

from shared.kit.errors import HoldfastError


class GraphError(HoldfastError):
    """Base of everything this package raises on purpose."""

    code, status, title = "MICROSOFT365", 502, "Microsoft 365 refused a request"


class ItemSkipped(GraphError):
    """A known, permanent cause keeps this item out (microsoft365.md section 5, M22)."""

    code, title = "ITEM_SKIPPED", "The item cannot be protected"

    def __init__(self, cause: str, request_id: str = "") -> None:
        super().__init__(f"skipped: {cause}", cause=cause)
        self.cause = cause
        self.request_id = request_id


class ItemFailed(GraphError):
    """Retries are used up, or the refusal is unknown; tried again in the next run (M22, M23)."""

    code, title = "ITEM_FAILED", "Microsoft 365 did not serve the request"

    def __init__(self, graph_code: str, graph_status: int, request_id: str = "") -> None:
        super().__init__(f"{graph_status}/{graph_code} (request {request_id or 'unknown'})")
        self.graph_code = graph_code
        self.graph_status = graph_status
        self.request_id = request_id

    @property
    def reason(self) -> str:
        """The key failures are counted under, e.g. `500/UnknownError` (vault.md section 11)."""
        return f"{self.graph_status}/{self.graph_code}"


class ObjectUnavailable(GraphError):
    """A whole mailbox or drive is in a named state; not a failed session (section 5)."""

    code, status, title = "OBJECT_UNAVAILABLE", 409, "The object cannot be reached"

    def __init__(self, state: str, request_id: str = "") -> None:
        super().__init__(f"object state: {state}", state=state)
        self.state = state
        self.request_id = request_id


class ContainerGone(GraphError):
    """A folder vanished while it was read: its cursor is dropped (section 4.1)."""

    code, status, title = "CONTAINER_GONE", 410, "The folder no longer exists"


class Resync(GraphError):
    """A delta token is no longer valid; `location` is where to go on, or empty (section 4.1)."""

    code, status, title = "RESYNC", 410, "The change feed starts again"

    def __init__(self, location: str = "") -> None:
        super().__init__()
        self.location = location


class ConsentLost(GraphError):
    """The tenant no longer lets us in: the session ends Disconnected (marketplace-auth.md 3.5)."""

    code, status, title = "CONSENT_LOST", 409, "The customer's tenant does not let us in"

    def __init__(self, state: str, aadsts: int = 0, missing: tuple[str, ...] = ()) -> None:
        super().__init__(f"consent is {state}", state=state, aadsts=aadsts, missing=list(missing))
        self.state = state
        self.aadsts = aadsts
        self.missing = missing


class OurCredentialRefused(GraphError):
    """Our certificate or secret is wrong or expired: our fault, never the customer's."""

    code, status, title = "OUR_CREDENTIAL_REFUSED", 500, "Our own credential was refused"

    def __init__(self, aadsts: int = 0) -> None:
        super().__init__(f"AADSTS{aadsts}" if aadsts else "")
        self.aadsts = aadsts


class SignInUnavailable(GraphError):
    """The sign-in service cannot answer now; trying again later is right."""

    code, status, title = "SIGN_IN_UNAVAILABLE", 503, "The sign-in service does not answer"

    def __init__(self, aadsts: int = 0, retry_after_s: int = 30) -> None:
        super().__init__(f"AADSTS{aadsts}" if aadsts else "", retryAfter=retry_after_s)
        self.aadsts = aadsts
        self.retry_after_s = retry_after_s


class SignInDeclined(GraphError):
    """The administrator declined the sign-in."""

    code, status, title = "SIGN_IN_DECLINED", 403, "The administrator declined"


class SignInExpired(GraphError):
    """The code was not used in time."""

    code, status, title = "SIGN_IN_EXPIRED", 410, "The sign-in code has expired"


class SliceOver(GraphError):
    """The slice's budget is spent, or a fence outlives it (M25, M28): go on at `not_before`."""

    code, status, title = "SLICE_OVER", 503, "The slice is over"

    def __init__(self, not_before: datetime) -> None:
        super().__init__(f"go on at {not_before.isoformat()}")
        self.not_before = not_before
