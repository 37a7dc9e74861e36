"""What registrations over the API read and refuse: pure parts of operations/registration.py."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from device_adapters.types import Rejected
from oracles.attest import checksummed
from orchestrator.core import schedule
from orchestrator.core.mandate import FIELDS, VERSION, Mandate, attribute


class RegistrationReason(StrEnum):
    """Why a device, party or agreement is not registered. The codes are stable."""

    ADDRESS_MALFORMED = "address_malformed"
    HEX_MALFORMED = "hex_malformed"
    DEVICE_NAME_MALFORMED = "device_name_malformed"
    DEVICE_NOT_ACTIVE = "device_not_active"
    ENDORSEMENT_MISSING = "endorsement_missing"
    PRODUCT_NAME_UNKNOWN = "product_name_unknown"
    TERMS_MALFORMED = "terms_malformed"
    PAYEE_UNEXPECTED = "payee_unexpected"
    MANDATE_MALFORMED = "mandate_malformed"
    CONSENT_MISSING = "consent_missing"
    CONSENT_INVALID = "consent_invalid"
    DEVICE_CHARGED_ELSEWHERE = "device_charged_elsewhere"
    OWNER_DIFFERS = "owner_differs"
    CONTRACT_REFUSES = "contract_refuses"


def read_address(text: str) -> str:
    """Return a checksummed address; raises Rejected if it has not 20 bytes."""
    data = read_hex(text, "address")
    if len(data) != 20:
        raise Rejected(RegistrationReason.ADDRESS_MALFORMED, f"{text!r:.60} has not 20 bytes")
    return checksummed(data)


def read_hex(text: str, what: str) -> bytes:
    """Return the bytes of a hex text, with or without 0x; raises Rejected(hex_malformed)."""
    try:
        return bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        raise Rejected(RegistrationReason.HEX_MALFORMED, f"the {what} is not hex") from None


def document_json(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return an EIP-712 document with its bytes as 0x-hex, as wallets take it."""
    message = {
        name: "0x" + value.hex() if isinstance(value, bytes) else value
        for name, value in document["message"].items()
    }
    return {**document, "message": message}


def read_mandate(message: Mapping[str, Any]) -> Mandate:
    """Return the mandate of an EIP-712 document's `message`; the signature covers each value."""
    try:
        fields = FIELDS[VERSION]
        mandate = Mandate(
            **{attribute(name): _read_field(message[name], name, kind) for name, kind in fields}
        )
        mandate.agreement_id()  # each number fits its type
        schedule.unpack(mandate.schedule)
        if any(mandate.cites):
            raise ValueError("cites is 0: the product's terms name the devices that it hears")
        return mandate
    except (KeyError, ValueError, TypeError, AttributeError, OverflowError) as error:
        raise Rejected(RegistrationReason.MANDATE_MALFORMED, str(error)) from None


def _read_field(value: Any, name: str, kind: str) -> Any:
    if kind == "address":
        return read_address(value)
    if kind.startswith("uint"):
        return int(value)
    data = read_hex(value, name)
    if kind == "bytes32" and len(data) != 32:
        raise ValueError(f"{name} has 32 bytes")
    return data
