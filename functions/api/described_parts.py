"""The shared parts of the OpenAPI document, as data: headers, refusals, parameters, examples."""

import re
from http import HTTPStatus
from typing import Any

from functions.api.versions import SUPPORTED

Json = dict[str, Any]


def _header(description: str, example: Any, *, required: bool = False, **schema: Any) -> Json:
    found: Json = {"description": description, "schema": {"type": "string", **schema}}
    return found | {"example": example} | ({"required": True} if required else {})


_TIME = "2026-11-22T08:00:00Z"
_HOST = "https://api.holdfast.example"
HEADERS: Json = {
    "x-request-id": _header("Your own, else the trace id: names this request", "a1", required=True),
    "client-request-id": _header("Yours, echoed", "a1"),
    "api-supported-versions": _header(
        "What api-version may be", ", ".join(SUPPORTED), required=True
    ),
    "ETag": _header("Strong; for If-None-Match and If-Match", '"bpJ1uOXm9fJ0R1sZKYbV3g"'),
    "Location": _header("Address of what was made", f"{_HOST}/api/v1/customers/5x0c…"),
    "Operation-Location": _header("Poll this", f"{_HOST}/api/v1/operations/5x0c…-r8204…"),
    "Retry-After": _header("Seconds to wait", 2, type="integer", minimum=0),
    "RateLimit-Policy": _header("Quota and window of this client", '"burst";q=1200;w=60'),
    "RateLimit": _header("Requests left, seconds until the window ends", '"burst";r=1187;t=20'),
    "X-Error-Code": _header("`code` of the problem", "NOT_FOUND", required=True),
    "WWW-Authenticate": _header("How to sign in", "Bearer"),
    "Idempotency-Replayed": _header("`true`: this is the stored answer of the first", "true"),
    "Deprecation": _header("RFC 9745: since when this is on its way out", "@1798761600"),
    "Sunset": _header("RFC 8594: when it stops answering", "Sat, 31 Dec 2027 00:00:00 GMT"),
}
MORE = {
    401: ("WWW-Authenticate",),
    409: ("Retry-After",),
    429: ("Retry-After", "RateLimit", "RateLimit-Policy"),
    503: ("Retry-After",),
}
PROBLEMS: dict[int, tuple[str, str, str]] = {
    400: ("INVALID_INPUT", "The request is not valid", "Correct these fields: #/displayName."),
    401: ("TOKEN_INVALID", "The access token is not valid", "The token has expired."),
    403: ("PERMISSION_MISSING", "You lack a permission", "This needs Backup Management."),
    404: ("NOT_FOUND", "There is no such thing", "There is no customer with the id '5x0c'."),
    409: ("ALREADY_RUNNING", "Not possible in the current state", "Wait until it has ended."),
    412: ("PRECONDITION_FAILED", "The resource has changed since you read it", "Read it again."),
    413: ("BODY_TOO_LARGE", "The body is too large", "A body holds at most 1048576 bytes."),
    414: ("ADDRESS_TOO_LONG", "The address is too long", "At most 8192 bytes."),
    422: ("IDEMPOTENCY_KEY_REUSED", "A rule forbids this", "Use a new key for a new request."),
    428: ("PRECONDITION_REQUIRED", "Send If-Match with the ETag you read", "Read it first."),
    429: ("RATE_LIMITED", "Too many requests", "Wait."),
    431: ("HEADERS_TOO_LARGE", "The request has too many headers", "Send at most 100 headers."),
    500: ("INTERNAL", "Something went wrong on our side", "Name this traceId to support."),
    502: ("GRAPH_FAILED", "Microsoft 365 answered with a fault", "Repeat later."),
    503: ("UNAVAILABLE", "Temporarily unavailable", "Repeat the request."),
}
PARAMETERS: Json = {
    "IdempotencyKey": {
        "name": "Idempotency-Key",
        "in": "header",
        "required": False,
        "description": "A fresh UUID per thing you want done; send the same on a repeat. The "
        "answer is kept for 48 hours. 422: the key belongs to another request; 409: the first "
        "one still runs.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
        "example": "2f0e5a70-6d0f-4f2e-9c0e-0d5c2f0f9a11",
    },
    "IfNoneMatch": {
        "name": "If-None-Match",
        "in": "header",
        "required": False,
        "description": "The ETag you have; 304 when it is still current.",
        "schema": {"type": "string", "maxLength": 4000, "pattern": '^(\\*|"[!#-~]*")$'},
        "example": '"bpJ1uOXm9fJ0R1sZKYbV3g"',
    },
}
TAGS = {
    "audit": "Who did what for whom: hash-chained, signed daily.",
    "customers": "The registry of customers.",
    "drills": "Proof that backups can be read back.",
    "exports": "Taking items out as open files.",
    "licences": "Catalogue, pools, subscriptions, and the ledger that explains them.",
    "resellers": "Partners of the second tier, and the seats that are passed on to them.",
    "objects": "Protected mailboxes and drives, their restore points and items.",
    "onboarding": "Connecting a customer's tenant, and its consent.",
    "operations": "Long work of any kind.",
    "orders": "What was bought, on which channel, and what followed from it.",
    "partners": "Who am I?",
    "policies": "What is protected; running it by hand.",
    "restores": "Bringing items back.",
    "sessions": "How a run of a policy went.",
    "webhooks": "Where others call back.",
}
BODIES: Json = {
    "customers_create": {
        "displayName": "Contoso",
        "externalId": "PSA-4711",
        "country": "DE",
        "tags": ["gold"],
    },
    "onboarding_start": {
        "legalConfirmation": {"confirmed": True},
        "tenantId": "11111111-2222-3333-4444-555555555555",
        "region": "germanywestcentral",
        "retentionYears": 7,
        "services": ["exchange", "onedrive"],
        "signIn": "adminConsent",
        "policies": "recommended",
    },
    "consent_link": {"app": "restorer"},
    "policies_create": {"name": "Mailboxes of the board", "services": ["exchange"]},
    "policies_edit": {"name": "Mailboxes of the board", "exclude": []},
    "subscriptions_assign": {"slot": "CBM-M365", "source": "Direct", "quantity": 25},
    "subscriptions_preview": {
        "change": {"verb": "increase", "subscriptionId": "CBM-M365", "quantity": 5}
    },
    "exports_start": {
        "objectId": "5x0c2m7h9k4p1q8r-o0123456789abcdef0123",
        "snapshot": 12,
        "layout": "files",
    },
    "restores_preview": {
        "objectId": "5x0c2m7h9k4p1q8r-o0123456789abcdef0123",
        "snapshot": 12,
        "target": {"place": "original"},
        "collision": "replace",
    },
    "restores_start": {
        "objectId": "5x0c2m7h9k4p1q8r-o0123456789abcdef0123",
        "snapshot": 12,
        "folder": "0" * 64,
        "target": {"place": "folder", "folder": "Restored"},
        "collision": "skip",
    },
}


def name(status: int) -> str:
    """The name of a refusal among the components."""
    return re.sub(r"[^A-Za-z]", "", HTTPStatus(status).phrase.title())


def problem_content(status: int) -> Json:
    """Schema and example of a refusal."""
    code, title, detail = PROBLEMS[status]
    example: Json = {
        "type": f"urn:holdfast:problem:{code.lower().replace('_', '-')}",
        "title": title,
        "status": status,
        "detail": detail,
        "instance": "/api/v1/customers",
        "code": code,
        "traceId": "0af7651916cd43dd8448eb211c80319c",
    }
    if status == HTTPStatus.BAD_REQUEST:
        example["errors"] = [{"pointer": "#/displayName", "detail": "This member is required."}]
    return {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}
