"""A customer's services at a glance, its add-ons, and what is hidden."""

from typing import Annotated

from fastapi import Depends, Request

from functions.api import licensing
from functions.api.licence_models import AddOnOut, EntryOut, HistoryOut, ServiceOut
from functions.api.protection_models import PageOf
from functions.api.routing import Router
from functions.api.security import requires
from shared.access.model import Caller
from shared.bootstrap import deps
from shared.customers import licences
from shared.licensing import reading, wishes
from shared.licensing.book import Book
from shared.licensing.requests import SetAddOnChange
from shared.licensing.rules import views

router = Router(prefix="/customers/{customer_id}", tags=["licences"])
Reader = Annotated[Caller, Depends(requires("licences.read"))]
Writer = Annotated[Caller, Depends(requires("licences.write"))]


@router.get("/services", operation_id="services_list", summary="List a customer's services")
async def list_services(customer_id: str, caller: Reader) -> PageOf[ServiceOut]:
    """Services and add-ons with their state; expired ones unless hidden (SVC-47)."""
    book = await _book(caller, customer_id)
    return _services(book, customer_id)


@router.post("/services:hideExpired", operation_id="services_hide", summary="Hide expired services")
async def hide(customer_id: str, request: Request, caller: Writer) -> PageOf[ServiceOut]:
    """Here and in the customer's own view (CUS-24)."""
    return await _set_hidden(customer_id, request, caller, hidden=True)


@router.post("/services:showExpired", operation_id="services_show", summary="Show expired services")
async def show(customer_id: str, request: Request, caller: Writer) -> PageOf[ServiceOut]:
    """Again (CUS-24)."""
    return await _set_hidden(customer_id, request, caller, hidden=False)


@router.get("/add-ons", operation_id="add_ons_list", summary="List a customer's add-ons")
async def list_add_ons(customer_id: str, caller: Reader) -> PageOf[AddOnOut]:
    """Those that were ever enabled."""
    return _add_ons(await _book(caller, customer_id), customer_id)


@router.post("/add-ons/{code}:enable", operation_id="add_ons_enable", summary="Enable an add-on")
async def enable(customer_id: str, code: str, request: Request, caller: Writer) -> PageOf[AddOnOut]:
    """Needs one of its prerequisites (SVC-05 to 08)."""
    return await _set_add_on(customer_id, code, request, caller, enabled=True)


@router.post("/add-ons/{code}:disable", operation_id="add_ons_disable", summary="Disable an add-on")
async def disable(
    customer_id: str, code: str, request: Request, caller: Writer
) -> PageOf[AddOnOut]:
    """Until it is enabled again by hand (SVC-05)."""
    return await _set_add_on(customer_id, code, request, caller, enabled=False)


@router.get(
    "/licence-history", operation_id="licences_history", summary="Modifications of all licences"
)
async def history(customer_id: str, caller: Reader) -> HistoryOut:
    """Of every subscription and add-on of the customer, oldest first (LIC-49)."""
    await licences.asked(deps(), caller.scope, customer_id)
    found = await reading.history(deps().ledgers, caller.scope, customer_id)
    return HistoryOut(value=[EntryOut.of(each) for each in found])


async def _set_hidden(
    customer_id: str, request: Request, caller: Caller, *, hidden: bool
) -> PageOf[ServiceOut]:
    about = await licences.asked(deps(), caller.scope, customer_id)
    wish = wishes.set_hidden(about.facts, hidden=hidden)
    command = licensing.command_of(request, caller)
    done = await licensing.perform(caller.scope, command, wish)
    return _services(done.book, customer_id)


async def _set_add_on(
    customer_id: str, code: str, request: Request, caller: Caller, *, enabled: bool
) -> PageOf[AddOnOut]:
    change = SetAddOnChange.model_construct(verb="setAddOn", add_on=code, is_enabled=enabled)
    done = await licensing.carry_out(request, caller, customer_id, change)
    return _add_ons(done.book, customer_id)


async def _book(caller: Caller, customer_id: str) -> Book:
    await licences.asked(deps(), caller.scope, customer_id)
    return await reading.customer_book(deps().ledgers, caller.scope, customer_id)


def _services(book: Book, customer_id: str) -> PageOf[ServiceOut]:
    return PageOf(value=[ServiceOut(**each) for each in views.services(book, customer_id)])


def _add_ons(book: Book, customer_id: str) -> PageOf[AddOnOut]:
    states = sorted(book.guard(customer_id).add_ons.items())
    return PageOf(value=[AddOnOut(code=code, state=state) for code, state in states])
