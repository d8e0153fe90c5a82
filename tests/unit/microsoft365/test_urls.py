"""URLs of the data plane (M1, M2, M5)."""

import ast
from pathlib import Path

import pytest

import shared.microsoft365
from shared.microsoft365.templates import TEMPLATES
from shared.microsoft365.urls import templates_of_sdk, url

PACKAGE = Path(shared.microsoft365.__file__).parent
CONTROL_PLANE = {"sdk.py", "directory.py", "provisioning.py", "urls.py", "groups.py"}


@pytest.mark.filterwarnings("ignore:This class is deprecated")
def test_m2_templates_equal_those_of_the_installed_sdk() -> None:
    assert templates_of_sdk() == TEMPLATES


def test_m5_ids_are_percent_encoded_and_never_folded() -> None:
    made = url("https://g/v1.0", "message", user="a/b", message="Aa=+ü")
    assert made == "https://g/v1.0/users/a%2Fb/messages/Aa%3D%2B%C3%BC"
    assert url("", "mail_folders", {"$top": "5"}, user="u") == "/users/u/mailFolders?$top=5"


def test_m1_the_data_plane_imports_neither_the_sdk_nor_httpx() -> None:
    for path in PACKAGE.glob("*.py"):
        if path.name in CONTROL_PLANE:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not [n for n in names if n.split(".")[0] in {"httpx", "msgraph"}], path.name


def test_m31_only_the_transport_sends_and_repeats() -> None:
    senders = {"transport.py", "signin.py", "sdk.py", "wire.py"}
    for path in PACKAGE.glob("*.py"):
        if path.name not in senders:
            assert ".session.request(" not in path.read_text(), path.name
            assert ".session.post(" not in path.read_text(), path.name
