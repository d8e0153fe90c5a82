"""What people do to one mailbox and one drive of the simulator, chosen by small numbers."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from local.microsoft365.drive import BadName, Drive, Item, NameTaken
from local.microsoft365.mailbox import ROOT, Folder, Mailbox, Message, StoredMail
from local.microsoft365.sources import BytesFile


class People:
    """One user's verbs; `user` and `sim` are those of the simulator."""

    def __init__(self, sim: Any, user: Any) -> None:
        self.sim, self.user, self.made = sim, user, 0

    @property
    def box(self) -> Mailbox:
        found: Mailbox = self.user.mailbox
        return found

    @property
    def drive(self) -> Drive:
        found: Drive = self.user.drive
        return found

    def act(self, what: int, one: int, other: int) -> None:
        """One thing a person does; nothing where it does not apply."""
        self.sim.clock.advance(1)
        verbs: list[Callable[[int, int], None]] = [
            self.deliver, self.deliver, self.mark, self.move, self.move, self.purge,
            self.edit_draft, self.new_folder, self.change_folder, self.drop_folder,
            self.write, self.edit, self.shift, self.remove, self.recreate, self.share_folder,
        ]  # fmt: skip
        verbs[what % len(verbs)](one, other)

    def deliver(self, one: int, other: int) -> None:
        self.made += 1
        body = f"Subject: mail {self.made}\r\nMessage-ID: <{self.made}@x>\r\n\r\n{'x' * other}\r\n"
        now = self.now()
        message = self.box.add(self._folder(one), StoredMail(body.encode()), now, now)
        message.is_draft = other % 7 == 0

    def mark(self, one: int, other: int) -> None:
        if message := self._message(one):
            message.is_read = bool(other % 2)
            message.flag = ("notFlagged", "flagged", "complete")[other % 3]
            message.categories = ("Blue",) * (other % 2)
            self.box.touch(message, self.now())

    def move(self, one: int, other: int) -> None:
        if (message := self._message(one)) and message.folder is not self._folder(other):
            self.box.move(message, self._folder(other), self.now())

    def purge(self, one: int, _: int) -> None:
        if message := self._message(one):
            self.box.purge(message)

    def edit_draft(self, one: int, other: int) -> None:
        drafts = [m for m in self.box.messages.values() if m.is_draft]
        if drafts:
            message = drafts[one % len(drafts)]
            message.source = StoredMail(f"Subject: draft {other}\r\n\r\n{one}\r\n".encode())
            self.box.touch(message, self.now())

    def new_folder(self, one: int, other: int) -> None:
        parent = self._folder(one).number if other % 2 else ROOT
        self.box.add_folder(parent, f"Folder {other}")

    def change_folder(self, one: int, other: int) -> None:
        own = self._own_folders()
        if own and other % 2:
            self.box.rename_folder(own[one % len(own)], f"Renamed {other}")
        elif own:
            folder, target = own[one % len(own)], self._folder(other)
            above: Folder | None = target
            while above is not None and above is not folder:
                above = self.box.folders.get(above.parent)
            if above is None:
                self.box.move_folder(folder, target.number)

    def drop_folder(self, one: int, _: int) -> None:
        own = self._own_folders()
        if own:
            self.box.purge_folder(own[one % len(own)])

    def write(self, one: int, other: int) -> None:
        self.made += 1
        source = BytesFile(b"%d " % self.made * other)
        self._quietly(self.drive.create, self._place(one), f"new {self.made}.txt", source)

    def edit(self, one: int, other: int) -> None:
        if item := self._file(one):
            self.made += 1
            self.drive.write(item, BytesFile(b"%d " % self.made * (other + 1)), self.now())

    def shift(self, one: int, other: int) -> None:
        things = [i for i in self.drive.items.values() if i.parent is not None]
        if things:
            item = things[one % len(things)]
            name = item.name if other % 2 else f"{other} {item.name}"[:80]
            try:
                self.drive.move(item, self._place(other), name, self.now())
            except (NameTaken, BadName):
                return

    def remove(self, one: int, _: int) -> None:
        things = [i for i in self.drive.items.values() if i.parent is not None]
        if things:
            self.drive.delete(things[one % len(things)], self.now())

    def recreate(self, one: int, other: int) -> None:
        """Deleted and made again under the same name: another item."""
        if (item := self._file(one)) and item.parent is not None:
            parent, name = item.parent, item.name
            self.drive.delete(item, self.now())
            self._quietly(self.drive.create, parent, name, BytesFile(b"again" * other))

    def share_folder(self, one: int, other: int) -> None:
        self._quietly(self.drive.create, self._place(one), f"Ordner {other}", None)

    def now(self) -> datetime:
        found: datetime = self.sim.clock.now()
        return found

    def _quietly(
        self, make: Callable[..., Any], parent: Item, name: str, source: BytesFile | None
    ) -> None:
        try:
            make(parent, name, self.now(), source)
        except NameTaken:
            return

    def _folder(self, number: int) -> Folder:
        shown = [f for f in self.box.folders.values() if not f.hidden and f.number != ROOT]
        return shown[number % len(shown)]

    def _own_folders(self) -> list[Folder]:
        return [f for f in self.box.folders.values() if not f.well_known]

    def _message(self, number: int) -> Message | None:
        mails = list(self.box.messages.values())
        return mails[number % len(mails)] if mails else None

    def _file(self, number: int) -> Item | None:
        files = [i for i in self.drive.items.values() if not i.is_folder]
        return files[number % len(files)] if files else None

    def _place(self, number: int) -> Item:
        folders = [i for i in self.drive.items.values() if i.is_folder]
        return folders[number % len(folders)]
