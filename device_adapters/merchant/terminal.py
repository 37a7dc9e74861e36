"""A merchant's terminal: accepts vouchers offline, keeps the newest, and has them ready to send.

Made to be embedded: no network, no chain, one SQLite file; the caller gives the time. A
`WearableCard` holds what it knows about a wearable; `record_answers` takes the rail's answers.

    terminal = Terminal(Path("till.sqlite3"), payee="0x...", merchant_class=5814)
    terminal.add(WearableCard.from_json(text))
    terminal.take(record, amount=3_500_000, now=int(time.time()))  # Rejected: the reason
    for record in terminal.due(): ...                               # POST /v1/evidence, voucher

Warning: totals run per payee. Two terminals with one payee address must share one file; otherwise
each would count payments to the other as its own.
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

CLOCK_GRACE = 600  # seconds that two clocks may differ, as in the contract
# answers about the sender or the moment, not about the voucher: it stays due
_NOT_YET = (
    "device_not_of_topic",
    "device_unknown",
    "no_agreement",
    "too_many_records",
    "unknown_protocol",
)
DAY = 86_400


class TapReason(StrEnum):
    """Why a terminal declines a voucher. Stable codes, in addition to the protocol's reasons."""

    WEARABLE_UNKNOWN = "wearable_unknown"  # the terminal has no card for it
    CARD_TOO_OLD = "card_too_old"  # get a new one: the wearable may be lost
    FOREIGN_DOMAIN = "foreign_domain"  # for another chain or contract
    SIGNATURE_FORGED = "signature_forged"
    OTHER_PAYEE = "other_payee"
    CLASS_NOT_AGREED = "class_not_agreed"
    COUNTER_NOT_RISING = "counter_not_rising"  # an old voucher
    DOUBLE_SPENT = "double_spent"  # one counter on two vouchers: both are kept as proof
    AMOUNT_SHORT = "amount_short"
    ABOVE_TAP_LIMIT = "above_tap_limit"
    ABOVE_DAY_LIMIT = "above_day_limit"
    ABOVE_CAP = "above_cap"
    COOL_OFF = "cool_off"
    CLOCK_DIFFERS = "clock_differs"  # signed more than ten minutes from now
    EXPIRED = "expired"
    OFFLINE_TAPS = "offline_taps"  # send the waiting vouchers first
    OFFLINE_AMOUNT = "offline_amount"
    OFFLINE_AGE = "offline_age"


