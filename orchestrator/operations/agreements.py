"""What operators do: enrol devices, know parties, open agreements; each safe to repeat."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

from device_adapters.types import device_id
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

_ANY_PAYEE = 4  # contracts/libraries/Traits.sol
_CLOSED = 2  # IPaymentRail.Status
NOBODY = "0x" + "00" * 20  # the payee of a mandate whose product names one in each claim


class AgreementOps(DeviceOps):
    """Operations on one rail: those of the device desk, parties and agreements."""

    def know(self, parties: Sequence[agreements.PartyRow]) -> None:
        """Remembers payers and payees with their bank accounts; the newest word counts."""
        with self._store.write() as session:
            for party in parties:
                session.merge(_with_account(party))

    def pay_to_bank(self, payee: LocalAccount, iban: str) -> None:
        """Has the payee put the hash of its IBAN on chain, so that releases go to that account."""
        account = payout_account(iban)
        if self._chain.view("PaymentRail", "payoutAccount", payee.address) == account:
            return
        sender = Sender(self._store, self._chain, payee)
        # interrupted, it is the same errand; after a change to another account, it is a new one
        ref = f"{payee.address}:{self._chain.nonce(payee.address)}:0x{account.hex()}"
        errand = ChainCall(
            "payout account", ref, Call("PaymentRail", "setPayoutAccount", (account,))
        )
        send_and_wait(sender, [errand], self._now(), self._wait)

    def mandate(self, device: str, payer: str, payee: str, product: Any, **terms: Any) -> Mandate:
        """The mandate to be signed; keyword terms: cap_micro, period_days, window_s, expiry,
        first_counter, required_domain, terms (the product's, encoded)."""
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
        """The payer's EIP-712 signature over the mandate (65 bytes)."""
        deployment = self._chain.deployment
        document = mandate.typed_data(deployment.chain_id, deployment.addresses["PaymentRail"])
        return bytes(payer.sign_message(encode_typed_data(full_message=document)).signature)

    def open(self, signed: Sequence[tuple[str, str, Mandate, bytes]]) -> list[str]:
        """Opens agreements on chain: (device name, product name, mandate, signature) each.

        Returns their ids (0x-hex). The store learns of them first, so that no log is a surprise.
        """
        rows = [_agreement_row(*item) for item in signed]
        with self._store.write() as session:
            add_new(session, rows)
        errands = [
            ChainCall(
                "open", row.agreement_id, Call("PaymentRail", "open", (item[2].as_tuple(), item[3]))
            )
            for row, item in zip(rows, signed, strict=True)
        ]
        send_and_wait(self._sender, errands, self._now(), self._wait)
        return [row.agreement_id for row in rows]

    def names_payee(self, product: Any) -> bool:
        """Whether the mandate names who is paid, as it does unless the product's contract asks
        for `Traits.ANY_PAYEE`: then each claim names its payee."""
        return not self._chain.view(product.CONTRACT, "traits") & _ANY_PAYEE

    def refund(self, agreement: str) -> int:
        """Sends what an expired agreement (0x-hex) still has in escrow back to its payer, and ends
        it; anyone may ask for that. Returns the micro-euro that were there, 0 the second time.

        Raises Retry, by the contract's error name, where it is not due.
        """
        escrow, ended = self._escrow(agreement)
        if ended and not escrow:
            return 0
        with self._store.read() as session:  # the worker's own errand, if it was faster
            ref = f"{agreement}:{times(session, agreement)}"
        call = Call("PaymentRail", "reclaim", (bytes.fromhex(agreement[2:]),))
        self._send(self._sender, ChainCall(PURPOSE, ref, call))
        if self._escrow(agreement) != (0, True):
            raise Retry(
                "Money came back into the escrow meanwhile, and the rail has not seen the "
                "refund before it in a final block yet."
            )
        return escrow

    def _escrow(self, agreement: str) -> tuple[int, bool]:
        """(micro-euro in escrow, whether the agreement is closed)."""
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
    """The signed mandate of a stored agreement, as it was."""
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
