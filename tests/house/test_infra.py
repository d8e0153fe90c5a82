"""What can be proved of infra/ without Azure: settings, names, roles, secrets, parameters."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from shared.audit.azure_signing import SIGNING
from shared.bootstrap import CHECKPOINTS
from shared.export.pieces import CONTAINER as EXPORTS
from shared.kit.config import Settings
from shared.vault.azure_keystore import SEALED
from shared.vault.format.keys import MIN_RSA_BITS
from tests.house.conftest import PROJECT

INFRA = PROJECT / "infra"
# Microsoft's built-in roles, by the names of the variables that hold them.
ROLES = {
    "durableTaskDataContributor": "0ad04412-c4d5-4796-b79c-f76d14c8d402",
    "keyVaultCryptoServiceEncryptionUser": "e147488a-f6f5-4113-8e2d-b22465e65bf6",
    "keyVaultCryptoUser": "12338af0-0e69-4776-bea7-57ae8d297424",
    "keyVaultReader": "21090545-7ca7-4776-b22c-e363652d74d2",
    "keyVaultSecretsUser": "4633458b-17de-408a-b874-0445c86b69e6",
    "monitoringMetricsPublisher": "3913510d-42f4-4e42-8a64-420c390055eb",
    "storageBlobDataContributor": "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
    "storageBlobDataOwner": "b7e6dc6d-f1e8-4753-8033-0f276bb0955b",
    "storageBlobDelegator": "db58b8e5-c6ad-4a2a-8342-4190687cbf4a",
    "storageQueueDataContributor": "974c5e8b-45b9-4653-ba55-5f855dd0fb88",
    "storageTableDataContributor": "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3",
}
GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
REFERENCE = "'@Microsoft.KeyVault(SecretUri=${secretsUrl}/"
# What a secret looks like: long runs of base64 or hex, keys in connection strings, signatures.
SECRET = re.compile(r"AccountKey=|SharedAccessKey|[?&]sig=|-----BEGIN|[A-Za-z0-9+/]{40,}={0,2}")


@dataclass(frozen=True)
class Bicep:
    """One file, without its comments."""

    path: Path

    @property
    def raw(self) -> str:
        return self.path.read_text()

    @property
    def text(self) -> str:
        return re.sub(r"^\s*//.*$", "", self.raw, flags=re.MULTILINE)

    def params(self) -> dict[str, bool]:
        """Every parameter, and whether it may be left out."""
        found = re.findall(r"^param (\w+) \w+( *=)?", self.text, re.MULTILINE)
        return {name: bool(default) for name, default in found}

    def outputs(self) -> set[str]:
        return set(re.findall(r"^output (\w+) ", self.text, re.MULTILINE))

    def blocks(self, word: str) -> list[tuple[str, str, str]]:
        """Symbol, quoted part and body of each `word symbol 'quoted' = ...` at the left margin."""
        pattern = rf"^{word} (\w+) '([^']+)' = (.*?^\}}\]?)$"
        return re.findall(pattern, self.text, re.MULTILINE | re.DOTALL)


MAIN = Bicep(INFRA / "main.bicep")
MODULES = sorted((Bicep(path) for path in (INFRA / "modules").glob("*.bicep")), key=str)
ALL = [MAIN, *MODULES]
APP = Bicep(INFRA / "modules" / "app.bicep")
each_file = pytest.mark.parametrize("bicep", ALL, ids=lambda one: one.path.stem)


def given_settings() -> dict[str, str]:
    """HOLDFAST_ settings that the app gets, with what they are set to."""
    return dict(re.findall(r"^ +(HOLDFAST_\w+): (.+)$", APP.text, re.MULTILINE))


def test_every_setting_is_given_or_left_out_for_a_reason() -> None:
    wanted = {f"HOLDFAST_{name.upper()}" for name in Settings.model_fields}
    left = dict(re.findall(r"^// (HOLDFAST_\w+) is left out: (.+)$", APP.raw, re.MULTILINE))
    given = given_settings()
    assert given.keys() & left.keys() == set()
    assert given.keys() | left.keys() == wanted
    assert len(given) > len(left)


def test_what_the_settings_say_is_what_the_app_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """The two settings that are JSON, spelled as Bicep's string() and join() spell them."""
    monkeypatch.setenv("HOLDFAST_REGIONS", '["westeurope","uksouth"]')
    monkeypatch.setenv("HOLDFAST_USERS_NEED_SITE_SETTINGS", "True")  # string(true)
    pair = re.search(r"in regions: '(\"\$\{region\}.*)'\]", MAIN.text)
    assert pair is not None
    filled = pair[1].replace("${region}", "uksouth").replace("${blobSuffix}", "blob.example")
    monkeypatch.setenv(
        "HOLDFAST_REGION_STORAGE", "{" + filled.replace("${vaultAccounts[i]}", "a") + "}"
    )
    read = Settings()
    assert read.regions == ["westeurope", "uksouth"]
    assert read.region_storage == {"uksouth": "https://a.blob.example"}
    assert read.users_need_site_settings is True


