"""One example for any JSON schema of ours: its own examples and defaults first, then its type."""

from typing import Any

Json = dict[str, Any]

_TEXTS = {
    "date-time": "2026-11-22T08:00:00Z",
    "date": "2026-11-22",
    "email": "adele@contoso.example",
    "uri": "https://api.holdfast.example/",
}
_BY_NAME = {
    "id": "5x0c2m7h9k4p1q8r",
    "customerId": "5x0c2m7h9k4p1q8r",
    "repositoryId": "5x0c2m7h9k4p1q8r",
    "objectId": "5x0c2m7h9k4p1q8r-o0123456789abcdef0123",
    "nextLink": "https://api.holdfast.example/api/v1/customers?maxpagesize=100&skipToken=AQ",
    "displayName": "Contoso",
    "at": "2026-11-22T08:00:00.000000Z",
    "hash": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
}
_DEPTH = 6


class Examples:
    """Makes examples; `schemas` are the components that references name."""

    def __init__(self, schemas: Json) -> None:
        self._schemas = schemas

    def of(self, schema: Json, name: str = "", depth: int = 0) -> Any:
        """An example; the same for the same schema."""
        if depth > _DEPTH:
            return None
        if reference := schema.get("$ref"):
            return self.of(self._schemas[reference.rsplit("/", 1)[1]], name, depth)
        for known in ("examples", "enum"):
            if schema.get(known):
                return schema[known][0]
        if "const" in schema:
            return schema["const"]
        if choices := schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf"):
            return self.of(choices[0], name, depth)
        if schema.get("default") is not None:
            return schema["default"]
        return self._by_type(schema, name, depth)

    def _by_type(self, schema: Json, name: str, depth: int) -> Any:
        match schema.get("type"):
            case "object":
                return self._object(schema, depth)
            case "array":
                return [self.of(schema.get("items", {}), name, depth + 1)]
            case "integer" | "number":
                return schema.get("minimum", 1)
            case "boolean":
                return True
            case "string":
                return _BY_NAME.get(name) or _text(schema)
        return None

    def _object(self, schema: Json, depth: int) -> Json:
        members = schema.get("properties", {})
        if members:
            return {name: self.of(each, name, depth + 1) for name, each in members.items()}
        keys = schema.get("propertyNames", {})
        values = schema.get("additionalProperties")
        if isinstance(values, dict) and values:
            return {str(self.of(keys, "", depth) or "name"): self.of(values, "", depth + 1)}
        return {}


def _text(schema: Json) -> str:
    known = _TEXTS.get(schema.get("format", ""))
    if known:
        return known
    if schema.get("pattern") == "^[0-9a-f]{64}$":
        return "0" * 64
    return "text"[: schema.get("maxLength", 4)]
