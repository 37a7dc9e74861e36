"""Consents of device owners: which one an opening needs, and who has signed it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from orchestrator.core.owner_consent import OwnerConsent
from orchestrator.edges.chain.client import Chain
from orchestrator.edges.chain.deployment import Deployment
from orchestrator.edges.chain.ethereum import LocalAccount, sign_document, signer_of
from orchestrator.edges.store import Session, agreements
from orchestrator.errors import Halt

SHARED = 2  # SHARED of contracts/libraries/Traits.sol: a device may serve several agreements
_NO_OWNER = "0x" + "00" * 20
KeyOf = Callable[[str], LocalAccount | None]  # address -> its key, where this home holds it


class ConsentMissing(Halt):
    """The owner of a device has not consented to an agreement; nothing was sent."""


def needed(chain: Chain, device: bytes, product: str, agreement: bytes) -> tuple[str, OwnerConsent]:
    """Return (the device's owner, the consent that it signs for an agreement).

    Args:
        chain: The node's client.
        device: The device's id.
        product: Address of the product's contract.
        agreement: The agreement's id; it does not matter where the product shares its devices.

    Raises:
        Halt: The device is not enrolled, or the product is none of this deployment.
        Retry: The node does not answer.
    """
    contract = next(
        (name for name, at in chain.deployment.addresses.items() if at.lower() == product.lower()),
        None,
    )
    if contract is None:
        raise Halt(f"There is no product at {product} in this deployment. Nothing was sent.")
    owner = chain.view("DeviceRegistry", "ownerOf", device)
    if owner == _NO_OWNER:
        raise Halt(
            f"The device 0x{device.hex()} is not enrolled. Nothing was sent. `proofrail device "
            "add` enrols it."
        )
    shared = chain.view(contract, "traits") & SHARED
    number = chain.view("Consents", "consentNumber", device)
    return owner, OwnerConsent(device, product, bytes(32) if shared else agreement, number)


def document(consent: OwnerConsent, deployment: Deployment) -> dict[str, Any]:
    """Return the EIP-712 document that the owner signs."""
    return consent.typed_data(deployment.chain_id, deployment.addresses["PaymentRail"])


def sign(consent: OwnerConsent, deployment: Deployment, owner: LocalAccount) -> bytes:
    """Return the owner's signature over its consent, 65 bytes."""
    return sign_document(document(consent, deployment), owner)


def require_signed(chain: Chain, consent: OwnerConsent, owner: str, signature: bytes) -> None:
    """Check that the owner's key signed; a contract as owner answers on chain alone (ERC-1271).

    Raises:
        Halt: Another key signed, or another document.
    """
    if chain.rpc("eth_getCode", [owner, "latest"]) != "0x":
        return
    signer = signer_of(document(consent, chain.deployment), signature)
    if signer.lower() != owner.lower():
        raise Halt(
            f"This signature is of {signer or 'no key'}, and the device's owner is {owner}. "
            "Nothing was stored or sent. Sign the document of `proofrail agreement consent "
            "--document` with the owner's key."
        )


def stored(session: Session, consent: OwnerConsent, owner: str) -> bytes | None:
    """Return the stored signature of exactly this consent; None if there is none."""
    row = agreements.consent(session, *_key(consent))
    if row is None or (row.number, row.owner.lower()) != (consent.number, owner.lower()):
        return None
    return bytes.fromhex(row.signature[2:])


def store(session: Session, consent: OwnerConsent, owner: str, signature: bytes, at: int) -> None:
    """Store a consent; an earlier one for the same is replaced."""
    device, product, agreement = _key(consent)
    row = agreements.OwnerConsentRow(
        device_id=device,
        product_address=product,
        agreement_id=agreement,
        number=consent.number,
        owner=owner,
        signature="0x" + signature.hex(),
        at=at,
    )
    session.merge(row)


def _key(consent: OwnerConsent) -> tuple[str, str, str]:
    return "0x" + consent.device.hex(), consent.product, "0x" + consent.agreement.hex()
