"""What the hub refuses: ids, sizes, counts. A refusal comes before anything is written."""

from collections.abc import Mapping
from typing import Any

import grpc

LONGEST_ID = 100
FORBIDDEN_IN_ID = frozenset("/\\#?")
LARGEST_PAYLOAD_BYTES = 32 * 1024 * 1024
LARGEST_CUSTOM_STATUS_BYTES = 16 * 1024
"""Of UTF-16, as the cloud counts."""
LARGEST_TAGS_BYTES = 64 * 1024
LONGEST_EVENT_NAME_BYTES = 1_000
MOST_ACTIONS = 100_000
UNIMPLEMENTED = grpc.StatusCode.UNIMPLEMENTED


class Refused(Exception):
    """The caller asked for something that is not done; carries the gRPC status."""

    def __init__(self, code: Any, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


def invalid(message: str) -> Refused:
    """What was given cannot be used."""
    return Refused(grpc.StatusCode.INVALID_ARGUMENT, message)


def not_found(instance_id: str) -> Refused:
    """There is no such instance."""
    return Refused(grpc.StatusCode.NOT_FOUND, f"there is no orchestration instance '{instance_id}'")


def check_id(instance_id: str) -> None:
    """Refuse an instance id that the cloud would refuse (functions-facts.md 7.1)."""
    _check_length(instance_id)
    if instance_id.startswith("@"):
        raise invalid(f"the instance id '{instance_id}' may not begin with '@'")
    _check_characters(instance_id)


def _check_length(instance_id: str) -> None:
    if not instance_id or len(instance_id) > LONGEST_ID:
        raise invalid(f"an instance id has 1 to {LONGEST_ID} characters, not {len(instance_id)}")


def _check_characters(instance_id: str) -> None:
    for character in instance_id:
        if character in FORBIDDEN_IN_ID or ord(character) < 32 or 127 <= ord(character) < 160:
            raise invalid(f"the instance id {instance_id!r} may not contain {character!r}")


def check_entity_id(entity_id: str) -> str:
    """Refuse what is no `@name@key`; gives it with the name in lower case, as it is compared."""
    name, mark, key = entity_id[1:].partition("@")
    if not entity_id.startswith("@") or not mark or not name or not key or "@" in key:
        raise invalid(f"the entity id {entity_id!r} has to be '@name@key'")
    _check_length(entity_id)
    _check_characters(entity_id)
    return f"@{name.lower()}@{key}"


def check_name(name: str) -> None:
    """Refuse an orchestrator without a name."""
    if not name.strip():
        raise invalid("an orchestration needs the name of its orchestrator")


def check_event_name(name: str) -> None:
    """Refuse an event that nobody can wait for."""
    if not name.strip():
        raise invalid("an event needs a name")
    if len(name.encode("utf-8", "surrogatepass")) > LONGEST_EVENT_NAME_BYTES:
        raise invalid(f"an event's name has at most {LONGEST_EVENT_NAME_BYTES:,} bytes")


def check_tags(tags: Mapping[str, str]) -> None:
    """Refuse tags that are no tags but a payload."""
    size = sum(len(name.encode()) + len(value.encode()) for name, value in tags.items())
    if size > LARGEST_TAGS_BYTES:
        raise invalid(f"the tags have {size:,} bytes; at most {LARGEST_TAGS_BYTES:,} are taken")


def check_payload(what: str, text: str | None) -> str | None:
    """Refuse a payload that is too large; gives it back."""
    if text is not None and len(text) > LARGEST_PAYLOAD_BYTES // 4:
        size = len(text.encode("utf-8", "surrogatepass"))
        if size > LARGEST_PAYLOAD_BYTES:
            raise invalid(
                f"{what} has {size:,} bytes; at most {LARGEST_PAYLOAD_BYTES:,} are taken: "
                "put it into a blob and pass its name"
            )
    return text


def check_custom_status(text: str) -> None:
    """Refuse a custom status that the cloud would refuse."""
    size = len(text.encode("utf-16-le", "surrogatepass"))
    if size > LARGEST_CUSTOM_STATUS_BYTES:
        raise invalid(
            f"the custom status has {size:,} bytes of UTF-16; "
            f"at most {LARGEST_CUSTOM_STATUS_BYTES:,} are taken"
        )
