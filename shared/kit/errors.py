"""One tree of refusals: each carries a stable code, an HTTP status and what to do next.

A noun declares its own refusals as two-line subclasses beside the code that raises them.
"""

from typing import Any, ClassVar


class HoldfastError(Exception):
    """Base of every error a caller may see.

    `code` is stable upper snake case, `status` the HTTP status, `title` a short constant text;
    `detail` says what is wrong here and what to do. `errors` names wrong fields by JSON pointer.
    Extra keyword arguments become members of the problem document.
    """

    code: ClassVar[str] = "INTERNAL"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Something went wrong on our side"

    def __init__(self, detail: str = "", *, pointer: str | None = None, **extra: Any) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.errors = [{"pointer": pointer, "detail": self.detail}] if pointer else []
        self.extra = extra
        self.principal: Any = None
        """Who was refused while signing in, when their partner is known; for the audit trail."""


class Invalid(HoldfastError):
    """The request is malformed; `errors` names the field."""

    code, status, title = "INVALID_INPUT", 400, "The request is not valid"


class Unauthorized(HoldfastError):
    """No valid token."""

    code, status, title = "UNAUTHORIZED", 401, "Sign in first"


class Forbidden(HoldfastError):
    """A valid token without the needed permission or scope."""

    code, status, title = "FORBIDDEN", 403, "You may not do this"


class NotFound(HoldfastError):
    """Unknown, or not visible to the caller."""

    code, status, title = "NOT_FOUND", 404, "There is no such thing"


class Conflict(HoldfastError):
    """Refused because of the current state."""

    code, status, title = "CONFLICT", 409, "Not possible in the current state"


class Gone(HoldfastError):
    """Was valid once: a used or expired link."""

    code, status, title = "GONE", 410, "No longer available"


class PreconditionFailed(HoldfastError):
    """The ETag given is not the current one."""

    code, status, title = "PRECONDITION_FAILED", 412, "The resource has changed since you read it"


class PreconditionRequired(HoldfastError):
    """A change without If-Match."""

    code, status, title = "PRECONDITION_REQUIRED", 428, "Send If-Match with the ETag you read"


class Unprocessable(HoldfastError):
    """Well formed, but refused by a business rule."""

    code, status, title = "UNPROCESSABLE", 422, "A rule forbids this"


class TooMany(HoldfastError):
    """Slow down; `retryAfter` seconds in `extra`."""

    code, status, title = "TOO_MANY_REQUESTS", 429, "Too many requests"


class Unavailable(HoldfastError):
    """A service we need does not answer now; retrying later is right."""

    code, status, title = "UNAVAILABLE", 503, "Temporarily unavailable"
