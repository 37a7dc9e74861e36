"""What operators do: enrol devices, know parties, open agreements; each safe to repeat."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eth_account.messages import encode_typed_data
from eth_account.signers.local import LocalAccount

from device_adapters.keys import normalise_low_s
from device_adapters.types import Curve, DeviceKey, device_id
from orchestrator.core.identity import payout_account
from orchestrator.core.mandate import Mandate
from orchestrator.core.references import funding_reference
from orchestrator.edges.chain.client import Call
from orchestrator.edges.chain.sender import Errand, Sender, send_and_wait
from orchestrator.edges.store import add_new, agreements
from orchestrator.errors import Halt

_CURVES = {Curve.SECP256R1: 0, Curve.SECP256K1: 1}
_ENROL = b"proofrail/enrol/v1"


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A device to enrol: its name, key, owner (address) and its proof of possession (r, s) over
    `challenge`; endorsement is the hash of whatever vouches for it (32 bytes)."""

    name: str
    key: DeviceKey
    owner: str
    r: int
    s: int
    endorsement: bytes = bytes(32)


def challenge(chain_id: int, registry: str, name: str, owner: str) -> bytes:
    """The SHA-256 digest a device signs to enrol (IDeviceRegistry: sha256 of the ABI encoding)."""
    text = _ENROL.ljust(32, b"\0")
    head = [
        (5 * 32).to_bytes(32, "big"), chain_id.to_bytes(32, "big"), _word(registry),
        device_id(name), _word(owner), len(_ENROL).to_bytes(32, "big"), text,
    ]  # fmt: skip
    return hashlib.sha256(b"".join(head)).digest()


def _word(address: str) -> bytes:
    return int(address, 16).to_bytes(32, "big")


class Office:
    """Operations on one rail. senders: role -> Sender (registrar, and sender for open calls)."""

    def __init__(
        self, senders: Mapping[str, Sender], now: Callable[[], int], wait: Callable[[], None]
    ) -> None:
        self._registrar, self._sender = senders["registrar"], senders["sender"]
        self._store, self._chain = self._sender.store, self._sender.chain
        self._now, self._wait = now, wait

    def enrol(self, enrolments: Sequence[Enrolment]) -> None:
        """Writes devices into the registry on chain, then into the store.

        Raises Retry, by the contract's error name, where a proof of possession does not hold.
        """
        errands = [
            Errand("enrol", e.name, Call("DeviceRegistry", "enrol", _enrol_arguments(e)))
            for e in enrolments
        ]
        send_and_wait(self._registrar, errands, self._now(), self._wait)
        with self._store.write() as session:
            add_new(session, [
                agreements.Device(
                    device_id="0x" + device_id(e.name).hex(), name=e.name, curve=e.key.curve,
                    key_x=hex(e.key.x), key_y=hex(e.key.y), owner=e.owner, enrolled_at=self._now(),
                )
                for e in enrolments
            ])  # fmt: skip

    def retire(self, name: str) -> None:
        """Revokes a device on chain: what it signs from now on is refused."""
        call = Call("DeviceRegistry", "revoke", (device_id(name),))
        send_and_wait(self._registrar, [Errand("revoke", name, call)], self._now(), self._wait)
        with self._store.write() as session:
            agreements.mark_device(session, "0x" + device_id(name).hex(), "retired")

    def know(self, parties: Sequence[agreements.Party]) -> None:
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
        errand = Errand(
            "payout account", ref, Call("PaymentRail", "setPayoutAccount", (account,))
        )
        send_and_wait(sender, [errand], self._now(), self._wait)

    def mandate(self, device: str, payer: str, payee: str, product: Any, **terms: Any) -> Mandate:
        """The mandate to be signed; keyword terms: cap_micro, period_days, window_s, expiry,
        first_counter, required_domain, terms (the product's, encoded)."""
        return Mandate(
            payer=payer, payee=payee, device=device_id(device),
            product=self._chain.deployment.addresses[product.CONTRACT],
            cap=terms["cap_micro"], period_days=terms.get("period_days", 30),
            window=terms["window_s"], expiry=terms["expiry"],
            first_counter=terms.get("first_counter", 0),
            required_domain=terms.get("required_domain", 0),
            salt=terms.get("salt") or secrets.token_bytes(32), terms=terms["terms"],
        )  # fmt: skip

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
            Errand("open", row.agreement_id, Call(
                "PaymentRail", "open", (item[2].as_tuple(), item[3])
            ))
            for row, item in zip(rows, signed, strict=True)
        ]  # fmt: skip
        send_and_wait(self._sender, errands, self._now(), self._wait)
        return [row.agreement_id for row in rows]


def _enrol_arguments(e: Enrolment) -> tuple[Any, ...]:
    if e.key.curve not in _CURVES:
        raise Halt(f"device {e.name}: no contract can check {e.key.curve}; use secp256r1")
    r, s = e.r, normalise_low_s(e.r, e.s, e.key.curve)[1]
    words = [n.to_bytes(32, "big") for n in (e.key.x, e.key.y)]
    proof = [n.to_bytes(32, "big") for n in (r, s)]
    return (device_id(e.name), _CURVES[e.key.curve], *words, e.owner, e.endorsement, *proof)


def _with_account(party: agreements.Party) -> agreements.Party:
    if party.iban is None:
        return party
    values = party.model_dump() | {"account": "0x" + payout_account(party.iban).hex()}
    return agreements.Party(**values)


def _agreement_row(
    device: str, product: str, mandate: Mandate, signature: bytes
) -> agreements.Agreement:
    identity = mandate.agreement_id()
    return agreements.Agreement(
        agreement_id="0x" + identity.hex(), device_id="0x" + mandate.device.hex(), device=device,
        product=product, product_address=mandate.product, payer=mandate.payer,
        payee=mandate.payee, cap_micro=mandate.cap, period_days=mandate.period_days,
        window_s=mandate.window, expiry=mandate.expiry, first_counter=mandate.first_counter,
        required_domain=mandate.required_domain, salt="0x" + mandate.salt.hex(),
        terms="0x" + mandate.terms.hex(), signature="0x" + signature.hex(),
        reference=funding_reference(identity), last_counter=mandate.first_counter,
    )  # fmt: skip


def mandate_of(row: agreements.Agreement) -> Mandate:
    """The signed mandate of a stored agreement, as it was."""
    raw = {k: bytes.fromhex(getattr(row, k)[2:]) for k in ("device_id", "salt", "terms")}
    return Mandate(
        payer=row.payer, payee=row.payee, device=raw["device_id"], product=row.product_address,
        cap=row.cap_micro, period_days=row.period_days, window=row.window_s, expiry=row.expiry,
        first_counter=row.first_counter, required_domain=row.required_domain, salt=raw["salt"],
        terms=raw["terms"],
    )  # fmt: skip
