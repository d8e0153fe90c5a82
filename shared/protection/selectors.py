"""What a policy may name: an object, a user, a site, a team, a group of users: pure.

mm2...-o1f...     one object by its id
user:<id>         everything of a user: mailbox, drive
group:<id>        everything of the users in a group, groups inside it resolved
site:<id>         a site; team:<id> a team
"""

import re
from collections.abc import Iterable, Sequence

from shared.protection.model import ProtectedObject

PATTERN = r"^([0-9a-z-]{1,64}|(user|group|site|team):[A-Za-z0-9,.!_-]{1,200})$"
_KINDED = re.compile(r"(user|group|site|team):(.+)")
_PERSONAL = frozenset({"user", "group"})


def parts(selector: str) -> tuple[str, str]:
    """Kind and id: `object` for a plain object id."""
    match = _KINDED.fullmatch(selector)
    return (match[1], match[2]) if match else ("object", selector)


def of_kind(selectors: Iterable[str], kind: str) -> list[str]:
    """The ids of the selectors of one kind, sorted, each once."""
    return sorted({name for each in selectors for k, name in [parts(each)] if k == kind})


def names(selectors: Sequence[str], found: ProtectedObject) -> bool:
    """Whether one of the selectors means the object."""
    return any(_means(*parts(each), found) for each in selectors)


def _means(kind: str, name: str, found: ProtectedObject) -> bool:
    match kind:
        case "object":
            return found.object_id == name
        case "user":
            return found.owner_id == name and not _is_shared(found)
        case "group":
            return name in found.groups
        case _:  # a site or a team, and what belongs to it, such as its libraries
            return found.workload.startswith(kind) and name in {found.source_id, found.owner_id}


def _is_shared(found: ProtectedObject) -> bool:
    return found.workload.startswith(("site", "team"))
