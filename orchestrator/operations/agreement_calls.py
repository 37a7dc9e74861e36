"""Calls by which parties act on an agreement: close, fund, skip. Each is safe to repeat."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from device_adapters.types import Rejected
from oracles.types import SkippedClaim
from orchestrator.core.claim_skip import skip_document
from orchestrator.core.party_call import SkipReason
from orchestrator.edges.chain.client import Call, Chain
from orchestrator.edges.chain.ethereum import signer_of
from orchestrator.edges.chain.rails import rail_of
from orchestrator.edges.store import Store, agreements, evidence
from orchestrator.operations.agreements import NOBODY

PARTIES = ("payer", "payee")


def close_call(chain: Chain, agreement: agreements.AgreementRow) -> Call:
    """Return the call that ends an agreement now."""
    return Call(_rail(chain, agreement), "close", (_raw(agreement.agreement_id),))


def _rail(chain: Chain, agreement: agreements.AgreementRow) -> str:
    """Return the name of the rail that an agreement is on."""
    return rail_of(chain.deployment, agreement.product_address)


def fund_calls(chain: Chain, agreement: agreements.AgreementRow, micro: int) -> list[Call]:
    """Return the calls that pay tokens of the sender into an agreement's escrow: allow, fund."""
    rail = _rail(chain, agreement)
    return [
        Call("EuroToken", "approve", (chain.deployment.addresses[rail], micro)),
        Call(rail, "fund", (_raw(agreement.agreement_id), micro)),
    ]


def skip_call(skipped: SkippedClaim, signatures: Mapping[str, bytes]) -> Call:
    """Return the call that passes over a claim; signatures: those of payer and payee."""
    arguments = (skipped.agreement, skipped.sequence, skipped.last_counter)
    return Call("PaymentRail", "skip", (*arguments, *(signatures[name] for name in PARTIES)))


def next_claim(chain: Chain, agreement: agreements.AgreementRow) -> tuple[int, int]:
    """Return the sequence of the claim that the chain expects, and the last counter before it."""
    identity = _raw(agreement.agreement_id)
    rail = _rail(chain, agreement)
    sequence, last_counter, *_ = chain.view(rail, "agreementState", identity)
    return sequence + 1, last_counter


def claim_to_skip(
    store: Store, chain: Chain, agreement: agreements.AgreementRow, last_counter: int | None
) -> SkippedClaim:
    """Return what is skipped: the claim that the chain expects next.

    Args:
        store: The store.
        chain: The node's client.
        agreement: The agreement.
        last_counter: Counters up to it are passed over; None: those of the payment that was made
            for this claim.

    Raises:
        Rejected: There is no payment to take the counter from, or no record has it.
    """
    if not chain.knows(_rail(chain, agreement), "skip"):
        raise Rejected(
            SkipReason.NO_CLAIM,
            "no claim of an agreement on a rail of an earlier release can be passed over; nothing "
            "was sent. Next: `proofrail agreement move` moves the agreement to the new contracts",
        )
    sequence, claimed_to = next_claim(chain, agreement)
    with store.read() as session:
        payment = agreements.payment_at(session, agreement.agreement_id, sequence)
        if last_counter is None:
            last_counter = payment.last_counter if payment else None
        known = last_counter == claimed_to or (
            last_counter is not None
            and evidence.at_counter(session, agreement.agreement_id, last_counter) is not None
        )
    if last_counter is None:
        raise Rejected(
            SkipReason.NO_CLAIM,
            f"no payment was made for claim {sequence} of this agreement; nothing was sent. Next: "
            "give the last counter, up to which records are passed over",
        )
    if last_counter < claimed_to or not known:
        raise Rejected(
            SkipReason.COUNTER_UNKNOWN,
            f"counter {last_counter} is no record of this agreement from {claimed_to} on, where "
            "its claims stand; nothing was sent. Next: give the counter of a stored record "
            f"(`proofrail trace` shows those of a payment), or {claimed_to} to pass over no record",
        )
    return SkippedClaim(_raw(agreement.agreement_id), sequence, last_counter)


def signers_of(chain: Chain, agreement: agreements.AgreementRow) -> dict[str, str]:
    """Return {"payer", "payee": address}: the two that sign a skip.

    Where claims name their payees, the device's owner signs in the payee's place.
    """
    payee = agreement.payee
    if payee == NOBODY:
        payee = chain.view("DeviceRegistry", "ownerOf", _raw(agreement.device_id))
    return {"payer": agreement.payer, "payee": payee}


def document(chain: Chain, skipped: SkippedClaim) -> dict[str, Any]:
    """Return the EIP-712 document of a skip."""
    deployment = chain.deployment
    return skip_document(skipped, deployment.chain_id, deployment.addresses["PaymentRail"])


def require_signed(chain: Chain, skipped: SkippedClaim, signer: str, signature: bytes) -> None:
    """Check that a party's key signed a skip; a contract answers on chain alone (ERC-1271).

    Raises:
        Rejected: Another key signed, or another document.
    """
    if chain.rpc("eth_getCode", [signer, "latest"]) != "0x":
        return
    actual = signer_of(document(chain, skipped), signature)
    if actual.lower() != signer.lower():
        raise Rejected(
            SkipReason.UNSIGNED,
            f"this signature is of {actual or 'no key'} and not of {signer}; nothing was sent. "
            "Next: sign the document of `proofrail agreement skip --document` with that party's "
            "key",
        )


def _raw(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))
