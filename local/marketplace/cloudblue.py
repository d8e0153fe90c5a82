"""CloudBlue Connect as a vendor sees it: assets, fulfilment requests, usage files."""

import io
import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from zipfile import BadZipFile

import jwt
from aiohttp import web

from local.marketplace.deliveries import Deliveries
from local.marketplace.wire import JSON, Refused, answer, body_of, guid
from local.microsoft365.clock import Clock, iso

PAGE = 100
COLUMNS = (
    "record_id", "item_search_criteria", "item_search_value", "quantity", "start_time_utc",
    "end_time_utc", "asset_search_criteria", "asset_search_value",
)  # fmt: skip
AFTER = {"suspend": "suspended", "resume": "active", "cancel": "terminated", "purchase": "active"}


@dataclass
class Asset:
    """A subscription."""

    id: str
    product: str
    mpn: str
    quantity: int
    tenant_id: str
    customer: str
    created: datetime
    status: str = "processing"
    params: JSON = field(default_factory=dict)
    ended: datetime | None = None

    def shown(self, quantity: int | None = None) -> JSON:
        """With the quantity that a request asks for."""
        wanted = self.quantity if quantity is None else quantity
        return {
            "id": self.id,
            "status": self.status,
            "external_id": f"ext-{self.id}",
            "product": {"id": self.product, "name": "Backup"},
            "events": {
                "created": {"at": iso(self.created)},
                **({"terminated": {"at": iso(self.ended)}} if self.ended else {}),
            },
            "items": [
                {
                    "id": f"{self.product}-0001",
                    "mpn": self.mpn,
                    "quantity": str(wanted),
                    "old_quantity": str(self.quantity),
                    "type": "Reservation",
                }
            ],
            "params": [
                {"id": "tenant_id", "value": self.tenant_id},
                *({"id": k, "value": v} for k, v in self.params.items()),
            ],
            "tiers": {"customer": {"id": f"TA-{self.id}", "name": self.customer}},
        }


@dataclass
class Request:
    """A fulfilment request: every change is one."""

    id: str
    kind: str
    asset: Asset
    created: datetime
    quantity: int
    status: str = "pending"
    reason: str = ""

    def shown(self) -> JSON:
        """As the vendor reads it."""
        return {
            "id": self.id,
            "type": self.kind,
            "status": self.status,
            "created": iso(self.created),
            "reason": self.reason,
            "asset": self.asset.shown(self.quantity),
        }


