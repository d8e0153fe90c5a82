"""Signs an administrator in by device code: shows a code, asks whether it was used.

A client of two requests on our own session, since msal's blocks the worker while it asks and
wants to discover the authority first. The administrator's token lives only in `AdminToken`.
"""

from datetime import datetime, timedelta
from typing import Any

import msgspec

from shared.kit.config import MICROSOFT_GRAPH, Settings
from shared.microsoft365.errors import SignInDeclined, SignInExpired, SignInUnavailable
from shared.microsoft365.tokens import claims_of, sign_in_error
from shared.microsoft365.transport import NETWORK_ERRORS, PAGE_TIMEOUT
from shared.microsoft365.wire import Wire, default_wire

SCOPES = " ".join((
    f"{MICROSOFT_GRAPH}/Application.ReadWrite.All",
    f"{MICROSOFT_GRAPH}/AppRoleAssignment.ReadWrite.All",
    "openid",
    "profile",
))  # fmt: skip
GLOBAL_ADMINISTRATOR = "62e90394-69f5-4237-9190-012177145e10"
PRIVILEGED_ROLE_ADMINISTRATOR = "e8611ab8-c189-46e8-94e1-60213ab1f814"
PRIVILEGED = frozenset({GLOBAL_ADMINISTRATOR, PRIVILEGED_ROLE_ADMINISTRATOR})

_PENDING = frozenset({"authorization_pending", "slow_down"})
_ENDED = frozenset({"expired_token", "bad_verification_code", "code_expired"})
_DECLINED = frozenset({"authorization_declined", "access_denied"})


class DeviceCode(msgspec.Struct, frozen=True):
    """What to show (`user_code`, `verification_uri`) and what to poll with (`device_code`)."""

    user_code: str
    verification_uri: str
    device_code: str
    interval_s: int
    expires: datetime

    def __repr__(self) -> str:
        return f"DeviceCode(expires={self.expires.isoformat()})"


class AdminToken:
    """An administrator's token in their own tenant; `drop()` forgets it, its text hides it."""

    def __init__(self, token: str, claims: dict[str, Any]) -> None:
        self._token: str | None = token
        self.tenant_id = str(claims.get("tid", ""))
        self.user_id = str(claims.get("oid", ""))
        self.upn = str(claims.get("upn") or claims.get("preferred_username") or "")
        self.wids = frozenset(str(role) for role in claims.get("wids", ()))

    @property
    def is_privileged(self) -> bool:
        """Whether the person may grant application permissions of Graph (marketplace-auth 3.4)."""
        return bool(self.wids & PRIVILEGED)

    @property
    def token(self) -> str:
        """The secret itself; SignInExpired once dropped."""
        if self._token is None:
            raise SignInExpired("the administrator's token was dropped")
        return self._token

    def drop(self) -> None:
        """Forget the secret."""
        self._token = None


class DeviceSignIn:
    """The device-code flow of the onboarding client; both calls may be repeated."""

    def __init__(self, settings: Settings, *, wire: Wire | None = None) -> None:
        self._settings = settings
        self._wire = wire or default_wire()

    async def start(self, tenant_id: str) -> DeviceCode:
        """A new code for an administrator of `tenant_id`; raises as `Tokens.get` does."""
        status, body = await self._post(tenant_id, "devicecode", {"scope": SCOPES})
        if status != 200:
            raise sign_in_error(str(body.get("error_description", "")))
        return DeviceCode(
            user_code=body["user_code"],
            verification_uri=body["verification_uri"],
            device_code=body["device_code"],
            interval_s=int(body.get("interval", 5)),
            expires=self._wire.clock.now() + timedelta(seconds=int(body["expires_in"])),
        )

    async def poll(self, tenant_id: str, device_code: str) -> AdminToken | None:
        """The administrator's token, or None while nobody has used the code.

        SignInDeclined, SignInExpired, ConsentLost (for example blocked by Conditional Access).
        """
        form = {
            "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
            "device_code": device_code,
        }
        status, body = await self._post(tenant_id, "token", form)
        if status == 200:
            token = str(body["access_token"])
            return AdminToken(token, claims_of(token))
        error = body.get("error")
        if error in _PENDING:
            return None
        if error in _DECLINED:
            raise SignInDeclined
        if error in _ENDED:
            raise SignInExpired
        raise sign_in_error(str(body.get("error_description", "")))

    async def _post(
        self, tenant_id: str, endpoint: str, form: dict[str, str]
    ) -> tuple[int, dict[str, Any]]:
        link = f"{self._settings.authority.rstrip('/')}/{tenant_id}/oauth2/v2.0/{endpoint}"
        data = {"client_id": self._settings.onboarding_client_id, **form}
        try:
            async with self._wire.session.post(link, data=data, timeout=PAGE_TIMEOUT) as response:
                body = msgspec.json.decode(await response.read())
                return response.status, body if isinstance(body, dict) else {}
        except (*NETWORK_ERRORS, msgspec.DecodeError) as error:
            raise SignInUnavailable from error
