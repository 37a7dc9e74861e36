"""From the bank to the chain: mints tokens for booked credits, each once."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from orchestrator.core import ledger
from orchestrator.edges.chain.client import Call
from orchestrator.edges.store import Store
from orchestrator.edges.store import transfers as store
from orchestrator.errors import Retry
from orchestrator.steps import StepContext

_AT_ONCE = 200
_LAST: WeakKeyDictionary[Store, str] = WeakKeyDictionary()  # the credit that was looked at last


def mint(rail: StepContext) -> int:
    """Mints tokens into escrow for booked credits with a known reference; returns how many.

    Those that the contract does not take yet are passed by in turn: they hold up no other."""
    now, sent = rail.now(), 0
    with rail.store.read() as session:
        due = store.fundings_at(session, "booked", _AT_ONCE, _LAST.get(rail.store, ""))
    for row in due:
        _LAST[rail.store] = row.credit_id
        amount = row.cents * ledger.MICRO_PER_CENT
        rail_address = rail.chain.deployment.addresses["PaymentRail"]
        arguments = (row.credit_id, rail_address, row.agreement_id, amount)
        try:
            quote = rail.minter.quote(Call("EuroToken", "mintToEscrow", arguments))
        except Retry as delay:
            rail.log.warning("mint waits", credit=row.credit_id, reason=str(delay))
            continue
        with rail.store.write() as session:
            rail.minter.prepare(session, "mint", row.credit_id, quote, now)
            store.mark_funding(session, row.credit_id, "minting")
        sent += 1
    if sent:
        rail.minter.broadcast()
    return sent
