"""Where every file of one extraction goes: names made safe, each path its own."""

import unicodedata

from shared.vault.format.file_names import safe_name

MAX_DEPTH = 24
MAX_PATH = 800


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
