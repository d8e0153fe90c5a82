"""Real input for worlds: mbox files, maildirs, folders of files, and what CPython carries."""

import importlib.util
import os
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from local.microsoft365.mailbox import parsed_content
from local.microsoft365.mime_read import MailContent, MailMeta, read_meta


class BadInput(Exception):
    """An input that is not there or cannot be read; the message is one line for a person."""


class PathMail:
    """A mail that lies in a file, from an offset; bytes are read when asked for."""

    __slots__ = ("_length", "_meta", "_offset", "_path")

    def __init__(self, path: Path, offset: int = 0, length: int = -1) -> None:
        self._path, self._offset, self._length = path, offset, length
        self._meta: MailMeta | None = None

    def mime(self) -> bytes:
        """Return the MIME exactly as in the file."""
        with self._path.open("rb") as stream:
            stream.seek(self._offset)
            return stream.read(self._length)

    def meta(self) -> MailMeta:
        """Return the header view, parsed once."""
        if self._meta is None:
            self._meta = read_meta(self.mime())
        return self._meta

    def content(self) -> MailContent:
        """Return body and attachments."""
        return parsed_content(self.mime())


@dataclass(frozen=True, slots=True)
class FoundMail:
    """A mail found in an input, with what its place says about it."""

    source: PathMail
    folder: str = "Inbox"
    is_read: bool = True
    flagged: bool = False
    draft: bool = False


def read_mbox(path: Path) -> list[FoundMail]:
    """Index an mbox file without holding its mails; raises BadInput."""
    found: list[FoundMail] = []
    begin: int | None = None
    blank, offset = True, 0
    try:
        with path.open("rb") as stream:
            for line in stream:
                if blank and line.startswith(b"From "):
                    if begin is not None:
                        found.append(FoundMail(PathMail(path, begin, offset - begin)))
                    begin = offset + len(line)
                blank = line in (b"\n", b"\r\n")
                offset += len(line)
    except OSError as problem:
        raise BadInput(f"cannot read mbox {path}: {problem.strerror}") from problem
    if begin is None:
        raise BadInput(f"{path} is not an mbox: it has no line that starts with 'From '")
    found.append(FoundMail(PathMail(path, begin, offset - begin)))
    return found


def read_maildir(path: Path) -> list[FoundMail]:
    """List the mails of a maildir with its `.Sub.Folders` and flags; raises BadInput."""
    if not (path / "cur").is_dir() and not (path / "new").is_dir():
        raise BadInput(f"{path} is not a maildir: it has no 'cur' or 'new'")
    found: list[FoundMail] = []
    places = [(path, "Inbox")]
    places += [
        (sub, sub.name[1:].replace(".", "/"))
        for sub in sorted(path.iterdir())
        if sub.is_dir() and sub.name.startswith(".") and (sub / "cur").is_dir()
    ]
    for place, folder in places:
        for box in ("new", "cur"):
            for file in sorted((place / box).glob("*")):
                flags = file.name.rpartition(":2,")[2] if ":2," in file.name else ""
                found.append(
                    FoundMail(PathMail(file), folder, "S" in flags, "F" in flags, "D" in flags)
                )
    return found


def read_tree(path: Path, most: int | None = None) -> list[tuple[str, Path, int]]:
    """List (path below, file, size) of regular readable files, in stable order; raises BadInput."""
    if not path.is_dir():
        raise BadInput(f"no folder {path}")
    found: list[tuple[str, Path, int]] = []
    for file in _files(path):
        if most is not None and len(found) >= most:
            break
        if os.access(file, os.R_OK):
            found.append((file.relative_to(path).as_posix(), file, file.stat().st_size))
    return found


def _files(path: Path) -> Iterator[Path]:
    for base, folders, files in os.walk(path):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        for name in sorted(files):
            file = Path(base) / name
            if file.is_file() and not file.is_symlink() and not name.endswith(".pyc"):
                yield file


def python_mails() -> list[FoundMail]:
    """Return CPython's own e-mail test messages; raises BadInput without the test package."""
    try:
        spec = importlib.util.find_spec("test.test_email")
    except ModuleNotFoundError:
        spec = None
    data = Path(spec.origin).parent / "data" if spec and spec.origin else None
    if data is None or not data.is_dir():
        raise BadInput(
            "this Python has no test package (test.test_email), so its e-mail test messages are "
            "missing; all mail is generated"
        )
    return [FoundMail(PathMail(file)) for file in sorted(data.glob("msg_*.txt"))]


def python_files(most: int) -> list[tuple[str, Path, int]]:
    """Return files of CPython's standard library, spread over its folders."""
    root = Path(sysconfig.get_path("stdlib"))
    keep = ("email", "json", "asyncio", "html", "http", "logging", "unittest", "xml", "concurrent")
    found = [("README/" + f.name, f, f.stat().st_size) for f in sorted(root.glob("*.py"))[:most]]
    for name in keep:
        if (root / name).is_dir():
            found += [(f"{name}/{rel}", file, size) for rel, file, size in read_tree(root / name)]
    step = max(1, len(found) // max(1, most))
    return found[::step][:most]
