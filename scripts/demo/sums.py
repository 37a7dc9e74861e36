"""The totals that must agree at the end of a demonstration: records, payments, tokens, money."""

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
from scripts.demo.tally import Sum, by_product, shared, total

CENT = ledger.MICRO_PER_CENT
_ENERGY = "metered_energy"
_Row = tuple[str, str, str, str]


class Sums(NamedTuple):
    """The totals of a store: numbers of records and events, and amounts.

    Attributes:
        answered: outcome -> number of answers that devices and tills got.
        events: stored, claimed, dropped, supporting, waiting -> number of events.
        products: name -> its payments.
        held: first part of the ledger account -> micro-euro.
        owed_micro: open debts of payees.
        shared: payments that waterfalls took in.
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
    shared: Sum


def collect(session: Session, answered: Counter[str]) -> Sums:
    """Collect all totals from the rail's own store.

    Args:
        answered: outcome -> number of answers, as counted by devices and tills.
    """
    balances = store_ledger.balances(session)
    by_group, by_account = Counter[str](), Counter[str]()
    for (account, asset), amount in balances.items():
        by_group[f"{account.split(':')[0]} {asset}"] -= amount
        by_account[f"{account} {asset}"] += amount
    by_name = by_product(session)
    count, cents = store_payouts.count_by_stage(session).get(payout.Stage.BOOKED, (0, 0))
    return Sums(
        answered=answered,
        events=evidence.event_counts(session),
        products={name: total(rows) for name, rows in sorted(by_name.items())},
        settled=total(row for rows in by_name.values() for row in rows),
        stages=payments.open_counts(session),
        energy_mwh=_energy(session),
        held=Counter(
            {key.split()[0]: n for key, n in by_group.items() if key.endswith(ledger.TEUR)}
        ),
        owed_micro=-by_group[f"receivable {ledger.TEUR}"],
        supply_micro=by_account[f"{ledger.ISSUED} {ledger.TEUR}"],
        bank_cents=by_account[f"{ledger.SAFEGUARDING} {ledger.EUR}"],
        funded_cents=sum(funding.cents for funding in fundings.all_fundings(session)),
        payouts=count,
        paid_cents=cents,
        debits=sum(balances.values()),
        shared=total(shared(session)),
    )


def _energy(session: Session) -> int:
    """Return the mWh of all settled claims of metered energy."""
    decode = products()[_ENERGY].decode_facts
    claims = payments.facts_bytes(session)
    return sum(decode(facts).energy for name, facts in claims if name == _ENERGY)


def rows(sums: Sums) -> list[_Row]:
    """Return (stage, count, amount, what it adds up with) of each row."""
    kwh = f"{sums.energy_mwh // 1_000_000}.{sums.energy_mwh % 1_000_000:06d} kWh"
    return [
        ("records answered", f"{_receipts(sums)}", "", "accepted + refused"),
        ("  refused, by a reason", f"{_receipts(sums) - sums.answered[ACCEPTED]}", "", ""),
        ("events stored", f"{sums.events['stored']}", "", "the next four"),
        ("  in claims", f"{sums.events['claimed']}", kwh, "metered energy only"),
        ("  cited or supporting", f"{sums.events['supporting']}", "", "supporting evidence"),
        ("  dropped by a rule", f"{sums.events['dropped']}", "", "each by its reason"),
        ("  waiting", f"{sums.events['waiting']}", "", ""),
        *_money_rows(sums),
    ]


def _money_rows(sums: Sums) -> list[_Row]:
    debts = ("  of these debts", f"{sums.settled.debts}", euro(sums.settled.debts_micro), "")
    return [
        (
            "payments settled",
            f"{sums.settled.payments}",
            euro(sums.settled.amount_micro),
            "paid out + kept + frozen",
        ),
        *(
            (f"  {name}", f"{total.payments}", euro(total.amount_micro), "")
            for name, total in sums.products.items()
        ),
        debts,
        ("payouts booked", f"{sums.payouts}", euro(sums.paid_cents * CENT), ""),
        ("  below a cent, kept", "", euro(_kept_micro(sums)), "by the rail and waterfalls"),
        (
            "shared by waterfalls",
            f"{sums.shared.payments}",
            euro(sums.shared.amount_micro),
            "in payouts of the holders",
        ),
        (
            "frozen by a dispute",
            f"{sums.stages.get(Stage.DISPUTED, 0)}",
            euro(sums.held["frozen"]),
            "",
        ),
        ("funded by the bank", "", euro(sums.funded_cents * CENT), "settled + escrow + refunded"),
        ("  still in escrow", "", euro(sums.held["escrow"]), ""),
        ("  refunded at the end", "", euro(sums.held["wallets"]), "in the payer's wallet"),
    ]


def checks(sums: Sums, reconciliation: Reconciliation) -> list[tuple[str, bool]]:
    """Return (sentence, whether it holds) of each check."""
    kinds = ("claimed", "supporting", "dropped", "waiting")
    # an open debt is subtracted from the settled sum, but no token has moved for it yet
    paid_micro = sums.settled.amount_micro + sums.owed_micro
    left_micro = (
        sums.paid_cents * CENT + _kept_micro(sums) + sums.held["pending"] + sums.held["frozen"]
    )
    ended = sums.stages.get(Stage.RECONCILED, 0) + sums.stages.get(Stage.DISPUTED, 0)
    return [
        ("every record a device kept has its signed receipt", sums.answered["unreceipted"] == 0),
        (
            "records accepted, as devices and tills count = events stored",
            sums.answered[ACCEPTED] == sums.events["stored"],
        ),
        (
            "events stored = claimed + supporting + dropped + waiting",
            sums.events["stored"] == sum(sums.events[kind] for kind in kinds),
        ),
        ("settled = paid out + below a cent + frozen", paid_micro == left_micro),
        (
            "funded = settled + still in escrow + refunded",
            sums.funded_cents * CENT == paid_micro + sums.held["escrow"] + sums.held["wallets"],
        ),
        ("every debt is paid back", sums.owed_micro == 0),
        ("token supply = bank balance, to the unit", sums.supply_micro == sums.bank_cents * CENT),
        (
            "all payments reconciled, frozen, or shared",
            sums.settled.payments == ended + sums.shared.payments,
        ),
        ("debits = credits in every asset", sums.debits == 0),
        (
            f"reconciliation: {len(reconciliation.matches)} matches, "
            f"{len(reconciliation.breaks)} breaks",
            not reconciliation.breaks,
        ),
    ]


def _kept_micro(sums: Sums) -> int:
    """Return what is too little for a payout, of payees and of waterfalls' holders."""
    return sums.held["withdrawable"] + sums.held["share"]


def _receipts(sums: Sums) -> int:
    return sums.answered.total() - sums.answered["unreceipted"]
