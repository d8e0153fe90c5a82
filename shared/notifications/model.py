"""Contacts of a customer, their topics, and notifications to be sent (NTF-03, RST-07)."""

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field


class Topic(StrEnum):
    """What a contact can be told of (AMB-28)."""

    BACKUP_COMPLETE = "BackupComplete"
    BACKUP_FAILED = "BackupFailed"
    RESTORE_ACTIVITY = "RestoreActivity"
    LICENCE_CHANGE = "LicenceChange"


DEFAULT_TOPICS = (Topic.BACKUP_COMPLETE, Topic.BACKUP_FAILED, Topic.RESTORE_ACTIVITY)
"""Changes of licences are off by default (AMB-28)."""


class _Held(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Contact(_Held):
    """A person who is told; the address names the contact."""

    email: str
    name: str = ""
    topics: tuple[Topic, ...] = DEFAULT_TOPICS


class Contacts(_Held):
    """All contacts of a customer; `etag` is empty while none were ever set."""

    contacts: tuple[Contact, ...] = ()
    etag: str = ""


class Notification(_Held):
    """One thing to be told to those who had chosen its topic when it happened."""

    notification_id: str
    customer_id: str
    topic: Topic
    subject: str
    """What it is about: a session or a restore."""
    outcome: str
    """State in which that ended."""
    happened_at: datetime
    recipients: tuple[str, ...] = Field(min_length=1)
