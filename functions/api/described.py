"""Completes the OpenAPI document: every answer and header of the manners, an example for each body.

FastAPI describes what routes say of themselves. What the edge does for all of them is added here
once, so that no route can forget to tell of it.
"""

from typing import Any

from functions.api import described_parts as parts
from functions.api.examples import Examples
from functions.api.problems import MEDIA_TYPE
from functions.api.versions import DEPRECATED
from functions.binding import DURABLE

Json = dict[str, Any]

CHANGES = frozenset({"post", "put", "patch", "delete"})
ALWAYS = (400, 414, 431, 500)
SIGNED_IN = (401, 403, 404, 429, 503)
IN_CHANGES = (409, 413, 422)
WITH_IF_MATCH = (412, 428)
UPSTREAM = (502,)


def complete(document: Json) -> Json:
    """The document with what holds for every route."""
    components = document.setdefault("components", {})
    components["headers"] = parts.HEADERS
    components["responses"] = {
        parts.name(status): _problem(status) for status in sorted(parts.PROBLEMS)
    }
    components.setdefault("parameters", {}).update(parts.PARAMETERS)
    schemas = components["schemas"]
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    examples = Examples(schemas)
    for path, item in document["paths"].items():
        for method, operation in item.items():
            _complete(path, method, operation, examples)
    document["tags"] = [
        {"name": name, "description": text} for name, text in sorted(parts.TAGS.items())
    ]
    return document


def _complete(path: str, method: str, operation: Json, examples: Examples) -> None:
    operation.pop(DURABLE, None)
    if operation["operationId"] in DEPRECATED:
        operation["deprecated"] = True
    answers: Json = operation["responses"]
    for wildcard in ("4XX", "5XX", "422"):
        answers.pop(wildcard, None)
    given = operation.setdefault("parameters", [])
    signed_in = "security" in operation
    if method == "post" and signed_in:
        given.append(_ref("parameters", "IdempotencyKey"))
    if method == "get":
        given.append(_ref("parameters", "IfNoneMatch"))
        answers.setdefault("304", {"description": "Not modified: what you have is current"})
    for status, answer in answers.items():
        _say_headers(method, status, answer, signed_in=signed_in)
        if status.startswith("2"):
            _add_examples(operation["operationId"], answer, examples)
    if body := operation.get("requestBody"):
        _add_examples(operation["operationId"], body, examples, of_request=True)
    for refusal in _refusals(path, method, operation):
        known = answers.get(str(refusal))
        if known is None:
            answers[str(refusal)] = _ref("responses", parts.name(refusal))
        else:
            known.setdefault("content", {})[MEDIA_TYPE] = parts.problem_content(refusal)
    for status, answer in answers.items():
        if MEDIA_TYPE in answer.get("content", {}) and status.isdigit():
            answer["content"][MEDIA_TYPE] = parts.problem_content(int(status))
    operation["responses"] = dict(sorted(answers.items()))


def _refusals(path: str, method: str, operation: Json) -> set[int]:
    found = set(ALWAYS)
    if "security" in operation:
        found |= set(SIGNED_IN)
    if "{" in path:
        found |= {409}
    if method in CHANGES:
        found |= {*IN_CHANGES, *UPSTREAM}
        if any(each.get("name") == "If-Match" for each in operation["parameters"]):
            found |= set(WITH_IF_MATCH)
    if operation["operationId"] == "items_content":
        found |= {413, 422}
    return found


def _say_headers(method: str, status: str, answer: Json, *, signed_in: bool) -> None:
    names = ["x-request-id", "api-supported-versions"]
    if signed_in:
        names += ["RateLimit", "RateLimit-Policy", "Deprecation", "Sunset"]
    if method == "get" and status in {"200", "304"}:
        names.append("ETag")
    if status == "201":
        names.append("Location")
    if status == "202":
        names += ["Operation-Location", "Retry-After"]
    if method == "post" and signed_in and status.startswith("2"):
        names.append("Idempotency-Replayed")
    listed = answer.setdefault("headers", {})
    for name in names:
        listed.setdefault(name, _ref("headers", name))


def _problem(status: int) -> Json:
    code, title, _ = parts.PROBLEMS[status]
    names = ["x-request-id", "api-supported-versions", "X-Error-Code", *parts.MORE.get(status, ())]
    return {
        "description": f"{title}, for example `{code}`",
        "headers": {name: _ref("headers", name) for name in names},
        "content": {MEDIA_TYPE: parts.problem_content(status)},
    }


def _add_examples(
    operation_id: str, holder: Json, examples: Examples, *, of_request: bool = False
) -> None:
    for kind, content in holder.get("content", {}).items():
        if "json" not in kind or "schema" not in content or "example" in content:
            continue
        known = parts.BODIES.get(operation_id) if of_request else None
        content["example"] = known if known is not None else examples.of(content["schema"])


def _ref(kind: str, name: str) -> Json:
    return {"$ref": f"#/components/{kind}/{name}"}
