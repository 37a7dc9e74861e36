"""Every code the API can answer with: its title, its HTTP status and what to do next.

A record's codes are `Reason` (the adapters') and `ClaimReason` (the oracles' and the rail's);
`ProblemCode` is the API's own. Codes are stable: partners may build on them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from device_adapters.types import Reason
from oracles.types import ClaimReason


class ProblemCode(StrEnum):
    """What can be wrong with a request, whatever its records say."""

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
    TRY_AGAIN_LATER = "try_again_later"


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """One line of the catalogue."""

    title: str
    next_step: str
    status: int = 422


_SMALLER = "Split the message: send fewer records at a time."
_INTACT = "Send the record exactly as the device signed it, unchanged and whole."
_MAKER = "Have the maker of the device correct its records; this one cannot be taken."
_CLOCK = "Set the device's clock; a new record under a new counter will be taken."
_KEY = "Give the device's public key as PEM, or hex or base64 of SubjectPublicKeyInfo or point."
_OPERATOR = "Ask the operator of the rail."
_NOTHING = "Nothing to do."
_READING = "Read the meter and compare it with the record; ask the operator to look at the device."
_ORACLE = "The rail asks the oracles again by itself; ask the operator if it persists."

_RECORDS: dict[StrEnum, tuple[str, str]] = {
    Reason.TOO_LARGE: ("The record or message is too large", _SMALLER),
    Reason.TOO_MANY_RECORDS: ("Too many records in one message", _SMALLER),
    Reason.NOT_UTF8: ("The record is not UTF-8 text", _INTACT),
    Reason.EMPTY: ("There is no record", "Send at least one record."),
    Reason.TRUNCATED: ("The record ends too early", _INTACT),
    Reason.MALFORMED: ("The record does not have its protocol's form", _INTACT),
    Reason.TOO_DEEP: ("The record is nested too deeply", _MAKER),
    Reason.DUPLICATE_KEY: ("A field stands twice in the record", _MAKER),
    Reason.WRONG_TYPE: ("A field of the record has the wrong type", _MAKER),
    Reason.NUMBER_OUT_OF_RANGE: ("A number is out of range", _MAKER),
    Reason.DEVICE_MISSING: ("The record names no device", _MAKER),
    Reason.COUNTER_MISSING: ("The record has no counter", _MAKER),
    Reason.TIME_WITHOUT_ZONE: ("A time has no zone", _MAKER),
    Reason.TIME_IN_FUTURE: ("The record is from the future", _CLOCK),
    Reason.TIME_MALFORMED: ("A time cannot be read", _MAKER),
    Reason.UNIT_UNKNOWN: ("The unit of a reading is not known", _MAKER),
    Reason.READING_MISSING: ("The record holds no reading", _MAKER),
    Reason.SIGNATURE_MALFORMED: ("The signature cannot be read", _INTACT),
    Reason.SIGNATURE_ALGORITHM_UNKNOWN: (
        "The signature algorithm is not known",
        "Use a device that signs with ECDSA over secp256r1 and SHA-256.",
    ),
    Reason.TOO_PRECISE: ("A reading is finer than a milliwatt-hour", _MAKER),
    Reason.SIGNATURE_MISSING: (
        "The document has no signature",
        "Sign it with the enrolled device's key, as a detached JWS, and send both.",
    ),
    Reason.CODE_MALFORMED: ("An identifier breaks its rules, such as a check digit", _MAKER),
    Reason.VOCABULARY_UNKNOWN: ("A word is not in its standard vocabulary", _MAKER),
    Reason.EVENT_MISSING: ("The document holds no event", _MAKER),
    Reason.SUBJECT_MISSING: (
        "The record names no consignment",
        "Name the SSCC of the logistic unit, or one purchase order (type po), in every event.",
    ),
    Reason.SUBJECT_AMBIGUOUS: (
        "The record names several consignments",
        "Send one record for each logistic unit or purchase order.",
    ),
    Reason.KEY_MALFORMED: ("The key cannot be read", _KEY),
    Reason.KEY_NOT_PUBLIC: (
        "This is a private key",
        "Treat that key as compromised, give the device a new one, and hand over the public part.",
    ),
    Reason.KEY_OFF_CURVE: ("The key is no point of its curve", _KEY),
    Reason.KEY_CURVE_UNKNOWN: ("The key's curve is not known", _KEY),
    Reason.FILE_UNREADABLE: ("The file cannot be read", "Check that it is there and readable."),
    Reason.UNKNOWN_TOPIC: (
        "The topic is not one of ours",
        "Publish to proofrail/<device>/evidence/<protocol>.",
    ),
    Reason.UNKNOWN_PROTOCOL: ("The protocol is not known", "Name a known protocol, such as ocmf."),
    Reason.DEVICE_NOT_OF_TOPIC: (
        "The record is another device's than the sender may speak for",
        "Send it with that device's own credentials, or with a key whose scope holds the device.",
    ),
    Reason.RETAINED: ("The message was retained by the broker", "Publish without the retain flag."),
    ClaimReason.DEVICE_UNKNOWN: (
        "The device is not enrolled",
        "Enrol it (`proofrail device add`), then send the record again.",
    ),
    ClaimReason.DEVICE_NOT_YET_ENROLLED: (
        "The record is older than the device's enrolment",
        "Records from before the enrolment are not charged; nothing to send again.",
    ),
    ClaimReason.DEVICE_SUSPENDED: (
        "The device is suspended",
        "What it signs while suspended stays refused; ask the operator to resume it for the rest.",
    ),
    ClaimReason.DEVICE_RETIRED: ("The device is retired", "Enrol the device that replaced it."),
    ClaimReason.SIGNATURE_FORGED: (
        "The device's key did not sign this content",
        "Compare the enrolled key with the device's own; send the bytes exactly as signed.",
    ),
    ClaimReason.CURVE_NOT_SETTLED: (
        "No contract can check a signature on this curve",
        "Use a device that signs on secp256r1 or secp256k1.",
    ),
    ClaimReason.COUNTER_REPLAYED: (
        "This counter was used before with other content",
        "Find out why the device used a counter twice; the first record stands.",
    ),
    ClaimReason.DUPLICATE: ("The record was taken before", "Nothing to do: it is safe already."),
    ClaimReason.NO_AGREEMENT: (
        "No agreement charges for this device",
        "Open one (`proofrail agreement open`), then send the record again.",
    ),
    ClaimReason.BEFORE_AGREEMENT: (
        "The record's counter is before the agreement",
        "Nothing to do: the agreement does not charge for it.",
    ),
    ClaimReason.STREAM_NOT_AGREED: (
        "The agreement is about the device's other stream of records",
        "Send the records of the stream that was agreed, or open an agreement for this one.",
    ),
    ClaimReason.NOT_BILLABLE: (
        "The record is genuine and may not be billed",
        "It is kept and never charged; its detail says what the device has to do better.",
    ),
    ClaimReason.KIND_NOT_PRICED: ("The product does not charge for records of this kind", _NOTHING),
    ClaimReason.IMPLAUSIBLE_READING: ("The reading cannot be true", _READING),
    ClaimReason.REGISTER_BACKWARDS: ("The register ran backwards", _READING),
    ClaimReason.TIME_BACKWARDS: ("The time ran backwards", _CLOCK),
    ClaimReason.TOO_LATE: (
        "Later records were charged already",
        "Nothing to do: its gap was reported as lost. Send records sooner.",
    ),
    ClaimReason.DEVICE_COMPROMISED: (
        "The device was declared compromised: nothing new of it is believed",
        "Enrol another device; `proofrail device risk` shows what the stolen key may have cost.",
    ),
    ClaimReason.KEY_EXPIRED: (
        "The device's key had expired at the record's time",
        "Rotate the key (`proofrail device rotate`); new records will be taken.",
    ),
    ClaimReason.CITED_EVENT_UNKNOWN: (
        "The record cites an event that the rail does not have",
        "Have the cited event sent first, then send a new record that cites it.",
    ),
    ClaimReason.FOREIGN_DOMAIN: (
        "The voucher is signed for another chain or contract",
        "Set the wearable up for this rail's WearableVoucher contract.",
    ),
    ClaimReason.CLASS_NOT_AGREED: ("The mandate does not name this class of merchant", _NOTHING),
    ClaimReason.ABOVE_TAP_LIMIT: (
        "The voucher asks more for its taps than the mandate allows",
        _NOTHING,
    ),
    ClaimReason.TWO_PLACES: (
        "The device was elsewhere at that time: its key is in two hands",
        "The device is suspended; ask the operator to find out which hand is honest.",
    ),
    ClaimReason.EVIDENCE_MISSING: ("An oracle lacks evidence of the claim", _ORACLE),
    ClaimReason.CLAIM_DIFFERS: ("An oracle derives another claim", _OPERATOR),
    ClaimReason.COUNTERS_NOT_CONTIGUOUS: ("Counters of the claim are missing", _ORACLE),
    ClaimReason.INCOMPLETE: (
        "The record's counterpart never came",
        "Send the record that begins or ends this session, if the device still has it.",
    ),
    ClaimReason.ALREADY_ATTESTED_OTHERWISE: ("Another claim was attested in its place", _OPERATOR),
    ClaimReason.AGREEMENT_NOT_LIVE: (
        "The agreement is not live",
        "Open a new agreement; records after the end of the old one are not charged.",
    ),
    ClaimReason.SEQUENCE_UNEXPECTED: ("The claim is not the agreement's next one", _ORACLE),
    ClaimReason.BATCH_UNSORTED: ("The claims of the batch are not in order", _OPERATOR),
    ClaimReason.UNAUTHORISED: ("The oracle does not know the caller", _OPERATOR),
    ClaimReason.PRODUCT_UNKNOWN: ("The product is not known", _OPERATOR),
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
        "The API key is not known",
        "Ask the operator for a key; a replaced one has ended.",
    ),
    ProblemCode.ROLE_FORBIDDEN: (
        403,
        "The key's role may not do this",
        "Use a key with one of the roles in `detail`.",
    ),
    ProblemCode.NOT_FOUND: (
        404,
        "There is nothing with this id",
        "Check the id; a partner sees its own devices only.",
    ),
    ProblemCode.ROUTE_UNKNOWN: (404, "There is no such route", "See /docs for the routes."),
    ProblemCode.METHOD_NOT_ALLOWED: (
        405,
        "The route does not know this method",
        "See the `Allow` header, or /docs.",
    ),
    ProblemCode.VERSION_UNSUPPORTED: (
        406,
        "This version of the standard is not spoken here",
        "Ask for EPCIS and CBV 2.0, or leave out the version headers.",
    ),
    ProblemCode.BODY_TOO_SLOW: (
        408,
        "The body did not arrive in time",
        "Send it again, in smaller parts if need be.",
    ),
    ProblemCode.IDEMPOTENCY_KEY_REUSED: (
        409,
        "The Idempotency-Key was used for another request",
        "Use a new key for each new request; repeat a request with its body unchanged.",
    ),
    ProblemCode.BODY_TOO_LARGE: (413, "The body is too large", "Send fewer records at a time."),
    ProblemCode.MEDIA_TYPE_UNSUPPORTED: (
        415,
        "The media type is not taken here",
        "Send a record as text/plain or application/octet-stream, a batch as application/json, an "
        "EPCIS document to /capture as application/json or application/ld+json.",
    ),
    ProblemCode.CONTENT_CODING_UNSUPPORTED: (
        415,
        "Compressed bodies are not taken",
        "Send the body without Content-Encoding.",
    ),
    ProblemCode.JSON_UNREADABLE: (
        400,
        "The body is not acceptable JSON",
        "Correct the JSON where `detail` says.",
    ),
    ProblemCode.REQUEST_INVALID: (
        422,
        "The request does not have the form of this route",
        "Correct the fields named in `errors`; /docs shows the form.",
    ),
    ProblemCode.AMBIGUOUS: (
        422,
        "Several things begin with this id",
        "Give more of the id, or all.",
    ),
    ProblemCode.CURSOR_UNKNOWN: (
        422,
        "The cursor is not one of ours",
        "Pass `next` of the page before, unchanged.",
    ),
    ProblemCode.IDEMPOTENCY_KEY_MALFORMED: (
        400,
        "The Idempotency-Key cannot be used",
        "Send one key of 1 to 255 visible ASCII characters, such as a UUID, once.",
    ),
    ProblemCode.REQUEST_FAILED: (400, "The request cannot be answered", "See `detail` and /docs."),
    ProblemCode.INTERNAL_ERROR: (
        500,
        "The rail failed",
        "Send the request again later; the operator's log has the cause.",
    ),
    ProblemCode.TRY_AGAIN_LATER: (
        503,
        "The rail waits for a part of itself",
        "Send the same request again after `Retry-After` seconds; nothing was stored.",
    ),
}

CATALOGUE: dict[str, CatalogueEntry] = {
    str(code): CatalogueEntry(title, step) for code, (title, step) in _RECORDS.items()
} | {
    str(code): CatalogueEntry(title, step, status)
    for code, (status, title, step) in _REQUESTS.items()
}


def entry_of(code: str) -> CatalogueEntry:
    """The catalogue's line; a code from elsewhere is shown as it is, never hidden."""
    known = CATALOGUE.get(str(code))
    return known or CatalogueEntry(str(code).replace("_", " ").capitalize(), _OPERATOR)
