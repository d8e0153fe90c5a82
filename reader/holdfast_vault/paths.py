"""Names that came from a mailbox or drive, made safe for any file system; nothing climbs."""

import re
import unicodedata

MAX_NAME = 120
MAX_DEPTH = 24
MAX_PATH = 800
_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f]')
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE)
# Marks that change how the rest of a name is shown: an .exe would look like a .txt.
_HIDDEN = {"Cf", "Cc", "Cs", "Co", "Cn", "Zl", "Zp"}


def safe_name(name: str, extension: str = "") -> str:
    """One path step: no separator, device name, trailing dot, control or direction mark."""
    text = unicodedata.normalize("NFC", name.encode("utf-8", "replace").decode())
    text = "".join("_" if unicodedata.category(c) in _HIDDEN else c for c in text)
    text = _FORBIDDEN.sub("_", text).strip(" ")
    stem, dot, ending = text.rpartition(".")
    if not dot or len(ending) > 16 or extension:
        stem, ending = text, ""
    else:
        ending = "." + ending
    text = _cut(stem, MAX_NAME - len(ending.encode())) + ending + extension
    text = text.strip(" ").rstrip(".")
    if not text.removesuffix(extension).strip("._ "):
        text = "_" + extension
    return "_" + text if _RESERVED.fullmatch(text) else text


def _cut(text: str, room: int) -> str:
    data = text.encode()[: max(room, 1)]
    return data.decode(errors="ignore").rstrip(" .")


class Names:
    """Gives every file of one extraction its own path, also where case does not count."""

    def __init__(self) -> None:
        self._files: set[str] = set()
        self._folders: set[str] = set()

    def take(self, folders: list[str], name: str, extension: str, mark: str) -> list[str]:
        """Path steps of a file; `mark` (unique, safe) is added when the name is taken."""
        steps = self.folder(folders)
        last = safe_name(name, extension)
        if _key([*steps, last]) in self._files | self._folders:
            stem, dot, ending = last.rpartition(".")
            last = f"{stem} [{mark}].{ending}" if dot and stem else f"{last} [{mark}]"
        self._files.add(_key([*steps, last]))
        return [*steps, last]

    def folder(self, folders: list[str]) -> list[str]:
        """Path steps of a folder; it takes its name, so that no file is where it must stand."""
        wanted = [safe_name(folder) for folder in folders]
        if len(wanted) > MAX_DEPTH or sum(len(step.encode()) + 1 for step in wanted) > MAX_PATH:
            wanted = ["_deep"]
        steps: list[str] = []
        for step in wanted:
            while _key([*steps, step]) in self._files:
                step += "_"
            steps.append(step)
            self._folders.add(_key(steps))
        return steps


def _key(steps: list[str]) -> str:
    return unicodedata.normalize("NFKC", "/".join(steps)).casefold()
