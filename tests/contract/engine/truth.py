"""Compares a snapshot with the ground truth of the simulated tenant."""

import hashlib
from typing import Any

from shared.protection.browsing import Opened


async def content_hash(opened: Opened, row: Any) -> str:
    whole = hashlib.sha256()
    async for part in opened.snapshot.content(row):
        whole.update(part)
    return whole.hexdigest()


async def mail_differences(opened: Opened, truth: dict[str, Any]) -> list[str]:
    """What a mailbox's snapshot says otherwise than the mailbox; empty = equal."""
    rows = {row.source_id: row async for row in opened.snapshot.rows() if row.kind == "mail"}
    wanted = {mail["id"]: mail for mail in truth["mails"]}
    wrong = [f"missing {i}" for i in wanted.keys() - rows.keys()]
    wrong += [f"surplus {i}" for i in rows.keys() - wanted.keys()]
    for i in wanted.keys() & rows.keys():
        if rows[i].parent != wanted[i]["folderId"]:
            wrong.append(f"folder of {i}")
        if await content_hash(opened, rows[i]) != wanted[i]["sha256"]:
            wrong.append(f"content of {i}")
    return wrong


async def file_differences(opened: Opened, truth: dict[str, Any]) -> list[str]:
    """What a drive's snapshot says otherwise than the drive; empty = equal."""
    from shared.restore.rules import folder_tree, path_of

    rows = [row async for row in opened.snapshot.rows()]
    tree = folder_tree(row.item for row in rows)
    files = {row.source_id: row for row in rows if row.kind == "file"}
    wanted = {file["id"]: file for file in truth["files"]}
    wrong = [f"missing {i}" for i in wanted.keys() - files.keys()]
    wrong += [f"surplus {i}" for i in files.keys() - wanted.keys()]
    for i in wanted.keys() & files.keys():
        path = "/".join([*path_of(files[i].parent, tree), files[i].name])
        if path != wanted[i]["path"].lstrip("/"):
            wrong.append(f"path of {i}: {path} is {wanted[i]['path']}")
        if await content_hash(opened, files[i]) != wanted[i]["sha256"]:
            wrong.append(f"content of {i}")
    return wrong
