"""Teams: channels with threads of messages, and the change log a channel's delta is read from."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from local.microsoft365.ids import digest, guid
from local.microsoft365.site import Site
from local.microsoft365.tenant import User

JSON = dict[str, Any]


class TimeTaken(Exception):
    """Two messages of a thread cannot have the same millisecond."""


def stamp(moment: datetime) -> int:
    """Return a time in milliseconds since 1970."""
    return int(moment.timestamp() * 1000)


def moment_of(milliseconds: int) -> datetime:
    """Return the time of a millisecond count."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def iso_ms(milliseconds: int) -> str:
    """Write a time as Teams does: with milliseconds."""
    return moment_of(milliseconds).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


@dataclass(slots=True, eq=False)
class Message:
    """A message or a reply; its id is the millisecond of its creation."""

    id: str
    author: User
    created: int
    modified: int
    content: str
    content_type: str = "html"
    subject: str | None = None
    root: "Message | None" = None
    replies: list["Message"] = field(default_factory=list)
    edited: int | None = None
    deleted: int | None = None
    attachments: list[JSON] = field(default_factory=list)
    reactions: list[JSON] = field(default_factory=list)
    hosted: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    importance: str = "normal"

    @property
    def thread_modified(self) -> int:
        """Return when the message or one of its replies changed last."""
        return max([self.modified, *(reply.modified for reply in self.replies)])


@dataclass(slots=True, eq=False)
class Channel:
    """A channel; private and shared ones have members and a site of their own."""

    id: str
    name: str
    created: int
    membership: str = "standard"
    description: str = ""
    members: list[User] = field(default_factory=list)
    messages: dict[str, Message] = field(default_factory=dict)
    tabs: list[JSON] = field(default_factory=list)
    site: Site | None = None
    folder: str = ""
    seq: int = 0
    log: list[tuple[int, str]] = field(default_factory=list)
    migrating: str = ""  # the application that started the migration
    times: set[int] = field(default_factory=set)

    def find(self, message_id: str, reply_id: str = "") -> Message | None:
        """Find a message, or a reply of it."""
        root = self.messages.get(message_id)
        if root is None or not reply_id:
            return root
        return next((reply for reply in root.replies if reply.id == reply_id), None)

    def post(
        self, author: User, content: str, at: int, root: Message | None = None, **more: Any
    ) -> Message:
        """Add a message or a reply; raises TimeTaken for a millisecond that is in use."""
        if at in self.times:
            raise TimeTaken(str(at))
        self.times.add(at)
        message = Message(str(at), author, at, at, content, root=root, **more)
        if root is None:
            self.messages[message.id] = message
        else:
            root.replies.append(message)
        self.note(message)
        return message

    def free_time(self, at: int) -> int:
        """Return the first millisecond from `at` on that no message has."""
        while at in self.times:
            at += 1
        return at

    def edit(self, message: Message, content: str, at: int) -> None:
        """Change the words of a message."""
        message.content, message.edited = content, at
        message.modified = max(at, message.modified + 1)
        self.note(message)

    def react(self, message: Message, user: User, kind: str, at: int) -> None:
        """Add a reaction."""
        message.reactions.append(
            {
                "reactionType": kind,
                "createdDateTime": iso_ms(at),
                "user": {"user": {"id": user.id, "displayName": None}},
            }
        )
        message.modified = max(at, message.modified + 1)
        self.note(message)

    def delete(self, message: Message, at: int) -> None:
        """Delete a message as a person does: it stays as an empty one."""
        message.deleted, message.content, message.attachments = at, "", []
        message.hosted = {}
        message.modified = max(at, message.modified + 1)
        self.note(message)

    def note(self, message: Message) -> None:
        """Record that a thread changed."""
        self.seq += 1
        self.log.append((self.seq, (message.root or message).id))


@dataclass(slots=True, eq=False)
class Team:
    """A team; its id is that of its group."""

    id: str
    name: str
    site: Site
    created: datetime
    owners: list[User]
    members: list[User]
    description: str = ""
    visibility: str = "private"
    archived: bool = False
    settings: JSON = field(default_factory=dict)
    channels: dict[str, Channel] = field(default_factory=dict)

    def add_channel(self, name: str, at: int, membership: str = "standard") -> Channel:
        """Create a channel."""
        mark = digest(self.id, name, len(self.channels), size=20).hex()
        channel = Channel(f"19:{mark}@thread.tacv2", name, at, membership, folder=name)
        self.channels[channel.id] = channel
        return channel

    def tab(self, name: str, url: str) -> JSON:
        """Return a website tab."""
        return {
            "id": guid(self.id, name, url),
            "displayName": name,
            "webUrl": f"https://teams.example/l/entity/{guid(name)}",
            "configuration": {
                "entityId": None, "contentUrl": url, "websiteUrl": url, "removeUrl": None,
            },
        }  # fmt: skip