def test_secret_settings_are_references_to_the_key_vault() -> None:
    secret = {
        f"HOLDFAST_{name.upper()}"
        for name, field in Settings.model_fields.items()
        if "SecretStr" in str(field.annotation)
    }
    given = given_settings()
    assert secret & given.keys()
    for name in secret & given.keys():
        assert given[name].startswith(REFERENCE), name
    reads = {name for name, value in given.items() if REFERENCE in value}
    assert reads <= secret


def test_no_file_holds_a_secret() -> None:
    texts = [bicep.raw for bicep in ALL] + [(INFRA / "main.parameters.example.json").read_text()]
    for text in texts:
        free = re.sub(r"'Microsoft\.[\w./@-]+'|AzureFunctionsJobHost__\w+", "", text)
        assert [found for found in SECRET.findall(free) if "/" not in found] == []
        assert "listKeys" not in free
        assert not re.search(
            r"^param \w*(secret|password|key) string = '.+'", free, re.IGNORECASE | re.MULTILINE
        )


def test_the_secret_rule_sees_what_it_should() -> None:
    assert SECRET.search("AccountKey=abc")
    assert SECRET.search("k: '" + "a1" * 25 + "'")


@each_file
def test_every_role_is_a_known_one(bicep: Bicep) -> None:
    named = dict(re.findall(rf"^var (\w+) = '({GUID.pattern})'$", bicep.text, re.MULTILINE))
    assert len(GUID.findall(bicep.text)) == len(named), "an id that no variable names"
    for name, guid in named.items():
        assert ROLES.get(name) == guid
        assert len(re.findall(rf"\b{name}\b", bicep.text)) > 1, f"{name} is given to nobody"


@each_file
def test_every_assignment_is_narrow_and_names_its_role(bicep: Bicep) -> None:
    for symbol, kind, body in bicep.blocks("resource"):
        if not kind.startswith("Microsoft.Authorization/roleAssignments@"):
            continue
        assert re.search(r"^ +scope: \w+$", body, re.MULTILINE), f"{symbol} is for a whole group"
        role = re.search(r"roleDefinitionId: (.+)$", body, re.MULTILINE)
        assert role is not None
        known = r"subscriptionResourceId\('Microsoft.Authorization/roleDefinitions', (\w+)\)"
        by_name = re.fullmatch(known, role[1])
        assert role[1] == "keeperRoleId" or (by_name and by_name[1] in {"role", *ROLES}), symbol


def test_roles_are_given_where_they_are_needed() -> None:
    held = {one.path.stem: {name for name in ROLES if name in one.text} for one in MODULES}
    assert held["hoststorage"] == {
        "storageBlobDataOwner",
        "storageQueueDataContributor",
        "storageTableDataContributor",
    }
    assert held["platformstorage"] == {"storageBlobDataContributor", "storageTableDataContributor"}
    assert held["vaultstorage"] == {"storageBlobDataContributor", "storageBlobDelegator"}


def test_the_app_cannot_open_what_it_seals_for_recovery() -> None:
    """V7: nobody but a person holds the private half of the sealed recovery key."""
    [vault] = [one for one in MODULES if one.path.stem == "keyvault"]
    on = {
        re.search(r"scope: (\w+)", body)[1]: re.search(r"roleDefinitions', (\w+)\)", body)[1]  # type: ignore[index]
        for _, kind, body in vault.blocks("resource")
        if "roleAssignments" in kind
    }
    assert on == {
        "wrapping": "keyVaultCryptoServiceEncryptionUser",
        "sealed": "keyVaultReader",
        "signing": "keyVaultCryptoUser",
        "vault": "keyVaultSecretsUser",
    }


