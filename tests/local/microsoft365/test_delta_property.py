"""Whatever happens between and during delta rounds, a mirror fed by them equals the world."""

import asyncio
import random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.local.microsoft365.conftest import READER, Client, client

VERBS = {"newMails": 2, "moveMails": 3, "flagMails": 2, "deleteMails": 2, "newFiles": 2,
         "editFiles": 2, "moveFiles": 2, "renameFiles": 1, "deleteFiles": 2}  # fmt: skip


class Mirror:
    """A tiny backup: applies deltas by the rules M13 to M16 of microsoft365.md."""

    def __init__(self, one: Client, chance: random.Random) -> None:
        self.one, self.chance, self.user = one, chance, one.users[0]
        self.links: dict[str, str] = {}
        self.mails: dict[str, tuple[str, str]] = {}
        self.files: dict[str, dict[str, Any]] = {}
        self.drive_link = f"/drives/{self.user['driveId']}/root/delta?$top=5"

    async def disturb(self) -> None:
        if self.chance.random() < 0.3:
            some = self.chance.sample(sorted(VERBS), 3)
            body = {
                "seed": self.chance.getrandbits(30),
                "users": [self.user["upn"]],
                "perUser": {verb: VERBS[verb] for verb in some},
            }
            await self.one.sim("POST", f"/tenants/{self.one.tenant_id}/change", json=body)

    async def round(self, *, calm: bool = False) -> None:
        base = f"/users/{self.user['id']}/mailFolders"
        self.one.prefer = ['IdType="ImmutableId"', "odata.maxpagesize=4"]
        folders, _, _ = await self.one.pages(base + "/delta")
        order = [folder["id"] for folder in folders]
        self.chance.shuffle(order)
        removed: list[tuple[str, str]] = []
        for folder in order:
            link = self.links.get(folder, f"{base}/{folder}/messages/delta?$select=flag")
            while True:
                page = await self.one.graph("GET", link)
                for change in page["value"]:
                    if "@removed" in change:
                        removed.append((change["id"], folder))
                    else:
                        self.mails[change["id"]] = (folder, change["flag"]["flagStatus"])
                        removed = [gone for gone in removed if gone != (change["id"], folder)]
                if not calm:
                    await self.disturb()
                if "@odata.nextLink" not in page:
                    self.links[folder] = page["@odata.deltaLink"]
                    break
                link = page["@odata.nextLink"]
        for identity, folder in removed:
            if self.mails.get(identity, ("", ""))[0] == folder:
                del self.mails[identity]
        await self._drive(calm=calm)

    async def _drive(self, *, calm: bool) -> None:
        while True:
            page = await self.one.graph("GET", self.drive_link)
            for item in page["value"]:
                if "deleted" in item:
                    self.files.pop(item["id"], None)
                else:
                    self.files[item["id"]] = item
            if not calm:
                await self.disturb()
            self.drive_link = page.get("@odata.nextLink") or page["@odata.deltaLink"]
            if "@odata.deltaLink" in page:
                return


async def scenario(seed: int) -> None:
    limits = {"switches": {"repeatInDelta": bool(seed % 2), "emptyPageInDelta": bool(seed % 3)}}
    size = {"users": 1, "mails": 25, "files": 15, "mail_mean": 500, "file_mean": 200}
    async with client(limits=limits, real=False, **size) as one:
        await one.become(READER)
        mirror = Mirror(one, random.Random(seed))
        for _ in range(3):
            await mirror.round()
        await mirror.round(calm=True)
        await mirror.round(calm=True)
        truth = await one.truth(one.users[0])
        assert mirror.mails == {
            mail["id"]: (mail["folderId"], mail["flag"]) for mail in truth["mails"]
        }
        shown = {
            key: item["file"]["hashes"]["quickXorHash"]
            for key, item in mirror.files.items()
            if "file" in item
        }
        assert shown == {entry["id"]: entry["quickXorHash"] for entry in truth["files"]}
        for entry in truth["files"]:
            names: list[str] = []
            item = mirror.files[entry["id"]]
            while "root" not in item:
                names.append(item["name"])
                item = mirror.files[item["parentReference"]["id"]]
            assert "/".join(reversed(names)) == entry["path"]


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(min_value=0, max_value=10**6))
def test_a_mirror_fed_by_deltas_equals_the_world(seed: int) -> None:
    asyncio.run(scenario(seed))
