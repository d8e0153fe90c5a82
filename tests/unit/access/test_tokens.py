"""The token validator against a loopback key set: every refusal of marketplace-auth.md 3.1."""

import time
from collections.abc import Iterator
from typing import Any

import jwt
import pytest

from shared.access.rules import TokenInvalid
from shared.access.tokens import LEEWAY_SECONDS, TokenValidator
from shared.kit.errors import Unavailable
from tests.entra import Entra

TENANT = "11111111-2222-3333-4444-555555555555"
OTHER = "99999999-2222-3333-4444-555555555555"
API = "aaaaaaaa-2222-3333-4444-555555555555"
PERSONAL = "9188040d-6c67-4c5b-b112-36a304b66dad"


@pytest.fixture(scope="module")
def entra() -> Iterator[Entra]:
    with Entra() as server:
        yield server


@pytest.fixture
def validator(entra: Entra) -> TokenValidator:
    return TokenValidator(entra.authority, API, cooldown=0)


async def test_a_good_token_gives_its_claims(entra: Entra, validator: TokenValidator) -> None:
    claims = await validator.validate(entra.token(TENANT, API))
    assert claims["tid"] == TENANT
    assert claims["roles"] == ["Partner.Admin"]


async def test_expiry_inside_the_leeway_is_accepted(
    entra: Entra, validator: TokenValidator
) -> None:
    late = int(time.time()) - LEEWAY_SECONDS // 2
    assert await validator.validate(entra.token(TENANT, API, exp=late))


@pytest.mark.parametrize(
    "changed",
    [
        {"exp": 1_000_000_000},
        {"nbf": 4_000_000_000},
        {"aud": OTHER},
        {"aud": f"api://{API}"},
        {"ver": "1.0"},
        {"ver": None},
        {"iss": "https://sts.windows.net/" + TENANT},
        {"tid": OTHER},
        {"tid": None},
        {"tid": "common"},
        {"tid": TENANT + "/.."},
        {"sub": None},
        {"iat": None},
        {"nbf": None},
        {"exp": None},
    ],
    ids=lambda changed: ",".join(f"{name}={value}" for name, value in changed.items()),
)
async def test_a_wrong_claim_is_refused(
    entra: Entra, validator: TokenValidator, changed: dict[str, Any]
) -> None:
    with pytest.raises(TokenInvalid):
        await validator.validate(entra.token(TENANT, API, **changed))


async def test_issuer_of_another_tenant_is_refused(entra: Entra, validator: TokenValidator) -> None:
    foreign = f"{entra.authority}/{OTHER}/v2.0"
    with pytest.raises(TokenInvalid):
        await validator.validate(entra.token(TENANT, API, iss=foreign))


async def test_key_of_personal_accounts_does_not_sign_for_an_organisation(
    entra: Entra, validator: TokenValidator
) -> None:
    entra.add_key("personal", f"{entra.authority}/{PERSONAL}/v2.0")
    with pytest.raises(TokenInvalid, match="signing key"):
        await validator.validate(entra.token(TENANT, API, kid="personal"))
    assert await validator.validate(entra.token(PERSONAL, API, kid="personal"))


async def test_alg_none_is_refused(entra: Entra, validator: TokenValidator) -> None:
    token = jwt.encode(entra.claims(TENANT, API), None, "none", headers={"kid": "one"})
    with pytest.raises(TokenInvalid):
        await validator.validate(token)


async def test_a_symmetric_signature_is_refused(entra: Entra, validator: TokenValidator) -> None:
    secret = "0123456789abcdef0123456789abcdef"
    token = jwt.encode(entra.claims(TENANT, API), secret, "HS256", headers={"kid": "one"})
    with pytest.raises(TokenInvalid):
        await validator.validate(token)


async def test_a_stranger_with_a_known_key_id_is_refused(
    entra: Entra, validator: TokenValidator
) -> None:
    with Entra() as stranger:
        token = stranger.sign(entra.claims(TENANT, API), "one")
    with pytest.raises(TokenInvalid):
        await validator.validate(token)


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "e30.e30.", "é", "a" * 20_000])
async def test_garbage_is_refused(validator: TokenValidator, token: str) -> None:
    with pytest.raises(TokenInvalid):
        await validator.validate(token)


async def test_a_rotated_key_is_found(entra: Entra, validator: TokenValidator) -> None:
    await validator.validate(entra.token(TENANT, API))
    entra.add_key("rotated")
    assert await validator.validate(entra.token(TENANT, API, kid="rotated"))


async def test_unknown_keys_do_not_make_us_fetch_without_end(entra: Entra) -> None:
    validator = TokenValidator(entra.authority, API)
    await validator.validate(entra.token(TENANT, API))
    entra.add_key("unpublished", published=False)
    before = entra.fetched
    for _ in range(5):
        with pytest.raises(TokenInvalid):
            await validator.validate(entra.token(TENANT, API, kid="unpublished"))
    assert entra.fetched == before


async def test_no_sign_in_service_is_unavailable_not_refused(entra: Entra) -> None:
    with Entra() as gone:
        pass
    validator = TokenValidator(gone.authority, API)
    with pytest.raises(Unavailable):
        await validator.validate(entra.token(TENANT, API))
