"""Operators' actions on agreements and parties; each is safe to repeat."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from device_adapters.types import Rejected, device_id
from orchestrator.core.identity import enrolment_digest, payout_account
from orchestrator.core.mandate import Mandate
from orchestrator.core.owner_consent import OwnerConsent
from orchestrator.core.registration import RegistrationReason
from orchestrator.edges.chain.client import Call
from orchestrator.edges.chain.ethereum import LocalAccount, sign_document
from orchestrator.edges.chain.rails import rail_of
from orchestrator.edges.chain.sender import ChainCall, Sender, send_and_wait
from orchestrator.edges.store import add_new, agreements
from orchestrator.errors import Halt, Retry
from orchestrator.operations import consents, meters
from orchestrator.operations.devices import DeviceOps, Enrolment, Rotation
from orchestrator.steps.refund import PURPOSE, times

__all__ = ["NOBODY", "AgreementOps", "Enrolment", "Rotation", "enrolment_digest"]

_ANY_PAYEE = 4  # ANY_PAYEE of contracts/libraries/Traits.sol
_LIVE, _CLOSED = 1, 2  # IPaymentRail.Status
NOBODY = "0x" + "00" * 20  # payee of a mandate whose claims name their payee
DEFAULT_BOND_MICRO = 10_000_000  # 10.00 EUR: dear enough for a payer not to dispute for fun


class AgreementOps(DeviceOps):
    """Operations on one rail: parties and agreements, and those of DeviceOps.

    Args:
        senders: Role to Sender, as for DeviceOps.
        now: Returns Unix seconds.
        wait: Called while a transaction waits for its block; may raise Retry.
        key_of: Address -> its key, where this home holds it: a device owner's signs its consents.
    """

    def __init__(
        self,
        senders: Mapping[str, Sender],
        now: Callable[[], int],
        wait: Callable[[], None],
        key_of: consents.KeyOf = lambda address: None,
    ) -> None:
        super().__init__(senders, now, wait)
        self._key_of = key_of

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
        limits: tuple[int, ...] = ()  # contracts of 0.5.0 have none
        if self._chain.knows("PaymentRail", "payoutLimits"):
            limits = self._chain.view("PaymentRail", "payoutLimits", payee.address)[:1]
        sender = Sender(self._store, self._chain, payee)
        # the nonce is the same after an interruption, and new after another change
        ref = f"{payee.address}:{self._chain.nonce(payee.address)}:0x{account.hex()}"
        chain_call = ChainCall(
            "payout account", ref, Call("PaymentRail", "setPayoutAccount", (account, *limits))
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
                optional: period_days, start, first_counter, required_domain, bond_micro, schedule,
                fleet, salt.

        Raises:
            Rejected: The payee owns the device, and the product takes no such word for its pay.
        """
        if getattr(product, "DISINTERESTED", False):
            self._require_other_owner(device, payee)
        return Mandate(
            payer=payer,
            payee=payee,
            device=device_id(device),
            product=self._chain.deployment.addresses[product.CONTRACT],
            cap=terms["cap_micro"],
            period_days=terms.get("period_days", 30),
            window=terms["window_s"],
            start=terms.get("start", 0),
            expiry=terms["expiry"],
            first_counter=terms.get("first_counter", 0),
            required_domain=terms.get("required_domain", 0),
            bond=terms.get("bond_micro", DEFAULT_BOND_MICRO),
            schedule=terms.get("schedule", 0),
            fleet=terms.get("fleet", bytes(32)),
            salt=terms.get("salt") or secrets.token_bytes(32),
            terms=terms["terms"],
        )

    def _require_other_owner(self, device: str, payee: str) -> None:
        owner = self._chain.view("DeviceRegistry", "ownerOf", device_id(device))
        if owner.lower() == payee.lower():
            detail = f"{device} belongs to the payee, whose work it would judge"
            raise Rejected(RegistrationReason.PAYEE_UNEXPECTED, detail)

    def sign(self, mandate: Mandate, payer: LocalAccount) -> bytes:
        """Return the payer's EIP-712 signature over the mandate (65 bytes)."""
        deployment = self._chain.deployment
        document = mandate.typed_data(deployment.chain_id, deployment.addresses["PaymentRail"])
        return sign_document(document, payer)

    def open(self, signed: Sequence[tuple[str, str, Mandate, bytes]]) -> list[str]:
        """Open agreements on chain; the store has them first, so that it knows each log.

        Args:
            signed: (device name, product name, mandate, signature) of each agreement.

        Returns:
            The agreement ids, 0x-hex.

        Raises:
            ConsentMissing: A device's owner has not consented; the mandates are stored.
            Rejected: What operations/meters.py refuses of a fleet.
            Halt: The contracts of this deployment are of an earlier release.
        """
        self._require_present_contracts()
        rows = [agreements.row_of(*item) for item in signed]
        self._require_meters(rows)
        with self._store.write() as session:
            add_new(session, rows)
        self._open([agreements.row_of(*item) for item in signed])
        return ["0x" + item[2].agreement_id().hex() for item in signed]

    def open_stored(self, agreement: str) -> None:
        """Open an agreement whose signed mandate is stored; agreement: its id, 0x-hex.

        Raises:
            ConsentMissing: The device's owner has not consented.
            Rejected: What operations/meters.py refuses of a fleet.
        """
        with self._store.read() as session:
            row = agreements.get(session, agreement)
        if row is not None and row.stage == agreements.Stage.SIGNED:
            self._require_meters([row])
            self._open([row])

    def _open(self, rows: Sequence[agreements.AgreementRow]) -> None:
        self._require_present_contracts()
        calls = []
        for row, consent in zip(rows, self._consents(rows), strict=True):
            mandate, signature = agreements.mandate_of(row), bytes.fromhex(row.signature[2:])
            arguments = (mandate.as_tuple(), signature, consent)
            calls.append(
                ChainCall("open", row.agreement_id, Call("PaymentRail", "open", arguments))
            )
        send_and_wait(self._sender, calls, self._now(), self._wait)

    def _require_present_contracts(self) -> None:
        if self._chain.deployment.version < 2:
            raise Halt(
                "The contracts of this deployment are of an earlier release: mandates of today "
                "cannot be opened there. Nothing was sent. Next: move the rail to the new "
                "contracts."
            )

    def _require_meters(self, rows: Sequence[agreements.AgreementRow]) -> None:
        with self._store.read() as session:
            meters.require_one_owner(session, rows)
            meters.require_charged_once(session, rows, self._now(), self._is_open)

    def _is_open(self, row: agreements.AgreementRow) -> bool:
        rail = rail_of(self._chain.deployment, row.product_address)
        state = self._chain.view(rail, "agreementState", bytes.fromhex(row.agreement_id[2:]))
        return state[-1] == _LIVE

    def consent_needed(self, mandate: Mandate) -> tuple[str, OwnerConsent] | None:
        """Return (the device's owner, the consent that it signs); None if none is needed."""
        owner, wanted = consents.needed(
            self._chain, mandate.device, mandate.product, mandate.agreement_id()
        )
        agreeing = (mandate.payer.lower(), self._sender.account.address.lower())
        return None if owner.lower() in agreeing else (owner, wanted)

    def save_consent(self, wanted: OwnerConsent, owner: str, signature: bytes) -> None:
        """Check and store an owner's consent.

        Raises:
            Halt: Another key signed, or another document.
        """
        consents.require_signed(self._chain, wanted, owner, signature)
        with self._store.write() as session:
            consents.store(session, wanted, owner, signature, self._now())

    def _consents(self, rows: Sequence[agreements.AgreementRow]) -> list[bytes]:
        """Return the consent of each agreement, b"" where none is needed.

        Where this home holds the owner's key, it signs.
        """
        keys: dict[str, LocalAccount | None] = {}  # a keystore is slow to open by design
        signatures, missing = [], []
        for row in rows:
            need = self.consent_needed(agreements.mandate_of(row))
            if need is None:
                signatures.append(b"")
                continue
            owner, wanted = need
            with self._store.read() as session:
                signature = consents.stored(session, wanted, owner)
            if signature is None:
                if owner not in keys:
                    keys[owner] = self._key_of(owner)
                if (key := keys[owner]) is None:
                    missing.append((row, owner))
                    continue
                signature = consents.sign(wanted, self._chain.deployment, key)
            signatures.append(signature)
        if missing:
            row, owner = missing[0]
            raise consents.ConsentMissing(
                f"{owner}, the owner of {row.device}, has not consented to agreement "
                f"{row.agreement_id}. Nothing was sent; the signed mandate is stored. Next: have "
                f"the owner sign `proofrail agreement consent {row.agreement_id} --document`, and "
                "give its signature with --signature: that opens the agreement."
            )
        return signatures

    def names_payee(self, product: Any) -> bool:
        """Return whether the mandate of a product names the payee.

        It does not if the product's contract has `Traits.ANY_PAYEE`: then each claim names it.
        """
        return not self._chain.view(product.CONTRACT, "traits") & _ANY_PAYEE

    def refund(self, agreement: str) -> int:
        """Send the escrow of an expired agreement back to its payer, and close the agreement.

        Args:
            agreement: Agreement id, 0x-hex.

        Returns:
            The refunded micro-euro, 0 the second time.

        Raises:
            Retry: the agreement has not ended, with the name of the contract's error.
        """
        with self._store.read() as session:  # the worker's call has the same reference
            ref = f"{agreement}:{times(session, agreement)}"
            row = agreements.get(session, agreement)
        rail = rail_of(self._chain.deployment, row.product_address if row else "")
        refunded, ended = self._escrow(rail, agreement)
        if ended and not refunded:
            return 0
        call = Call(rail, "reclaim", (bytes.fromhex(agreement[2:]),))
        self._send(self._sender, ChainCall(PURPOSE, ref, call))
        if self._escrow(rail, agreement) != (0, True):
            raise Retry(
                "Money came back into the escrow meanwhile, and the earlier refund is not in a "
                "final block yet. Try again later."
            )
        return refunded

    def _escrow(self, rail: str, agreement: str) -> tuple[int, bool]:
        """Return (micro-euro in escrow, whether the agreement is closed)."""
        identity = bytes.fromhex(agreement[2:])
        _, _, escrow, _, _, status = self._chain.view(rail, "agreementState", identity)
        return escrow, status == _CLOSED


def _with_account(party: agreements.PartyRow) -> agreements.PartyRow:
    if party.iban is None:
        return party
    values = party.model_dump() | {"account": "0x" + payout_account(party.iban).hex()}
    return agreements.PartyRow(**values)
