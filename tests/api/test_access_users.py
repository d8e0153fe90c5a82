"""Users, roles and groups through the API: what is given, who may give it, when it ends."""

from typing import Any

import httpx
import pytest

from shared.kit.tables import Row, Table
from tests.api.conftest import check_problem
from tests.api.world import World

V1 = "/api/v1"
PERSON = {"firstName": "Kim", "lastName": "Keen"}


@pytest.fixture
def admin(two: World, anonymous: httpx.AsyncClient) -> httpx.AsyncClient:
    """Partner A's administrator, signed in as a person."""
    anonymous.headers.update(two.caller("administrator"))
    return anonymous


async def made(api: httpx.AsyncClient, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """POST that has to succeed."""
    answer = await api.post(V1 + path, json=body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def role_of(api: httpx.AsyncClient, name: str, *permissions: str, **more: Any) -> str:
    """A new role; its id."""
    body = {"name": name, "permissions": permissions, **more}
    return str((await made(api, "/roles", body))["id"])


async def user_of(api: httpx.AsyncClient, email: str, *role_ids: str) -> str:
    """A new user; their id."""
    return str((await made(api, "/users", {**PERSON, "email": email, "roleIds": role_ids}))["id"])


async def test_the_catalogue_speaks_plainly(admin: httpx.AsyncClient) -> None:
    value = (await admin.get(f"{V1}/permissions")).json()["value"]
    texts = {each["code"]: each for each in value}
    assert texts["AdvancedBackupManagement"]["requires"] == ["BackupManagement"]
    assert all(each["title"] and each["text"].endswith(".") for each in value)
    assert "OperatePlatform" not in texts


async def test_rol_07_08_a_role_changes_at_the_next_request(
    two: World, admin: httpx.AsyncClient
) -> None:
    """ROL-01, ROL-07, ROL-08, ROL-16"""
    role = await role_of(admin, "Desk", "CustomerManagement")
    check_problem(
        await admin.post(f"{V1}/roles", json={"name": "desk", "permissions": []}), 409, "NAME_TAKEN"
    )
    await user_of(admin, "kim@a.example", role)
    kim = two.user("kim", "kim@a.example")
    path = f"{V1}/customers/{two.mine['customer_id']}"
    sent = kim | {"If-Match": "*"}
    edited = await admin.patch(path, json={"displayName": "By Kim"}, headers=sent)
    assert (edited.status_code, edited.json()["displayName"]) == (200, "By Kim")
    etag = (await admin.get(f"{V1}/roles/{role}")).headers["ETag"]
    body = {"name": "Desk", "permissions": []}
    missing = await admin.put(f"{V1}/roles/{role}", json=body)
    check_problem(missing, 428, "PRECONDITION_REQUIRED")
    answer = await admin.put(f"{V1}/roles/{role}", json=body, headers={"If-Match": etag})
    assert answer.json()["permissions"] == ["MonitoringAccess"]
    refused = await admin.patch(path, json={"displayName": "x"}, headers=sent)
    check_problem(refused, 403, "PERMISSION_MISSING")
    assert (await admin.get(path, headers=kim)).status_code == 200


async def test_rol_06_a_permission_needs_another(admin: httpx.AsyncClient) -> None:
    body = {"name": "Odd", "permissions": ["AdvancedBackupManagement"]}
    check_problem(await admin.post(f"{V1}/roles", json=body), 422, "PERMISSION_DEPENDENCY")


async def test_rol_09_10_roles_are_deleted_but_administrator(
    two: World, admin: httpx.AsyncClient
) -> None:
    gone, stays = await role_of(admin, "Gone"), await role_of(admin, "Stays")
    user = await user_of(admin, "kim@a.example", gone, stays)
    star = {"If-Match": "*"}
    answer = await admin.delete(f"{V1}/roles/{gone}", headers=star)
    assert answer.json() == {"userIds": [user]}
    assert (await admin.get(f"{V1}/users/{user}")).json()["roleIds"] == [stays]
    answer = await admin.delete(f"{V1}/roles/administrator", headers=star)
    check_problem(answer, 409, "ADMINISTRATOR_PROTECTED")


async def test_rol_11_12_13_users_are_added_found_and_edited(admin: httpx.AsyncClient) -> None:
    role = await role_of(admin, "Searched")
    user = await user_of(admin, "Kim@A.example", role)
    body = {**PERSON, "email": "kim@a.example", "roleIds": [role]}
    check_problem(await admin.post(f"{V1}/users", json=body), 409, "USER_EXISTS")
    for wrong in ({"email": "nobody"}, {"roleIds": []}):
        answer = await admin.post(f"{V1}/users", json=body | wrong)
        check_problem(answer, 400, "INVALID_INPUT")
    for query in (f"roleId={role}", "search=KEEN", "search=kim@"):
        found = (await admin.get(f"{V1}/users?{query}")).json()["value"]
        assert [each["id"] for each in found] == [user]
    answer = await admin.put(
        f"{V1}/users/{user}", json=body | {"lastName": "New"}, headers={"If-Match": "*"}
    )
    check_problem(answer, 400, "INVALID_INPUT")  # the e-mail cannot be edited
    del body["email"]
    answer = await admin.put(
        f"{V1}/users/{user}", json=body | {"lastName": "New"}, headers={"If-Match": "*"}
    )
    assert answer.json()["lastName"] == "New"


async def test_rol_14_bulk_edit_answers_per_user(admin: httpx.AsyncClient) -> None:
    """AMB-27: replaced, not added."""
    one, two_ = await role_of(admin, "One"), await role_of(admin, "Two")
    users = [await user_of(admin, f"u{n}@a.example", one) for n in range(3)]
    body = {"userIds": [*users, "0" * 16], "roleIds": [two_]}
    outcome = (await admin.post(f"{V1}/users:setRoles", json=body)).json()["value"]
    assert [each["status"] for each in outcome] == [200, 200, 200, 404]
    assert [each["user"]["roleIds"] for each in outcome[:3]] == [[two_]] * 3
    assert outcome[3]["code"] == "NOT_FOUND"


async def test_rol_15_access_ends_with_the_user(two: World, admin: httpx.AsyncClient) -> None:
    user = await user_of(admin, "kim@a.example", await role_of(admin, "Short"))
    kim = two.user("kim", "kim@a.example")
    me = (await admin.get(f"{V1}/partners/me", headers=kim)).json()
    assert (me["kind"], me["email"], me["areas"]) == ("user", "kim@a.example", ["services"])
    gone = await admin.delete(f"{V1}/users/{user}", headers={"If-Match": "*"})
    assert (gone.status_code, gone.content) == (204, b"")
    answer = await admin.get(f"{V1}/partners/me", headers=kim)
    check_problem(answer, 403, "USER_UNKNOWN")


async def test_the_first_sign_in_ties_a_user_to_one_object_id(
    two: World, admin: httpx.AsyncClient
) -> None:
    """marketplace-auth.md 3.1 rule 6: whoever has the address later gets nothing."""
    await user_of(admin, "kim@a.example", await role_of(admin, "Tied"))
    for oid, status in (("kim", 200), ("other", 403), ("kim", 200)):
        answer = await admin.get(f"{V1}/partners/me", headers=two.user(oid, "kim@a.example"))
        assert answer.status_code == status
    renamed = two.user("kim", "someone.else@a.example")
    assert (await admin.get(f"{V1}/partners/me", headers=renamed)).status_code == 200


async def test_rol_27_the_last_administrator_stays(two: World, admin: httpx.AsyncClient) -> None:
    users = (await admin.get(f"{V1}/users?roleId=administrator")).json()["value"]
    assert len(users) == 1
    path, star = f"{V1}/users/{users[0]['id']}", {"If-Match": "*"}
    check_problem(await admin.delete(path, headers=star), 409, "LAST_ADMIN")
    body = {**PERSON, "roleIds": [two.a.made["role_id"]]}
    check_problem(await admin.put(path, json=body, headers=star), 409, "LAST_ADMIN")
    bulk = {"userIds": [users[0]["id"]], "roleIds": [two.a.made["role_id"]]}
    check_problem(await admin.post(f"{V1}/users:setRoles", json=bulk), 409, "LAST_ADMIN")


async def test_nobody_gives_more_than_they_hold(two: World, admin: httpx.AsyncClient) -> None:
    role = await role_of(admin, "People", "UserManagement", "SiteSettings", "ApiClientManagement")
    await user_of(admin, "kim@a.example", role)
    kim = two.user("kim", "kim@a.example")
    tries: list[tuple[str, dict[str, Any]]] = [
        ("/roles", {"name": "More", "permissions": ["BackupManagement"]}),
        ("/users", {**PERSON, "email": "x@a.example", "roleIds": ["administrator"]}),
        ("/users", {**PERSON, "email": "x@a.example", "roleIds": [two.a.made["role_id"]]}),
        ("/api-clients", {"name": "c", "permissions": ["RestoreData"],
                          "clientId": "11111111-2222-3333-4444-555555555555"}),
        ("/api-keys", {"name": "k", "permissions": ["RestoreData"],
                       "expiresAt": "2026-12-31T00:00:00Z"}),
    ]  # fmt: skip
    for path, body in tries:
        answer = await admin.post(V1 + path, json=body, headers=kim)
        check_problem(answer, 403, "GRANT_EXCEEDS_OWN")


async def test_rol_21_a_group_widens_its_roles_at_once(
    two: World, admin: httpx.AsyncClient
) -> None:
    """ROL-20: outside the group nothing is found."""
    group = await made(
        admin, "/customer-groups", {"name": "G", "customerIds": [two.mine["customer_id"]]}
    )
    role = await role_of(admin, "Grouped", "BackupManagement", customerGroupIds=[group["id"]])
    await user_of(admin, "kim@a.example", role)
    kim = two.user("kim", "kim@a.example")
    hidden = f"{V1}/customers/{two.hidden['customer_id']}"
    check_problem(await admin.get(hidden, headers=kim), 404, "NOT_FOUND")
    body = {"name": "G", "customerIds": [two.mine["customer_id"], two.hidden["customer_id"]]}
    path, star = f"{V1}/customer-groups/{group['id']}", {"If-Match": "*"}
    assert (await admin.put(path, json=body, headers=star)).status_code == 200
    assert (await admin.get(hidden, headers=kim)).status_code == 200
    check_problem(await admin.delete(path, headers=star), 409, "GROUP_IN_USE")
    body["customerIds"] = [two.theirs["customer_id"]]
    answer = await admin.put(path, json=body, headers=star)
    check_problem(answer, 400, "CUSTOMER_UNKNOWN")


async def test_rol_17_bkp_05_further_policies_need_the_advanced_right(
    two: World, admin: httpx.AsyncClient
) -> None:
    role = await role_of(admin, "Basic", "BackupManagement")
    await user_of(admin, "kim@a.example", role)
    kim = two.user("kim", "kim@a.example")
    path = f"{V1}/customers/{two.mine['customer_id']}/policies"
    answer = await admin.post(path, json={"name": "Second"}, headers=kim)
    check_problem(answer, 403, "PERMISSION_MISSING")


async def test_an_app_role_is_a_ceiling(two: World, admin: httpx.AsyncClient) -> None:
    reader = two.user("ann", "ann@a.example", roles=["Partner.Reader"])
    assert (await admin.get(f"{V1}/users", headers=reader)).status_code == 200
    answer = await admin.post(f"{V1}/roles", json={"name": "x", "permissions": []}, headers=reader)
    check_problem(answer, 403, "PERMISSION_MISSING")
    nobody = two.user("ann", "ann@a.example", roles=[])
    check_problem(await admin.get(f"{V1}/users", headers=nobody), 403, "ROLE_MISSING")


async def test_who_may_do_what_costs_one_table_read(
    two: World, admin: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every kind of partner's caller, once its grants are in memory."""
    read: list[str] = []
    find = Table.find

    async def counted(table: Table, partition: str, key: str) -> Row | None:
        read.append(key)
        return await find(table, partition, key)

    path = f"{V1}/customers/{two.mine['customer_id']}"
    del admin.headers["Authorization"]
    for name in ("administrator", "groupUser", "daemon", "key"):
        headers = two.caller(name)
        await admin.get(path, headers=headers)
        with monkeypatch.context() as patch:
            patch.setattr(Table, "find", counted)
            assert (await admin.get(path, headers=headers)).status_code == 200
        assert sorted(read) == sorted(["stamp", two.mine["customer_id"]])
        read.clear()


async def test_amb_26_a_deployment_asks_user_management_alone(
    two: World, admin: httpx.AsyncClient
) -> None:
    role = await role_of(admin, "People", "UserManagement")
    await user_of(admin, "kim@a.example", role)
    kim = two.user("kim", "kim@a.example")
    for path in ("/users", "/roles"):
        check_problem(await admin.get(V1 + path, headers=kim), 403, "PERMISSION_MISSING")
    relaxed = two.deps.settings.model_copy(update={"users_need_site_settings": False})
    two.deps.settings = relaxed
    for path in ("/users", "/roles"):
        assert (await admin.get(V1 + path, headers=kim)).status_code == 200
    body = {"name": "Mine", "permissions": ["UserManagement"]}
    assert (await admin.post(f"{V1}/roles", json=body, headers=kim)).status_code == 201
