"""Who is told of what: pure."""

from collections.abc import Iterable

from shared.notifications.model import Contact, Topic

_OF_SESSION = {
    "Success": Topic.BACKUP_COMPLETE,
    "Warning": Topic.BACKUP_COMPLETE,
    "Failed": Topic.BACKUP_FAILED,
    "Disconnected": Topic.BACKUP_FAILED,
}


def topic_of_session(outcome: str) -> Topic | None:
    """The topic of a session that ended so; None for one that somebody stopped."""
    return _OF_SESSION.get(outcome)


def recipients(contacts: Iterable[Contact], topic: Topic) -> tuple[str, ...]:
    """Addresses of the contacts that chose the topic, in order."""
    return tuple(sorted(one.email for one in contacts if topic in one.topics))


def twice(contacts: Iterable[Contact]) -> int | None:
    """Place of the first contact whose address stands before it; None when each stands once."""
    seen: set[str] = set()
    for at, contact in enumerate(contacts):
        if contact.email.casefold() in seen:
            return at
        seen.add(contact.email.casefold())
    return None
