"""Sign-in, provisioning and directory against the simulated Entra and Graph."""

import pytest

from shared.microsoft365 import permissions
from shared.microsoft365.directory import Directory
from shared.microsoft365.errors import ConsentLost, ItemFailed, SignInDeclined
from shared.microsoft365.provisioning import Provisioning
from shared.microsoft365.signin import AdminToken, DeviceSignIn
from tests.contract.graph.conftest import Cloud, run_pass

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


async def _administrator(cloud: Cloud) -> AdminToken:
    sign_in = DeviceSignIn(cloud.settings, wire=cloud.wire)
    code = await sign_in.start(cloud.tenant_id)
    assert await sign_in.poll(cloud.tenant_id, code.device_code) is None
    await cloud.admin(
        "POST", f"/device/{code.user_code}", json={"upn": cloud.world["admin"]["upn"]}
    )
    admin = await sign_in.poll(cloud.tenant_id, code.device_code)
    assert admin is not None
    return admin


async def test_roles_in_the_token_are_the_truth(cloud: Cloud) -> None:
    token = await cloud.tokens.get(cloud.tenant_id, cloud.registrations.reader)
    assert token.tenant_id == cloud.tenant_id
    every = [name for name in permissions.MANIFEST["reader"] if name != "directory"]
    assert permissions.compare(every, token.roles).state == "healthy"
    other = await cloud.tokens.get(cloud.tenant_id, cloud.registrations.restorer)
    compared = permissions.compare(every, other.roles, "restorer")
    assert compared.state == "healthy"


async def test_revoked_consent_is_disconnected_and_reads_nothing(cloud: Cloud) -> None:
    user = cloud.user()
    await run_pass(cloud.mailbox(user))
    await cloud.in_tenant("DELETE", f"/consent?clientId={cloud.registrations.reader}")
    with pytest.raises(ConsentLost) as lost:
        await run_pass(cloud.mailbox(user))
    assert lost.value.state == "revoked"
    with pytest.raises(ConsentLost) as lost:
        await cloud.tokens.get(cloud.tenant_id, cloud.registrations.reader, fresh=True)
    assert (lost.value.state, lost.value.aadsts) in {("revoked", 700016), ("revoked", 7000229)}


async def test_unknown_tenant_is_gone(cloud: Cloud) -> None:
    with pytest.raises(ConsentLost) as lost:
        await cloud.tokens.get("00000000-0000-4000-8000-000000000000", cloud.registrations.reader)
    assert lost.value.state == "tenant_gone"


async def test_expired_token_is_renewed_once(cloud: Cloud) -> None:
    await cloud.fault("expiredToken", "mailFolders")
    assert (await run_pass(cloud.mailbox(cloud.user()))).rows


async def test_organization_users_licences_and_drives(cloud: Cloud) -> None:
    directory = Directory(cloud.settings, cloud.tokens, cloud.tenant_id, wire=cloud.wire)
    organization = await directory.organization()
    assert organization.tenant_id == cloud.tenant_id
    assert organization.display_name == cloud.world["displayName"]
    assert organization.domain == cloud.world["domain"]
    users = {user.id: user for user in await directory.list_users()}
    assert users.keys() == {user["id"] for user in cloud.world["users"]}
    for user in cloud.world["users"]:
        found = users[user["id"]]
        assert found.licensed == user["licensed"]
        assert found.drive_id == user["driveId"]
        assert ("exchange" in found.services) == user["licensed"]
    skus = await directory.services()
    assert {"exchange", "onedrive"} <= {name for sku in skus for name in sku.services}
    assert await directory.seats() == sum(user["licensed"] for user in cloud.world["users"])


async def test_throttled_batch_is_asked_again(cloud: Cloud) -> None:
    await cloud.fault("throttle", "/drive$", times=2)
    directory = Directory(cloud.settings, cloud.tokens, cloud.tenant_id, wire=cloud.wire)
    users = await directory.list_users()
    assert all(user.drive_id for user in users if user.licensed)
    assert directory.use.throttled >= 1


async def test_device_code_grants_and_withdraws(cloud: Cloud) -> None:
    reader = cloud.registrations.reader
    await cloud.in_tenant("DELETE", f"/consent?clientId={reader}")
    admin = await _administrator(cloud)
    assert admin.is_privileged
    assert admin.tenant_id == cloud.tenant_id
    provisioning = Provisioning(cloud.settings, admin, wire=cloud.wire)
    roles = permissions.needed(["mailbox", "drive"])
    granted = await provisioning.grant(reader, roles)
    assert granted.created
    assert len(granted.assignments) == len(roles)
    token = await cloud.tokens.get(cloud.tenant_id, reader, fresh=True)
    assert token.roles == roles
    again = await provisioning.grant(reader, roles)
    assert (again.created, again.assignments) == (False, ())
    await provisioning.withdraw(granted)
    await provisioning.withdraw(granted)
    with pytest.raises(ConsentLost):
        await cloud.tokens.get(cloud.tenant_id, reader, fresh=True)
    admin.drop()


async def test_m41_a_failed_grant_leaves_nothing_behind(cloud: Cloud) -> None:
    reader = cloud.registrations.reader
    await cloud.in_tenant("DELETE", f"/consent?clientId={reader}")
    provisioning = Provisioning(cloud.settings, await _administrator(cloud), wire=cloud.wire)
    with pytest.raises(ItemFailed):
        await provisioning.grant(reader, ["Mail.Read", "No.Such.Role"])
    with pytest.raises(ConsentLost):
        await cloud.tokens.get(cloud.tenant_id, reader, fresh=True)


async def test_declined_sign_in(cloud: Cloud) -> None:
    sign_in = DeviceSignIn(cloud.settings, wire=cloud.wire)
    code = await sign_in.start(cloud.tenant_id)
    await cloud.admin("POST", f"/device/{code.user_code}", json={"decline": True})
    with pytest.raises(SignInDeclined):
        await sign_in.poll(cloud.tenant_id, code.device_code)
