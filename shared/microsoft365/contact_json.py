"""Builds the request with which a contact is made again: pure (microsoft365.md section 9)."""

from collections.abc import Mapping
from typing import Any

# What the service decides, and what has a request of its own.
DECIDED = frozenset({
    "id", "changeKey", "createdDateTime", "lastModifiedDateTime", "parentFolderId", "photo",
    "primaryEmailAddress", "secondaryEmailAddress", "tertiaryEmailAddress",
})  # fmt: skip


def contact_json(stored: Mapping[str, Any]) -> dict[str, Any]:
    """What to send: everything a person set."""
    return {
        name: value
        for name, value in stored.items()
        if name not in DECIDED and "@" not in name and value not in (None, "", [], {})
    }


def addresses(contact: Mapping[str, Any]) -> frozenset[str]:
    """E-mail addresses in one case: with the name they are the collision key (section 9)."""
    return frozenset(
        str(one["address"]).casefold()
        for one in contact.get("emailAddresses") or []
        if one.get("address")
    )


def same_contact(found: Mapping[str, Any], stored: Mapping[str, Any]) -> bool:
    """Whether two contacts are one: the same name and the same addresses."""
    names = ((one.get("displayName") or "") for one in (found, stored))
    return len(set(names)) == 1 and addresses(found) == addresses(stored)
