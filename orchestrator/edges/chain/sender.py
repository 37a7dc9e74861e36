"""Sends what was decided, exactly once: nonce and signed bytes are stored before the broadcast.

Recovery sends the same bytes again; it never signs a second time for the same purpose.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from eth_account.signers.local import LocalAccount

from orchestrator.edges.chain.client import Call, Chain, Quote
from orchestrator.edges.store import Session, Store, sends
from orchestrator.errors import Halt, Retry

_DISPLACED = "its nonce was used by another transaction"


class Sender:
    """One key on one chain. `account` signs; the store allocates nonces, so that several
    processes can share the key without ever using a nonce twice."""

    def __init__(self, store: Store, chain: Chain, account: LocalAccount) -> None:
        self.store, self.chain, self.account = store, chain, account
        self._chain_id = chain.deployment.chain_id

    def quote(self, call: Call, suffix: bytes = b"") -> Quote:
        """Raises Retry, by the contract's own error name, if the call would revert now."""
        return self.chain.quote(self.account.address, call, suffix)

    def prepare(self, session: Session, purpose: str, ref: str, quote: Quote, now: int) -> str:
        """Signs and stores a call within the caller's transaction; returns the hash (0x-hex).

        The caller broadcasts after the commit.
        """
        # whoever else used this key, or if the store was restored: a used nonce is never used again
        known = sends.next_nonce(session, self._chain_id, self.account.address)
        nonce = max(known or 0, quote.nonce)
        tx_hash, raw = self.chain.sign(self.account, nonce, quote)
        sends.add(
            session,
            sends.ChainSendRow(
                tx_hash=tx_hash,
                chain_id=self._chain_id,
                sender=self.account.address,
                nonce=nonce,
                purpose=purpose,
                ref=ref,
                raw=raw,
                created_at=now,
            ),
        )
        return tx_hash

    def broadcast(self) -> int:
        """Sends all stored bytes that no block holds yet, oldest nonce first; returns how many.

        A refusal by the node is kept as the send's reason and tried again: only a receipt, or a
        nonce consumed by another hash, ends a send.
        """
        with self.store.read() as session:
            waiting = sends.unmined(session, self._chain_id, self.account.address)
        if not waiting:
            return 0
        verdicts = self.chain.broadcast([row.raw for row in waiting])
        with self.store.write() as session:
            for row, verdict in zip(waiting, verdicts, strict=True):
                sends.record_fact(session, row.tx_hash, sends.Fact.BROADCAST, verdict=verdict)
        return len(waiting)


def settle_up(store: Store, chain: Chain, tx_hashes: Sequence[str]) -> dict[str, bool]:
    """Asks the chain what became of these sends: {hash: succeeded}; open ones are absent."""
    if not tx_hashes:
        return {}
    ended = {}
    receipts = chain.receipts(tx_hashes)  # before the write: a slow node must hold up no writer
    with store.write() as session:
        for tx_hash, receipt in zip(tx_hashes, receipts, strict=True):
            if receipt is None:
                continue
            ended[tx_hash] = receipt["status"] == "0x1"
            sends.record_receipt(
                session,
                tx_hash,
                int(receipt["blockNumber"], 16),
                int(receipt["gasUsed"], 16),
                ended[tx_hash],
            )
    return ended


def displaced(sender: Sender, final_block: int) -> list[sends.ChainSendRow]:
    """Ends the sends whose nonce another transaction used up in a final block; returns them.

    Nothing less is a no: until then only the same bytes may be sent again.
    """
    store, chain, address = sender.store, sender.chain, sender.account.address
    with store.read() as session:
        waiting = sends.unmined(session, chain.deployment.chain_id, address)
    used, receipts = chain.fates(address, [row.tx_hash for row in waiting], final_block)
    gone = [
        row
        for row, receipt in zip(waiting, receipts, strict=True)
        if receipt is None and row.nonce < used
    ]
    with store.write() as session:
        for row in gone:
            sends.record_fact(session, row.tx_hash, sends.Fact.DISPLACED, verdict=_DISPLACED)
    return gone


@dataclass(frozen=True, slots=True)
class ChainCall:
    """A call with the purpose and reference under which it is sent once."""

    purpose: str
    ref: str
    call: Call


def send_and_wait(
    sender: Sender, errands: Sequence[ChainCall], now: int, wait: Callable[[], None]
) -> list[str]:
    """For commands: stores, sends and waits until all are mined; returns the hashes in order.

    wait: called between looks; it sleeps, and raises when the caller's patience ends.
    Raises Halt if a call failed on chain. Running it again with the same refs sends nothing new.
    """
    hashes = _prepared(sender, errands, now)
    ended: dict[str, bool] = {}
    while True:
        try:
            sender.broadcast()
            still = [h for h in hashes if h not in ended]
            ended |= settle_up(sender.store, sender.chain, still)
        except Retry:
            pass
        failed = [e for e, h in zip(errands, hashes, strict=True) if ended.get(h) is False]
        if failed:
            raise Halt(f"{failed[0].purpose} of {failed[0].ref} failed on chain; see its receipt")
        if len(ended) == len(set(hashes)):
            return hashes
        wait()


def _prepared(sender: Sender, errands: Sequence[ChainCall], now: int) -> list[str]:
    with sender.store.read() as session:
        known = [sends.by_ref(session, e.purpose, e.ref) for e in errands]
    quotes = [None if row else sender.quote(e.call) for row, e in zip(known, errands, strict=True)]
    with sender.store.write() as session:
        return [
            row.tx_hash if row else sender.prepare(session, e.purpose, e.ref, quote, now)
            for row, quote, e in zip(known, quotes, errands, strict=True)
        ]
