"""Worlds: tenants with users, mail and files, the same for the same seed and size."""

import random
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from local.microsoft365.drive import BadName, Drive, Item, NameTaken, check_name
from local.microsoft365.ids import digest, guid
from local.microsoft365.mailbox import ROOT, Folder, Mailbox
from local.microsoft365.mime_read import Address
from local.microsoft365.sources import GeneratedFile, PathFile, seed_of
from local.microsoft365.tenant import Tenant, User
from local.microsoft365.world_mail import GeneratedMail, moment_of
from local.microsoft365.world_names import (
    DEPARTMENTS,
    DOMAINS,
    FILE_NAMES,
    FOLDER_NAMES,
    MAIL_FOLDERS,
    person,
)
from local.microsoft365.world_personal import furnish
from local.microsoft365.world_real import (
    BadInput,
    FoundMail,
    python_files,
    python_mails,
    read_maildir,
    read_mbox,
    read_tree,
)
from local.microsoft365.world_sites import furnish as furnish_sites

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Size:
    """How large a world is, and what real input it is made of."""

    tenants: int = 1
    users: int = 50
    mails: int = 200
    files: int = 100
    seed: int = 7
    mail_mean: int = 75_000
    file_mean: int = 60_000
    events: int = 0
    contacts: int = 0
    real: bool = True  # CPython's own mails and files beside the generated ones
    unlicensed: bool = True
    sites: int = 0
    teams: int = 0
    site_files: int = 12  # per library
    list_items: int = 12  # per list
    messages: int = 12  # threads per channel
    mboxes: list[Path] = field(default_factory=list)
    maildirs: list[Path] = field(default_factory=list)
    trees: list[Path] = field(default_factory=list)


@dataclass(slots=True)
class _Input:
    mails: list[FoundMail]
    files: list[tuple[str, Path, int]]
    own_mails: list[list[FoundMail]]
    own_files: list[list[tuple[str, Path, int]]]


