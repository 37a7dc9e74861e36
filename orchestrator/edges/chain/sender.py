"""Sends each decided call exactly once: nonce and signed bytes are stored before the broadcast.

Recovery sends the same bytes again; it never signs a second time for the same purpose.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from orchestrator.edges.chain.client import Call, Chain, Quote
from orchestrator.edges.chain.ethereum import LocalAccount
from orchestrator.edges.store import Session, Store, blocks, sends
from orchestrator.errors import Halt, Retry

_AGAIN_S = 10
PATIENCE_S = 60  # how long a person waits for a block
_POLL_S = 0.1
_DISPLACED = "its nonce was used by another transaction"


class Sender:
    """One key on one chain. `account` signs; the store allocates nonces.

    So several processes can share the key without ever using a nonce twice.
    """

    def __init__(self, store: Store, chain: Chain, account: LocalAccount) -> None:
        self.store, self.chain, self.account = store, chain, account
        self._chain_id = chain.deployment.chain_id
        self._looked_at = 0  # Unix seconds

    def quote(self, call: Call, suffix: bytes = b"") -> Quote:
        """Return the call with its cost.

        Raises:
            Retry: The call would revert now; the text has the contract's own error name.
        """
        return self.chain.quote(self.account.address, call, suffix)

    def prepare(self, session: Session, purpose: str, ref: str, quote: Quote, now: int) -> str:
        """Sign and store a call within the caller's transaction; return the hash (0x-hex).

        The caller broadcasts after the commit.
        """
        # others may have used this key, or the store was restored: never use a nonce again
        stored_nonce = sends.next_nonce(session, self._chain_id, self.account.address)
        nonce = max(stored_nonce or 0, quote.nonce)
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
        """Send all stored bytes of this key that no block holds yet; return how many."""
        return broadcast_stored(self.store, self.chain, self.account.address)

    def broadcast_again(self, now: int) -> int:
        """Send stored bytes again that have waited for a block for 10 s; return how many.

        A chain that mines only when there is work shows by no block that a node lost its pool.

        Args:
            now: Unix seconds; the store is read once in 10 s.
        """
        if 0 <= now - self._looked_at < _AGAIN_S:
            return 0
        self._looked_at = now
        with self.store.read() as session:
            waiting = sends.unmined(session, self._chain_id, self.account.address)
        return self.broadcast() if any(row.created_at <= now - _AGAIN_S for row in waiting) else 0


def broadcast_stored(store: Store, chain: Chain, address: str) -> int:
    """Send the stored bytes of an address that no block holds, lowest nonce first; return how many.

    No key is needed: the bytes are signed. A refusal by the node is stored with the send and tried
    again: only a receipt, or a nonce used by another transaction, ends a send.
    """
    with store.read() as session:
        waiting = sends.unmined(session, chain.deployment.chain_id, address)
    if not waiting:
        return 0
    verdicts = chain.broadcast([row.raw for row in waiting])
    with store.write() as session:
        for row, verdict in zip(waiting, verdicts, strict=True):
            sends.record_fact(session, row.tx_hash, sends.Fact.BROADCAST, verdict=verdict)
    return len(waiting)


def settle_up(store: Store, chain: Chain, tx_hashes: Sequence[str]) -> dict[str, bool]:
    """Ask the chain for the result of sends: return {hash: succeeded} without the open ones."""
    if not tx_hashes:
        return {}
    ended = {}
    receipts = chain.receipts(tx_hashes)  # before the write: a slow node must hold up no writer
    with store.write() as session:
        for tx_hash, receipt in zip(tx_hashes, receipts, strict=True):
            if receipt is None:
                continue
            ended[tx_hash] = receipt.succeeded
            sends.record_receipt(
                session, tx_hash, receipt.block_number, receipt.gas_used, receipt.succeeded
            )
    return ended


def displaced(
    store: Store, chain: Chain, address: str, final_block: int
) -> list[sends.ChainSendRow]:
    """End an address's sends whose nonce another transaction used in a final block; return them.

    Nothing less is certain: until then only the same bytes may be sent again. A transaction whose
    logs are stored was not displaced, also if the node has no receipt of it now.
    """
    with store.read() as session:
        waiting = [
            row
            for row in sends.unmined(session, chain.deployment.chain_id, address)
            if not blocks.logs_in_transaction(session, row.tx_hash)
        ]
    if not waiting:
        return []
    used = chain.used_nonces(address, final_block)
    spent = [row for row in waiting if row.nonce < used]
    receipts = chain.receipts([row.tx_hash for row in spent]) if spent else []
    ended = [row for row, receipt in zip(spent, receipts, strict=True) if receipt is None]
    with store.write() as session:
        for row in ended:
            sends.record_fact(session, row.tx_hash, sends.Fact.DISPLACED, verdict=_DISPLACED)
    return ended


@dataclass(frozen=True, slots=True)
class ChainCall:
    """A call with the purpose and reference under which it is sent once."""

    purpose: str
    ref: str
    call: Call


def send_and_wait(
    sender: Sender, calls: Sequence[ChainCall], now: int, wait: Callable[[], None]
) -> list[str]:
    """Store and send calls, and wait until all are mined; return the hashes in order.

    For commands. Running it again with the same references sends nothing new.

    Args:
        sender: The key that sends.
        calls: What to send.
        now: Unix seconds.
        wait: Called between polls; it sleeps, and raises when the caller's patience ends.

    Raises:
        Halt: A call failed on chain.
    """
    hashes = _prepared(sender, calls, now)
    ended: dict[str, bool] = {}
    while True:
        try:
            sender.broadcast()
            open_hashes = [tx_hash for tx_hash in hashes if tx_hash not in ended]
            ended |= settle_up(sender.store, sender.chain, open_hashes)
        except Retry:
            pass
        failed = [
            call for call, tx_hash in zip(calls, hashes, strict=True) if ended.get(tx_hash) is False
        ]
        if failed:
            raise Halt(
                f"{failed[0].purpose} of {failed[0].ref} failed on chain, and is not sent again by "
                "itself. Next: see its receipt for the reason, then run the command again."
            )
        if len(ended) == len(set(hashes)):
            return hashes
        wait()


def send_in_turn(
    sender: Sender, calls: Sequence[Call], now: int, wait: Callable[[], None]
) -> list[str]:
    """Send a party's calls one after the other; return their hashes.

    Safe to repeat after an interruption: a call's reference holds the nonce that comes next on
    chain, so the same call is sent once until a block has it, and another call is never taken for
    it.

    Args:
        sender: The party's key.
        calls: What to send, in order: each may depend on the one before.
        now: Unix seconds.
        wait: As `send_and_wait` takes it.

    Raises:
        Retry: A call would revert, or no block takes it in time.
        Halt: A call failed on chain.
    """
    address, hashes = sender.account.address, []
    for call in calls:
        _, data = sender.chain.calls.encode(call)
        ref = f"{address}:{sender.chain.nonce(address)}:{sha256(data).hexdigest()[:16]}"
        hashes += send_and_wait(sender, [ChainCall(f"party {call.function}", ref, call)], now, wait)
    return hashes


def patience(seconds: int = PATIENCE_S) -> Callable[[], None]:
    """Return a `wait` for `send_and_wait` that sleeps briefly, and raises Retry after a time."""
    deadline = time.monotonic() + seconds

    def wait() -> None:
        if time.monotonic() > deadline:
            raise Retry(
                f"No block included the transaction within {seconds} s. It is stored and will "
                "not be signed twice. Run the same command again."
            )
        time.sleep(_POLL_S)

    return wait


def _prepared(sender: Sender, calls: Sequence[ChainCall], now: int) -> list[str]:
    with sender.store.read() as session:
        stored = [sends.by_ref(session, call.purpose, call.ref) for call in calls]
    quotes = [
        None if row else sender.quote(call.call) for row, call in zip(stored, calls, strict=True)
    ]
    with sender.store.write() as session:
        return [
            row.tx_hash if row else sender.prepare(session, call.purpose, call.ref, quote, now)
            for row, quote, call in zip(stored, quotes, calls, strict=True)
        ]
