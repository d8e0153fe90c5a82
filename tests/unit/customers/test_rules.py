"""Search, filter, order and pages of customers (CUS-02, CUS-04, CUS-07, CUS-08, CUS-10)."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.customers.model import ContractType, Customer, CustomerState
from shared.customers.rules import Wanted, matches, page, place

AT = datetime(2026, 1, 1, tzinfo=UTC)


def customer(name: str, number: int = 0, **more: object) -> Customer:
    values = {"customer_id": f"c{number}", "partner_id": "p", "display_name": name}
    return Customer.model_validate(values | {"created_at": AT, "updated_at": AT} | more)


def test_cus_02_search_finds_part_of_a_name() -> None:
    both = [customer("Contoso", 1), customer("Fabrikam", 2)]
    assert [c.display_name for c in both if matches(c, Wanted(search="conto"))] == ["Contoso"]


@pytest.mark.parametrize("needle", ["PSA-4711", "contoso.example", "c7", "ONTOS"])
def test_cus_07_search_looks_in_domain_and_ids(needle: str) -> None:
    one = customer("Contoso", 7, domain="contoso.example", external_id="psa-4711")
    assert matches(one, Wanted(search=needle))


def test_cus_08_criteria_combine() -> None:
    wanted = Wanted(
        states=frozenset({CustomerState.PENDING}),
        contract_types=frozenset({ContractType.PENDING, ContractType.MONTH_TO_MONTH}),
        tags=frozenset({"gold"}),
    )
    assert matches(customer("a", tags=["gold", "eu"]), wanted)
    assert not matches(customer("a", tags=["eu"]), wanted)
    assert not matches(customer("a", tags=["gold"], state="Active"), wanted)


@given(
    st.lists(st.text(alphabet="abAB é", min_size=1, max_size=3), max_size=30),
    st.integers(1, 7),
    st.booleans(),
)
def test_pages_hold_every_customer_once_in_order(
    names: list[str], size: int, descending: bool
) -> None:
    every = [customer(name, number) for number, name in enumerate(names)]
    wanted, after, seen = Wanted(descending=descending), None, []
    while True:
        found, after = page(every, wanted, after, size)
        seen += found
        assert len(found) <= size
        if after is None:
            break
    assert [place(c) for c in seen] == sorted((place(c) for c in every), reverse=descending)


def test_cus_10_the_last_page_has_no_end() -> None:
    every = [customer("a", number) for number in range(4)]
    _, end = page(every, Wanted(), None, 2)
    assert page(every, Wanted(), end, 2)[1] is None
