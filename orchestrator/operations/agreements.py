"""Operators' actions on agreements and parties; each is safe to repeat."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from device_adapters.types import Rejected, device_id
from oracles.types import ClaimReason
from orchestrator.core.identity import enrolment_digest, payout_account
from orchestrator.core.mandate import Mandate
from orchestrator.core.references import funding_reference
from orchestrator.edges.chain.client import Call
from orchestrator.edges.chain.ethereum import LocalAccount, encode_typed_data
from orchestrator.edges.chain.sender import ChainCall, Sender, send_and_wait
from orchestrator.edges.store import add_new, agreements
from orchestrator.errors import Retry
from orchestrator.operations.devices import DeviceOps, Enrolment, Rotation
from orchestrator.steps.refund import PURPOSE, times

__all__ = ["NOBODY", "AgreementOps", "Enrolment", "Rotation", "enrolment_digest", "mandate_of"]

_ANY_PAYEE = 4  # ANY_PAYEE of contracts/libraries/Traits.sol
_CLOSED = 2  # IPaymentRail.Status
NOBODY = "0x" + "00" * 20  # payee of a mandate whose claims name their payee


class AgreementOps(DeviceOps):
    """Operations on one rail: parties and agreements, and those of DeviceOps."""

    def save_parties(self, parties: Sequence[agreements.PartyRow]) -> None:
        """Store payers and payees with their bank accounts; new values replace older ones."""
        with self._store.write() as session:
            for party in parties:
                session.merge(_with_account(party))

    def pay_to_bank(self, payee: LocalAccount, iban: str) -> None:
        """Store the hash of the payee's IBAN on chain, so that releases go to that account.

        The payee's minimum for a payout stays as it is.
        """
        account = payout_account(iban)
        if self._chain.view("PaymentRail", "payoutAccount", payee.address) == account:
            return
        minimum, _ = self._chain.view("PaymentRail", "payoutLimits", payee.address)
        sender = Sender(self._store, self._chain, payee)
        # the nonce is the same after an interruption, and new after another change
        ref = f"{payee.address}:{self._chain.nonce(payee.address)}:0x{account.hex()}"
        chain_call = ChainCall(
            "payout account", ref, Call("PaymentRail", "setPayoutAccount", (account, minimum))
        )
        send_and_wait(sender, [chain_call], self._now(), self._wait)

    def mandate(self, device: str, payer: str, payee: str, product: Any, **terms: Any) -> Mandate:
        """Return a mandate to sign.

        Args:
            device: The device's name.
            payer: Address of the payer.
            payee: Address of the payee, or NOBODY.
            product: The product module.
            terms: cap_micro, window_s, expiry (Unix seconds) and terms (the product's, encoded);
                optional: period_days, first_counter, required_domain, salt.
        """
        return Mandate(
            payer=payer,
            payee=payee,
            device=device_id(device),
            product=self._chain.deployment.addresses[product.CONTRACT],
            cap=terms["cap_micro"],
            period_days=terms.get("period_days", 30),
            window=terms["window_s"],
            expiry=terms["expiry"],
            first_counter=terms.get("first_counter", 0),
            required_domain=terms.get("required_domain", 0),
            salt=terms.get("salt") or secrets.token_bytes(32),
            terms=terms["terms"],
        )

    def sign(self, mandate: Mandate, payer: LocalAccount) -> bytes:
        """Return the payer's EIP-712 signature over the mandate (65 bytes)."""
        deployment = self._chain.deployment
        document = mandate.typed_data(deployment.chain_id, deployment.addresses["PaymentRail"])
        return bytes(payer.sign_message(encode_typed_data(full_message=document)).signature)

    def open(self, signed: Sequence[tuple[str, str, Mandate, bytes]]) -> list[str]:
        """Open agreements on chain; the store has them first, so that it knows each log.

        Args:
            signed: (device name, product name, mandate, signature) of each agreement.

        Returns:
            The agreement ids, 0x-hex.
        """
        rows = [_agreement_row(*item) for item in signed]
        with self._store.write() as session:
            add_new(session, rows)
        calls = [
            ChainCall(
                "open", row.agreement_id, Call("PaymentRail", "open", (item[2].as_tuple(), item[3]))
            )
            for row, item in zip(rows, signed, strict=True)
        ]
        send_and_wait(self._sender, calls, self._now(), self._wait)
        return [row.agreement_id for row in rows]

    def names_payee(self, product: Any) -> bool:
        """Return whether the mandate of a product names the payee.

        It does not if the product's contract has `Traits.ANY_PAYEE`: then each claim names it.
        """
        return not self._chain.view(product.CONTRACT, "traits") & _ANY_PAYEE

    def parse_terms(self, product: Any, words: Mapping[str, str]) -> bytes:
        """Return the encoded terms for what a person typed, as this deployment's contract has them.

        A product that changed its terms has `older_terms`; whether the contract on chain is the
        older one, the contract itself says: it is asked to open, and nothing is sent.

        Raises:
            Rejected: FACTS_MALFORMED; a word is wrong, or the older contract has no such term.
            Retry: the node does not answer.
        """
        terms = product.parse_terms(words)
        older = getattr(product, "older_terms", None)
        if older is None or self._takes(product, terms):
            return terms
        older_terms = older(terms)
        if older_terms is None:
            raise Rejected(
                ClaimReason.FACTS_MALFORMED,
                f"the contract {product.CONTRACT} of this deployment is of an earlier release and "
                "has not all of these terms. Next: leave out the terms that it has not, "
                "or deploy the contracts again.",
            )
        return older_terms

    def _takes(self, product: Any, terms: bytes) -> bool:
        """Return whether the product's contract would open an agreement with these terms."""
        call = Call(product.CONTRACT, "open", (bytes(32), bytes(32), terms))
        try:
            self._chain.quote(self._chain.deployment.addresses["PaymentRail"], call)
        except Retry as refusal:
            if "TermsMalformed" not in str(refusal):
                raise
            return False
        return True

    def refund(self, agreement: str) -> int:
        """Send the escrow of an expired agreement back to its payer, and close the agreement.

        Args:
            agreement: Agreement id, 0x-hex.

        Returns:
            The refunded micro-euro, 0 the second time.

        Raises:
            Retry: the agreement has not ended, with the name of the contract's error.
        """
        refunded, ended = self._escrow(agreement)
        if ended and not refunded:
            return 0
        with self._store.read() as session:  # the worker's call has the same reference
            ref = f"{agreement}:{times(session, agreement)}"
        call = Call("PaymentRail", "reclaim", (bytes.fromhex(agreement[2:]),))
        self._send(self._sender, ChainCall(PURPOSE, ref, call))
        if self._escrow(agreement) != (0, True):
            raise Retry(
                "Money came back into the escrow meanwhile, and the earlier refund is not in a "
                "final block yet. Try again later."
            )
        return refunded

    def _escrow(self, agreement: str) -> tuple[int, bool]:
        """Return (micro-euro in escrow, whether the agreement is closed)."""
        identity = bytes.fromhex(agreement[2:])
        _, _, escrow, _, _, status = self._chain.view("PaymentRail", "agreementState", identity)
        return escrow, status == _CLOSED


def _with_account(party: agreements.PartyRow) -> agreements.PartyRow:
    if party.iban is None:
        return party
    values = party.model_dump() | {"account": "0x" + payout_account(party.iban).hex()}
    return agreements.PartyRow(**values)


def _agreement_row(
    device: str, product: str, mandate: Mandate, signature: bytes
) -> agreements.AgreementRow:
    identity = mandate.agreement_id()
    return agreements.AgreementRow(
        agreement_id="0x" + identity.hex(),
        device_id="0x" + mandate.device.hex(),
        device=device,
        product=product,
        product_address=mandate.product,
        payer=mandate.payer,
        payee=mandate.payee,
        cap_micro=mandate.cap,
        period_days=mandate.period_days,
        window_s=mandate.window,
        expiry=mandate.expiry,
        first_counter=mandate.first_counter,
        required_domain=mandate.required_domain,
        salt="0x" + mandate.salt.hex(),
        terms="0x" + mandate.terms.hex(),
        signature="0x" + signature.hex(),
        reference=funding_reference(identity),
        last_counter=mandate.first_counter,
    )


def mandate_of(row: agreements.AgreementRow) -> Mandate:
    """Return the signed mandate of a stored agreement."""
    raw = {k: bytes.fromhex(getattr(row, k)[2:]) for k in ("device_id", "salt", "terms")}
    return Mandate(
        payer=row.payer,
        payee=row.payee,
        device=raw["device_id"],
        product=row.product_address,
        cap=row.cap_micro,
        period_days=row.period_days,
        window=row.window_s,
        expiry=row.expiry,
        first_counter=row.first_counter,
        required_domain=row.required_domain,
        salt=raw["salt"],
        terms=raw["terms"],
    )
