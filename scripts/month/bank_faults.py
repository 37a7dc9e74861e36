"""Faults of the bank in the month: of one payout, of a credit, or of a whole day."""

from __future__ import annotations

from datetime import date

from orchestrator.edges.store import agreements
from scripts.month.actors import UNKNOWN_REFERENCE, Act, Actors

CHARGES = "expenses:bank_charges"
UNEXPLAINED, UNALLOCATED = "suspense:unexplained", "suspense:unallocated"


def close_account(actors: Actors, day: date) -> None:
    """Close a payee's account, so that the bank rejects its payout."""
    payee = actors.victim(day)
    actors.run.rail.bank.set_closed(payee.iban, True)
    actors.kept["closed"] = payee
    plan = actors.run.plan
    plan.unbooked[day, payee.address] = plan.payout(day, payee.address)
    plan.refused[day, payee.address] = plan.payout(day, payee.address)


def reopen_account(actors: Actors, day: date) -> None:
    """Open the account that `close_account` closed."""
    actors.run.rail.bank.set_closed(actors.kept["closed"].iban, False)


def plan_return(actors: Actors, day: date) -> None:
    """Choose a payout that `return_payout` sends back days later."""
    payee, plan = actors.victim(day), actors.run.plan
    actors.kept["returned"] = payee, plan.payout(day, payee.address)
    plan.returned[day, payee.address] = plan.payout(day, payee.address)


def return_payout(actors: Actors, day: date) -> None:
    """Send the payout back that `plan_return` chose."""
    payee, cents = actors.kept["returned"]
    bank = actors.run.rail.bank
    order = bank.books.db.execute(
        "SELECT end_to_end_id FROM orders WHERE iban = ? AND cents = ?", (payee.iban, cents)
    ).fetchone()
    bank.instruct({"kind": "return", "end_to_end_id": order[0], "reason": "AC04"})


def misbook(name: str) -> Act:
    """Return a fault that misbooks a payee's next order.

    Args:
        name: a method of `BankScript`: "book_twice", "book_a_cent_more" or "forget".
    """

    def act(actors: Actors, day: date) -> None:
        payee, plan, bank = actors.victim(day), actors.run.plan, actors.run.rail.bank
        cents = plan.payout(day, payee.address)
        bank.misbookings[payee.iban] = getattr(bank, name)
        if name == "book_twice":
            plan.unexplained[UNEXPLAINED] -= cents
        if name == "book_a_cent_more":
            plan.unexplained[UNEXPLAINED] -= cents + 1
        if name in ("book_a_cent_more", "forget"):
            plan.unbooked[day, payee.address] = cents  # still in transit in our books

    return act


def debit_without_order(actors: Actors, day: date) -> None:
    """Debit the safeguarding account without an order."""
    actors.run.rail.bank.debit(4_321, "Lastschrift")
    actors.run.plan.unexplained[UNEXPLAINED] -= 4_321


def credit_unknown_reference(actors: Actors, day: date) -> None:
    """Pay in with a valid reference that belongs to no agreement."""
    payer = actors.run.parties.buyers[0]
    actors.run.rail.bank.standing_orders([(payer.iban, 12_345, UNKNOWN_REFERENCE)])
    actors.run.plan.unexplained[UNALLOCATED] += 12_345


def misbehave(what: str, **options: int) -> Act:
    """Return a fault that the simulated bank commits itself.

    Args:
        what: a key of `simulated_bank.misbehaviour.MISBEHAVIOURS`.
        options: its options; `cents` is the charge that the bank takes.
    """

    def act(actors: Actors, day: date) -> None:
        actors.run.rail.bank.instruct({"kind": "misbehave", "what": what, **options})
        actors.run.plan.unexplained[CHARGES] -= options.get("cents", 0)

    return act


def credit_in_francs(actors: Actors, day: date) -> None:
    """Pay francs into the euro account; the rail must mint no euro for them."""
    payer = actors.run.parties.buyers[1]
    actors.run.rail.bank.instruct(
        {
            "kind": "pay",
            "from": payer.iban,
            "amount_cents": 7_700,
            "reference": UNKNOWN_REFERENCE,
            "currency": "CHF",
        }
    )


def reverse_credit(actors: Actors, day: date) -> None:
    """Have the bank take a payer's transfer back after its tokens were minted."""
    rail, plan = actors.run.rail, actors.run.plan
    agreement = plan.agreements[actors.meter(day, sessions=False).name]
    with rail.store.read() as session:
        reference = agreements.get(session, agreement.identity).reference
    rail.bank.instruct({"kind": "misbehave", "what": "reverse_credit"})
    payer = actors.run.parties.buyers[2]
    rail.bank.standing_orders([(payer.iban, 5_000, reference)])
    rail.work()
    agreement.funded_cents += 5_000
    plan.unexplained[UNEXPLAINED] -= 5_000


def book_batch_without_reference(actors: Actors, day: date) -> None:
    """Book all orders of the evening as one sum without any reference."""
    plan = actors.run.plan
    plan.end(day)
    misbehave("batch_bare")(actors, day)
    for payee in actors.run.parties.payees:
        cents = plan.payout(day, payee.address)
        plan.unexplained[UNEXPLAINED] -= cents
        plan.unbooked[day, payee.address] = cents
