"""Resale: price books in versions, billing profiles, and what customers are billed."""

from typing import Annotated, Any

from fastapi import Depends, Path, Response

from functions.api.access_models import IfMatch
from functions.api.billing_models import (
    BilledModel,
    BillingReportOut,
    BillingSummaryOut,
    PriceBookIn,
    PriceBookOut,
    PricedQuestion,
    ProfileModel,
    ProfileOut,
)
from functions.api.protection_models import PageOf
from functions.api.routing import Router
from functions.api.security import requires
from functions.api.usage import whole
from functions.api.usage_models import AnswerOut, ExplanationOut, LineId, Month
from shared.access.model import Caller
from shared.billing.model import BilledCustomer, CustomerInvoice, PriceBook, Profile
from shared.billing.refusals import RecipientsRequired
from shared.billing.rules.invoicing import check_tiers
from shared.bootstrap import deps
from shared.customers import repository as customers
from shared.kit.errors import NotFound
from shared.usage import reselling, service

router = Router(tags=["billing"])
Reader = Annotated[Caller, Depends(requires("billing.read"))]
Writer = Annotated[Caller, Depends(requires("billing.write"))]
Name = Path(min_length=1, max_length=40, pattern=r"^[0-9A-Za-z-]+$")
BookId = Annotated[str, Name]
ProfileId = Annotated[str, Name]
CustomerId = Annotated[str, Path(min_length=1, max_length=64)]
JSON: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/json": {"schema": {"type": "object"}}}}
}


@router.get("/price-books", operation_id="price_books", summary="List the price books")
async def books(caller: Reader) -> PageOf[PriceBookOut]:
    """The newest version of each."""
    newest = {each.book.book_id: each for each in await deps().prices.versions(whole(caller))}
    return PageOf(value=[PriceBookOut.of(each) for each in newest.values()])


@router.get(
    "/price-books/{book_id}/versions",
    operation_id="price_book_versions",
    summary="Versions of a price book",
)
async def versions(book_id: BookId, caller: Reader) -> PageOf[PriceBookOut]:
    """Oldest first; none is ever changed."""
    found = await deps().prices.versions(whole(caller), book_id)
    if not found:
        raise NotFound(f"There is no price book {book_id!r}.")
    return PageOf(value=[PriceBookOut.of(each) for each in found])


@router.post(
    "/price-books/{book_id}/versions",
    operation_id="price_book_add_version",
    summary="Make a price book, or its next version",
    status_code=201,
)
async def add_version(book_id: BookId, body: PriceBookIn, caller: Writer) -> PriceBookOut:
    """Prices from a month on; months that are billed keep the version they were billed with."""
    for item, price in body.prices.items():
        check_tiers(price.tiers, f"/prices/{item}/tiers")
    book = PriceBook(
        book_id=book_id, currency=body.currency, decimals=body.decimals, prices=body.prices
    )
    kept = await deps().prices.add_version(
        whole(caller),
        book,
        name=body.name,
        valid_from=body.valid_from,
        by=caller.principal.subject,
    )
    return PriceBookOut.of(kept)


@router.get("/billing-profiles", operation_id="billing_profiles", summary="List billing profiles")
async def profiles(caller: Reader) -> PageOf[ProfileOut]:
    """`default` is the one of customers that name none."""
    found = await deps().prices.profiles(whole(caller))
    return PageOf(value=[ProfileOut.of(each) for each in found.values()])


@router.get(
    "/billing-profiles/{profile_id}",
    operation_id="billing_profile",
    summary="Read a billing profile",
)
async def profile(profile_id: ProfileId, response: Response, caller: Reader) -> ProfileOut:
    """With the ETag that a change needs."""
    found, response.headers["ETag"] = await deps().prices.profile(whole(caller), profile_id)
    return ProfileOut.of(found)


@router.put(
    "/billing-profiles/{profile_id}",
    operation_id="billing_set_profile",
    summary="Set a billing profile",
)
async def set_profile(
    profile_id: ProfileId,
    body: ProfileModel,
    response: Response,
    caller: Writer,
    if_match: IfMatch = None,
) -> ProfileOut:
    """Which price book, what stands on the report: made without `If-Match`, replaced with it."""
    wanted = Profile(profile_id=profile_id, **body.model_dump(by_alias=False))
    response.headers["ETag"] = await deps().prices.put_profile(whole(caller), wanted, if_match)
    return ProfileOut.of(wanted)


