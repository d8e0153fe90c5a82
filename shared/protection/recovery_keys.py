"""The customer's recovery key: its public half, so that it can open its vaults alone (V7).

One for all repositories of a customer. The row is what the customer wants; the wraps in the vaults
are what holds, and only they are shown as done. The nights bring about what a crash left undone.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.access.model import Scope
from shared.customers import repository as customers
from shared.customers.model import Customer
from shared.kit.errors import Unprocessable
from shared.kit.etags import check_if_match, strong_etag
from shared.kit.tables import LostRace, Row, RowExists
from shared.protection import repositories
from shared.protection.repositories import RECOVERY_ROW, BackupRepository, RecoveryKey
from shared.protection.vaults import open_vault
from shared.vault.errors import UnknownRepository

if TYPE_CHECKING:
    from shared.bootstrap import Deps

LONGEST_BITS = 8192
"""More would make every wrap slow and no key stronger in practice."""


class NotAPublicKey(Unprocessable):
    """The text is not the public half of a key that can be used."""

    code, title = "RECOVERY_KEY_REFUSED", "This is no public key we can use"


class PrivateKeySent(Unprocessable):
    """The private half must never leave the customer."""

    code, title = "PRIVATE_KEY_SENT", "This is the private half of a key"


@dataclass(frozen=True, slots=True)
class Opened:
    """One repository and the fingerprint of the recovery key that opens it; None: no vault yet."""

    repository: BackupRepository
    fingerprint: str | None


@dataclass(frozen=True, slots=True)
class Held:
    """What a customer has given, if anything, and what opens each of its repositories."""

    key: RecoveryKey | None
    opened: list[Opened]

    @property
    def etag(self) -> str:
        """The strong ETag of all that is shown, also while there is no key."""
        opened = [one.fingerprint or "" for one in self.opened]
        return strong_etag(self.key.etag if self.key else "", *opened)


def read(pem: str) -> tuple[str, int, str]:
    """Fingerprint, bits and PEM in its plain form: pure. `PrivateKeySent`, `NotAPublicKey`."""
    from cryptography.hazmat.primitives import serialization

    from shared.vault.format import keys
    from shared.vault.format.errors import FormatError

    if "PRIVATE KEY" in pem:
        raise PrivateKeySent(
            "It was not stored, but has left your hands: make a new pair, and send the public half "
            "(openssl pkey -in recovery.pem -pubout).",
            pointer="/publicKey",
        )
    try:
        key = keys.public_key(pem.encode())
    except (FormatError, ValueError) as wrong:
        raise NotAPublicKey(
            f"Send RSA with {keys.MIN_RSA_BITS} to {LONGEST_BITS} bits in PEM.",
            pointer="/publicKey",
        ) from wrong
    if key.key_size > LONGEST_BITS:
        raise NotAPublicKey(f"It has more than {LONGEST_BITS} bits.", pointer="/publicKey")
    plain = key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return keys.spki_sha256(key), key.key_size, plain.decode()


async def get(deps: "Deps", scope: Scope, customer_id: str) -> Held:
    """The key, and what the vaults themselves say opens them. NotFound outside the scope."""
    customer = await customers.get(deps.tables, scope, customer_id)
    return Held(await repositories.find_recovery_key(deps, customer), await _opened(deps, customer))


async def put(
    deps: "Deps", scope: Scope, customer_id: str, if_match: str | None, *, pem: str, by: str
) -> Held:
    """Take this key from now on, and wrap the tenant key of every repository for it.

    Repeating it mends what was cut off. An earlier key goes on opening what it once opened: what
    is locked stays. `PrivateKeySent`, `NotAPublicKey`, `LostRace`.
    """
    customer = await customers.get(deps.tables, scope, customer_id)
    before = Held(
        await repositories.find_recovery_key(deps, customer), await _opened(deps, customer)
    )
    check_if_match(if_match, before.etag)
    held = before.key
    fingerprint, bits, plain = read(pem)
    if held is None or held.fingerprint != fingerprint:
        wanted = RecoveryKey(
            customer_id=customer_id,
            partner_id=customer.partner_id,
            public_pem=plain,
            fingerprint=fingerprint,
            bits=bits,
            set_at=deps.clock.now(),
            set_by=by,
        )
        await _save(deps, wanted, held)
    for one in await repositories.list_of(deps, customer):
        await apply(deps, customer, one.repository_id)
    return await get(deps, scope, customer_id)


async def apply(deps: "Deps", customer: Customer, repository_id: str) -> str | None:
    """Wrap one repository for the current keys; the new key blob's name. May run twice."""
    try:
        vault = await open_vault(deps, customer, repository_id)
    except UnknownRepository:
        return None  # not made yet: it will be made with this key
    return await vault.rewrap(await repositories.recovery_pem(deps, customer))


async def _save(deps: "Deps", wanted: RecoveryKey, held: RecoveryKey | None) -> None:
    table = deps.tables[repositories.TABLE]
    row = Row(wanted.customer_id, RECOVERY_ROW, wanted.model_dump(mode="json"))
    try:
        if held is None:
            await table.insert(row)
        else:
            row.etag = held.etag
            await table.replace(row)
    except RowExists:
        raise LostRace("Somebody else has just given a key; read it again.") from None


async def _opened(deps: "Deps", customer: Customer) -> list[Opened]:
    found = []
    for one in await repositories.list_of(deps, customer):
        fingerprint: str | None = None
        try:
            vault = await open_vault(deps, customer, one.repository_id)
            fingerprint = await vault.recovery_fingerprint()
        except UnknownRepository:
            fingerprint = None
        found.append(Opened(one, fingerprint))
    return found
