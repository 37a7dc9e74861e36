"""A holder's own tokens become a payout: burned on chain, ordered at the bank once that is final.

The rail pays out what it releases by itself; this is for tokens in a wallet (a refund, a
withdrawal). The bank pays whole cents, so the token burns whole cents only.
"""

from __future__ import annotations

from collections.abc import Callable
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
    """Why tokens were not redeemed. Stable codes."""

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
    """Burns a wallet's tokens against a payout to this IBAN; returns the call's hash (0x-hex).

    amount_micro: micro-euro. now: Unix seconds. Raises Rejected with a RedeemReason, and then
    sends nothing. Interrupted and run again before the call is in a block, it is the same call.
    """
    held = chain.view("EuroToken", "balanceOf", holder.address)
    if amount_micro <= 0:
        raise Rejected(RedeemReason.NOTHING, "the amount must be above zero; nothing was burned")
    if amount_micro % MICRO_PER_CENT:
        raise Rejected(
            RedeemReason.SUB_CENT,
            f"{amount_micro} micro-euro is no whole number of "
            "cents, and banks pay no less; nothing was burned",
        )
    if amount_micro > held:
        raise Rejected(
            RedeemReason.TOO_MUCH,
            f"the wallet {holder.address} holds {held} micro-euro; nothing was burned",
        )
    sender = Sender(store, chain, holder)
    account = payout_account(iban)
    ref = f"{holder.address}:{chain.nonce(holder.address)}:{amount_micro}:0x{account.hex()}"
    call = Call("EuroToken", "redeem", (holder.address, account, amount_micro))
    [sent] = send_and_wait(sender, [ChainCall(PURPOSE, ref, call)], now, wait)
    return sent
