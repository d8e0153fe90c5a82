"""Build backend of holdfast-vault: a wheel of the reader and the service's own format package.

The format stands once in the repository, in shared/vault/format. The wheel holds it as
holdfast_vault/format, so that nothing called `shared` is installed at a customer's. Needs nothing
but Python; the same sources give the same bytes.
"""

import base64
import hashlib
import tomllib
import zipfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PACKAGE = "holdfast_vault"
INSIDE, OUTSIDE = "shared.vault.format", f"{PACKAGE}.format"
_DATE = (2020, 1, 1, 0, 0, 0)


def build_wheel(
    wheel_directory: str,
    config_settings: Any = None,  # noqa: ARG001
    metadata_directory: Any = None,  # noqa: ARG001
) -> str:
    """PEP 517: write the wheel, return its file name."""
    project = tomllib.loads((HERE / "pyproject.toml").read_text())["project"]
    stem = f"{PACKAGE}-{project['version']}"
    files = _modules(HERE / PACKAGE, PACKAGE)
    files |= _modules(HERE.parent / "shared" / "vault" / "format", f"{PACKAGE}/format")
    info = f"{stem}.dist-info"
    files[f"{info}/METADATA"] = _metadata(project)
    files[f"{info}/WHEEL"] = (
        "Wheel-Version: 1.0\nGenerator: holdfast\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    scripts = "".join(f"{name} = {where}\n" for name, where in project["scripts"].items())
    files[f"{info}/entry_points.txt"] = f"[console_scripts]\n{scripts}"
    files[f"{info}/licenses/LICENSE"] = (HERE.parent / "LICENSE").read_text()
    record = "".join(
        f"{name},{_digest(text)},{len(text.encode())}\n" for name, text in files.items()
    )
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n"
    name = f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(Path(wheel_directory, name), "w", zipfile.ZIP_DEFLATED) as wheel:
        for path, text in files.items():
            entry = zipfile.ZipInfo(path, _DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            wheel.writestr(entry, text)
    return name


def build_sdist(sdist_directory: str, config_settings: Any = None) -> str:
    """PEP 517 asks for it; the source of the reader is the repository."""
    raise NotImplementedError("build the wheel from the repository: its format stands beside it")


def _modules(folder: Path, package: str) -> dict[str, str]:
    found = sorted(folder.rglob("*.py"))
    return {
        f"{package}/{path.relative_to(folder).as_posix()}": path.read_text().replace(
            INSIDE, OUTSIDE
        )
        for path in found
    }


def _metadata(project: dict[str, Any]) -> str:
    lines = [
        "Metadata-Version: 2.4",
        f"Name: {project['name']}",
        f"Version: {project['version']}",
        f"Summary: {project['description']}",
        f"Requires-Python: {project['requires-python']}",
        f"License-Expression: {project['license']}",
        "License-File: LICENSE",
        *(f"Requires-Dist: {needed}" for needed in project["dependencies"]),
    ]
    return "\n".join(lines) + "\n"


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return "sha256=" + base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