def build(size: Size, newest: datetime) -> list[Tenant]:
    """Build the tenants of a world; raises BadInput for real input that is not there."""
    given = _Input(
        _shared_mails(size),
        python_files(max(1, size.files // 2)) if size.real and size.files else [],
        [read_mbox(path) for path in size.mboxes] + [read_maildir(p) for p in size.maildirs],
        [read_tree(path) for path in size.trees],
    )
    return [_tenant(size, number, given, newest) for number in range(size.tenants)]


def _shared_mails(size: Size) -> list[FoundMail]:
    if not size.real or not size.mails:
        return []
    try:
        return python_mails()
    except BadInput as problem:
        print(f"note: {problem}", file=sys.stderr)
        return []


def _tenant(size: Size, number: int, given: _Input, newest: datetime) -> Tenant:
    label = DOMAINS[number % len(DOMAINS)] + (str(number) if number >= len(DOMAINS) else "")
    tenant = Tenant(
        guid(size.seed, "tenant", number),
        f"{label}.example",
        f"{label.capitalize()} GmbH",
        EPOCH,
    )
    chance = random.Random(seed_of(size.seed, "people", number))
    people = [person(chance, index) for index in range(size.users)]
    for index, name in enumerate(people):
        upn = f"{name[1]}@{tenant.domain}"
        user = User(guid(tenant.id, "user", index), upn, name[0], licensed=True, created=EPOCH)
        user.admin = index == 0
        user.department = chance.choice(DEPARTMENTS)
        # The last user of a world of some size has no licence: the service knows such people.
        user.licensed = not (size.unlicensed and size.users > 2 and index == size.users - 1)
        if user.licensed:
            peer = people[(index + 1) % size.users]
            _furnish(size, user, (number, index), (peer[0], f"{peer[1]}@{tenant.domain}"), given,
                     newest)  # fmt: skip
        tenant.add(user)
    furnish_sites(size, tenant, newest)
    return tenant


def _furnish(
    size: Size, user: User, place: tuple[int, int], peer: Address, given: _Input, newest: datetime
) -> None:
    key = digest(size.seed, user.id)
    seed = seed_of(size.seed, user.id)
    user.mailbox = box = Mailbox(key, EPOCH)
    user.drive = drive = Drive(key, EPOCH)
    furnish(user, key, (size.events, size.contacts), peer, newest)
    index = place[1]
    own = _assigned(given.own_mails, index, size.users) if place[0] == 0 else []
    if own:
        deliver(box, own, newest)
    else:
        _fill_mailbox(size, box, given.mails, seed, (user.display_name, user.upn), peer, newest)
    tree = _assigned(given.own_files, index, size.users) if place[0] == 0 else []
    if tree:
        for path, file, length in tree:
            place_file(drive, path, PathFile(file, length), newest)
    else:
        _fill_drive(size, drive, given.files, seed, newest)
    box.live = drive.live = True


def _assigned[T](inputs: list[list[T]], index: int, users: int) -> list[T]:
    """Deal the inputs round robin: input k belongs to user k modulo users."""
    return [thing for k, entry in enumerate(inputs) if k % users == index for thing in entry]


def deliver(box: Mailbox, mails: list[FoundMail], newest: datetime) -> None:
    """Put found mails into a mailbox, making the folders their input names."""
    for mail in mails:
        folder = folder_at(box, mail.folder)
        received = mail.source.meta().received or newest
        message = box.add(folder, mail.source, received, received)
        message.is_read, message.is_draft = mail.is_read, mail.draft
        message.flag = "flagged" if mail.flagged else "notFlagged"


def folder_at(box: Mailbox, path: str) -> Folder:
    """Return the folder of a path of display names below the top, created where missing."""
    parent = ROOT
    folder: Folder | None = None
    for name in (part for part in path.split("/") if part):
        folder = next((f for f in box.children(parent) if f.name.lower() == name.lower()), None)
        if folder is None:
            folder = box.add_folder(parent, name)
        parent = folder.number
    return folder or box.well_known("inbox")


def _fill_mailbox(
    size: Size,
    box: Mailbox,
    real: list[FoundMail],
    seed: int,
    owner: Address,
    peer: Address,
    newest: datetime,
) -> None:
    chance = random.Random(seed)
    folders = [folder_at(box, path) for path in MAIL_FOLDERS]
    weights = [30, 12, 2, 3, *([4] * (len(folders) - 4))]
    used = real[: size.mails]
    for number, mail in enumerate(used):
        folder = folders[number % len(folders)]
        received = mail.source.meta().received or moment_of(seed + number, newest)
        # One parsed source serves every mailbox that holds this message.
        message = box.add(folder, mail.source, received, received)
        message.is_read = number % 3 != 0
    for number in range(size.mails - len(used)):
        mail_seed = seed_of(seed, "mail", number)
        when = moment_of(mail_seed, newest)
        source = GeneratedMail(mail_seed, owner, peer, when, size.mail_mean)
        folder = chance.choices(folders, weights)[0]
        message = box.add(folder, source, when, when)
        message.is_read = chance.random() < 0.85
        message.is_draft = folder.well_known == "drafts"
        if chance.random() < 0.05:
            message.flag = "flagged"
        if chance.random() < 0.05:
            message.categories = ("Blue category",)


def _fill_drive(
    size: Size, drive: Drive, real: list[tuple[str, Path, int]], seed: int, newest: datetime
) -> None:
    used = real[: size.files // 2]
    for path, file, length in used:
        place_file(drive, "Python/" + path, PathFile(file, length), newest)
    chance = random.Random(seed ^ 0xF11E)
    for number in range(size.files - len(used)):
        file_seed = seed_of(seed, "file", number)
        name = chance.choice(FILE_NAMES)
        stem, dot, ending = name.rpartition(".")
        path = f"{chance.choice(FOLDER_NAMES)}/{stem} {number}{dot}{ending}"
        length = int(chance.expovariate(1 / size.file_mean)) if number % 25 else 0
        text = ending in ("txt", "csv", "md", "py")
        source = GeneratedFile(file_seed & ~1 if text else file_seed | 1, length)
        place_file(drive, path.strip("/"), source, moment_of(file_seed, newest))


def place_file(drive: Drive, path: str, source: PathFile | GeneratedFile, when: datetime) -> Item:
    """Put a file at a path, creating folders; names the service refuses are made acceptable."""
    *above, name = [_acceptable(part) for part in path.split("/") if part]
    parent = folder_of_path(drive, above, when)
    try:
        return drive.create(parent, name, when, source)
    except NameTaken:
        return drive.create(parent, drive.free_name(parent, name), when, source)


def folder_of_path(drive: Drive, names: list[str], when: datetime) -> Item:
    """Return the folder at a path, created where missing."""
    parent = drive.root
    for name in names:
        child = parent.children.get(name.lower())
        if child is not None and not child.is_folder:
            child = drive.create(parent, drive.free_name(parent, name), when, None)
        parent = child or drive.create(parent, name, when, None)
    return parent


def _acceptable(name: str) -> str:
    name = name.encode("utf-8", "replace").decode("utf-8")
    try:
        check_name(name)
    except BadName:
        kept = "".join("_" if c in '"*:<>?/\\|' or ord(c) < 32 else c for c in name)
        return kept.strip().rstrip(".")[:200] or "_"
    return name


def fresh_time(newest: datetime, number: int) -> datetime:
    """Return a time just before now, later for higher numbers."""
    return (newest - timedelta(seconds=max(0, 60 - number))).replace(microsecond=0)
