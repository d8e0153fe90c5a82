"""Function keys, checked only with --enable-auth (as `func` does with --enableAuth)."""

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs


@dataclass(frozen=True)
class Keys:
    """The host key (levels function and system) and the master key (all levels)."""

    host: str
    master: str

    def allow(self, level: str, headers: Mapping[str, str], query: str) -> bool:
        """Whether the key of a request reaches `level`; the header wins over ?code=."""
        if level == "anonymous":
            return True
        given = headers.get("x-functions-key")
        if given is None:
            given = (parse_qs(query).get("code") or [""])[0]
        allowed = [self.master] if level == "admin" else [self.host, self.master]
        return any(hmac.compare_digest(given.encode(), key.encode()) for key in allowed)


def make_keys(environment: Mapping[str, str]) -> Keys:
    """Keys from LOCAL_HOST_KEY and LOCAL_MASTER_KEY, or new ones."""
    return Keys(
        environment.get("LOCAL_HOST_KEY") or secrets.token_urlsafe(24),
        environment.get("LOCAL_MASTER_KEY") or secrets.token_urlsafe(24),
    )
