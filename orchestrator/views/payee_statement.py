"""Builds a payee's account statement for a period from the journal, as camt.053."""

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
    """A statement, its camt.053, and whether its last day is over by the newest final block."""

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
    """Return a payee's statement for a period.

    Args:
        servicer: Name of the account servicer in the camt.053.
        first: First day, UTC. Default: the first movement's.
        last: Last day, inclusive, UTC. Default: the newest final block's.

    Raises:
        Halt: the period is empty or ends after the newest final block.
    """
    newest = _newest_day(session)
    movements = _named(session, party, list(_movements(session, party)))
    last = last or newest
    first = first or (movements[0].day if movements else last)
    if first > last:
        raise Halt(
            f"{first} is after {last}. Nothing was written. Give a first day before the last one."
        )
    if last > newest:
        raise Halt(
            f"{last} is after the newest final block of the chain, which is of {newest}. Give "
            "an earlier last day."
        )
    account = statement(movements, first, last)
    body = chain_statement.write(account, party.address, party.name, servicer, last < newest)
    return PayeeStatement(account, body, last < newest)


def _newest_day(session: Session) -> date:
    block = blocks.at(session, blocks.newest_final(session))
    if block is None:
        raise Halt("No block of the chain is final yet, so there is no statement. Try again later.")
    return datetime.fromtimestamp(block.timestamp, UTC).date()


def _movements(session: Session, party: agreements.PartyRow) -> Iterator[Movement]:
    """Yield the account's movement of each entry, in journal order.

    A release only moves money from the pending to the available part.
    """
    accounts = (ledger.pending(party.address), ledger.withdrawable(party.address))
    parts: dict[int, list[tuple[str, int]]] = {}
    entries = {}
    for account in accounts:
        for movement in store_ledger.movements(session, account):
            parts.setdefault(movement.number, []).append((account, -movement.amount_minor))
            entries[movement.number] = movement
    for number in sorted(parts):
        movement = entries[number]
        yield Movement(
            ledger.entry_id(movement.kind, movement.ref),
            movement.at,
            movement.kind,
            movement.ref,
            "",
            sum(amount for _, amount in parts[number]),
            sum(amount for account, amount in parts[number] if account == accounts[1]),
        )


def _named(
    session: Session, party: agreements.PartyRow, movements: list[Movement]
) -> list[Movement]:
    """Return the movements with references and counterparty added."""
    rows = {row.payment_id: row for row in payments.by_ids(session, {m.ref for m in movements})}
    agreements_by_id = agreements.by_ids(session, {row.agreement_id for row in rows.values()})
    names = {movement.address: movement.name for movement in agreements.parties(session)}
    named = []
    for movement in movements:
        row, payout = rows.get(movement.ref), payouts.get(session, movement.ref)
        if row is not None:
            agreement = agreements_by_id[row.agreement_id]
            details = {
                "tx_hash": row.settlement_tx or "",
                "name": names.get(agreement.payer, ""),
                "end_to_end_id": end_to_end_id(bytes.fromhex(row.payment_id[2:])),
                "account": agreement.payer,
                "text": f"{agreement.product} {agreement.device} claim {row.sequence}",
            }
        elif payout is not None:
            iban = party.iban if payout.account == party.account else None
            details = {
                "tx_hash": payout.tx_hash,
                "end_to_end_id": payout.end_to_end_id,
                "name": party.name,
                "account": iban or "",
                "text": "paid to the bank",
            }
        else:
            details = {"tx_hash": movement.ref.partition(":")[0], "text": movement.kind}
        named.append(
            Movement(
                movement.entry_id,
                movement.at,
                movement.kind,
                movement.ref,
                amount_micro=movement.amount_micro,
                available_micro=movement.available_micro,
                **details,
            )
        )
    return named
