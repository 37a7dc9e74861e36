"""What goes wrong in the month: each kind on its day, with the breaks that must be named for it.

An act does the harm and tells the plan what it costs; it never looks at what the rail makes of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, NamedTuple

from orchestrator.edges.chain.client import Call
from orchestrator.edges.chain.sender import Errand, send_and_wait
from scripts.month.days import at
from scripts.month.devices import MWH_PER_UNIT, Meter
from scripts.month.people import Person
from scripts.month.plan import CENT
from scripts.month.story import Story
from scripts.month.town import METER_CENTS

OPEN, EXPLAINED = "", " (explained)"
UNEXPLAINED, UNALLOCATED = "suspense:unexplained", "suspense:unallocated"
_UNITS = 90_000  # of 0.1 Wh: a reading or a session like others
_UNKNOWN = "RF18539007547034"  # a valid reference that nobody here gave out


class Trouble(NamedTuple):
    """name: of the misbehaviour. day: of the month. when: "morning", before devices speak; "noon",
    when all is settled; "dusk", while the bank's day goes on; "night", when it is closed.
    breaks: what reconciliation must say, each once."""

    name: str
    day: int
    when: str
    act: Callable[[Month, date], None]
    breaks: tuple[str, ...] = ()


@dataclass
class Month:
    """The acts' view of the story. victims: payees that something has befallen already; used: so
    with devices; kept: what one act leaves for a later one."""

    story: Story
    victims: set[str] = field(default_factory=set)
    used: set[str] = field(default_factory=set)
    kept: dict[str, Any] = field(default_factory=dict)

    def happen(self, day: date, when: str) -> None:
        """Everything that goes wrong at this hour."""
        for trouble in TROUBLES:
            if (trouble.day, trouble.when) == (day.day, when):
                trouble.act(self, day)
                self.story.plan.breaks.update(trouble.breaks)

    def victim(self, day: date) -> Person:
        """A payee that is paid this evening and that nothing has befallen yet."""
        plan = self.story.plan
        plan.end(day)
        payee = max(
            (one for one in self.story.cast.payees if one.name not in self.victims),
            key=lambda one: plan.payout(day, one.address),
        )
        self.victims.add(payee.name)
        assert plan.payout(day, payee.address) > 0, f"nobody is left to be paid on {day}"
        return payee

    def meter(self, day: date, *, sessions: bool) -> Meter:
        """A metering device that no act has used, and that is not heard that day anyway."""
        free = next(
            one for one in self.story.town.meters if one.sessions == sessions
            and one.name not in self.used and not self.story.uploads(day, one)
        )  # fmt: skip
        self.used.add(free.name)
        return free

    def before(self, day: date) -> int:
        """A time between a device's last record and the one that it makes on this morning."""
        return at(day - timedelta(days=1), 8)

    def heard(self, day: date, meter: Meter) -> bytes:
        """One more record of a device, handed over with all that it had not sent."""
        write = meter.session if meter.sessions else meter.reading
        more = (3_600,) if meter.sessions else ()
        record = write(_UNITS, self.before(day), *more)
        self.story.waiting.setdefault(meter.name, []).append((record, _UNITS * MWH_PER_UNIT))
        self.story.hand_over("ocmf", self.story.unsent(meter))
        return record


# --- the bank


def _reject(month: Month, day: date) -> None:
    payee = month.victim(day)
    month.story.place.bank.shut(payee.iban, True)
    month.kept["shut"] = payee
    plan = month.story.plan
    plan.unbooked[day, payee.address] = plan.payout(day, payee.address)
    plan.refused[day, payee.address] = plan.payout(day, payee.address)


def _open_again(month: Month, day: date) -> None:
    month.story.place.bank.shut(month.kept["shut"].iban, False)


def _return(month: Month, day: date) -> None:
    payee, plan = month.victim(day), month.story.plan
    month.kept["returned"] = payee, plan.payout(day, payee.address)
    plan.returned[day, payee.address] = plan.payout(day, payee.address)


def _come_back(month: Month, day: date) -> None:
    payee, cents = month.kept["returned"]
    bank = month.story.place.bank
    found = bank.books.db.execute(
        "SELECT end_to_end_id FROM orders WHERE iban = ? AND cents = ?", (payee.iban, cents)
    ).fetchone()
    bank.tell({"kind": "return", "end_to_end_id": found[0], "reason": "AC04"})


