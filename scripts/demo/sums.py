"""The sums that must hold at the end of a demonstration: records, payments, tokens, bank money."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from orchestrator.core import ledger, payout
from orchestrator.core.payment import Stage
from orchestrator.core.receipt import ACCEPTED
from orchestrator.core.reconcile import Reconciliation
from orchestrator.edges.store import Session, evidence, fundings, payments
from orchestrator.edges.store import ledger as store_ledger
from orchestrator.edges.store import payouts as store_payouts
from orchestrator.products import products
from scripts.demo.notes import euro
from scripts.demo.tally import Sum, by_product, total

CENT = ledger.MICRO_PER_CENT
_ENERGY = "metered_energy"
_Row = tuple[str, str, str, str]


class Sums(NamedTuple):
    """Records and events are counted, amounts are micro-euro, of the bank cents.

    events: stored, claimed, dropped, supporting, waiting. products: name -> its payments.
    held: micro-euro by the first part of the ledger account; owed: open debts of payees.
    """

    answered: Counter[str]
    events: dict[str, int]
    products: dict[str, Sum]
    settled: Sum
    stages: dict[str, int]
    energy_mwh: int
    held: Counter[str]
    owed_micro: int
    supply_micro: int
    bank_cents: int
    funded_cents: int
    payouts: int
    paid_cents: int
    debits: int


def of(session: Session, answered: Counter[str]) -> Sums:
    """Everything that is counted, from the rail's own store; answered: as of `report.totals`."""
    balances = store_ledger.balances(session)
    held, exact = Counter[str](), Counter[str]()
    for (account, asset), amount in balances.items():
        held[f"{account.split(':')[0]} {asset}"] -= amount
        exact[f"{account} {asset}"] += amount
    by_name = by_product(session)
    count, cents = store_payouts.count_by_stage(session).get(payout.Stage.BOOKED, (0, 0))
    return Sums(
        answered=answered,
        events=evidence.event_counts(session),
        products={name: total(rows) for name, rows in sorted(by_name.items())},
        settled=total(row for rows in by_name.values() for row in rows),
        stages=payments.open_counts(session),
        energy_mwh=_energy(session),
        held=Counter({key.split()[0]: n for key, n in held.items() if key.endswith(ledger.TEUR)}),
        owed_micro=-held[f"receivable {ledger.TEUR}"],
        supply_micro=exact[f"{ledger.ISSUED} {ledger.TEUR}"],
        bank_cents=exact[f"{ledger.SAFEGUARDING} {ledger.EUR}"],
        funded_cents=sum(one.cents for one in fundings.all_fundings(session)),
        payouts=count,
        paid_cents=cents,
        debits=sum(balances.values()),
    )


def _energy(session: Session) -> int:
    """mWh in all settled claims of metered energy."""
    decode = products()[_ENERGY].decode_facts
    found = payments.facts_bytes(session)
    return sum(decode(facts).energy for name, facts in found if name == _ENERGY)


def rows(s: Sums) -> list[_Row]:
    """(stage, count, amount, what it adds up with)."""
    kwh = f"{s.energy_mwh // 1_000_000}.{s.energy_mwh % 1_000_000:06d} kWh"
    return [
        ("records answered", f"{_receipts(s)}", "", "accepted + refused"),
        ("  refused, by a reason", f"{_receipts(s) - s.answered[ACCEPTED]}", "", ""),
        ("events stored", f"{s.events['stored']}", "", "the next four"),
        ("  in claims", f"{s.events['claimed']}", kwh, "energy of metering alone"),
        ("  cited or kept beside", f"{s.events['supporting']}", "", "supporting evidence"),
        ("  dropped by a rule", f"{s.events['dropped']}", "", "each by its reason"),
        ("  waiting", f"{s.events['waiting']}", "", ""),
        *_money_rows(s),
    ]


def _money_rows(s: Sums) -> list[_Row]:
    credits = ("  of these credits", f"{s.settled.credits}", euro(s.settled.credited_micro), "")
    return [
        (
            "payments settled",
            f"{s.settled.payments}",
            euro(s.settled.amount_micro),
            "paid out + kept + frozen",
        ),
        *(
            (f"  {name}", f"{one.payments}", euro(one.amount_micro), "")
            for name, one in s.products.items()
        ),
        credits,
        ("payouts booked", f"{s.payouts}", euro(s.paid_cents * CENT), ""),
        ("  below a cent, kept", "", euro(s.held["withdrawable"]), ""),
        ("frozen by a dispute", f"{s.stages.get(Stage.DISPUTED, 0)}", euro(s.held["frozen"]), ""),
        ("funded by the bank", "", euro(s.funded_cents * CENT), "settled + escrow + refunded"),
        ("  still in escrow", "", euro(s.held["escrow"]), ""),
        ("  refunded at the end", "", euro(s.held["wallets"]), "in the payer's wallet"),
    ]


def checks(s: Sums, reconciliation: Reconciliation) -> list[tuple[str, bool]]:
    """(sentence, whether it holds)."""
    kinds = ("claimed", "supporting", "dropped", "waiting")
    # a credit that is still owed was subtracted from what settled, but from no token yet
    taken = s.settled.amount_micro + s.owed_micro
    gone = s.paid_cents * CENT + s.held["withdrawable"] + s.held["pending"] + s.held["frozen"]
    ended = s.stages.get(Stage.RECONCILED, 0) + s.stages.get(Stage.DISPUTED, 0)
    return [
        ("every record a device kept has its signed receipt", s.answered["unreceipted"] == 0),
        (
            "records accepted, as devices and tills count = events stored",
            s.answered[ACCEPTED] == s.events["stored"],
        ),
        (
            "events stored = claimed + supporting + dropped + waiting",
            s.events["stored"] == sum(s.events[kind] for kind in kinds),
        ),
        ("settled = paid out + below a cent + frozen", taken == gone),
        (
            "funded = settled + still in escrow + refunded",
            s.funded_cents * CENT == taken + s.held["escrow"] + s.held["wallets"],
        ),
        ("every credit is paid back", s.owed_micro == 0),
        ("token supply = bank balance, to the unit", s.supply_micro == s.bank_cents * CENT),
        ("all payments reconciled, or frozen", s.settled.payments == ended),
        ("debits = credits in every asset", s.debits == 0),
        (
            f"reconciliation: {len(reconciliation.matches)} matches, "
            f"{len(reconciliation.breaks)} breaks",
            not reconciliation.breaks,
        ),
    ]


def _receipts(s: Sums) -> int:
    return s.answered.total() - s.answered["unreceipted"]
