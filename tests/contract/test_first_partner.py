"""The operator's command on real tables: what it makes, and that it may be repeated."""

from infra.first_partner import arguments, register
from local.azurite import Azurite
from shared.bootstrap import CURSOR_KEY_ROW, SYSTEM_PARTITION, Deps
from shared.kit.config import Settings

TENANT = "7d9c1f8e-0f57-4c39-9c3b-2f5f0a4f1c11"
OPERATOR = "0a1f7a52-9a35-4f0e-8f0f-3b0f4a2d9b77"
LINE = ["--tenant", TENANT, "--name", "First", "--operator", OPERATOR, "--admin"]


async def test_a_partner_is_registered_once_however_often_it_is_asked(azurite: Azurite) -> None:
    settings = Settings(storage_connection=azurite.connection)  # type: ignore[arg-type]
    given = arguments([*LINE, "ada@first.example", "Ada", "First"])
    partner_id = await register(settings, given)
    deps = Deps(settings)
    try:
        key = (await deps.tables["Access"].get(SYSTEM_PARTITION, CURSOR_KEY_ROW)).values["key"]
        assert await register(settings, given) == partner_id
        again = await deps.tables["Access"].get(SYSTEM_PARTITION, CURSOR_KEY_ROW)
        assert again.values["key"] == key
    finally:
        await deps.close()
