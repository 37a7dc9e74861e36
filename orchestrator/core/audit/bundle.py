"""The format of an audit bundle: its shape and its seal, without a field that is not checked.

Bytes are lower-case 0x-hex (records and files: base64), times Unix seconds, amounts integers in
minor units as their names say. docs/AUDIT.md lists which stage checks each field against what.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

from orchestrator.core.ledger import plain_name
from orchestrator.core.mandate import FIELDS

from .blocks import unproven

VERSION = 5
# 3: of 0.3.0, with the ledger words of that release; 4: of 0.4.0 and 0.5.0; both have mandates of
# version 1 alone, and do not name it; neither has effects
_WITH_FORMER_MANDATES = (3, 4)
READS = (*_WITH_FORMER_MANDATES, VERSION)

# A proof: block hash, RLP of the header, position in the block, receipt trie nodes from the root.
RECEIPT = {"block": str, "header": str, "index": int, "receipt": [str]}
RECORD = {"protocol": str, "sha256": str, "record": str}
CLAIM = {
    "agreement": str,
    "sequence": int,
    "first_counter": int,
    "last_counter": int,
    "evidence": str,
    "facts": str,
}
# version of a mandate -> the shape of its fields
MANDATES = {
    version: {name: int if kind.startswith("uint") else str for name, kind in fields}
    for version, fields in FIELDS.items()
}
POSTING = {"account": str, "asset": str, "amount_minor": int}
ENTRY = {
    "entry_id": str,
    "kind": str,
    "ref": str,
    "at": int,
    "source": str,
    "postings": [POSTING],
    "previous": str,
    "hash": str,
}


class Maybe:
    """A part that may be null: the payment has not reached it."""

    def __init__(self, shape: Any) -> None:
        self.shape = shape


SHAPE: dict[str, Any] = {
    "version": int,
    # what the proofs are about: printed as trust roots, since a bundle cannot prove them
    "chain": {"id": int, "rail": str, "registry": str, "committee": str},
    # the agreement's device, then those whose records it cites; each with the receipts of its
    # registry logs, in chain order
    "devices": [{"id": str, "history": [RECEIPT]}],
    # the records of the claim, in counter order, exactly as received
    "evidence": [RECORD],
    # the records that these cite, in order of first citation, then those that the claim hears, by
    # (device id, counter)
    "supporting": [RECORD],
    # the record that the run starts from (a meter's last claimed reading), where there is one
    "anchor": Maybe(RECORD),
    "product": str,  # the product's folder name: its rules derive the facts
    # the claims as the oracles signed them; `position` is that of this payment's claim
    "batch": {"claims": [CLAIM], "position": int, "signatures": [str]},
    # version: of the mandate, which decides about its fields
    "mandate": {"version": int, "fields": MANDATES[2], "signature": str, "opened": RECEIPT},
    # receipts with the committee's seating logs, in chain order
    "committee": [RECEIPT],
    # the settlement; path: siblings from this payment's outcome up to the root of Settled
    "settlement": {
        **RECEIPT,
        "transaction": [str],
        "amount_micro": int,
        "refusal": int,
        "release_at": int,
        "path": [str],
    },
    # what the final payment makes happen outside: each message as it is delivered, but for the
    # digits of an unlock token
    "effects": [{"id": str, "message": str}],
    # the entries of this payment and of its payout, in the ledger's order
    "ledger": Maybe([ENTRY]),
    # the receipt that holds Released; redeemed: that of Redeemed, null where they are one; order:
    # the payout's id
    "payout": Maybe({**RECEIPT, "redeemed": Maybe(RECEIPT), "token": str, "order": str}),
    # order: the pain.001; statement: the camt file, with the path of its line
    "bank_file": Maybe({"sha256": str, "content": str}),
    "bank_line": Maybe({"sha256": str, "content": str, "path": str}),
    # SHA-256 of the canonical JSON of everything else
    "digest": str,
}
# what a payment reaches one after the other: a part needs all parts before it
LATER_PARTS = ("ledger", "payout", "bank_file", "bank_line")


def check_shape(bundle: Any) -> None:
    """Raise Rejected if a field is missing, unknown or of another type."""
    _check(bundle, _shape_of(bundle), "bundle")
    if bundle["mandate"].get("version", 1) not in MANDATES:
        raise unproven(f"mandates of version {bundle['mandate']['version']} are not known")
    if bundle["version"] not in READS:
        versions = ", ".join(map(str, READS))
        raise unproven(f"version {bundle['version']} is not known; this verifier reads {versions}")
    present = [bundle[part] is not None for part in LATER_PARTS]
    if present != sorted(present, reverse=True):
        raise unproven(f"of {', '.join(LATER_PARTS)} only the last ones may be null")


def _shape_of(bundle: Any) -> dict[str, Any]:
    """Return the shape that a bundle of its version, with a mandate of its version, has to have."""
    fields = bundle if isinstance(bundle, dict) else {}
    if fields.get("version") in _WITH_FORMER_MANDATES:
        mandate = {**SHAPE["mandate"], "fields": MANDATES[1]}
        del mandate["version"]
        former = {**SHAPE, "mandate": mandate}
        del former["effects"]
        return former
    mandate = fields.get("mandate")
    version = mandate.get("version") if isinstance(mandate, dict) else None
    known = MANDATES.get(version, MANDATES[2]) if isinstance(version, int) else MANDATES[2]
    return {**SHAPE, "mandate": {**SHAPE["mandate"], "fields": known}}


def in_present_form(bundle: dict[str, Any]) -> dict[str, Any]:
    """Return a bundle of an earlier version in the form of this one; its shape is checked.

    Version 3 has other ledger words; versions 3 and 4 do not say which version their mandate has.
    """
    if bundle["version"] in _WITH_FORMER_MANDATES:
        mandate = {**bundle["mandate"], "version": 1}
        bundle = {**bundle, "mandate": mandate, "effects": None}
    if bundle["version"] != 3 or bundle["ledger"] is None:
        return bundle
    return {**bundle, "ledger": [_entry_in_plain_names(entry) for entry in bundle["ledger"]]}


def _entry_in_plain_names(entry: dict[str, Any]) -> dict[str, Any]:
    postings = [
        {**posting, "account": plain_name(posting["account"])} for posting in entry["postings"]
    ]
    names = {field: plain_name(entry[field]) for field in ("kind", "source")}
    return {**entry, **names, "postings": postings}


def digest(bundle: dict[str, Any]) -> str:
    """Return the 0x-hex SHA-256 of the bundle without its digest: sorted keys, no spaces, ASCII."""
    rest = {key: value for key, value in bundle.items() if key != "digest"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return "0x" + sha256(text.encode()).hexdigest()


def sealed(bundle: dict[str, Any]) -> dict[str, Any]:
    """Return the bundle with its digest."""
    return {**bundle, "digest": digest(bundle)}


def _check(value: Any, shape: Any, where: str) -> None:
    if isinstance(shape, Maybe):
        if value is not None:
            _check(value, shape.shape, where)
    elif isinstance(shape, list):
        if type(value) is not list:
            raise unproven(f"{where} is not a list")
        for place, item in enumerate(value):
            _check(item, shape[0], f"{where}[{place}]")
    elif isinstance(shape, dict):
        if type(value) is not dict or value.keys() != shape.keys():
            raise unproven(f"{where} does not have the fields {', '.join(shape)}")
        for key, part in shape.items():
            _check(value[key], part, f"{where}.{key}")
    elif type(value) is not shape:
        raise unproven(f"{where} is not of type {shape.__name__}")
