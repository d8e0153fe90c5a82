"""Add-ons by hand, and expired services out of sight (SVC-03 to 08, CUS-24)."""

from shared.catalogue import rules as catalogue_rules
from shared.licensing.book import RUNNING, Book, Decision, guard_row
from shared.licensing.model import CustomerFacts, Standing
from shared.licensing.refusals import PremiumNotAvailable, PrerequisiteMissing, TypeNotOffered
from shared.licensing.rules import gates


def set_add_on(
    book: Book, facts: CustomerFacts, standing: Standing, code: str, *, enabled: bool
) -> Decision:
    """Enable with an active prerequisite, or disable for good until enabled again (SVC-05)."""
    service = catalogue_rules.service(book.catalogue, code)
    if not service.add_on:
        raise TypeNotOffered(f"{service.name} is no add-on.", rule="SVC-03", pointer="/addOn")
    draft = gates.opened(book, facts, standing)
    if enabled:
        if facts.management_mode == "Customer":
            raise PremiumNotAvailable(
                "Add-ons end with customer management.", rule="SVC-06", pointer="/addOn"
            )
        subs = draft.book.of_customer(facts.customer_id)
        running = {sub.service for sub in subs if sub.state in RUNNING}
        if not catalogue_rules.meets_prerequisite(book.catalogue, service, running):
            needed = ", ".join(service.prerequisites).replace("*", "any service")
            raise PrerequisiteMissing(
                f"It needs one of: {needed}.",
                rule="SVC-07" if code == "RSK" else "SVC-08",
                pointer="/addOn",
            )
    guard = draft.book.guard(facts.customer_id)
    wanted = "Enabled" if enabled else "Disabled"
    if guard.add_ons.get(code) != wanted:
        states = {**guard.add_ons, code: wanted}
        draft.record(
            "AddOnSet",
            guard.key,
            rules=("SVC-05",),
            sets=guard_row(facts.customer_id, add_ons=states),
            note=f"{code} {wanted}",
        )
    return draft.decision()


def set_hidden(book: Book, facts: CustomerFacts, *, hidden: bool) -> Decision:
    """Hide or show the customer's expired services, here and in its own portal (CUS-24)."""
    draft = gates.opened(book, facts, Standing())
    guard = draft.book.guard(facts.customer_id)
    if guard.hide_expired != hidden:
        draft.record(
            "HiddenSet",
            guard.key,
            rules=("CUS-24", "LIC-51"),
            sets=guard_row(facts.customer_id, hide_expired=hidden),
        )
    return draft.decision()


def change_management(book: Book, facts: CustomerFacts) -> Decision:
    """After a switch to customer management: add-ons end at once (SVC-06, AMB-34)."""
    draft = gates.opened(book, facts, Standing())
    guard = draft.book.guard(facts.customer_id)
    ended = {code: "Expired" for code, state in guard.add_ons.items() if state == "Enabled"}
    if facts.management_mode == "Customer" and ended:
        draft.record(
            "AddOnSet",
            guard.key,
            rules=("SVC-06", "AMB-34"),
            sets=guard_row(facts.customer_id, add_ons={**guard.add_ons, **ended}),
        )
    return draft.decision()