class CardAccount(NamedTuple):
    """State of one wearable at this terminal: the last accepted voucher and the redeemed totals.

    Totals in token minor units, as in the vouchers; times in Unix seconds. day_total: the total at
    the begin of the last voucher's day. blocked: 1 after a double spend.
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
    """One merchant's till. Each call has written to disk when it returns; safe across processes.

    Args:
        path: the SQLite file, created if missing.
        payee: the merchant's address, 0x and 40 hex digits.
        merchant_class: ISO 18245.
    """

    def __init__(self, path: Path, payee: str, merchant_class: int) -> None:
        self.payee, self.merchant_class = payee.lower(), merchant_class
        self._base = sqlite3.connect(path, isolation_level=None)
        self._base.execute("pragma journal_mode=wal")
        self._base.execute("pragma synchronous=full")
        self._base.executescript(_TABLES)

    def add(self, card: WearableCard) -> None:
        """Store a card; it replaces an older one of the same wearable."""
        row = card.name, card.to_json()
        self._base.execute("insert or replace into cards (name, card) values (?, ?)", row)

    def take(self, record: bytes, amount: int, now: int) -> CardAccount:
        """Check a voucher for a sale, and keep it.

        Args:
            amount: of the sale, in token minor units.
            now: Unix seconds.

        Raises:
            Rejected: with a `TapReason` or a `Reason`. Nothing changes, except after a double
                spend: both vouchers are kept as proof, and the wearable is blocked here.
        """
        event = decode(record)
        with self._whole():
            card, account = self._card(event.device), self.account(event.device)
            _authentic(card, event, self.payee, self.merchant_class)
            if not self._doubled(event, account):
                _plausible(card, event, account, amount, now)
                _affordable(card, event, account)
                self._in_time(card, now)
                return self._keep(event, account)
        raise Rejected(TapReason.DOUBLE_SPENT, "this wearable signed one counter twice", record)

    def due(self) -> list[bytes]:
        """Return the records to send, by counter: the newest of each wearable and day, and proofs.

        One for each day, since the limit per day counts by the day of signing: a newer voucher at
        another terminal may be redeemed first.
        """
        rows = self._base.execute(
            "select record from vouchers where outcome is null order by name, counter"
        )
        return [record for (record,) in rows]

    def record_answers(self, answers: Iterable[tuple[str, str]]) -> None:
        """Record the rail's answers.

        An accepted voucher counts as redeemed and resets the offline bounds. One that was refused
        because of its sender, such as an API key of another scope, stays due.

        Args:
            answers: (evidence hash in hex, "accepted", "duplicate" or a reason).

        Warning: accepted is not paid yet; the chain may cut it where other merchants were first.
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
        """Return the rail's answers by evidence hash in hex."""
        rows = self._base.execute("select evidence, outcome from vouchers where outcome not null")
        return dict(rows)

    def account(self, name: str) -> CardAccount:
        """Return the state of a wearable; all zero if it never paid here."""
        columns = ", ".join(CardAccount._fields)
        row = self._base.execute(f"select {columns} from accounts where name = ?", (name,))
        return CardAccount(*(row.fetchone() or ()))

    def close(self) -> None:
        """Close the file."""
        self._base.close()

    def _card(self, name: str) -> WearableCard:
        row = self._base.execute("select card from cards where name = ?", (name,)).fetchone()
        if row is None:
            raise Rejected(TapReason.WEARABLE_UNKNOWN, f"no card of {name[:60]!r}. Add it first")
        return WearableCard.from_json(row[0])

    def _doubled(self, event: Event, account: CardAccount) -> bool:
        """Return whether the wearable ever signed one counter twice; keep both as proof."""
        if account.blocked:
            return True
        rows = self._base.execute(
            "select record from vouchers where name = ? and counter = ?",
            (event.device, event.counter),
        )
        contents = {decode(record).signed.content for (record,) in rows}
        if not contents - {event.signed.content}:
            return False
        self._insert(event)
        self._write(event.device, account._replace(blocked=1))
        return True

    def _keep(self, event: Event, account: CardAccount) -> CardAccount:
        facts, day = event.facts, event.facts["signed_at"] // DAY
        self._base.execute(
            "delete from vouchers where name = ? and day = ? and outcome is null",
            (event.device, day),
        )
        self._insert(event)
        new = account._replace(
            counter=event.counter,
            total=facts["total"],
            taps=facts["taps"],
            signed_at=facts["signed_at"],
            day_total=account.day_total if day == account.signed_at // DAY else account.total,
        )
        self._write(event.device, new)
        return new

    def _redeemed(self, evidence: str) -> None:
        row = self._base.execute(
            "select name, total, taps from vouchers where evidence = ?", (evidence,)
        ).fetchone()
        if row is None:
            return  # a newer voucher replaced it
        name, total, taps = row
        account = self.account(name)
        total, taps = max(total, account.redeemed_total), max(taps, account.redeemed_taps)
        self._write(name, account._replace(redeemed_total=total, redeemed_taps=taps))

    def _in_time(self, card: WearableCard, now: int) -> None:
        """Reject if the card, or a voucher that waits to be sent, is too old."""
        if now - card.as_of > card.max_age:
            raise Rejected(TapReason.CARD_TOO_OLD, f"its date is {card.as_of}. Get a newer card")
        (oldest,) = self._base.execute(
            "select coalesce(min(signed_at), ?) from vouchers where name = ? and outcome is null",
            (now, card.name),
        ).fetchone()
        if now - oldest > card.max_age:
            raise Rejected(
                TapReason.OFFLINE_AGE, "a voucher has been waiting for too long. Send it first"
            )

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
    """Reject unless signed by this wearable, for this contract, to this merchant."""
    facts = event.facts
    if (facts["chain"], facts["contract"]) != (card.chain_id, card.contract):
        detail = f"for {facts['contract']} on chain {facts['chain']}"
        raise Rejected(TapReason.FOREIGN_DOMAIN, detail)
    if not genuine(event.signed, card.key):
        raise Rejected(TapReason.SIGNATURE_FORGED, "the wearable's key did not sign this")
    if facts["payee"] != payee:
        raise Rejected(TapReason.OTHER_PAYEE, f"it pays {facts['payee']}")
    signed_class = facts["merchant_class"]
    if signed_class != merchant_class or (card.classes and signed_class not in card.classes):
        raise Rejected(TapReason.CLASS_NOT_AGREED, f"merchant class {signed_class:04}")


