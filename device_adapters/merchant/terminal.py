"""A merchant's terminal: takes vouchers offline, keeps the newest, hands them over later.

Meant to be embedded: no network, no chain, one SQLite file, the clock comes from the caller. What
it knows of a wearable is a `WearableCard`; what the rail answered comes back through `record_answers`.

    terminal = Terminal(Path("till.sqlite3"), payee="0x...", merchant_class=5814)
    terminal.add(WearableCard.from_json(text))
    terminal.take(record, amount=3_500_000, now=int(time.time()))  # Rejected says why not
    for record in terminal.due(): ...                               # POST /v1/evidence, voucher

Warning: totals run per payee. Two terminals of one payee address must share one file, or each
would take as its own what the other was paid.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from device_adapters.keys import genuine
from device_adapters.merchant.card import WearableCard
from device_adapters.protocols.voucher import decode
from device_adapters.types import Event, Rejected

CLOCK_GRACE = 600  # seconds that two clocks may differ, as the contract has it
# answers that speak of the sender or the moment, not of the voucher: it stays due
_NOT_YET = (
    "device_not_of_topic",
    "device_unknown",
    "no_agreement",
    "too_many_records",
    "unknown_protocol",
)
DAY = 86_400


class TapReason(StrEnum):
    """Why a terminal does not take a voucher. Stable codes, beside the protocol's reasons."""

    WEARABLE_UNKNOWN = "wearable_unknown"  # no card of it here
    CARD_TOO_OLD = "card_too_old"  # go online: the wearable may be lost by now
    FOREIGN_DOMAIN = "foreign_domain"  # for another chain or contract
    SIGNATURE_FORGED = "signature_forged"
    OTHER_PAYEE = "other_payee"
    CLASS_NOT_AGREED = "class_not_agreed"
    COUNTER_NOT_RISING = "counter_not_rising"  # an old voucher
    DOUBLE_SPENT = "double_spent"  # one counter, two vouchers: both are kept as the proof
    AMOUNT_SHORT = "amount_short"
    ABOVE_TAP_LIMIT = "above_tap_limit"
    ABOVE_DAY_LIMIT = "above_day_limit"
    ABOVE_CAP = "above_cap"
    COOL_OFF = "cool_off"
    CLOCK_DIFFERS = "clock_differs"  # signed more than ten minutes from now
    EXPIRED = "expired"
    OFFLINE_TAPS = "offline_taps"  # hand over first
    OFFLINE_AMOUNT = "offline_amount"
    OFFLINE_AGE = "offline_age"


class CardAccount(NamedTuple):
    """What this terminal knows of one wearable: the last voucher taken, and what was redeemed.

    Totals in token minor units, as the vouchers have them; times in Unix seconds. day_total: the
    total when the last voucher's day began. blocked: 1 once it was seen to spend twice.
    """

    counter: int = 0
    total: int = 0
    taps: int = 0
    signed_at: int = 0
    day_total: int = 0
    redeemed_total: int = 0
    redeemed_taps: int = 0
    blocked: int = 0


_TABLES = f"""
create table if not exists cards (name text primary key, card text not null) without rowid;
create table if not exists accounts (
    name text primary key, {", ".join(f"{field} integer not null" for field in CardAccount._fields)}
) without rowid;
create table if not exists vouchers (
    evidence text primary key, name text not null, day integer not null, counter integer not null,
    total integer not null, taps integer not null, signed_at integer not null,
    record blob not null, outcome text
) without rowid;
"""


