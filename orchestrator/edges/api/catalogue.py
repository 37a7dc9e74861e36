"""The catalogue of all API codes: title, HTTP status and next step.

Codes of records are `Reason` (device adapters) and `ClaimReason` (oracles and rail); `ProblemCode`
is the API's own. Codes are stable.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from device_adapters.types import Reason
from oracles.types import ClaimReason
from orchestrator.edges.api.catalogue_holds import HOLDS
from orchestrator.edges.api.catalogue_party_calls import PARTY_CALLS
from orchestrator.edges.api.catalogue_registration import (
    CERTIFICATES,
    ENDORSEMENTS,
    REGISTRATIONS,
)


class ProblemCode(StrEnum):
    """What can be wrong with a request, independent of its records."""

    KEY_MISSING = "key_missing"
    KEY_UNKNOWN = "key_unknown"
    ROLE_FORBIDDEN = "role_forbidden"
    NOT_FOUND = "not_found"
    ROUTE_UNKNOWN = "route_unknown"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    BODY_TOO_SLOW = "body_too_slow"
    BODY_TOO_LARGE = "body_too_large"
    JSON_UNREADABLE = "json_unreadable"
    MEDIA_TYPE_UNSUPPORTED = "media_type_unsupported"
    CONTENT_CODING_UNSUPPORTED = "content_coding_unsupported"
    REQUEST_INVALID = "request_invalid"
    AMBIGUOUS = "ambiguous"
    CURSOR_UNKNOWN = "cursor_unknown"
    IDEMPOTENCY_KEY_MALFORMED = "idempotency_key_malformed"
    IDEMPOTENCY_KEY_REUSED = "idempotency_key_reused"
    REQUEST_FAILED = "request_failed"
    VERSION_UNSUPPORTED = "version_unsupported"
    INTERNAL_ERROR = "internal_error"
    TOO_MANY_REQUESTS = "too_many_requests"
    TRY_AGAIN_LATER = "try_again_later"


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """One line of the catalogue."""

    title: str
    next_step: str
    status: int = 422


_SMALLER = "Split the message: send fewer records at a time."
_INTACT = "Send the complete record exactly as the device signed it."
_MAKER = "Ask the maker of the device to correct its records; this one cannot be accepted."
_CLOCK = "Set the device's clock, then send a new record with a new counter."
_KEY = "Give the device's public key as PEM, or hex or base64 of SubjectPublicKeyInfo or point."
_OPERATOR = "Ask the operator of the rail."
_NOTHING = "Nothing to do."
_PIECES = "Report them as serials or as a quantity in pieces, in a new record."
_REPORT = (
    "Compare the report with the agreement's terms, and correct the device for the next period."
)
_GATEWAY = "Send through the gateway that the owner assigned (`proofrail device assign`)."
_READING = "Read the meter and compare it with the record; ask the operator to look at the device."
_ORACLE = "The rail retries by itself; ask the operator if it persists."

# Too much at once has HTTP's own status; every other refused record is 422.
_STATUSES: dict[StrEnum, int] = {Reason.TOO_LARGE: 413, Reason.TOO_MANY_RECORDS: 413}
_RECORDS: dict[StrEnum, tuple[str, str]] = {
    Reason.TOO_LARGE: ("The record or message is too large", _SMALLER),
    Reason.TOO_MANY_RECORDS: ("Too many records in one message", _SMALLER),
    Reason.NOT_UTF8: ("The record is not UTF-8 text", _INTACT),
    Reason.EMPTY: ("There is no record", "Send at least one record."),
    Reason.TRUNCATED: ("The record ends too early", _INTACT),
    Reason.MALFORMED: ("The record does not have its protocol's form", _INTACT),
    Reason.TOO_DEEP: ("The record is nested too deeply", _MAKER),
    Reason.DUPLICATE_KEY: ("A field occurs twice in the record", _MAKER),
    Reason.WRONG_TYPE: ("A field of the record has the wrong type", _MAKER),
    Reason.NUMBER_OUT_OF_RANGE: ("A number is out of range", _MAKER),
    Reason.DEVICE_MISSING: ("The record names no device", _MAKER),
    Reason.COUNTER_MISSING: ("The record has no counter", _MAKER),
    Reason.TIME_WITHOUT_ZONE: ("A time has no zone", _MAKER),
    Reason.TIME_IN_FUTURE: ("The record is from the future", _CLOCK),
    Reason.TIME_MALFORMED: ("A time cannot be read", _MAKER),
    Reason.UNIT_UNKNOWN: ("The unit of a reading is unknown", _MAKER),
    Reason.READING_MISSING: ("The record has no reading", _MAKER),
    Reason.SIGNATURE_MALFORMED: ("The signature cannot be read", _INTACT),
    Reason.SIGNATURE_ALGORITHM_UNKNOWN: (
        "The signature algorithm is unknown",
        "Use a device that signs with ECDSA over secp256r1 and SHA-256.",
    ),
    Reason.TOO_PRECISE: ("A reading is finer than a milliwatt-hour", _MAKER),
    Reason.SIGNATURE_MISSING: (
        "The document has no signature",
        "Sign it with the enrolled device's key, as a detached JWS, and send both.",
    ),
    Reason.CODE_MALFORMED: ("An identifier breaks its rules, such as a check digit", _MAKER),
    Reason.VOCABULARY_UNKNOWN: ("A value is not in its standard vocabulary", _MAKER),
    Reason.EVENT_MISSING: ("The document has no event", _MAKER),
    Reason.FIELD_MISSING: ("A field that the standard requires is missing", _MAKER),
    Reason.VERSION_UNKNOWN: ("The document has a version that is not read here", _MAKER),
    Reason.SUBJECT_MISSING: (
        "The record names no consignment",
        "Name the SSCC of the logistic unit, or one purchase order (type po), in every event.",
    ),
    Reason.SUBJECT_AMBIGUOUS: ("It names several consignments", "Send one record for each."),
    Reason.KEY_MALFORMED: ("The key cannot be read", _KEY),
    Reason.KEY_NOT_PUBLIC: (
        "This is a private key",
        "Treat that key as compromised, give the device a new one, and send its public key.",
    ),
    Reason.KEY_OFF_CURVE: ("The key is not a point of its curve", _KEY),
    Reason.KEY_CURVE_UNKNOWN: ("The key's curve is unknown", _KEY),
    Reason.FILE_UNREADABLE: ("The file cannot be read", "Check that it exists and is readable."),
    Reason.UNKNOWN_TOPIC: (
        "The topic is unknown",
        "Publish to proofrail/<device>/evidence/<protocol>.",
    ),
    Reason.UNKNOWN_PROTOCOL: ("The protocol is unknown", "Use a supported protocol, such as ocmf."),
    Reason.DEVICE_NOT_OF_TOPIC: (
        "The sender may not send records of this device",
        "Send it with that device's own credentials, or a key whose scope includes it.",
    ),
    Reason.RETAINED: ("The message was retained by the broker", "Publish without the retain flag."),
    ClaimReason.DEVICE_UNKNOWN: (
        "The device is not enrolled",
        "Enrol it (`proofrail device add`), then send the record again.",
    ),
    ClaimReason.DEVICE_NOT_YET_ENROLLED: (
        "The record is older than the device's enrolment",
        "Records from before the enrolment are not charged. Do not send it again.",
    ),
    ClaimReason.DEVICE_SUSPENDED: (
        "The device is suspended",
        "Records signed while suspended stay refused. Ask the operator to resume the device.",
    ),
    ClaimReason.DEVICE_RETIRED: ("The device is retired", "Enrol the device that replaced it."),
    ClaimReason.SIGNATURE_FORGED: (
        "The device's key did not sign this content",
        "Compare the enrolled key with the device's key, and send the bytes exactly as signed.",
    ),
    ClaimReason.CURVE_NOT_SETTLED: (
        "No contract can check a signature on this curve",
        "Use a device that signs on secp256r1 or secp256k1.",
    ),
    ClaimReason.COUNTER_REPLAYED: (
        "This counter was used before with other content",
        "Find out why the device used a counter twice; the first record stays valid.",
    ),
    ClaimReason.DUPLICATE: ("The record was accepted before", "Nothing to do: it is stored."),
    ClaimReason.NO_AGREEMENT: (
        "The device has no agreement",
        "Open one (`proofrail agreement open`), then send the record again.",
    ),
    ClaimReason.PAYEE_INVALID: (
        "Payee is a contract of the rail",
        "Name the merchant's own address: what is paid to a contract of the rail is lost.",
    ),
    ClaimReason.BEFORE_AGREEMENT: (
        "The record's counter is before the agreement",
        "Nothing to do: the agreement does not charge for it.",
    ),
    ClaimReason.STREAM_NOT_AGREED: (
        "The agreement covers the device's other stream of records",
        "Send the records of the agreed stream, or open an agreement for this one.",
    ),
    ClaimReason.COUNTER_TOO_LARGE: (
        "The record's counter has more than 36 bits",
        "Let the device count on from a smaller number, or enrol it under another name.",
    ),
    ClaimReason.NOT_BILLABLE: (
        "The record is genuine but may not be billed",
        "It is stored and never charged; its detail says what the device must change.",
    ),
    ClaimReason.KIND_NOT_PRICED: ("The product does not charge for records of this kind", _NOTHING),
    ClaimReason.IMPLAUSIBLE_READING: ("The reading is implausible", _READING),
    ClaimReason.REGISTER_MISMATCH: ("The reading is of another register than before", _READING),
    ClaimReason.REGISTER_BACKWARDS: ("The register ran backwards", _READING),
    ClaimReason.TIME_BACKWARDS: ("The time ran backwards", _CLOCK),
    ClaimReason.TOO_LATE: (
        "Later records were charged already",
        "Nothing to do: its gap was reported as a hole. Send records sooner.",
    ),
    ClaimReason.DEVICE_COMPROMISED: (
        "The device is declared compromised; new records of it are refused",
        "Enrol another device; `proofrail device risk` shows the payments at risk.",
    ),
    ClaimReason.KEY_EXPIRED: (
        "The device's key had expired at the record's time",
        "Rotate the key (`proofrail device rotate`), then send new records.",
    ),
    ClaimReason.DEVICE_WITHOUT_KEY: ("The device has no key of its own", _GATEWAY),
    ClaimReason.GATEWAY_NOT_ASSIGNED: ("The gateway was not assigned to the device", _GATEWAY),
    ClaimReason.CITED_EVENT_UNKNOWN: (
        "The record cites an event that the rail does not have",
        "Send the cited event first, then a new record that cites it.",
    ),
    ClaimReason.FOREIGN_DOMAIN: (
        "The voucher is signed for another chain or contract",
        "Set the wearable up for this rail's WearableVoucher contract.",
    ),
    ClaimReason.CLASS_NOT_AGREED: ("The mandate does not name this class of merchant", _NOTHING),
    ClaimReason.ASSURANCE_TOO_LOW: ("The terms ask for a stronger signer", _GATEWAY),
    ClaimReason.ABOVE_TAP_LIMIT: ("The amount exceeds the mandate's tap limit", _NOTHING),
    ClaimReason.UNITS_UNCOUNTABLE: ("The units in the record cannot be counted", _PIECES),
    ClaimReason.METRIC_MISSING: ("The report lacks a number that the terms price", _REPORT),
    ClaimReason.METRIC_OUTSIDE: (
        "A number of the report is outside what the terms believe",
        _REPORT,
    ),
    ClaimReason.PERIOD_UNEXPECTED: (
        "The report's period has another length, or overlaps the one before",
        "Report the period that follows the last one, or the last one again with the same times.",
    ),
    ClaimReason.COVERAGE_SHORT: (
        "Too little of the period was observed",
        "Nothing to do for this period: find out why the device did not measure, for the next.",
    ),
    ClaimReason.SEAL_NOT_CANONICAL: (
        "The contract cannot make the signed bytes again",
        "Write the report in the one form of orchestrator/products/index/README.md.",
    ),
    ClaimReason.SOURCES_SHORT: (
        "Too few sources stand behind the numbers",
        "Nothing to do for this period: find out which sources are silent, for the next.",
    ),
    ClaimReason.TWO_PLACES: (
        "The device was elsewhere at that time: its key is cloned",
        "The device is suspended; ask the operator to find out which one is genuine.",
    ),
    ClaimReason.EVIDENCE_MISSING: ("An oracle lacks evidence of the claim", _ORACLE),
    ClaimReason.CLAIM_DIFFERS: ("An oracle derives another claim", _OPERATOR),
    ClaimReason.COUNTERS_NOT_CONTIGUOUS: ("Counters of the claim are missing", _ORACLE),
    ClaimReason.INCOMPLETE: (
        "The record's counterpart is missing",
        "Send the record that begins or ends this session, if the device still has it.",
    ),
    ClaimReason.ALREADY_ATTESTED_OTHERWISE: ("Another claim was attested instead", _OPERATOR),
    ClaimReason.AGREEMENT_NOT_LIVE: (
        "The agreement is not live",
        "Open a new agreement; records after the end of the old one are not charged.",
    ),
    ClaimReason.SEQUENCE_UNEXPECTED: ("The claim is not the agreement's next one", _ORACLE),
    ClaimReason.HEARD_LEFT_OUT: (
        "A record of a device that the terms name is not part of the claim",
        _OPERATOR,
    ),
    ClaimReason.HEARD_TOO_MANY: (
        "The devices that the terms name made more records than a claim can hold",
        "Payer and payee pass over the claim (`proofrail agreement skip`).",
    ),
    ClaimReason.BATCH_UNSORTED: ("The claims of the batch are not in order", _OPERATOR),
    ClaimReason.UNAUTHORISED: ("The oracle refuses the caller", _OPERATOR),
    ClaimReason.PRODUCT_UNKNOWN: ("The product is unknown", _OPERATOR),
    ClaimReason.FACTS_MALFORMED: ("The facts of the claim cannot be read", _OPERATOR),
}

_REQUESTS: dict[StrEnum, tuple[int, str, str]] = {
    ProblemCode.KEY_MISSING: (
        401,
        "An API key is needed",
        "Send the header `Authorization: Bearer <key>`.",
    ),
    ProblemCode.KEY_UNKNOWN: (
        401,
        "The API key is unknown",
        "Ask the operator for a key; a replaced one is revoked.",
    ),
    ProblemCode.ROLE_FORBIDDEN: (
        403,
        "The key's role may not do this",
        "Use a key with one of the roles in `detail`.",
    ),
    ProblemCode.NOT_FOUND: (
        404,
        "There is no object with this id",
        "Check the id; a partner sees its own devices only.",
    ),
    ProblemCode.ROUTE_UNKNOWN: (404, "The route is unknown", "See /docs for the routes."),
    ProblemCode.METHOD_NOT_ALLOWED: (
        405,
        "The route does not support this method",
        "See the `Allow` header, or /docs.",
    ),
    ProblemCode.VERSION_UNSUPPORTED: (
        406,
        "This version of the standard is not supported",
        "Ask for EPCIS and CBV 2.0 (in XML also 1.0 to 1.2), or leave out the version headers.",
    ),
    ProblemCode.BODY_TOO_SLOW: (
        408,
        "The body did not arrive in time",
        "Send it again, in smaller parts if necessary.",
    ),
    ProblemCode.IDEMPOTENCY_KEY_REUSED: (
        409,
        "The Idempotency-Key was used for another request",
        "Use a new key for each new request; repeat a request only with the same body.",
    ),
    ProblemCode.BODY_TOO_LARGE: (413, "The body is too large", "Send fewer records at a time."),
    ProblemCode.MEDIA_TYPE_UNSUPPORTED: (
        415,
        "The media type is not supported",
        "Send a record as text/plain or application/octet-stream, a batch as application/json, an "
        "EPCIS document to /capture as application/json, application/ld+json or application/xml.",
    ),
    ProblemCode.CONTENT_CODING_UNSUPPORTED: (
        415,
        "Compressed bodies are not supported",
        "Send the body without Content-Encoding.",
    ),
    ProblemCode.JSON_UNREADABLE: (
        400,
        "The body is not valid JSON",
        "Correct the JSON where `detail` says.",
    ),
    ProblemCode.REQUEST_INVALID: (
        422,
        "The request does not have the form of this route",
        "Correct the fields named in `errors`; /docs shows the form.",
    ),
    ProblemCode.AMBIGUOUS: (
        422,
        "Several ids begin with this text",
        "Give more characters of the id.",
    ),
    ProblemCode.CURSOR_UNKNOWN: (
        422,
        "The cursor is unknown",
        "Pass `next` of the previous page unchanged.",
    ),
    ProblemCode.IDEMPOTENCY_KEY_MALFORMED: (
        400,
        "The Idempotency-Key is invalid",
        "Send exactly one key of 1 to 255 visible ASCII characters, such as a UUID.",
    ),
    ProblemCode.TOO_MANY_REQUESTS: (
        429,
        "Too many requests in a minute",
        "Wait for the seconds in `Retry-After`, then send the same request again; put many records "
        "into one request.",
    ),
    ProblemCode.REQUEST_FAILED: (400, "The request cannot be answered", "See `detail` and /docs."),
    ProblemCode.INTERNAL_ERROR: (
        500,
        "Internal error",
        "Send the same request again later; the cause is in the operator's log.",
    ),
    ProblemCode.TRY_AGAIN_LATER: (
        503,
        "The rail is temporarily unavailable",
        "Send the same request again after `Retry-After` seconds; nothing was stored.",
    ),
}

CATALOGUE: dict[str, CatalogueEntry] = (
    {
        str(code): CatalogueEntry(title, step, _STATUSES.get(code, 422))
        for code, (title, step) in _RECORDS.items()
    }
    | {
        str(code): CatalogueEntry(title, step, status)
        for code, (status, title, step) in (_REQUESTS | REGISTRATIONS | PARTY_CALLS | HOLDS).items()
    }
    | {str(code): CatalogueEntry(title, CERTIFICATES) for code, title in ENDORSEMENTS.items()}
)


def entry_of(code: str) -> CatalogueEntry:
    """Return the entry of a code; an unknown code becomes its own title."""
    entry = CATALOGUE.get(str(code))
    return entry or CatalogueEntry(str(code).replace("_", " ").capitalize(), _OPERATOR)