def _plausible(
    card: WearableCard, event: Event, account: CardAccount, amount: int, now: int
) -> None:
    """Reject unless newer than all before, enough for the sale, and signed now."""
    facts = event.facts
    if event.counter <= account.counter or facts["taps"] <= account.taps:
        detail = f"counter {event.counter} after {account.counter}"
        raise Rejected(TapReason.COUNTER_NOT_RISING, detail)
    paid, taps = facts["total"] - account.total, facts["taps"] - account.taps
    if paid < amount:
        raise Rejected(TapReason.AMOUNT_SHORT, f"{_euro(paid)} for a sale of {_euro(amount)}")
    if paid > card.per_tap * taps:
        raise Rejected(
            TapReason.ABOVE_TAP_LIMIT,
            f"{_euro(paid)} in {taps} taps of at most {_euro(card.per_tap)}",
        )
    if abs(now - facts["signed_at"]) > CLOCK_GRACE:
        raise Rejected(
            TapReason.CLOCK_DIFFERS, f"signed at {facts['signed_at']}, the time is {now}"
        )
    # this clock was far ahead at the last tap where that lies after now: it says nothing then
    if account.counter and -CLOCK_GRACE <= facts["signed_at"] - account.signed_at < card.cool_off:
        raise Rejected(TapReason.COOL_OFF, f"{card.cool_off} s must lie between two taps")
    if now > facts["expiry"]:
        raise Rejected(TapReason.EXPIRED, f"it expired at {facts['expiry']}")


def _affordable(card: WearableCard, event: Event, account: CardAccount) -> None:
    """Reject what is above the payer's limits or above what a merchant may risk offline."""
    facts = event.facts
    if facts["total"] > facts["cap"]:
        raise Rejected(
            TapReason.ABOVE_CAP, f"{_euro(facts['total'])} of at most {_euro(facts['cap'])}"
        )
    same_day = facts["signed_at"] // DAY == account.signed_at // DAY
    today = facts["total"] - (account.day_total if same_day else account.total)
    if card.per_day and today > card.per_day:
        raise Rejected(
            TapReason.ABOVE_DAY_LIMIT, f"{_euro(today)} today, at most {_euro(card.per_day)}"
        )
    if facts["taps"] - account.redeemed_taps > card.offline_taps:
        raise Rejected(
            TapReason.OFFLINE_TAPS, f"at most {card.offline_taps}. Send the waiting vouchers first"
        )
    waiting = facts["total"] - account.redeemed_total
    if waiting > card.offline_amount:
        raise Rejected(
            TapReason.OFFLINE_AMOUNT, f"{_euro(waiting)} of at most {_euro(card.offline_amount)}"
        )


def _euro(micro: int) -> str:
    whole, rest = divmod(micro, 1_000_000)
    decimals = f"{rest:06}".rstrip("0").ljust(2, "0")
    return f"{whole:,}.{decimals} EUR"
