"""The faults of the month: each on its day, with the breaks that reconciliation must report."""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

from scripts.month import bank_faults as bank
from scripts.month import device_faults as device
from scripts.month.actors import Act, Actors

EXPLAINED = " (explained)"  # closed by a later record, without any action


class MonthFault(NamedTuple):
    """One planned fault.

    Attributes:
        name: what goes wrong.
        day: day of the month.
        when: "morning" (before devices report), "noon" (everything is settled), "dusk" (the
            bank's day goes on) or "night" (it is closed).
        act: commits the fault.
        breaks: the kinds of breaks that reconciliation must report, each once.
    """

    name: str
    day: int
    when: str
    act: Act
    breaks: tuple[str, ...] = ()


FAULTS = (
    MonthFault("payout rejected by the bank", 7, "noon", bank.close_account, ("rejected",)),
    MonthFault("(the account is opened again)", 7, "night", bank.reopen_account),
    MonthFault("payout returned days later", 8, "noon", bank.plan_return, ("returned",)),
    MonthFault("(it comes back)", 14, "dusk", bank.return_payout),
    MonthFault("payout booked twice", 9, "noon", bank.misbook("book_twice"), ("duplicate",)),
    MonthFault(
        "payout split over two lines", 10, "noon", bank.misbehave("split"), ("amount" + EXPLAINED,)
    ),
    MonthFault(
        "payout booked with a wrong amount",
        13,
        "noon",
        bank.misbook("book_a_cent_more"),
        ("amount",),
    ),
    MonthFault(
        "payout accepted and never booked", 14, "noon", bank.misbook("forget"), ("missing",)
    ),
    MonthFault(
        "payout booked days late",
        15,
        "noon",
        bank.misbehave("delay", days=2),
        ("timing" + EXPLAINED,),
    ),
    MonthFault(
        "batch booked as one, with its id",
        16,
        "noon",
        bank.misbehave("batch_sum"),
        ("batch_booked" + EXPLAINED,),
    ),
    MonthFault(
        "batch booked as one, without a reference",
        17,
        "noon",
        bank.book_batch_without_reference,
        ("batch_booked",),
    ),
    MonthFault("debit without an order", 20, "dusk", bank.debit_without_order, ("extra",)),
    MonthFault(
        "credit with an unknown reference",
        21,
        "dusk",
        bank.credit_unknown_reference,
        ("unmatched_funding",),
    ),
    MonthFault(
        "statement never sent", 22, "dusk", bank.misbehave("skip_statement"), ("statement_gap",)
    ),
    MonthFault(
        "statement late and out of order",
        23,
        "dusk",
        bank.misbehave("late_statement", days=2),
        ("timing" + EXPLAINED,),
    ),
    MonthFault("statement sent a second time", 24, "dusk", bank.misbehave("resend_statement")),
    MonthFault(
        "statement reissued under another id",
        28,
        "dusk",
        bank.misbehave("renamed_statement"),
        ("duplicate" + EXPLAINED,),
    ),
    MonthFault(
        "charges within a line", 1, "noon", bank.misbehave("charge_inside", cents=25), ("charges",)
    ),
    MonthFault(
        "charges in a line of their own",
        2,
        "noon",
        bank.misbehave("charge_line", cents=90),
        ("charges",),
    ),
    MonthFault("no notification of a day's lines", 16, "noon", bank.misbehave("silence")),
    MonthFault("other references at end of day", 20, "dusk", bank.misbehave("other_references")),
    MonthFault("credit in another currency", 24, "dusk", bank.credit_in_francs, ("currency",)),
    MonthFault("credit taken back after its mint", 27, "dusk", bank.reverse_credit, ("returned",)),
    MonthFault(
        "batch with details that name no order",
        28,
        "noon",
        bank.misbehave("batch_details"),
        ("batch_booked" + EXPLAINED,),
    ),
    MonthFault("statement as MT940", 29, "dusk", bank.misbehave("mt940")),
    MonthFault("notification as camt.052", 30, "noon", bank.misbehave("camt052")),
    MonthFault("records sent twice", 4, "morning", device.send_duplicates),
    MonthFault("forged record", 5, "morning", device.send_forged_record),
    MonthFault("unknown device", 5, "morning", device.send_from_unknown_device),
    MonthFault("meter exchanged", 11, "morning", device.exchange_meter),
    MonthFault("record lost on the way", 12, "morning", device.lose_record),
    MonthFault("(it is found, and paid late)", 17, "morning", device.deliver_lost_record),
    MonthFault("key stolen, reported too late", 21, "morning", device.steal_key),
    MonthFault("(it is reported)", 22, "noon", device.declare_late, ("key_compromised",)),
    MonthFault("key stolen, reported in time", 23, "morning", device.steal_key),
    MonthFault("(it is reported)", 23, "noon", device.declare_in_time),
    MonthFault(
        "block of a settlement taken back",
        29,
        "morning",
        device.reorganise,
        ("reorganised" + EXPLAINED,),
    ),
    MonthFault("unbacked mint", 19, "noon", device.mint_unbacked, ("mint_without_credit",)),
)


def inject(actors: Actors, day: date, when: str) -> None:
    """Commit every fault that is planned for this time of the day."""
    for fault in FAULTS:
        if (fault.day, fault.when) == (day.day, when):
            fault.act(actors, day)
            actors.run.plan.breaks.update(fault.breaks)
