"""Stage effects: what a final payment makes happen outside, derived again from what is proven.

The digits of an unlock token are no part of it: they are made with a secret key on delivery.
"""

from __future__ import annotations

from itertools import zip_longest

from orchestrator.core.effect import EffectRecord, EffectScope, FinalPayment, asked_effects
from orchestrator.errors import Halt

from .blocks import unproven
from .case import Case
from .reading import unhex


def effects(case: Case) -> str:
    """Check that the payment's effects are those that its product asks for, byte by byte."""
    part = case.bundle["effects"]
    records = [] if case.bundle["settlement"]["refusal"] else _derived(case)
    for given, record in zip_longest(part, records):
        if given is None:
            raise unproven(f"the product asks for the effect {record.name}, which is left out")
        if record is None or given["id"] != record.effect_id:
            raise unproven(f"the product asks for no effect {given['id']} there")
        if given["message"] != record.message:
            raise unproven(f"the effect {record.name} has another message than its product gives")
    names = ", ".join(record.name for record in records)
    return f"{len(records)} effects{': ' + names if names else ''}"


def _derived(case: Case) -> list[EffectRecord]:
    rules = case.products[case.bundle["product"]]
    fields = case.bundle["mandate"]["fields"]
    block, _ = case.receipt(case.bundle["settlement"], "the settlement")
    payment = FinalPayment(
        case.payment,
        "0x" + case.claim.agreement.hex(),
        case.claim.sequence,
        "0x" + case.device_id.hex(),
        fields["payer"],
        case.payee,
        case.bundle["settlement"]["amount_micro"],
        block.timestamp,
        case.settlement_tx,
    )
    scope = EffectScope(case.bundle["chain"]["id"], case.bundle["chain"]["rail"])
    ask = getattr(rules, "effects", None)
    try:
        return asked_effects(
            scope, ask, unhex(fields["terms"], "mandate.terms"), case.claim.facts, payment
        )
    except Halt as error:
        raise unproven(f"the product's effects cannot be made: {error}") from error