def _trick(name: str) -> Callable[[Month, date], None]:
    """The next order of a payee is booked in some other way; what that leaves open, below."""

    def act(month: Month, day: date) -> None:
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


def _as_one(how: bool | str) -> Callable[[Month, date], None]:
    def act(month: Month, day: date) -> None:
        plan = month.story.plan
        plan.end(day)
        month.story.place.bank.as_one = how
        if how is not True:
            return
        for payee in month.story.cast.payees:
            cents = plan.payout(day, payee.address)
            plan.strange[UNEXPLAINED] -= cents
            plan.unbooked[day, payee.address] = cents

    return act


def _extra(month: Month, day: date) -> None:
    month.story.place.bank.take_out(4_321, "Lastschrift")
    month.story.plan.strange[UNEXPLAINED] -= 4_321


def _unknown_reference(month: Month, day: date) -> None:
    payer = month.story.cast.buyers[0]
    month.story.place.bank.standing_orders([(payer.iban, 12_345, _UNKNOWN)])
    month.story.plan.strange[UNALLOCATED] += 12_345


def _lose(month: Month, day: date) -> None:
    month.story.place.bank.withhold(day)


def _hold(month: Month, day: date) -> None:
    month.kept["held"] = day, month.story.place.bank.withhold(day)


def _deliver(month: Month, day: date) -> None:
    held, body = month.kept["held"]
    month.story.place.bank.post(f"{held}-late-camt.053", body)


def _again(month: Month, day: date) -> None:
    bank = month.story.place.bank
    path, = bank.from_bank.glob(f"{day}-*-camt.053.xml")
    bank.post(f"{day}-again-camt.053", path.read_bytes())


def _reissue(month: Month, day: date) -> None:
    bank = month.story.place.bank
    path, = bank.from_bank.glob(f"{day}-*-camt.053.xml")
    bank.post(f"{day}-reissued-camt.053", bank.reissued(path.read_bytes()))


# --- devices


def _duplicates(month: Month, day: date) -> None:
    """A gateway that sends the record it just sent once more, and again."""
    record = month.heard(day, month.meter(day, sessions=False))
    month.story.hand_over("ocmf", [record, record], "duplicate")


def _forge(month: Month, day: date) -> None:
    meter = month.meter(day, sessions=False)
    thief = Meter(meter.name, month.story.seed + 1, meter.register)
    thief.counter = meter.counter + 500
    month.story.hand_over("ocmf", [thief.reading(_UNITS, month.before(day))], "signature_forged")


def _unknown(month: Month, day: date) -> None:
    stranger = Meter("meter-nobody", month.story.seed, 0)
    month.story.hand_over("ocmf", [stranger.reading(_UNITS, month.before(day))], "device_unknown")


def _swap(month: Month, day: date) -> None:
    """A meter is exchanged behind its gateway: charged to its last reading, the jump is free."""
    meter = month.meter(day, sessions=False)
    record = meter.exchange(_UNITS, month.before(day), 42)
    month.story.waiting.setdefault(meter.name, []).append((record, _UNITS * MWH_PER_UNIT))


def _late(month: Month, day: date) -> None:
    """A session's record is lost on the way; what follows it waits until it is given up."""
    point = month.meter(day, sessions=True)
    lost = point.session(_UNITS, month.before(day), 3_600)
    after = point.session(_UNITS, month.before(day) + 7_200, 3_600)
    month.story.hand_over("ocmf", [*month.story.unsent(point), after])
    month.story.plan.later(day + timedelta(days=1), point.name, _UNITS * MWH_PER_UNIT)
    month.kept["lost"] = point, lost


def _found(month: Month, day: date) -> None:
    """The lost record is found, and paid after all."""
    point, lost = month.kept["lost"]
    month.story.hand_over("ocmf", [lost])
    month.story.plan.later(day + timedelta(days=1), point.name, _UNITS * MWH_PER_UNIT)


