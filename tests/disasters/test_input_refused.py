"""Disaster: callers send nonsense. A stable code, 4xx, and nothing has changed."""

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.e2e.scene import Customer, Json, Partner, Scene, plan_of, refused

PROJECT = Path(__file__).parents[2]
UNKNOWN = "0123456789abcdef"
GRAPH = "https://graph.microsoft.com/.default"


@pytest.fixture(scope="module")
def protected(customer: Customer) -> Customer:
    customer.back_up()
    return customer


def everything(customer: Customer) -> list[Json]:
    """All that can be listed of a customer, and every customer: the same after a refusal."""
    partner, at = customer.partner, f"/customers/{customer.id}"
    found = list(partner.all("/customers", maxpagesize="1000"))
    for policy in partner.all(f"{at}/policies"):
        found += [policy, *partner.all(f"/policies/{policy['id']}/sessions")]
    found += [{**one, "rpoAgeSeconds": None} for one in partner.all(f"{at}/objects")]
    return found


def places(customer: Customer) -> list[tuple[str, str]]:
    """Every address that takes a body."""
    return [
        ("POST", "/customers"),
        ("POST", f"/customers/{customer.id}/onboarding"),
        ("POST", f"/customers/{customer.id}/policies"),
        ("POST", "/restores"),
    ]


JSON = "application/json"
NONSENSE = [
    (b"{", JSON),
    (b"", JSON),
    (b"[]", JSON),
    (b'"text"', JSON),
    (b"null", JSON),
    (b"\xff\xfe{}", JSON),
    (b"[" * 50_000, JSON),
    (b'{"displayName": NaN}', JSON),
    (b"displayName=Contoso", "application/x-www-form-urlencoded"),
    (b'{"displayName": "Contoso"}', "text/plain"),
]


def test_wrong_json_is_refused_everywhere(protected: Customer) -> None:
    before = everything(protected)
    for method, path in places(protected):
        for body, kind in NONSENSE:
            answer = protected.partner.raw(method, path, body, kind)
            said = f"{path} {body[:40]!r}: {answer.status_code} {answer.text[:200]}"
            assert 400 <= answer.status_code < 500, said
            refused(answer, answer.status_code, answer.json()["code"])
    assert everything(protected) == before


def test_unknown_members_and_queries_are_refused_by_name(protected: Customer) -> None:
    partner = protected.partner
    before = everything(protected)
    good: list[Json] = [
        {"displayName": "Contoso"},
        plan_of(protected.tenant),
        {"name": "A policy"},
        {"objectId": protected.object("drive", protected.people[0])["id"], "snapshot": 1},
    ]
    for (method, path), body in zip(places(protected), good, strict=True):
        problem = refused(partner.call(method, path, {**body, "surprise": 1}), 400, "INVALID_INPUT")
        assert problem["errors"][0]["pointer"] == "#/surprise"
    for path in ("/customers", "/policies", f"/customers/{protected.id}/objects"):
        problem = refused(partner.call("GET", path, serach="x"), 400, "INVALID_INPUT")
        assert "serach" in problem["errors"][0]["pointer"]
    for query in ({"maxpagesize": "0"}, {"maxpagesize": "many"}, {"maxpagesize": "1001"}):
        refused(partner.call("GET", "/customers", **query), 400, "INVALID_INPUT")
    refused(partner.call("GET", "/customers", skipToken="forged"), 400, "BAD_CURSOR")
    assert everything(protected) == before


