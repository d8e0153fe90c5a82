"""The Azure lock adapter on the wire: what it sends, what it makes of the answers (section 14).

No emulator has immutability, so a small service here speaks the REST shapes the adapter uses, on
the store with Azure's semantics that the rules are tested on.
"""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from xml.sax.saxutils import escape

import pytest
from aiohttp import web
from azure.storage.blob.aio import ContainerClient

from shared.vault.azure_locks import AzureLocks
from shared.vault.locks import Immutable, LockRefused, Version, true_versions
from tests.unit.vault.worm import WormBlobs


class Service:
    """Blob service REST, only the parts of the lock port."""

    def __init__(self) -> None:
        self.worm = WormBlobs()
        self.seen: list[tuple[str, dict[str, str]]] = []

    async def answer(self, request: web.Request) -> web.Response:
        comp = request.query.get("comp", "")
        self.seen.append((f"{request.method} {comp}", dict(request.headers)))
        date = {"Date": format_datetime(self.worm.clock.now(), usegmt=True)}
        if comp == "list":
            return web.Response(text=await self._list(request), content_type="application/xml")
        if request.query.get("restype") == "container":
            return web.Response(headers=date | {"ETag": '"1"', "Last-Modified": date["Date"]})
        name = request.path.split("/", 2)[2]
        version = request.query.get("versionid", "")
        known = [one async for one in self.worm.versions(name) if one.name == name]
        found = next(one for one in known if version in (one.version, "") and
                     (version or one.current))  # fmt: skip
        try:
            return await self._one(request, comp, found, date)
        except (Immutable, LockRefused) as refused:
            code = "BlobImmutableDueToPolicy"
            return web.Response(status=409, headers={"x-ms-error-code": code}, text=str(refused))

    async def _one(
        self, request: web.Request, comp: str, found: Version, date: dict[str, str]
    ) -> web.Response:
        if comp == "immutabilityPolicies":
            if request.headers["x-ms-immutability-policy-mode"].lower() != "locked":
                return web.Response(status=400)
            until = parsedate_to_datetime(request.headers["x-ms-immutability-policy-until-date"])
            await self.worm.lock(found, until)
            return web.Response(headers=date)
        if comp == "legalhold":
            await self.worm.hold(found, request.headers["x-ms-legal-hold"] == "true")
            return web.Response(headers=date)
        if request.method == "DELETE":
            await self.worm.delete(found)
            return web.Response(status=202, headers=date)
        data = await self.worm.read(found)
        start, _, end = (
            request.headers.get("x-ms-range", "bytes=0-").partition("=")[2].partition("-")
        )
        part = data[int(start) : int(end) + 1 if end else None]
        total = f"bytes {start}-{int(start) + len(part) - 1}/{len(data)}"
        return web.Response(
            status=206, body=part,
            headers=date | {"Content-Range": total, "ETag": '"1"', "x-ms-blob-type": "BlockBlob"},
        )  # fmt: skip

    async def _list(self, request: web.Request) -> str:
        include = request.query["include"].split(",")
        assert {"versions", "immutabilitypolicy", "legalhold"} <= set(include)
        blobs = ""
        prefix = request.query.get("prefix", "")
        async for one in self.worm.versions(prefix, deleted="deleted" in include):
            about = f"<Creation-Time>{_date(one.created)}</Creation-Time>"
            about += f"<Last-Modified>{_date(one.created)}</Last-Modified>"
            about += f"<Content-Length>{one.size}</Content-Length><BlobType>BlockBlob</BlobType>"
            if one.locked_until:
                about += f"<ImmutabilityPolicyUntilDate>{_date(one.locked_until)}"
                about += "</ImmutabilityPolicyUntilDate>"
                about += "<ImmutabilityPolicyMode>locked</ImmutabilityPolicyMode>"
            about += f"<LegalHold>{str(one.held).lower()}</LegalHold>"
            current = "<IsCurrentVersion>true</IsCurrentVersion>" if one.current else ""
            gone = "<Deleted>true</Deleted>" if one.deleted else ""
            blobs += (
                f"<Blob><Name>{escape(one.name)}</Name>{gone}<VersionId>{one.version}</VersionId>"
            )
            blobs += f"{current}<Properties>{about}</Properties></Blob>"
        return (
            '<?xml version="1.0" encoding="utf-8"?><EnumerationResults ContainerName="v">'
            f"<Blobs>{blobs}</Blobs><NextMarker/></EnumerationResults>"
        )


def _date(at: datetime) -> str:
    return format_datetime(at.astimezone(UTC), usegmt=True)


@pytest.fixture
async def service() -> AsyncIterator[tuple[Service, AzureLocks]]:
    made = Service()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", made.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    client = ContainerClient(f"http://127.0.0.1:{port}", "v", retry_total=0)
    yield made, AzureLocks(client)
    await client.close()
    await runner.cleanup()


async def test_versions_oldest_first_with_their_locks(
    service: tuple[Service, AzureLocks],
) -> None:
    made, locks = service
    await made.worm.put("o/a", b"first")
    await made.worm.put("o/a", b"second!", create_only=False)
    until = made.worm.clock.now() + timedelta(days=400)
    await locks.lock((await true_versions(locks, "o/"))["o/a"], until)
    found = [one async for one in locks.versions("o/")]
    assert [(one.size, one.current) for one in found] == [(5, False), (7, True)]
    assert found[0].locked_until == until
    assert found[1].locked_until is None
    assert await locks.read(found[0]) == b"first"
    assert await locks.read(found[1], 2, 3) == b"con"
    assert [one async for one in locks.versions("nothing/")] == []


async def test_a_lock_is_always_sent_as_locked_and_only_extended(
    service: tuple[Service, AzureLocks],
) -> None:
    made, locks = service
    await made.worm.put("a", b"1")
    one = (await true_versions(locks, "a"))["a"]
    until = made.worm.clock.now() + timedelta(days=10)
    await locks.lock(one, until)
    await locks.lock(one, until + timedelta(days=1))
    sent = [headers for what, headers in made.seen if what == "PUT immutabilityPolicies"]
    assert {headers["x-ms-immutability-policy-mode"] for headers in sent} == {"Locked"}
    with pytest.raises(LockRefused):
        await locks.lock(one, until)
    with pytest.raises(Immutable):
        await locks.delete(one)


async def test_hold_delete_and_the_services_clock(service: tuple[Service, AzureLocks]) -> None:
    made, locks = service
    await made.worm.put("a", b"1")
    one = (await true_versions(locks, "a"))["a"]
    await locks.hold(one, True)
    assert (await true_versions(locks, "a"))["a"].held
    with pytest.raises(Immutable):
        await locks.delete(one)
    await locks.hold(one, False)
    await locks.delete(one)
    assert [found async for found in locks.versions("a")] == []
    assert [found.deleted async for found in locks.versions("a", deleted=True)] == [True]
    assert await locks.now() == made.worm.clock.now()