def test_keys_have_the_names_and_sizes_the_app_asks_for() -> None:
    [vault] = [one for one in MODULES if one.path.stem == "keyvault"]
    keys = {
        re.search(r"name: (.+)$", body, re.MULTILINE)[1]: body  # type: ignore[index]
        for _, kind, body in vault.blocks("resource")
        if kind.startswith("Microsoft.KeyVault/vaults/keys@")
    }
    sealed, signing = f"'${{keyName}}{SEALED}'", f"'${{keyName}}{SIGNING}'"
    assert keys.keys() == {"keyName", sealed, signing}
    for name in ("keyName", sealed):
        assert f"keySize: {MIN_RSA_BITS}" in keys[name]
        assert "'unwrapKey'" in keys[name]
    assert "curveName: 'P-256'" in keys[signing]
    assert "enablePurgeProtection: true" in vault.text
    assert "enableRbacAuthorization: true" in vault.text
    assert "vaultUri}keys/${keyName}'" in vault.text


def test_every_storage_account_is_closed_to_keys_and_to_strangers() -> None:
    accounts = [
        body
        for one in MODULES
        for _, kind, body in one.blocks("resource")
        if kind.startswith("Microsoft.Storage/storageAccounts@")
    ]
    assert len(accounts) == 3
    for body in accounts:
        assert "allowSharedKeyAccess: false" in body
        assert "allowBlobPublicAccess: false" in body
        assert "minimumTlsVersion: 'TLS1_2'" in body


def test_containers_of_the_templates_are_those_of_the_app() -> None:
    platform, vaults = (
        next(one.text for one in MODULES if one.path.stem == stem)
        for stem in ("platformstorage", "vaultstorage")
    )
    assert f"name: '{CHECKPOINTS}'" in platform
    assert re.findall(r"prefixMatch: \[(.+)\]", vaults) == [f"'{EXPORTS}/'"]
    assert "immutableStorageWithVersioning: locked" in vaults
    assert "isVersioningEnabled: locked" in vaults


def test_every_module_gets_what_it_asks_for_and_gives_what_is_used() -> None:
    used = MAIN.blocks("module")
    assert {path for _, path, _ in used} == {f"modules/{one.path.name}" for one in MODULES}
    outputs = {}
    for symbol, path, body in used:
        module = Bicep(INFRA / path)
        outputs[symbol] = module.outputs()
        handed = re.search(r"^  params: \{\n(.*?)^  \}$", body, re.MULTILINE | re.DOTALL)
        assert handed is not None, symbol
        names = re.findall(r"^    (\w+):", handed[1], re.MULTILINE)
        wanted = module.params()
        assert len(names) == len(set(names)), symbol
        assert set(names) <= wanted.keys(), symbol
        assert {name for name, may_lack in wanted.items() if not may_lack} <= set(names), symbol
    asked = re.findall(r"\b(\w+)(?:\[i\])?\.outputs\.(\w+)", MAIN.text)
    assert asked
    assert [(m, name) for m, name in asked if name not in outputs[m]] == []


@each_file
def test_every_parameter_and_variable_is_used(bicep: Bicep) -> None:
    variables = re.findall(r"^var (\w+) =", bicep.text, re.MULTILINE)
    for name in [*bicep.params(), *variables]:
        assert len(re.findall(rf"\b{name}\b", bicep.text)) > 1, name


def test_the_example_names_parameters_that_exist_and_all_that_must_be_given() -> None:
    example = json.loads((INFRA / "main.parameters.example.json").read_text())["parameters"]
    known = MAIN.params()
    assert example.keys() <= known.keys()
    assert {name for name, may_lack in known.items() if not may_lack} <= example.keys()


def test_the_app_runs_on_the_python_of_the_project() -> None:
    python = (PROJECT / ".python-version").read_text().strip()
    assert re.search(rf"name: 'python'\n +version: '{re.escape(python)}'", APP.text)
    asked = re.search(r'"hubName": "%(\w+)%"', (PROJECT / "host.json").read_text())
    assert asked is not None
    assert re.search(rf"^  {asked[1]}: taskHub$", APP.text, re.MULTILINE)