class Terminal:
    """One merchant's till. What a call took is on disk when it returns; safe across processes.

    payee: the merchant's address, 0x and 40 hex digits. merchant_class: ISO 18245.
    """

    def __init__(self, path: Path, payee: str, merchant_class: int) -> None:
        self.payee, self.merchant_class = payee.lower(), merchant_class
        self._base = sqlite3.connect(path, isolation_level=None)
        self._base.execute("pragma journal_mode=wal")
        self._base.execute("pragma synchronous=full")
        self._base.executescript(_TABLES)

    def add(self, card: WearableCard) -> None:
        """Takes a card, or a newer one of the same wearable."""
        row = card.name, card.to_json()
        self._base.execute("insert or replace into cards (name, card) values (?, ?)", row)

    def take(self, record: bytes, amount: int, now: int) -> CardAccount:
        """Checks a voucher for a sale of `amount` minor units at `now`, and keeps it.

        Rejected, with a `TapReason` or a `Reason`, leaves everything as it was, but for a proof of
        double spending, which blocks the wearable here.
        """
        event = decode(record)
        with self._whole():
            card, known = self._card(event.device), self.account(event.device)
            _authentic(card, event, self.payee, self.merchant_class)
            if not self._doubled(event, known):
                _plausible(card, event, known, amount, now)
                _affordable(card, event, known)
                self._in_time(card, now)
                return self._keep(event, known)
        raise Rejected(TapReason.DOUBLE_SPENT, "this wearable signs a counter twice", record)

    def due(self) -> list[bytes]:
        """The records to hand over, by counter: the newest of each wearable and day, and proofs.

        One of each day, since the limit per day goes by the day of signing.
        """
        rows = self._base.execute(
            "select record from vouchers where outcome is null order by name, counter"
        )
        return [record for (record,) in rows]

    def record_answers(self, answers: Iterable[tuple[str, str]]) -> None:
        """Takes the rail's answers: (evidence hash in hex, "accepted", "duplicate" or a reason).

        What the rail has taken counts as redeemed, and gives the offline bounds free again. What
        it refused for the sender's sake, such as an API key of another scope, stays due.
        Warning: taken is not yet paid; the chain may cut it where other merchants were first.
        """
        with self._whole():
            for evidence, outcome in answers:
                if outcome in _NOT_YET:
                    continue
                self._base.execute(
                    "update vouchers set outcome = ? where evidence = ?", (outcome, evidence)
                )
                if outcome in ("accepted", "duplicate"):
                    self._redeemed(evidence)

    def outcomes(self) -> dict[str, str]:
        """The rail's answer to each record that it answered, by evidence hash in hex."""
        rows = self._base.execute("select evidence, outcome from vouchers where outcome not null")
        return dict(rows)

    def account(self, name: str) -> CardAccount:
        """What is known of a wearable; all zero where it never paid here."""
        columns = ", ".join(CardAccount._fields)
        row = self._base.execute(f"select {columns} from accounts where name = ?", (name,))
        return CardAccount(*(row.fetchone() or ()))

    def close(self) -> None:
        self._base.close()

    def _card(self, name: str) -> WearableCard:
        row = self._base.execute("select card from cards where name = ?", (name,)).fetchone()
        if row is None:
            raise Rejected(TapReason.WEARABLE_UNKNOWN, f"no card of {name[:60]!r}: add it first")
        return WearableCard.from_json(row[0])

    def _doubled(self, event: Event, known: CardAccount) -> bool:
        """Whether two vouchers with one counter were seen; both are kept, and it is final."""
        if known.blocked:
            return True
        rows = self._base.execute(
            "select record from vouchers where name = ? and counter = ?",
            (event.device, event.counter),
        )
        contents = {decode(record).signed.content for (record,) in rows}
        if not contents - {event.signed.content}:
            return False
        self._insert(event)
        self._write(event.device, known._replace(blocked=1))
        return True

    def _keep(self, event: Event, known: CardAccount) -> CardAccount:
        facts, day = event.facts, event.facts["signed_at"] // DAY
        self._base.execute(
            "delete from vouchers where name = ? and day = ? and outcome is null",
            (event.device, day),
        )
        self._insert(event)
        new = known._replace(
            counter=event.counter,
            total=facts["total"],
            taps=facts["taps"],
            signed_at=facts["signed_at"],
            day_total=known.day_total if day == known.signed_at // DAY else known.total,
        )
        self._write(event.device, new)
        return new

    def _redeemed(self, evidence: str) -> None:
        found = self._base.execute(
            "select name, total, taps from vouchers where evidence = ?", (evidence,)
        ).fetchone()
        if found is None:
            return  # superseded meanwhile: the newer voucher stands for it
        name, total, taps = found
        known = self.account(name)
        total, taps = max(total, known.redeemed_total), max(taps, known.redeemed_taps)
        self._write(name, known._replace(redeemed_total=total, redeemed_taps=taps))

    def _in_time(self, card: WearableCard, now: int) -> None:
        """The age of what is known of the wearable, and of what waits to be handed over."""
        if now - card.as_of > card.max_age:
            raise Rejected(
                TapReason.CARD_TOO_OLD, f"the card is of {card.as_of}: fetch a newer one"
            )
        (oldest,) = self._base.execute(
            "select coalesce(min(signed_at), ?) from vouchers where name = ? and outcome is null",
            (now, card.name),
        ).fetchone()
        if now - oldest > card.max_age:
            raise Rejected(TapReason.OFFLINE_AGE, "a voucher waits here for too long: hand it over")

    def _insert(self, event: Event) -> None:
        facts = event.facts
        row = (
            sha256(event.evidence).hexdigest(),
            event.device,
            facts["signed_at"] // DAY,
            event.counter,
            facts["total"],
            facts["taps"],
            facts["signed_at"],
            event.evidence,
        )
        self._base.execute(f"insert or ignore into vouchers values ({'?, ' * 8} null)", row)

    def _write(self, name: str, account: CardAccount) -> None:
        marks = ", ".join("?" * (len(account) + 1))
        self._base.execute(f"insert or replace into accounts values ({marks})", (name, *account))

    @contextmanager
    def _whole(self) -> Iterator[None]:
        self._base.execute("begin immediate")
        try:
            yield
        except BaseException:
            self._base.execute("rollback")
            raise
        self._base.execute("commit")


