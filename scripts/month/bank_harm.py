"""What the bank does wrong in the month: to one payee's payout, to a credit, or to a whole day."""

from __future__ import annotations

from datetime import date

from orchestrator.edges.store import agreements
from scripts.month.hands import UNKNOWN_REFERENCE, Act, Actors

CHARGES = "expenses:bank_charges"
UNEXPLAINED, UNALLOCATED = "suspense:unexplained", "suspense:unallocated"


def reject(month: Actors, day: date) -> None:
    payee = month.victim(day)
    month.story.place.bank.shut(payee.iban, True)
    month.kept["shut"] = payee
    plan = month.story.plan
    plan.unbooked[day, payee.address] = plan.payout(day, payee.address)
    plan.refused[day, payee.address] = plan.payout(day, payee.address)


def open_again(month: Actors, day: date) -> None:
    month.story.place.bank.shut(month.kept["shut"].iban, False)


def come_back_later(month: Actors, day: date) -> None:
    payee, plan = month.victim(day), month.story.plan
    month.kept["returned"] = payee, plan.payout(day, payee.address)
    plan.returned[day, payee.address] = plan.payout(day, payee.address)


def come_back(month: Actors, day: date) -> None:
    payee, cents = month.kept["returned"]
    bank = month.story.place.bank
    found = bank.books.db.execute(
        "SELECT end_to_end_id FROM orders WHERE iban = ? AND cents = ?", (payee.iban, cents)
    ).fetchone()
    bank.tell({"kind": "return", "end_to_end_id": found[0], "reason": "AC04"})


def trick(name: str) -> Act:
    """The next order of a payee is booked in some other way; what that leaves open, below."""

    def act(month: Actors, day: date) -> None:
        payee, plan, bank = month.victim(day), month.story.plan, month.story.place.bank
        cents = plan.payout(day, payee.address)
        bank.tricks[payee.iban] = getattr(bank, name)
        if name == "twice":
            plan.strange[UNEXPLAINED] -= cents
        if name == "a_cent_more":
            plan.strange[UNEXPLAINED] -= cents + 1
        if name in ("a_cent_more", "forget"):
            plan.unbooked[day, payee.address] = cents  # still in transit as far as we know

    return act


def extra(month: Actors, day: date) -> None:
    month.story.place.bank.take_out(4_321, "Lastschrift")
    month.story.plan.strange[UNEXPLAINED] -= 4_321


def unknown_reference(month: Actors, day: date) -> None:
    payer = month.story.cast.buyers[0]
    month.story.place.bank.standing_orders([(payer.iban, 12_345, UNKNOWN_REFERENCE)])
    month.story.plan.strange[UNALLOCATED] += 12_345


def mood(what: str, **said: int) -> Act:
    """What the simulated bank does wrong by itself (scripts/simulated_bank/moods.py). cents: what
    it takes for that."""

    def act(month: Actors, day: date) -> None:
        month.story.place.bank.tell({"kind": "misbehave", "what": what, **said})
        month.story.plan.strange[CHARGES] -= said.get("cents", 0)

    return act


def foreign(month: Actors, day: date) -> None:
    """Francs for a euro account: no euro may come of them."""
    payer = month.story.cast.buyers[1]
    month.story.place.bank.tell(
        {
            "kind": "pay",
            "from": payer.iban,
            "amount_cents": 7_700,
            "reference": UNKNOWN_REFERENCE,
            "currency": "CHF",
        }
    )


def take_back(month: Actors, day: date) -> None:
    """A payer's transfer is minted, and then the bank takes it back."""
    place, plan = month.story.place, month.story.plan
    deal = plan.deals[month.meter(day, sessions=False).name]
    with place.store.read() as session:
        reference = agreements.get(session, deal.identity).reference
    place.bank.tell({"kind": "misbehave", "what": "reverse_credit"})
    payer = month.story.cast.buyers[2]
    place.bank.standing_orders([(payer.iban, 5_000, reference)])
    place.work()
    deal.funded_cents += 5_000
    plan.strange[UNEXPLAINED] -= 5_000


def bare_batch(month: Actors, day: date) -> None:
    """All of the evening's orders become one sum that names none of them."""
    plan = month.story.plan
    plan.end(day)
    mood("batch_bare")(month, day)
    for payee in month.story.cast.payees:
        cents = plan.payout(day, payee.address)
        plan.strange[UNEXPLAINED] -= cents
        plan.unbooked[day, payee.address] = cents
