"""Registers devices, parties and agreements for callers elsewhere, who keep their own keys.

A device or its maker signs the enrolment digest, a payer signs the mandate: the rail only sends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from device_adapters.keys import load_public_key, raw_to_der, read_der
from device_adapters.types import Rejected, device_id
from orchestrator.core import schedule
from orchestrator.core.identity import enrolment_digest
from orchestrator.core.mandate import Mandate
from orchestrator.core.references import funding_reference
from orchestrator.core.registration import (
    RegistrationReason,
    document_json,
    read_address,
    read_hex,
    read_mandate,
)
from orchestrator.edges.bank import accounts
from orchestrator.edges.broker import credentials
from orchestrator.edges.broker.access import CredentialRole, is_valid_name
from orchestrator.edges.chain.deployment import Deployment
from orchestrator.edges.chain.keystore import LOCAL_CHAIN
from orchestrator.edges.store import Store, agreements
from orchestrator.errors import Halt, Retry
from orchestrator.operations import consents
from orchestrator.operations.agreements import DEFAULT_BOND_MICRO, NOBODY, AgreementOps
from orchestrator.operations.devices import Enrolment
from orchestrator.operations.trust import DevelopmentCa, check_endorsement, save_endorsement
from orchestrator.products import products
from orchestrator.settings import Settings

_REVERT = "would revert: "


class Registration:
    """What the API registers on behalf of partners and operators.

    Args:
        ops: Returns the operations on the chain, with a patience of their own.
        safeguarding: IBAN that payers pay to.
        now: Returns Unix seconds.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        deployment: Deployment,
        ops: Callable[[], AgreementOps],
        safeguarding: str,
        now: Callable[[], int],
    ) -> None:
        self._settings, self._store, self._deployment = settings, store, deployment
        self._ops, self._safeguarding, self._now = ops, safeguarding, now

    def digest(self, device: str, owner: str) -> dict[str, Any]:
        """Return the SHA-256 digest that a device signs to be enrolled for an owner."""
        registry = self._deployment.addresses["DeviceRegistry"]
        digest = enrolment_digest(
            self._deployment.chain_id, registry, _device_name(device), read_address(owner)
        )
        return {"device": device, "owner": read_address(owner), "sha256": digest.hex()}

    def enrol(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Enrol a device on chain and return its broker credentials; the password comes once.

        Args:
            request: device, owner, key (any form that vendors print), proof (hex), endorsement
                (PEM chain or None), new_password.

        Raises:
            Rejected: a part of the request is not valid, or the contract refuses it.
        """
        name, owner = _device_name(request["device"]), read_address(request["owner"])
        public = load_public_key(request["key"].encode())
        r, s = _signature(request["proof"])
        checked = self._endorsement(name, public, request["endorsement"])
        save_endorsement(self._settings, checked)
        self._send(
            lambda ops: ops.enrol([Enrolment(name, public.as_device_key(), owner, r, s, checked)])
        )
        return {
            "device": name,
            "device_id": "0x" + device_id(name).hex(),
            "owner": owner,
            "username": name,
            "password": self._password(name, request["new_password"]),
            "topic": f"proofrail/{name}/evidence/PROTOCOL",
            "endorsed_by": checked.issuer,
            "expires_at": checked.expires_at,
        }

    def save_party(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Store a payer or payee; a payee stores its account on chain by its own key.

        Args:
            request: name, address, iban, bic (or None), street, building, post_code, town, country.
        """
        party = agreements.PartyRow(
            address=read_address(request["address"]),
            iban=accounts.sepa_iban(request["iban"]),
            bic=accounts.bic(request["bic"]) if request["bic"] else None,
            country=request["country"].upper(),
            **{name: request[name] for name in ("name", "street", "building", "post_code", "town")},
        )
        view = {"name": party.name, "address": party.address, "iban": party.iban}
        self._ops().save_parties([party])
        return view

    def mandate(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return the mandate for a payer to sign, as its EIP-712 document.

        Args:
            request: device, product, payer, payee (or None), terms ({name: value}), cap_micro,
                period_days, window_s, expiry, first_counter, required_domain; optional: start,
                bond_micro, settle_after.

        Returns:
            The agreement's id, where to pay to, the document; and `consent`: the owner of the
            device with the document that it signs, None where no consent is needed.
        """
        product = _product(request["product"])
        with self._store.read() as session:
            device = agreements.device_by_name(session, request["device"])
        if device is None or device.status != "active":
            state = device.status if device else "not enrolled"
            raise Rejected(RegistrationReason.DEVICE_NOT_ACTIVE, f"{request['device']} is {state}")
        payee, ops = request["payee"], self._ops()
        if ops.names_payee(product) != (payee is not None):
            detail = "the product needs a payee" if payee is None else "each claim names its payee"
            raise Rejected(RegistrationReason.PAYEE_UNEXPECTED, detail)
        mandate = ops.mandate(
            request["device"],
            read_address(request["payer"]),
            read_address(payee) if payee else NOBODY,
            product,
            cap_micro=request["cap_micro"],
            period_days=request["period_days"],
            window_s=request["window_s"],
            start=request.get("start", 0),
            expiry=request["expiry"],
            first_counter=request["first_counter"],
            required_domain=request["required_domain"],
            bond_micro=request.get("bond_micro", DEFAULT_BOND_MICRO),
            schedule=_schedule(request.get("settle_after", "")),
            terms=_terms(product, request["terms"]),
        )
        return self._view(mandate) | {
            "typed_data": document_json(self._typed_data(mandate)),
            "consent": self._consent(ops, mandate),
        }

    def _consent(self, ops: AgreementOps, mandate: Mandate) -> dict[str, Any] | None:
        need = ops.consent_needed(mandate)
        if need is None:
            return None
        owner, wanted = need
        return {"owner": owner, "typed_data": consents.document(wanted, self._deployment)}

    def open(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Open an agreement on chain from the payer's signature.

        Args:
            request: device, product, mandate (the `message` of the EIP-712 document), signature;
                consent: the signature of the device's owner (hex), "" where it is stored or not
                needed.

        Raises:
            Rejected: consent_missing, consent_invalid, or a part of the request is not valid.
        """
        product, mandate = _product(request["product"]), read_mandate(request["mandate"])
        if mandate.device != device_id(request["device"]):
            raise Rejected(RegistrationReason.MANDATE_MALFORMED, "it is for another device")
        if mandate.product != self._deployment.addresses[product.CONTRACT]:
            raise Rejected(RegistrationReason.MANDATE_MALFORMED, "it is for another product")
        signature = read_hex(request["signature"], "signature")
        signed = (request["device"], product.NAME, mandate, signature)
        self._save_consent(mandate, request.get("consent", ""))
        try:
            self._send(lambda ops: ops.open([signed]))
        except consents.ConsentMissing as error:
            raise Rejected(RegistrationReason.CONSENT_MISSING, str(error)) from error
        return self._view(mandate)

    def _save_consent(self, mandate: Mandate, text: str) -> None:
        ops = self._ops()
        need = ops.consent_needed(mandate) if text else None
        if need is None:
            return
        owner, wanted = need
        try:
            ops.save_consent(wanted, owner, read_hex(text, "consent"))
        except Halt as error:
            raise Rejected(RegistrationReason.CONSENT_INVALID, str(error)) from error

    def _view(self, mandate: Mandate) -> dict[str, Any]:
        identity = mandate.agreement_id()
        return {
            "agreement_id": "0x" + identity.hex(),
            "funding_reference": funding_reference(identity),
            "pay_to": self._safeguarding,
        }

    def _typed_data(self, mandate: Mandate) -> dict[str, Any]:
        rail = self._deployment.addresses["PaymentRail"]
        return mandate.typed_data(self._deployment.chain_id, rail)

    def _endorsement(self, name: str, public: Any, pem: str | None) -> Any:
        chain_id, key = self._deployment.chain_id, public.as_device_key()
        if pem is None and chain_id != LOCAL_CHAIN:
            detail = f"the key of {name} has no certificates"
            raise Rejected(RegistrationReason.ENDORSEMENT_MISSING, detail)
        chain = pem.encode() if pem else DevelopmentCa.load(self._settings).issue(name, key)
        return check_endorsement(self._settings, chain_id, chain, name, key, self._now())

    def _password(self, name: str, is_new: bool) -> str | None:
        home = self._settings.home
        if not is_new and name in credentials.load(home):
            return None
        return credentials.issue(home, name, CredentialRole.DEVICE)

    def _send(self, action: Callable[[AgreementOps], object]) -> None:
        """Send; a call that the contract refuses was never sent, and waiting changes nothing."""
        try:
            action(self._ops())
        except Retry as delay:
            _, reverts, name = str(delay).rpartition(_REVERT)
            if not reverts:
                raise
            raise Rejected(RegistrationReason.CONTRACT_REFUSES, name) from delay


def _device_name(name: str) -> str:
    if not is_valid_name(name):
        raise Rejected(RegistrationReason.DEVICE_NAME_MALFORMED, f"{name!r:.80}")
    return name


def _product(name: str) -> Any:
    if name not in products():
        detail = f"{name!r:.60}; there are {', '.join(products())}"
        raise Rejected(RegistrationReason.PRODUCT_NAME_UNKNOWN, detail)
    return products()[name]


def _schedule(text: str) -> int:
    try:
        return schedule.parse(text)
    except ValueError as error:
        raise Rejected(RegistrationReason.TERMS_MALFORMED, str(error)) from error


def _terms(product: Any, words: Mapping[str, str]) -> bytes:
    try:
        return product.parse_terms(words)
    except Rejected as refusal:
        raise Rejected(RegistrationReason.TERMS_MALFORMED, refusal.detail) from refusal


def _signature(proof: str) -> tuple[int, int]:
    data = read_hex(proof, "proof")
    return read_der(raw_to_der(data) if len(data) == 64 else data)
