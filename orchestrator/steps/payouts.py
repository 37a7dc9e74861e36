"""From the ledger to the bank: orders payouts, each once, and hands their files over."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256

from device_adapters.types import Rejected
from orchestrator.core.references import uetr
from orchestrator.edges.bank import pain
from orchestrator.edges.bank.types import Address, Party, Payout
from orchestrator.edges.store import Session, add_new, agreements
from orchestrator.edges.store import transfers as store
from orchestrator.steps import Rail

_PAYOUTS_PER_FILE = 1_000
_NO_ACCOUNT = (
    "account_unknown: no party has the account that this payout was redeemed for; name it with "
    "`proofrail party add`, under a name of its own if the payee has changed its bank"
)


def order_payouts(rail: Rail) -> int:
    """Writes due payouts into one pain.001, stores it, then hands it over; returns how many files.

    The file is stored with the payouts' new stage in one transaction; handing over is idempotent,
    so a crash in between sends the same bytes again and nothing twice.
    """
    now = rail.now()
    with rail.store.write() as session:
        due = store.payouts_at(session, "ordered", _PAYOUTS_PER_FILE)
        orders = [order for row in due if (order := _order(rail, session, row)) is not None]
        if orders:
            _store_file(rail, session, orders, now)
    return hand_over(rail)


def _order(rail: Rail, session: Session, row: store.Payout) -> Payout | None:
    """What to tell the bank; None, with the reason kept, until somebody mends the party's data."""
    party = agreements.party_at(session, row.payee, row.account)
    if party is None:
        store.mark_payouts(session, [row.payout_id], reason=_NO_ACCOUNT)
        return None
    identity = bytes.fromhex(row.payout_id[2:])
    order = Payout(
        payout_id=identity, end_to_end_id=row.end_to_end_id, uetr=uetr(identity),
        name=party.name, iban=party.iban, bic=party.bic or "", amount_cents=row.cents,
        address=Address(
            party.street, party.building, party.post_code, party.town, party.country
        ),
    )  # fmt: skip
    try:
        pain.check(order)
    except Rejected as refusal:
        store.mark_payouts(session, [row.payout_id], reason=str(refusal))
        return None
    return order


def _store_file(rail: Rail, session: Session, orders: list[Payout], now: int) -> None:
    created = datetime.fromtimestamp(now, UTC)
    account = dict(rail.safeguarding)
    debtor = Party(
        account["name"], account["iban"], Address(**account["address"]), account.get("bic", "")
    )
    message = pain.message_id(orders)
    body = pain.write(orders, debtor, message, created, created.date())
    digest = sha256(body).hexdigest()
    add_new(session, [store.BankFile(
        file_hash=digest, direction="out", name=store.order_file(message), kind="pain.001",
        body=body, at=now,
    )])  # fmt: skip
    ids = ["0x" + order.payout_id.hex() for order in orders]
    store.mark_payouts(session, ids, stage="sent", file_hash=digest, reason=None)


def hand_over(rail: Rail) -> int:
    """Places the files that the bank has not answered in its folder; returns how many were new."""
    placed = 0
    with rail.store.read() as session:
        for digest, name in store.unanswered_files(session):
            if not rail.bank.placed(name):
                placed += rail.bank.send(name, store.file(session, digest).body)
    return placed
