"""What callers read about refused registrations: titles and next steps of their reasons."""

from __future__ import annotations

from enum import StrEnum

from orchestrator.core.endorsement import EndorsementReason
from orchestrator.core.registration import RegistrationReason
from orchestrator.edges.bank.types import BankReason

CERTIFICATES = "Get certificates from the maker or installer that fit this key and device."
ENDORSEMENTS: dict[StrEnum, str] = {
    EndorsementReason.MALFORMED: "The certificates cannot be read",
    EndorsementReason.TOO_LONG: "There are too many certificates",
    EndorsementReason.OUT_OF_ORDER: "The certificates are not in order",
    EndorsementReason.EXTRA_CERTIFICATE: "A certificate does not belong to the chain",
    EndorsementReason.ROOT_UNKNOWN: "The rail does not trust the root of the certificates",
    EndorsementReason.SIGNATURE_INVALID: "A signature of the certificates does not hold",
    EndorsementReason.ISSUER_KEY_DIFFERS: "A certificate is of another issuer's key",
    EndorsementReason.NOT_YET_VALID: "A certificate is not valid yet",
    EndorsementReason.EXPIRED: "A certificate has expired",
    EndorsementReason.ISSUER_NOT_A_CA: "An issuer is no certificate authority",
    EndorsementReason.ISSUER_MAY_NOT_SIGN: "An issuer may not sign certificates",
    EndorsementReason.PATH_TOO_LONG: "The chain is longer than an issuer allows",
    EndorsementReason.EXTENSION_UNKNOWN: "A certificate has an unknown critical extension",
    EndorsementReason.KEY_WEAK: "A key of the certificates is weak",
    EndorsementReason.DIGEST_WEAK: "A digest of the certificates is weak",
    EndorsementReason.DEVICE_IS_A_CA: "The device's certificate is one of an authority",
    EndorsementReason.DEVICE_MAY_NOT_SIGN: "The device's certificate does not allow signing",
    EndorsementReason.OTHER_KEY: "The certificates are for another key",
    EndorsementReason.OTHER_DEVICE: "The certificates are for another device",
}

REGISTRATIONS: dict[StrEnum, tuple[int, str, str]] = {
    RegistrationReason.ADDRESS_MALFORMED: (422, "An address is not valid", "Give 20 bytes in hex."),
    RegistrationReason.HEX_MALFORMED: (422, "A value is not hex", "Give hex digits."),
    RegistrationReason.DEVICE_NAME_MALFORMED: (
        422,
        "The device name is not valid",
        "Give 1 to 64 characters of A-Z a-z 0-9 . _ -, the first a letter or a digit.",
    ),
    RegistrationReason.DEVICE_NOT_ACTIVE: (
        409,
        "The device is not active",
        "Enrol it with POST /v1/devices, or ask the operator about its status.",
    ),
    RegistrationReason.ENDORSEMENT_MISSING: (422, "The key has no certificates", CERTIFICATES),
    RegistrationReason.PRODUCT_NAME_UNKNOWN: (
        422,
        "There is no product of this name",
        "Use one of the products in `detail`.",
    ),
    RegistrationReason.TERMS_MALFORMED: (
        422,
        "The terms are not the product's",
        "`proofrail agreement terms` and the product's page explain each term.",
    ),
    RegistrationReason.PAYEE_UNEXPECTED: (
        422,
        "The payee does not fit the product",
        "Give a payee, or leave it out where each claim names its payee. A device that judges work "
        "has to belong to somebody else than the payee.",
    ),
    RegistrationReason.MANDATE_MALFORMED: (
        422,
        "The mandate cannot be read",
        "Send `message` of the typed data as it was returned.",
    ),
    RegistrationReason.DEVICE_CHARGED_ELSEWHERE: (
        409,
        "Another agreement charges by the same records",
        "Close that one, begin after its end, or leave these meters out.",
    ),
    RegistrationReason.OWNER_DIFFERS: (
        409,
        "The meters of a fleet have more than one owner",
        "Leave out the meters of other owners: an agreement of their own takes them.",
    ),
    RegistrationReason.CONSENT_MISSING: (
        409,
        "The device's owner has not consented",
        "Have it sign `consent` of POST /v1/agreements/mandate, and send its signature along.",
    ),
    RegistrationReason.CONSENT_INVALID: (
        422,
        "The consent is not signed by the device's owner",
        "Send its signature over `consent` of POST /v1/agreements/mandate.",
    ),
    RegistrationReason.CONTRACT_REFUSES: (
        409,
        "The contract refuses the call",
        "Nothing was sent. `detail` has the name of the contract's error; see /docs.",
    ),
    BankReason.IBAN_INVALID: (422, "The IBAN is not valid", "Correct the IBAN."),
    BankReason.BIC_INVALID: (422, "The BIC is not valid", "Correct the BIC, or leave it out."),
}