def test_unknown_ids_are_not_found(protected: Customer) -> None:
    partner = protected.partner
    before = everything(protected)
    mailbox = protected.object("mailbox", protected.people[0])
    n, nothing = mailbox["lastPoint"]["n"], "0" * 64
    policy = f"{protected.id}-p00000000"
    session = f"{protected.id}-s{'0' * 13}0000"
    cases = [
        ("GET", f"/customers/{UNKNOWN}", None),
        ("GET", "/customers/..%2Fpartners", None),
        ("POST", f"/customers/{UNKNOWN}/onboarding", plan_of(protected.tenant)),
        ("POST", f"/customers/{UNKNOWN}/onboarding:cancel", None),
        ("GET", f"/customers/{UNKNOWN}/objects", None),
        ("GET", f"/customers/{UNKNOWN}/policies", None),
        ("GET", f"/customers/{UNKNOWN}/consent", None),
        ("POST", f"/customers/{UNKNOWN}/policies", {"name": "A policy"}),
        ("GET", f"/policies/{policy}", None),
        ("GET", "/policies/nonsense", None),
        ("POST", f"/policies/{policy}/sessions", None),
        ("POST", f"/policies/{UNKNOWN}-p00000000/sessions", None),
        ("GET", f"/policies/{policy}/sessions", None),
        ("GET", f"/sessions/{session}", None),
        ("GET", f"/sessions/{session}/objects", None),
        ("POST", f"/sessions/{session}/stop", None),
        ("GET", f"/operations/{session}", None),
        ("GET", "/operations/nonsense", None),
        ("GET", f"/objects/{protected.id}-o{'0' * 20}", None),
        ("GET", f"/objects/{protected.id}-o{'0' * 20}/snapshots", None),
        ("GET", f"/objects/{mailbox['id']}/snapshots/4711", None),
        ("GET", f"/objects/{mailbox['id']}/snapshots/4711/items", None),
        ("GET", f"/objects/{mailbox['id']}/snapshots/{n}/items/{nothing}", None),
        ("GET", f"/objects/{mailbox['id']}/snapshots/{n}/items/{nothing}/content", None),
        ("GET", f"/restores/{protected.id}-r{'0' * 13}0000", None),
        ("POST", f"/restores/{protected.id}-r{'0' * 13}0000/cancel", None),
    ]
    wrong = []
    for method, path, body in cases:
        answer = partner.call(method, path, body)
        found = answer.status_code, answer.headers.get("content-type")
        if found != (404, "application/problem+json"):
            wrong.append((method, path, *found, answer.text[:200]))
    assert wrong == []
    assert everything(protected) == before


def test_the_wrong_state_is_a_conflict(scene: Scene, protected: Customer) -> None:
    partner = protected.partner
    pending = scene.new_customer(protected.tenant)
    before = everything(protected)
    cases = [
        ("POST", f"/customers/{pending.id}/policies", {"name": "x"}, 409, "CUSTOMER_NOT_READY"),
        ("GET", f"/customers/{pending.id}/onboarding", None, 404, "NO_ONBOARDING"),
        ("POST", f"/customers/{pending.id}/onboarding:cancel", None, 404, "NO_ONBOARDING"),
        (
            "POST",
            f"/customers/{protected.id}/policies",
            {"name": "x", "policyType": "Express"},
            422,
            "PLAN_NOT_SELLABLE",
        ),
        (
            "POST",
            f"/customers/{protected.id}/policies",
            {"name": "x", "backupType": "SelectedItems"},
            400,
            "INVALID_INPUT",
        ),
        (
            "POST",
            f"/customers/{protected.id}/policies",
            {"name": "x", "backupType": "SelectedItems", "include": ["nobody"]},
            422,
            "UNKNOWN_OBJECTS",
        ),
    ]
    for method, path, body, status, code in cases:
        refused(partner.call(method, path, body), status, code)
    assert everything(protected) == before