@router.get(
    "/customers/{customer_id}/billing", operation_id="customer_billing", summary="Read billing"
)
async def billing(customer_id: CustomerId, response: Response, caller: Reader) -> BilledModel:
    """Whether the customer gets billing reports, and by which profile (CUS-16)."""
    await customers.get(deps().tables, caller.scope, customer_id)
    found, response.headers["ETag"] = await deps().prices.billed(caller.scope, customer_id)
    return BilledModel.of(found)


@router.put(
    "/customers/{customer_id}/billing", operation_id="customer_set_billing", summary="Set billing"
)
async def set_billing(
    customer_id: CustomerId,
    body: BilledModel,
    response: Response,
    caller: Writer,
    if_match: IfMatch = None,
) -> BilledModel:
    """Reports need recipients and a billing profile (CUS-16)."""
    await customers.get(deps().tables, caller.scope, customer_id)
    if body.send_billing_reports and not body.recipients:
        raise RecipientsRequired("Name at least one recipient.", pointer="/recipients")
    if body.send_billing_reports and not body.profile_id:
        raise RecipientsRequired("Choose a billing profile.", pointer="/profileId")
    billed = BilledCustomer(
        send_reports=body.send_billing_reports,
        recipients=tuple(body.recipients),
        profile_id=body.profile_id or "",
    )
    tag = await deps().prices.set_billed(caller.scope, customer_id, billed, if_match)
    response.headers["ETag"] = tag
    return body


@router.get("/billing-reports/{month}", operation_id="billing_reports", summary="Who was billed?")
async def reports(month: Month, caller: Reader) -> PageOf[BillingSummaryOut]:
    """Total of the month of every customer you may see, with the hash of its invoice (RPT-28)."""
    found = await reselling.listed(await deps().usage(), caller.scope, month)
    return PageOf(value=[BillingSummaryOut.of(key, each) for key, each in found.items()])


@router.get(
    "/customers/{customer_id}/billing-reports/{month}",
    operation_id="customer_billing_report",
    summary="What a customer is billed",
)
async def report(
    customer_id: CustomerId, month: Month, response: Response, caller: Reader
) -> BillingReportOut:
    """Lines, late data of earlier months, sums; tax-free, in the currency of the price book."""
    content = await _document(caller, customer_id, month)
    invoice = CustomerInvoice.model_validate_json(content)
    response.headers["ETag"] = f'"{invoice.digest}"'
    return BillingReportOut.of(invoice)


@router.get(
    "/customers/{customer_id}/billing-reports/{month}/document",
    operation_id="customer_billing_document",
    summary="The invoice as it was made",
    responses=JSON,
    response_class=Response,
)
async def document(customer_id: CustomerId, month: Month, caller: Reader) -> Response:
    """Byte for byte what was rated at the close; its SHA-256 is the ETag."""
    content = await _document(caller, customer_id, month)
    digest = CustomerInvoice.model_validate_json(content).digest
    headers = {"ETag": f'"{digest}"'}
    return Response(content, media_type="application/json", headers=headers)


@router.get(
    "/customers/{customer_id}/billing-reports/{month}/lines/{line_id}/explain",
    operation_id="customer_billing_explain",
    summary="Why is this amount what it is?",
)
async def explain(
    customer_id: CustomerId, month: Month, line_id: LineId, caller: Reader
) -> ExplanationOut:
    """The events, the objects counted, the rules, and the arithmetic with its prices."""
    await customers.get(deps().tables, caller.scope, customer_id)
    rows = await deps().usage()
    told = await service.explain_resale(deps(), rows, caller.scope, month, customer_id, line_id)
    return ExplanationOut.of(told)


@router.post("/billing:simulate", operation_id="billing_simulate", summary="What if, in money?")
async def simulate(body: PricedQuestion, caller: Reader) -> AnswerOut:
    """Another plan, price, source or quantity, by one price book; writes nothing."""
    rows = await deps().usage()
    answer = await service.simulate_resale(
        deps(), rows, whole(caller), body.month, body.price_book, body.changes
    )
    return AnswerOut.of(answer)


async def _document(caller: Caller, customer_id: str, month: str) -> bytes:
    await customers.get(deps().tables, caller.scope, customer_id)
    return await reselling.document(await deps().usage(), caller.scope, month, customer_id)
