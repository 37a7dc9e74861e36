"""Redeems tokens of a wallet: burned on chain, and paid by the bank once that is final.

It is for refunded or withdrawn tokens; released payments are paid out without it. The bank pays
whole cents, so only whole cents are burned.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from enum import StrEnum

from device_adapters.types import Rejected
from orchestrator.core.identity import payout_account
from orchestrator.core.ledger import MICRO_PER_CENT
from orchestrator.edges.chain.client import Call, Chain
from orchestrator.edges.chain.ethereum import LocalAccount
from orchestrator.edges.chain.sender import ChainCall, Sender, send_and_wait
from orchestrator.edges.store import Store

PURPOSE = "redeem"


class RedeemReason(StrEnum):
    """Why tokens were not redeemed. The codes are stable."""

    NOTHING = "nothing_to_redeem"
    SUB_CENT = "sub_cent"
    TOO_MUCH = "more_than_held"


def redeem(
    store: Store,
    chain: Chain,
    holder: LocalAccount,
    iban: str,
    amount_micro: int,
    now: int,
    wait: Callable[[], None],
) -> str:
    """Burn a wallet's tokens for a payout to an IBAN. Safe to repeat after an interruption.

    Args:
        amount_micro: Micro-euro, whole cents.
        now: Unix seconds.
        wait: Called while the transaction waits for its block.

    Returns:
        The transaction hash, 0x-hex.

    Raises:
        Rejected: with a RedeemReason; nothing was sent.
    """
    balance = chain.view("EuroToken", "balanceOf", holder.address)
    if amount_micro <= 0:
        raise Rejected(RedeemReason.NOTHING, "the amount must be above zero; nothing was burned")
    if amount_micro % MICRO_PER_CENT:
        raise Rejected(
            RedeemReason.SUB_CENT,
            f"{_euro(amount_micro)} EUR is not a whole number of cents, and the bank "
            "pays whole cents; nothing was burned",
        )
    if amount_micro > balance:
        raise Rejected(
            RedeemReason.TOO_MUCH,
            f"the wallet {holder.address} holds {_euro(balance)} EUR; nothing was burned",
        )
    sender = Sender(store, chain, holder)
    account = payout_account(iban)
    ref = f"{holder.address}:{chain.nonce(holder.address)}:{amount_micro}:0x{account.hex()}"
    call = Call("EuroToken", "redeem", (holder.address, account, amount_micro))
    [tx_hash] = send_and_wait(sender, [ChainCall(PURPOSE, ref, call)], now, wait)
    return tx_hash


def _euro(micro: int) -> str:
    return f"{Decimal(micro).scaleb(-6):,.6f}"