def forged(claims: Json, header: Json) -> str:
    """The same claims, signed by somebody else under the same key's name."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return jwt.encode(claims, key, algorithm="RS256", headers={"kid": header["kid"]})


def unsigned(claims: Json, header: Json) -> str:
    """The same claims with alg none."""
    parts = ({**header, "alg": "none"}, claims)
    encoded = (base64.urlsafe_b64encode(json.dumps(p).encode()).rstrip(b"=") for p in parts)
    return b".".join([*encoded, b""]).decode()


@pytest.fixture
def short_lives(scene: Scene) -> Iterator[None]:
    """Tokens issued now have expired an hour ago."""
    scene.cloud.ask("POST", "/limits", {"signin": {"tokenLifetime": -3600}})
    yield
    scene.cloud.calm()


def assert_locked_out(scene: Scene, customer: Customer, token: str | None) -> None:
    """401 everywhere, with the challenge that RFC 6750 wants, and nothing said of what exists."""
    stranger = Partner(scene.stack.urls.api, token)
    asked = [
        ("GET", "/customers", None),
        ("GET", f"/customers/{customer.id}", None),
        ("GET", f"/customers/{UNKNOWN}", None),
        ("POST", "/customers", {"displayName": "Mine"}),
        ("POST", f"/policies/{customer.policy}/sessions", None),
        ("POST", "/restores", {"objectId": "x", "snapshot": 1}),
        ("GET", "/operations/x", None),
    ]
    for method, path, body in asked:
        answer = stranger.call(method, path, body)
        problem = refused(answer, 401, answer.json()["code"])
        assert problem["code"] in {"UNAUTHORIZED", "TOKEN_INVALID"}
        assert answer.headers["www-authenticate"].startswith("Bearer")
    stranger.close()


def test_no_token_and_no_real_token_are_locked_out(scene: Scene, protected: Customer) -> None:
    good = scene.stack.partner_token()
    claims = jwt.decode(good, options={"verify_signature": False})
    header = jwt.get_unverified_header(good)
    before = everything(protected)
    for token in (
        None,
        "nonsense",
        "a.b.c",
        good[:-4] + "AAAA",
        forged(claims, header),
        unsigned(claims, header),
        jwt.encode(claims, "a secret of thirty-two characters", headers={"kid": header["kid"]}),
    ):
        assert_locked_out(scene, protected, token)
    assert everything(protected) == before


def test_a_token_for_somebody_else_is_locked_out(scene: Scene, protected: Customer) -> None:
    assert_locked_out(scene, protected, scene.stack.reader_token(protected.tenant["tenantId"]))


def test_an_expired_token_is_locked_out(
    scene: Scene, protected: Customer, short_lives: None
) -> None:
    assert_locked_out(scene, protected, scene.stack.partner_token())


def test_a_client_nobody_registered_may_do_nothing(scene: Scene, protected: Customer) -> None:
    mine = scene.registrations
    token = scene.cloud.token(
        mine.partner_tenant_id, mine.stranger, mine.partner_secret, f"{mine.api}/.default"
    )
    stranger = Partner(scene.stack.urls.api, token)
    for method, path in (("GET", "/customers"), ("POST", f"/policies/{protected.policy}/sessions")):
        refused(stranger.call(method, path), 403, "CLIENT_NOT_REGISTERED")
    stranger.close()


def test_another_partner_s_world_is_empty(
    scene: Scene, protected: Customer, second_partner: Partner
) -> None:
    seen = {customer["id"] for customer in second_partner.all("/customers")}
    assert protected.id not in seen
    before = everything(protected)
    mailbox = protected.object("mailbox", protected.people[0])
    n = mailbox["lastPoint"]["n"]
    session = next(iter(protected.partner.all(f"/policies/{protected.policy}/sessions")))["id"]
    cases = [
        ("GET", f"/customers/{protected.id}", None),
        ("GET", f"/customers/{protected.id}/objects", None),
        ("GET", f"/customers/{protected.id}/consent", None),
        ("GET", f"/customers/{protected.id}/onboarding", None),
        ("POST", f"/customers/{protected.id}/onboarding", plan_of(protected.tenant)),
        ("POST", f"/customers/{protected.id}/policies", {"name": "theirs"}),
        ("GET", f"/policies/{protected.policy}", None),
        ("POST", f"/policies/{protected.policy}/sessions", None),
        ("GET", f"/policies/{protected.policy}/sessions", None),
        ("GET", f"/sessions/{session}", None),
        ("GET", f"/sessions/{session}/objects", None),
        ("GET", f"/operations/{session}", None),
        ("GET", f"/objects/{mailbox['id']}", None),
        ("GET", f"/objects/{mailbox['id']}/snapshots", None),
        ("GET", f"/objects/{mailbox['id']}/snapshots/{n}/items", None),
        ("POST", "/restores", {"objectId": mailbox["id"], "snapshot": n}),
    ]
    for method, path, body in cases:
        refused(second_partner.call(method, path, body), 404, "NOT_FOUND")
    link = protected.partner.get("/customers", maxpagesize="1").get("nextLink")
    if link:  # a cursor is good for the one it was given to
        refused(second_partner.call("GET", link), 400, "BAD_CURSOR")
    assert everything(protected) == before


def test_an_address_that_is_not_ours_is_an_empty_404(scene: Scene) -> None:
    answer = httpx.get(f"{scene.stack.urls.api}/api/v1/nothing/here")
    assert (answer.status_code, answer.content) == (404, b"")


@pytest.mark.parametrize("option", ["--mbox", "--maildir", "--files"])
def test_the_demo_says_in_one_line_what_is_not_there(option: str) -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "local.demo", option, "/nonexistent"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 2
    assert answer.stdout == ""
    assert answer.stderr.count("\n") == 1
    assert "/nonexistent" in answer.stderr
