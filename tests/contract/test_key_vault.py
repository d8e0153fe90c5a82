"""Key stores: Key Vault's own protocol against real RSA, and rotation without re-encryption."""

import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from azure.core.credentials import AccessToken

from local.certs import make_certificates
from local.keyvault import KeyVault
from shared.audit.azure_signing import SIGNING, KeyVaultSigner
from shared.audit.signing import is_signed
from shared.bootstrap import Deps
from shared.kit.blobs import MemoryBlobs
from shared.kit.config import Settings
from shared.vault.azure_keystore import SEALED, KeyVaultStore
from shared.vault.errors import KeyRefused
from shared.vault.format import names
from shared.vault.keystore import FileKeyStore
from shared.vault.service import create_repository, open_repository
from tests.unit.vault.world import MAILBOX, NOW, backup, mail

KEY = "kek"


class Identity:
    """The deployment's identity: gives the one token the vault takes."""

    def __init__(self, token: str = "let me in") -> None:
        self.token, self.scopes = token, list[str]()

    async def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        self.scopes += scopes
        return AccessToken(self.token, int(time.time()) + 3600)

    async def close(self) -> None:
        """Nothing is open."""

    async def __aenter__(self) -> "Identity":
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing is open."""


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeyVault]:
    made = make_certificates(tmp_path_factory.mktemp("key-vault"))
    with KeyVault(made.server_certificate, made.server_key) as running:
        running.bundle = str(made.bundle)  # type: ignore[attr-defined]
        running.rotate(KEY)
        running.rotate(KEY + SEALED)
        yield running


@pytest.fixture
async def store(vault: KeyVault) -> AsyncIterator[KeyVaultStore]:
    made = open_store(vault)
    yield made
    await made.close()


def open_store(vault: KeyVault, identity: Identity | None = None) -> KeyVaultStore:
    return KeyVaultStore(
        f"{vault.url}/keys/{KEY}",
        identity or Identity(),
        connection_verify=vault.bundle,  # type: ignore[attr-defined]
        verify_challenge_resource=False,  # the challenge names Azure, the test is on the loopback
    )


async def test_a_secret_is_wrapped_here_and_unwrapped_in_the_vault(
    vault: KeyVault, store: KeyVaultStore
) -> None:
    secret = bytes(range(32))
    vault.asked.clear()
    wrapped = await store.wrap(secret)
    assert wrapped.kid == f"{vault.url}/keys/{KEY}/{list(vault.keys[KEY])[-1]}"
    assert await store.unwrap(*wrapped) == secret
    version = wrapped.kid.rsplit("/", 1)[1]
    assert f"POST /keys/{KEY}/{version}/unwrapkey" in vault.asked
    assert not [
        one for one in vault.asked if "wrapkey" in one.rsplit("/", 1)[1] and "un" not in one
    ]


async def test_the_challenge_decides_for_whom_a_token_is_fetched(vault: KeyVault) -> None:
    identity = Identity()
    store = open_store(vault, identity)
    await store.wrap(b"x" * 32)
    await store.close()
    assert set(identity.scopes) == {"https://vault.azure.net/.default"}


async def test_strange_keys_and_foreign_wraps_are_refused(
    vault: KeyVault, store: KeyVaultStore
) -> None:
    wrapped = await store.wrap(b"y" * 32)
    vault.asked.clear()
    for kid in (
        "https://evil.example/keys/kek/0123",
        f"{vault.url}/keys/other/0123",
        f"{vault.url}/keys/{KEY}/../other/1",
        f"{vault.url}/keys/{KEY}/",
        "file:0123",
    ):
        with pytest.raises(KeyRefused):
            await store.unwrap(kid, wrapped.ciphertext)
    assert vault.asked == []  # the address in a blob is never called
    with pytest.raises(KeyRefused):
        await store.unwrap(wrapped.kid[:-4] + "0000", wrapped.ciphertext)
    with pytest.raises(KeyRefused):
        await store.unwrap(wrapped.kid, bytes(384))
    vault.rotate("weak", 2048)
    weak = KeyVaultStore(
        f"{vault.url}/keys/weak",
        Identity(),
        connection_verify=vault.bundle,  # type: ignore[attr-defined]
        verify_challenge_resource=False,
    )
    with pytest.raises(KeyRefused, match="bits"):
        await weak.wrap(b"z" * 32)
    await weak.close()
    for wrong in ("http://v.example/keys/k", "https://v.example/secrets/k", "https://v.example/k"):
        with pytest.raises(ValueError, match="key store"):
            KeyVaultStore(wrong, Identity())


async def one(run: Any, part: Any) -> None:
    await part.put(mail("a"), b"secret words")


async def test_v8_rotation_in_key_vault_rewraps_and_re_encrypts_nothing(
    vault: KeyVault, store: KeyVaultStore
) -> None:
    blobs, control = MemoryBlobs(), MemoryBlobs()
    repo = "0a" * 16
    opened = await create_repository(blobs, control, store, repo_id=repo, tenant_id="t", now=NOW)
    await backup(opened, MAILBOX, "r1", one)
    before = {found.name: await blobs.get(found.name) async for found in blobs.list()}
    assert await opened.rewrap() is None
    old = list(vault.keys[KEY])[-1]
    vault.rotate(KEY)
    fresh = open_store(vault)
    again = await open_repository(blobs, control, fresh, repo_id=repo)
    assert await again.rewrap() == names.tenant_key(1, 2)
    assert await again.rewrap() is None
    after = {found.name: await blobs.get(found.name) async for found in blobs.list()}
    assert after.keys() - before.keys() == {names.tenant_key(1, 2)}
    assert all(after[name] == data for name, data in before.items())
    vault.keys[KEY][old].enabled = False
    last = await open_repository(blobs, control, fresh, repo_id=repo)
    row = await (await last.open_snapshot(MAILBOX)).row("a")
    assert row is not None
    await fresh.close()
    for version in vault.keys[KEY].values():
        version.enabled = False
    shut = open_store(vault)
    closed = await open_repository(blobs, control, shut, repo_id=repo)
    with pytest.raises(KeyRefused):
        await closed.open_snapshot(MAILBOX)
    await shut.close()
    for version in vault.keys[KEY].values():
        version.enabled = True


async def test_v8_rotation_of_the_local_key_rewraps_and_re_encrypts_nothing(
    tmp_path: Path,
) -> None:
    store, blobs, control = FileKeyStore(tmp_path), MemoryBlobs(), MemoryBlobs()
    repo = "0b" * 16
    opened = await create_repository(blobs, control, store, repo_id=repo, tenant_id="t", now=NOW)
    await backup(opened, MAILBOX, "r1", one)
    before = {found.name: await blobs.get(found.name) async for found in blobs.list()}
    old = (await store.wrap(b"q" * 32)).kid
    new = await store.rotate()
    assert new != old
    other = FileKeyStore(tmp_path)  # another process, before anything is wrapped anew
    assert await (await open_repository(blobs, control, other, repo_id=repo)).head(MAILBOX)
    assert await (await open_repository(blobs, control, other, repo_id=repo)).rewrap()
    after = {found.name: await blobs.get(found.name) async for found in blobs.list()}
    assert after.keys() - before.keys() == {names.tenant_key(1, 2)}
    assert all(after[name] == data for name, data in before.items())
    with pytest.raises(KeyRefused, match="current"):
        await store.retire(new)
    await store.retire(old)
    third = FileKeyStore(tmp_path)
    vault = await open_repository(blobs, control, third, repo_id=repo)
    snapshot = await vault.open_snapshot(MAILBOX)
    found = await snapshot.row("a")
    assert found is not None
    assert b"".join([data async for data in snapshot.content(found)]) == b"secret words"


async def test_a_signature_of_the_vault_is_checked_with_its_public_key_alone(
    vault: KeyVault,
) -> None:
    vault.make_signing(KEY + SIGNING)
    options = {"connection_verify": vault.bundle, "verify_challenge_resource": False}  # type: ignore[attr-defined]
    signer = KeyVaultSigner(vault.url, KEY + SIGNING, Identity(), **options)
    signature = await signer.sign(b"what was so")
    pem = await signer.public_pem()
    assert is_signed(pem, b"what was so", signature)
    assert not is_signed(pem, b"what was not", signature)
    with pytest.raises(ValueError, match="P-256"):
        await KeyVaultSigner(vault.url, KEY, Identity(), **options).sign(b"x")


def test_the_settings_choose_key_vault_for_keys_and_signatures() -> None:
    deps = Deps(Settings(key_store="https://v.example/keys/kek", blobs_url="https://b.example"))
    assert repr(deps.keys) == "KeyVaultStore(https://v.example/keys/kek)"
    assert repr(deps.signer) == "KeyVaultSigner(https://v.example/keys/kek-signing)"
