"""The shipped catalogue: complete, its references hold; rows of SVC that are its data."""

import re
from collections.abc import Callable

import pytest
from pydantic import ValidationError

from shared.catalogue import rules
from shared.catalogue.model import Channel, PaymentModel
from shared.catalogue.service import SHIPPED, catalogue, read

TEXT = SHIPPED.read_text(encoding="utf-8")
CODES = """WSM WSO BSL UDM ASM RSK CMC CBM CBX CBE CMG CGV DAO INS POL CEN OPU TYG CBG CBD CBS CBI
ENP FLY CIN CIX FSN CAR VDC"""


def test_svc_01_every_service_of_4_1_with_group_and_parts() -> None:
    found = catalogue()
    assert {service.code for service in found.services} == set(CODES.split())
    assert len(found.groups) == 11
    assert {part.code for part in found.service_by_code["CBM"].parts} == {
        "microsoft365",
        "powerPlatform",
    }


def test_4_3_pool_items_per_channel() -> None:
    items = catalogue().pool_items
    direct = [item for item in items if Channel.DIRECT in item.channels]
    market = [item for item in items if Channel.MARKETPLACE in item.channels]
    assert len(direct) == 34
    assert len({item.marketplace_name or item.name for item in market}) == 13
    assert [i for i in items if Channel.OFF_MARKETPLACE in i.channels] == market  # AMB-51
    assert {i.code for i in items if PaymentModel.PAYG not in i.payment_models} == {
        "FLY-OBJECTS",
        "FLY-AVIATOR",
    }


def test_4_3_services_without_a_pool_item() -> None:
    fed = set(catalogue().service_of_item.values())
    codes = {service.code for service in catalogue().services}
    assert codes - fed == {"CBX", "DAO", "RSK", "CMC", "CIN", "CIX", "FSN", "VDC"}


def test_4_1_ten_modules_of_iaas() -> None:
    [part] = [p for p in catalogue().service_by_code["CBI"].parts if p.code == "saasCapacity"]
    assert len(part.modules) == 10


def test_every_service_with_a_method_names_its_apps() -> None:
    for service in catalogue().services:
        assert bool(service.methods) == bool(service.apps), service.code


def test_svc_46_tenant_type_gate() -> None:
    salesforce = rules.service(catalogue(), "CBS")
    with pytest.raises(rules.TenantTypeMismatch) as refused:
        rules.check_tenant_type(salesforce, "Microsoft365")
    assert (refused.value.code, refused.value.status) == ("TENANT_TYPE_MISMATCH", 422)
    rules.check_tenant_type(salesforce, "Salesforce")


def test_con_01_methods_by_service_and_tenant() -> None:
    found = catalogue().service_by_code
    with pytest.raises(rules.MethodNotAllowed):
        rules.check_method(found["CEN"], "customApp", "Microsoft365")
    with pytest.raises(rules.MethodNotAllowed):
        rules.check_method(found["INS"], "customApp", "Microsoft365")
    rules.check_method(found["INS"], "customApp", "Google")
    rules.check_method(found["CBI"], "googleServiceAccount", "GoogleCloud")


def test_svc_07_and_08_prerequisites() -> None:
    found = catalogue().service_by_code
    assert not rules.meets_prerequisite(catalogue(), found["RSK"], {"INS"})
    assert rules.meets_prerequisite(catalogue(), found["RSK"], {"WSM"})
    assert rules.meets_prerequisite(catalogue(), found["CMC"], {"CEN"})
    assert not rules.meets_prerequisite(catalogue(), found["CMC"], {"RSK"})
    assert not rules.meets_prerequisite(catalogue(), found["CMC"], {"VDC"})


def test_amb_21_two_parts_on_one_item_have_slots_of_their_own() -> None:
    places = catalogue().place_by_slot
    assert places["TYG-ENTERPRISE"].part == "microsoftAndCopilot"
    assert places["TYG-ENTERPRISE.powerBiEmbedded"].item == "TYG-ENTERPRISE"
    with pytest.raises(rules.ServiceUnknown):
        rules.place(catalogue(), "NOPE")


def test_adding_a_service_is_editing_data() -> None:
    more = TEXT + (
        '\n[[services]]\ncode = "NEW"\nname = "New"\ngroup = "google"\n'
        'tenantTypes = ["Google"]\ntypes = ["Subscription"]\n'
        '[[services.parts]]\ncode = "main"\nitems = ["NEW"]\nsettings = ["storage"]\n'
        '[[poolItems]]\ncode = "NEW"\nname = "New"\nunit = "userSeats"\nchannels = ["Direct"]\n'
    )
    # [countedProducts] is the last table of the file, so the new blocks follow it.
    assert read(more).place_by_slot["NEW"].service == "NEW"


BROKEN: dict[str, Callable[[str], str]] = {
    "no group nowhere": lambda text: text.replace('group = "google"', 'group = "nowhere"'),
    "no pool item LOST": lambda text: text.replace('items = ["CGV"]', 'items = ["LOST"]'),
    "no part draws on pool item CGV": lambda text: text.replace('items = ["CGV"]', "items = []"),
    "no setting lost": lambda text: text.replace('"module", "package"]', '"lost"]'),
    "no prerequisite XYZ": lambda text: text.replace('["BSL", "WSM", "CBM"]', '["XYZ"]'),
    "code CGV is there twice": lambda text: text.replace('code = "CMG"\nname = "Cloud M',
                                                         'code = "CGV"\nname = "Cloud M'),
    "no module Nope": lambda text: text.replace('copiedFrom = "Microsoft"', 'copiedFrom = "Nope"'),
    "method customApp is not among": lambda text: re.sub(
        r'methods = \["consent", "customApp"\]\nmethodT', 'methods = ["consent"]\nmethodT', text
    ),
}  # fmt: skip


@pytest.mark.parametrize("problem", BROKEN)
def test_a_reference_that_does_not_hold_is_named(problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        read(BROKEN[problem](TEXT))


def test_it_can_be_served_and_read_again() -> None:
    body = catalogue().model_dump(mode="json")
    assert type(catalogue()).model_validate(body).service_by_code == catalogue().service_by_code
