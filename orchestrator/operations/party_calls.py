"""Makes the calls by which parties act, for parties who sign and send them with their own wallet.

Nothing is signed or sent here: each answer holds the decoded calls in the order to send them, and
where a party signs a document first, the document.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from device_adapters.types import Rejected
from orchestrator.core.challenge import ProvenClaim, RecordFault
from orchestrator.core.party_call import ChallengeReason
from orchestrator.core.registration import RegistrationReason, read_address, read_hex
from orchestrator.edges.chain.call_text import call_view
from orchestrator.edges.chain.client import Call, Chain
from orchestrator.edges.store import Session, Store, agreements
from orchestrator.edges.store import disputes as stored_disputes
from orchestrator.errors import Retry
from orchestrator.operations import agreement_calls, challenges, disputes, payee_money

_REVERT = "would revert: "
_SIGNATURE_BYTES = 65
_MOST_RECORDS = 100  # that one request asks the node about


class PartyCalls:
    """The calls that parties of this rail sign.

    Args:
        store: The store.
        chain: The node's client.
        now: Returns Unix seconds.
    """

    def __init__(self, store: Store, chain: Chain, now: Callable[[], float]) -> None:
        self._store, self._chain, self._now = store, chain, now

    def close(self, agreement: str, by: str | None) -> dict[str, Any]:
        """Return the call that ends an agreement; by: its payer (None) or the device's owner."""
        row = self._agreement(agreement)
        return self._view(_sender(by, row.payer), [agreement_calls.close_call(self._chain, row)])

    def fund(self, agreement: str, amount_micro: int, by: str | None) -> dict[str, Any]:
        """Return the calls that pay an amount (micro-euro) of a wallet into an escrow."""
        row = self._agreement(agreement)
        calls = agreement_calls.fund_calls(self._chain, row, amount_micro)
        return self._view(_sender(by, row.payer), calls)

    def skip(
        self, agreement: str, last_counter: int | None, signatures: Mapping[str, str | None]
    ) -> dict[str, Any]:
        """Return the document that payer and payee sign; with both signatures, the call as well.

        Args:
            agreement: Its id, 0x-hex.
            last_counter: Records up to it are passed over; None: those of the refused payment.
            signatures: "payer", "payee": 65 bytes in hex, or None.
        """
        row = self._agreement(agreement)
        skipped = agreement_calls.claim_to_skip(self._store, self._chain, row, last_counter)
        document = agreement_calls.document(self._chain, skipped)
        signers = agreement_calls.signers_of(self._chain, row)
        signed = {name: _signature(text) for name, text in signatures.items() if text is not None}
        for name, signature in signed.items():
            agreement_calls.require_signed(self._chain, skipped, signers[name], signature)
        calls = [agreement_calls.skip_call(skipped, signed)] if len(signed) == len(signers) else []
        return self._view(row.payer, calls) | {"document": document, "signers": signers}

    def of_payment(self, payment: str, function: str) -> dict[str, Any]:
        """Return the calls of a dispute; function: dispute, concede, retract or expire."""
        store, chain, now = self._store, self._chain, int(self._now())
        subject = disputes.disputed_payment(store, chain, payment)
        if function == "dispute":
            cost = disputes.dispute_cost(chain, subject, now)
            calls = disputes.dispute_calls(store, chain, subject, cost, now)
            return self._view(subject.agreement.payer, calls)
        sender = subject.agreement.payer
        if function == "concede":
            sender = subject.payee
        elif function == "retract" and subject.state is not None:
            sender = subject.state.challenger
        return self._view(sender, disputes.end_calls(subject, function, now))

    def challenge(
        self,
        payment: str,
        fault: RecordFault | None,
        record: int | None,
        other: str | None,
        by: str | None,
    ) -> dict[str, Any]:
        """Return the calls that prove a fault of a payment's record, and what they prove.

        Args:
            payment: Its id, 0x-hex.
            fault: The only one to look for; None: every one.
            record: The only record to look at, from 1; None: all.
            other: Another payment that was paid for the same counter.
            by: Who challenges; None: the payer.
        """
        store, chain = self._store, self._chain
        challenges.require_challenges(chain)
        with store.read() as session:
            _require_unchallenged(session, payment)
            sender = _sender(by, agreements.of_payment(session, payment).payer)
            proven, *others = (
                challenges.proven_from_store(session, chain, identity)
                for identity in (payment, other)
                if identity is not None
            )
        _require_few(proven, record)
        faults = [fault] if fault else tuple(RecordFault)
        finding = challenges.proven_fault(chain, proven, faults, record, *others or [None])
        cost = challenges.challenge_cost(chain, proven, sender)
        calls = challenges.challenge_calls(chain, finding, cost, sender)
        proved = {"fault": finding.case.fault, "record": finding.case.record}
        return self._view(sender, calls) | proved | {"barred": finding.barred}

    def release(self, payee: str) -> dict[str, Any]:
        """Return the payee's own release of what has matured."""
        money = self._money(payee)
        return self._view(money.address, payee_money.release_calls(money))

    def withdraw(self, payee: str, amount_micro: int, to: str) -> dict[str, Any]:
        """Return the withdrawal of an amount (micro-euro) to an address."""
        money = self._money(payee)
        calls = payee_money.withdraw_calls(money, read_address(to), amount_micro)
        return self._view(money.address, calls)

    def repay(self, payee: str, amount_micro: int | None) -> dict[str, Any]:
        """Return the calls that pay a payee's debts out of its wallet; None: all of them."""
        money = self._money(payee)
        return self._view(money.address, payee_money.repay_calls(self._chain, money, amount_micro))

    def _agreement(self, agreement: str) -> agreements.AgreementRow:
        with self._store.read() as session:
            return agreements.get(session, agreement)

    def _money(self, payee: str) -> payee_money.PayeeMoney:
        address = read_address(payee)
        return payee_money.payee_money(self._store, self._chain, address, int(self._now()))

    def _view(self, sender: str, calls: Sequence[Call]) -> dict[str, Any]:
        """Try the first call at the node, which says by name why it would revert, and show all."""
        try:
            if calls:
                self._chain.quote(sender, calls[0])
        except Retry as delay:
            _, reverts, name = str(delay).rpartition(_REVERT)
            if not reverts:
                raise
            raise Rejected(RegistrationReason.CONTRACT_REFUSES, name) from delay
        deployment = self._chain.deployment
        return {
            "chain_id": deployment.chain_id,
            "calls": [call_view(deployment, sender, call) for call in calls],
        }


def _sender(by: str | None, payer: str) -> str:
    return payer if by is None else read_address(by)


def _require_unchallenged(session: Session, payment: str) -> None:
    if any(item.reason == 0 for item in stored_disputes.challenges_of(session, payment)):
        raise Rejected(
            ChallengeReason.ALREADY_CHALLENGED,
            f"a fault of payment {payment} is proved already, and its payer is refunded",
        )


def _require_few(proven: ProvenClaim, record: int | None) -> None:
    if record is None and len(proven.records) > _MOST_RECORDS:
        raise Rejected(
            ChallengeReason.RECORD_NEEDED,
            f"payment {proven.payment} rests on {len(proven.records)} records, and one request "
            f"looks at {_MOST_RECORDS} at most",
        )


def _signature(text: str) -> bytes:
    raw = read_hex(text, "signature")
    if len(raw) != _SIGNATURE_BYTES:
        raise Rejected(RegistrationReason.HEX_MALFORMED, "a signature has 65 bytes in hex")
    return raw
