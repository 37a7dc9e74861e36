"""A payee's on-chain account for a period, from the journal, written as its bank would."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime

from orchestrator.core import ledger
from orchestrator.core.payee_account import AccountStatement, Movement, statement
from orchestrator.core.references import end_to_end_id
from orchestrator.edges.bank import chain_statement
from orchestrator.edges.store import (
    Session,
    agreements,
    blocks,
    payments,
    payouts,
)
from orchestrator.edges.store import ledger as store_ledger
from orchestrator.errors import Halt


@dataclass(frozen=True, slots=True)
class PayeeStatement:
    """The statement, its camt.053, and whether its last day is over (by the newest final block)."""

    account: AccountStatement
    body: bytes
    is_over: bool


def payee_statement(
    session: Session,
    party: agreements.PartyRow,
    servicer: str,
    first: date | None,
    last: date | None,
) -> PayeeStatement:
    """first, last: both inclusive, UTC; by default from the first movement to the newest final
    block's day. Raises Halt where that is no period, or lies ahead of the chain."""
    newest = _newest_day(session)
    movements = _named(session, party, list(_movements(session, party)))
    last = last or newest
    first = first or (movements[0].day if movements else last)
    if first > last:
        raise Halt(f"{first} is after {last}: no period. Nothing was written.")
    if last > newest:
        raise Halt(
            f"{last} is ahead of the chain: its newest final block is of {newest}. Name a "
            "day up to that."
        )
    found = statement(movements, first, last)
    body = chain_statement.write(found, party.address, party.name, servicer, last < newest)
    return PayeeStatement(found, body, last < newest)


def _newest_day(session: Session) -> date:
    block = blocks.at(session, blocks.newest_final(session))
    if block is None:
        raise Halt("No block of the chain is final yet, so there is nothing to state.")
    return datetime.fromtimestamp(block.timestamp, UTC).date()


def _movements(session: Session, party: agreements.PartyRow) -> Iterator[Movement]:
    """What each entry does to the account, in the journal's order; a release only moves money
    from its pending to its available part."""
    accounts = (ledger.pending(party.address), ledger.withdrawable(party.address))
    parts: dict[int, list[tuple[str, int]]] = {}
    entries = {}
    for account in accounts:
        for each in store_ledger.movements(session, account):
            parts.setdefault(each.number, []).append((account, -each.amount_minor))
            entries[each.number] = each
    for number in sorted(parts):
        each = entries[number]
        yield Movement(
            ledger.entry_id(each.kind, each.ref),
            each.at,
            each.kind,
            each.ref,
            "",
            sum(amount for _, amount in parts[number]),
            sum(amount for account, amount in parts[number] if account == accounts[1]),
        )


def _named(
    session: Session, party: agreements.PartyRow, movements: list[Movement]
) -> list[Movement]:
    """The same movements with their references, and with who is on the other side."""
    rows = {row.payment_id: row for row in payments.by_ids(session, {m.ref for m in movements})}
    deals = agreements.by_ids(session, {row.agreement_id for row in rows.values()})
    names = {each.address: each.name for each in agreements.parties(session)}
    found = []
    for each in movements:
        row, payout = rows.get(each.ref), payouts.get(session, each.ref)
        if row is not None:
            deal = deals[row.agreement_id]
            more = {
                "tx_hash": row.settlement_tx or "",
                "name": names.get(deal.payer, ""),
                "end_to_end_id": end_to_end_id(bytes.fromhex(row.payment_id[2:])),
                "account": deal.payer,
                "text": f"{deal.product} {deal.device} claim {row.sequence}",
            }
        elif payout is not None:
            own = party.iban if payout.account == party.account else None
            more = {
                "tx_hash": payout.tx_hash,
                "end_to_end_id": payout.end_to_end_id,
                "name": party.name,
                "account": own or "",
                "text": "paid to the bank",
            }
        else:
            more = {"tx_hash": each.ref.partition(":")[0], "text": each.kind}
        found.append(
            Movement(
                each.entry_id,
                each.at,
                each.kind,
                each.ref,
                amount_micro=each.amount_micro,
                available_micro=each.available_micro,
                **more,
            )
        )
    return found