class CloudBlue:
    """Handlers below /public/v1."""

    def __init__(self, clock: Clock, api_key: str) -> None:
        self._clock, self._key = clock, api_key
        self.webhooks: Deliveries | None = None
        self.assets: dict[str, Asset] = {}
        self.requests: dict[str, Request] = {}
        self.files: dict[str, JSON] = {}
        self.reads_at_once = True
        """Otherwise a workbook is `processing` until somebody asks for its file."""

    def routes(self) -> list[web.AbstractRouteDef]:
        """All of them."""
        base = "/public/v1"
        return [
            web.get(f"{base}/requests", self.list_requests),
            web.get(f"{base}/requests/{{id}}", self.request),
            web.post(f"{base}/requests/{{id}}/{{verb:approve|fail|inquire}}", self.answer_request),
            web.get(f"{base}/assets", self.list_assets),
            web.get(f"{base}/assets/{{id}}", self.asset),
            web.post(f"{base}/usage/files", self.make_file),
            web.get(f"{base}/usage/files/{{id}}", self.file),
            web.post(f"{base}/usage/files/{{id}}/upload", self.upload),
            web.post(f"{base}/usage/files/{{id}}/submit", self.submit),
        ]

    def ask(self, kind: str, given: JSON) -> Request:
        """A request as a customer or the commerce system makes it."""
        if kind == "purchase":
            asset = Asset(
                id=f"AS-{guid()[:8]}",
                product=str(given["productId"]),
                mpn=str(given["mpn"]),
                quantity=int(given["quantity"]),
                tenant_id=str(given["tenantId"]),
                customer=str(given.get("customer", "Contoso")),
                created=self._clock.now(),
                params=dict(given.get("params") or {}),
            )
            self.assets[asset.id] = asset
        else:
            asset = self.assets[str(given["assetId"])]
        quantity = int(given.get("quantity", asset.quantity))
        made = Request(f"PR-{guid()}", kind, asset, self._clock.now(), quantity)
        self.requests[made.id] = made
        return made

    def hook_token(self, secret: str) -> str:
        """The token that a webhook of Connect carries."""
        now = Clock().now()  # whoever checks it has no other clock
        claims = {"iat": int(now.timestamp()), "exp": int((now + timedelta(minutes=5)).timestamp())}
        return jwt.encode(claims, secret, "HS256")

    async def list_requests(self, request: web.Request) -> web.Response:
        """Filtered by RQL's eq(status,…) and paged by limit and offset."""
        return self._page(request, [each.shown() for each in self.requests.values()])

    async def list_assets(self, request: web.Request) -> web.Response:
        """The same for assets."""
        return self._page(request, [each.shown() for each in self.assets.values()])

    async def request(self, request: web.Request) -> web.Response:
        """One request."""
        return answer(self._request(request).shown())

    async def asset(self, request: web.Request) -> web.Response:
        """One asset."""
        self._check(request)
        found = self.assets.get(request.match_info["id"])
        if found is None:
            raise Refused(404, "There is no such asset.")
        return answer(found.shown())

    async def answer_request(self, request: web.Request) -> web.Response:
        """Approve, fail or inquire; only while it is pending or inquiring."""
        found, verb = self._request(request), request.match_info["verb"]
        asked = await body_of(request)
        if found.status not in ("pending", "inquiring"):
            raise Refused(409, f"The request is {found.status}.")
        if verb == "fail":
            if not asked.get("reason"):
                raise Refused(400, "A reason is needed.")
            found.status, found.reason = "failed", str(asked["reason"])
            if found.kind == "purchase":
                found.asset.status = "terminated"
        elif verb == "inquire":
            found.status = "inquiring"
        else:
            if not asked.get("template_id") and not asked.get("activation_tile"):
                raise Refused(400, "A template or an activation tile is needed.")
            found.status = "approved"
            found.asset.quantity = found.quantity
            found.asset.status = AFTER.get(found.kind, found.asset.status)
            if found.asset.status == "terminated":
                found.asset.ended = self._clock.now()
        return answer(found.shown())

    async def make_file(self, request: web.Request) -> web.Response:
        """A usage file, empty."""
        self._check(request)
        asked = await body_of(request)
        made: JSON = {
            "id": f"UF-{guid()[:12]}",
            "status": "draft",
            "name": asked.get("name"),
            "product": asked.get("product"),
            "rows": [],
        }
        self.files[str(made["id"])] = made
        return answer(made, 201)

    async def upload(self, request: web.Request) -> web.Response:
        """The workbook: ready, or invalid with what is wrong."""
        found = self._file(request)
        parts = await request.multipart()
        part: Any = await parts.next()
        rows, problem = read_usage(await part.read())
        found |= {"status": "invalid" if problem else "ready", "error": problem, "rows": rows}
        if not self.reads_at_once:
            return answer({**found, "status": "processing", "error": ""}, 201)
        return answer(found, 201)

    async def submit(self, request: web.Request) -> web.Response:
        """Hand it to the marketplace."""
        found = self._file(request)
        if found["status"] != "ready":
            raise Refused(409, f"The file is {found['status']}.")
        found["status"] = "pending"
        return answer(found)

    async def file(self, request: web.Request) -> web.Response:
        """One usage file."""
        return answer(self._file(request))

    def _check(self, request: web.Request) -> None:
        if request.headers.get("Authorization") != f"ApiKey {self._key}":
            raise Refused(401, "Invalid API key.")

    def _request(self, request: web.Request) -> Request:
        self._check(request)
        found = self.requests.get(request.match_info["id"])
        if found is None:
            raise Refused(404, "There is no such request.")
        return found

    def _file(self, request: web.Request) -> JSON:
        self._check(request)
        found = self.files.get(request.match_info["id"])
        if found is None:
            raise Refused(404, "There is no such usage file.")
        return found

    def _page(self, request: web.Request, rows: list[JSON]) -> web.Response:
        self._check(request)
        asked = re.search(r"eq\(status,(\w+)\)", request.query_string)
        kept = [row for row in rows if asked is None or row["status"] == asked[1]]
        start = int(request.query.get("offset") or 0)
        size = min(int(request.query.get("limit") or PAGE), PAGE)
        page = kept[start : start + size]
        last = start + len(page) - 1
        return answer(page, Content_Range=f"items {start}-{last}/{len(kept)}")


def read_usage(content: bytes) -> tuple[list[JSON], str]:
    """The rows of a usage workbook and the first thing wrong with it."""
    from openpyxl import load_workbook  # type: ignore[import-untyped]

    try:
        book = load_workbook(io.BytesIO(content), read_only=True)
    except (BadZipFile, KeyError, ValueError, OSError) as problem:
        return [], f"not a workbook: {problem}"
    if "usage_records" not in book.sheetnames:
        return [], "no sheet usage_records"
    lines = list(book["usage_records"].iter_rows(values_only=True))
    if not lines or not set(COLUMNS) <= set(lines[0]):
        return [], "columns are missing"
    rows = [dict(zip(lines[0], line, strict=True)) for line in lines[1:]]
    wrong = [row for row in rows if not row["record_id"] or float(row["quantity"] or -1) < 0]
    return [{str(k): v for k, v in row.items()} for row in rows], "bad rows" if wrong else ""