def _authentic(card: WearableCard, event: Event, payee: str, merchant_class: int) -> None:
    """Signed by this wearable, for this contract, to this merchant."""
    facts = event.facts
    if (facts["chain"], facts["contract"]) != (card.chain_id, card.contract):
        detail = f"for {facts['contract']} on chain {facts['chain']}"
        raise Rejected(TapReason.FOREIGN_DOMAIN, detail)
    if not genuine(event.signed, card.key):
        raise Rejected(TapReason.SIGNATURE_FORGED, "the wearable's key did not sign this")
    if facts["payee"] != payee:
        raise Rejected(TapReason.OTHER_PAYEE, f"it pays {facts['payee']}")
    wanted = facts["merchant_class"]
    if wanted != merchant_class or (card.classes and wanted not in card.classes):
        raise Rejected(TapReason.CLASS_NOT_AGREED, f"merchant class {wanted:04}")


def _plausible(card: WearableCard, event: Event, known: CardAccount, amount: int, now: int) -> None:
    """Newer than all before, worth the sale, signed now."""
    facts = event.facts
    if event.counter <= known.counter or facts["taps"] <= known.taps:
        detail = f"counter {event.counter} after {known.counter}"
        raise Rejected(TapReason.COUNTER_NOT_RISING, detail)
    paid, taps = facts["total"] - known.total, facts["taps"] - known.taps
    if paid < amount:
        raise Rejected(TapReason.AMOUNT_SHORT, f"{paid} for a sale of {amount}")
    if paid > card.per_tap * taps:
        raise Rejected(TapReason.ABOVE_TAP_LIMIT, f"{paid} in {taps} taps of {card.per_tap}")
    if abs(now - facts["signed_at"]) > CLOCK_GRACE:
        raise Rejected(TapReason.CLOCK_DIFFERS, f"signed at {facts['signed_at']}, it is {now}")
    if known.counter and facts["signed_at"] - known.signed_at < card.cool_off:
        raise Rejected(TapReason.COOL_OFF, f"{card.cool_off} s must lie between two taps")
    if now > facts["expiry"]:
        raise Rejected(TapReason.EXPIRED, f"it ended at {facts['expiry']}")


def _affordable(card: WearableCard, event: Event, known: CardAccount) -> None:
    """Within what the payer agreed to, and within what a merchant may risk offline."""
    facts = event.facts
    if facts["total"] > facts["cap"]:
        raise Rejected(TapReason.ABOVE_CAP, f"{facts['total']} of {facts['cap']}")
    same_day = facts["signed_at"] // DAY == known.signed_at // DAY
    today = facts["total"] - (known.day_total if same_day else known.total)
    if card.per_day and today > card.per_day:
        raise Rejected(TapReason.ABOVE_DAY_LIMIT, f"{today} of {card.per_day} today")
    if facts["taps"] - known.redeemed_taps > card.offline_taps:
        raise Rejected(TapReason.OFFLINE_TAPS, f"at most {card.offline_taps}: hand over first")
    waiting = facts["total"] - known.redeemed_total
    if waiting > card.offline_amount:
        raise Rejected(TapReason.OFFLINE_AMOUNT, f"{waiting} of {card.offline_amount}")