def _steal(month: Month, day: date) -> None:
    """A key is in other hands when its last record is signed; nobody knows yet."""
    point = month.meter(day, sessions=True)
    deal = month.story.plan.deals[point.name]
    month.story.silent.add(point.name)
    before = deal.charged
    month.heard(day, point)
    month.kept["stolen"] = point, month.before(day), deal.charged - before


def _declare_late(month: Month, day: date) -> None:
    """It is told when the money has left."""
    point, since, _ = month.kept["stolen"]
    month.story.place.office.declare_compromised(point.name, since)


def _declare_in_time(month: Month, day: date) -> None:
    """It is told within the window: the warden freezes what the key's word was good for."""
    point, since, micro = month.kept["stolen"]
    month.story.place.office.declare_compromised(point.name, since)
    month.story.plan.frozen_micro[month.story.plan.deals[point.name].payee] += micro
    month.story.place.work()


# --- the chain


def _mint(month: Month, day: date) -> None:
    """The gateway's key mints what no credit of the bank stands behind."""
    place, meter = month.story.place, month.meter(day, sessions=False)
    deal, cents = month.story.plan.deals[meter.name], METER_CENTS // 100
    rail = place.chain.deployment.addresses["PaymentRail"]
    arguments = (bytes.fromhex("ab" * 32), rail, bytes.fromhex(deal.identity[2:]), cents * CENT)
    errand = Errand("unbacked", "1", Call("EuroToken", "mintToEscrow", arguments))
    send_and_wait(place.rail.gateway, [errand], place.now, place.mine)
    deal.unbacked_cents += cents


def _reorganise(month: Month, day: date) -> None:
    month.story.place.reorganise_next = True


TROUBLES = (
    Trouble("payout rejected by the bank", 7, "noon", _reject, ("rejected",)),
    Trouble("(its account is opened again)", 7, "night", _open_again),
    Trouble("payout returned days later", 8, "noon", _return, ("returned",)),
    Trouble("(it comes back)", 14, "dusk", _come_back),
    Trouble("payout booked twice", 9, "noon", _trick("twice"), ("duplicate",)),
    Trouble("payout split over two lines", 10, "noon", _trick("split"), ("amount" + EXPLAINED,)),
    Trouble("payout booked with a wrong amount", 13, "noon", _trick("a_cent_more"), ("amount",)),
    Trouble("payout accepted and never booked", 14, "noon", _trick("forget"), ("missing",)),
    Trouble("payout booked days late", 15, "noon", _trick("dawdle"), ("timing" + EXPLAINED,)),
    Trouble("batch booked as one, with its id", 16, "noon", _as_one("batch"),
            ("batch_booked" + EXPLAINED,)),
    Trouble("batch booked as one, without a name", 17, "noon", _as_one(True), ("batch_booked",)),
    Trouble("debit that nobody ordered", 20, "dusk", _extra, ("extra",)),
    Trouble("credit with an unknown reference", 21, "dusk", _unknown_reference,
            ("unmatched_funding",)),
    Trouble("statement never sent", 22, "night", _lose, ("statement_gap",)),
    Trouble("statement late and out of order", 23, "night", _hold, ("timing" + EXPLAINED,)),
    Trouble("(it is delivered)", 27, "night", _deliver),
    Trouble("statement sent a second time", 24, "night", _again),
    Trouble("statement reissued under another id", 28, "night", _reissue,
            ("duplicate" + EXPLAINED,)),
    Trouble("records sent twice", 4, "morning", _duplicates),
    Trouble("forged record", 5, "morning", _forge),
    Trouble("unknown device", 5, "morning", _unknown),
    Trouble("meter exchanged", 11, "morning", _swap),
    Trouble("record lost on the way", 12, "morning", _late),
    Trouble("(it is found, and paid late)", 17, "morning", _found),
    Trouble("key stolen, told too late", 21, "morning", _steal),
    Trouble("(it is told)", 22, "noon", _declare_late, ("key_compromised",)),
    Trouble("key stolen, told in time", 23, "morning", _steal),
    Trouble("(it is told)", 23, "noon", _declare_in_time),
    Trouble("block of a settlement taken back", 29, "morning", _reorganise,
            ("reorganised" + EXPLAINED,)),
    Trouble("unbacked mint", 19, "noon", _mint, ("mint_without_credit",)),
)
