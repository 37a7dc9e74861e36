"""What goes wrong in the month: each kind on its day, with the breaks that must be named for it."""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

from scripts.month import bank_harm as bank
from scripts.month import device_harm as device
from scripts.month.hands import Act, Actors

EXPLAINED = " (explained)"  # by a later record: nobody has to see to it


class Trouble(NamedTuple):
    """name: of the misbehaviour. day: of the month. when: "morning", before devices speak; "noon",
    when all is settled; "dusk", while the bank's day goes on; "night", when it is closed.
    breaks: what reconciliation must say, each once."""

    name: str
    day: int
    when: str
    act: Act
    breaks: tuple[str, ...] = ()


TROUBLES = (
    Trouble("payout rejected by the bank", 7, "noon", bank.reject, ("rejected",)),
    Trouble("(its account is opened again)", 7, "night", bank.open_again),
    Trouble("payout returned days later", 8, "noon", bank.come_back_later, ("returned",)),
    Trouble("(it comes back)", 14, "dusk", bank.come_back),
    Trouble("payout booked twice", 9, "noon", bank.trick("twice"), ("duplicate",)),
    Trouble("payout split over two lines", 10, "noon", bank.mood("split"), ("amount" + EXPLAINED,)),
    Trouble(
        "payout booked with a wrong amount", 13, "noon", bank.trick("a_cent_more"), ("amount",)
    ),
    Trouble("payout accepted and never booked", 14, "noon", bank.trick("forget"), ("missing",)),
    Trouble(
        "payout booked days late", 15, "noon", bank.mood("delay", days=2), ("timing" + EXPLAINED,)
    ),
    Trouble(
        "batch booked as one, with its id",
        16,
        "noon",
        bank.mood("batch_sum"),
        ("batch_booked" + EXPLAINED,),
    ),
    Trouble("batch booked as one, without a name", 17, "noon", bank.bare_batch, ("batch_booked",)),
    Trouble("debit that nobody ordered", 20, "dusk", bank.extra, ("extra",)),
    Trouble(
        "credit with an unknown reference",
        21,
        "dusk",
        bank.unknown_reference,
        ("unmatched_funding",),
    ),
    Trouble("statement never sent", 22, "dusk", bank.mood("skip_statement"), ("statement_gap",)),
    Trouble(
        "statement late and out of order",
        23,
        "dusk",
        bank.mood("late_statement", days=2),
        ("timing" + EXPLAINED,),
    ),
    Trouble("statement sent a second time", 24, "dusk", bank.mood("resend_statement")),
    Trouble(
        "statement reissued under another id",
        28,
        "dusk",
        bank.mood("renamed_statement"),
        ("duplicate" + EXPLAINED,),
    ),
    Trouble("charges within a line", 1, "noon", bank.mood("charge_inside", cents=25), ("charges",)),
    Trouble(
        "charges in a line of their own",
        2,
        "noon",
        bank.mood("charge_line", cents=90),
        ("charges",),
    ),
    Trouble("no notification of a day's lines", 16, "noon", bank.mood("silence")),
    Trouble("other references at end of day", 20, "dusk", bank.mood("other_references")),
    Trouble("credit in another currency", 24, "dusk", bank.foreign, ("currency",)),
    Trouble("credit taken back after its mint", 27, "dusk", bank.take_back, ("returned",)),
    Trouble(
        "batch with details that name no order",
        28,
        "noon",
        bank.mood("batch_details"),
        ("batch_booked" + EXPLAINED,),
    ),
    Trouble("statement as MT940", 29, "dusk", bank.mood("mt940")),
    Trouble("notification as camt.052", 30, "noon", bank.mood("camt052")),
    Trouble("records sent twice", 4, "morning", device.duplicates),
    Trouble("forged record", 5, "morning", device.forge),
    Trouble("unknown device", 5, "morning", device.unknown),
    Trouble("meter exchanged", 11, "morning", device.swap),
    Trouble("record lost on the way", 12, "morning", device.late),
    Trouble("(it is found, and paid late)", 17, "morning", device.found),
    Trouble("key stolen, told too late", 21, "morning", device.steal),
    Trouble("(it is told)", 22, "noon", device.declare_late, ("key_compromised",)),
    Trouble("key stolen, told in time", 23, "morning", device.steal),
    Trouble("(it is told)", 23, "noon", device.declare_in_time),
    Trouble(
        "block of a settlement taken back",
        29,
        "morning",
        device.reorganise,
        ("reorganised" + EXPLAINED,),
    ),
    Trouble("unbacked mint", 19, "noon", device.mint, ("mint_without_credit",)),
)


def happen(month: Actors, day: date, when: str) -> None:
    """Everything that goes wrong at this hour."""
    for trouble in TROUBLES:
        if (trouble.day, trouble.when) == (day.day, when):
            trouble.act(month, day)
            month.story.plan.breaks.update(trouble.breaks)
