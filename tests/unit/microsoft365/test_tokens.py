"""AADSTS codes become states; tokens are cached, renewed once and never shown."""

import asyncio
import base64
import json
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from shared.kit.config import Settings
from shared.microsoft365.errors import (
    ConsentLost,
    GraphError,
    OurCredentialRefused,
    SignInUnavailable,
)
from shared.microsoft365.signin import AdminToken
from shared.microsoft365.tokens import Tokens, sign_in_error
from tests.unit.microsoft365.conftest import MovingClock

STATES = [
    (65001, "invited"), (65004, "denied"), (650052, "degraded"), (700016, "revoked"),
    (7000229, "revoked"), (7000112, "revoked"), (53003, "blocked"), (530035, "blocked"),
    (5000224, "tenant_gone"), (90002, "tenant_gone"), (900023, "tenant_gone"), (50020, "denied"),
    (90094, "invited"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "state"), STATES)
def test_section_3_5_states(code: int, state: str) -> None:
    error = sign_in_error(f"AADSTS{code}: something")
    assert isinstance(error, ConsentLost)
    assert (error.state, error.aadsts) == (state, code)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("AADSTS7000222: expired", OurCredentialRefused),
        ("AADSTS7000215: bad", OurCredentialRefused),
        ("AADSTS700027: rotated", SignInUnavailable),
        ("connection refused", SignInUnavailable),
    ],
)
def test_our_own_faults_are_not_the_customers(text: str, kind: type[GraphError]) -> None:
    assert isinstance(sign_in_error(text), kind)


class FakeCredential:
    """Counts sign-ins and hands out unsigned tokens."""

    count = 0

    def __init__(self, clock: MovingClock) -> None:
        self._clock = clock

    async def get_token(self, *_scopes: str) -> Any:
        await asyncio.sleep(0)
        FakeCredential.count += 1
        claims = json.dumps({"roles": ["Mail.Read"], "tid": "t", "n": FakeCredential.count})
        body = base64.urlsafe_b64encode(claims.encode()).decode().rstrip("=")
        expires = int((self._clock.now() + timedelta(hours=1)).timestamp())
        return SimpleNamespace(token=f"h.{body}.s", expires_on=expires)

    async def close(self) -> None:
        """Nothing to close."""


@pytest.fixture
def tokens(clock: MovingClock, tmp_path: Any) -> Tokens:
    FakeCredential.count = 0
    settings = Settings(client_credential=tmp_path / "unused.pem")
    made: Any = lambda *_: FakeCredential(clock)  # noqa: E731
    return Tokens(settings, clock=clock, credential=made)


async def test_one_sign_in_at_a_time_per_key(tokens: Tokens) -> None:
    found = await asyncio.gather(*(tokens.get("t", "c") for _ in range(20)))
    assert FakeCredential.count == 1
    assert {token.token for token in found} == {found[0].token}
    assert found[0].roles == frozenset({"Mail.Read"})


async def test_tokens_are_replaced_120_seconds_early(tokens: Tokens, clock: MovingClock) -> None:
    await tokens.get("t", "c")
    await clock.sleep(3600 - 121)
    await tokens.get("t", "c")
    assert FakeCredential.count == 1
    await clock.sleep(2)
    await tokens.get("t", "c")
    assert FakeCredential.count == 2


async def test_many_callers_with_one_dead_token_renew_it_once(tokens: Tokens) -> None:
    dead = await tokens.get("t", "c")
    await asyncio.gather(*(tokens.renew("t", "c", dead) for _ in range(8)))
    assert FakeCredential.count == 2


async def test_m40_fresh_passes_the_cache_by(tokens: Tokens) -> None:
    await tokens.get("t", "c")
    await tokens.get("t", "c", fresh=True)
    assert FakeCredential.count == 2


async def test_a_token_never_shows_itself(tokens: Tokens) -> None:
    token = await tokens.get("t", "c")
    assert token.token not in f"{token} {token!r}"


def test_an_administrators_token_can_be_dropped() -> None:
    admin = AdminToken("secret", {"tid": "t", "wids": ["62e90394-69f5-4237-9190-012177145e10"]})
    assert admin.is_privileged
    admin.drop()
    with pytest.raises(GraphError):
        _ = admin.token
