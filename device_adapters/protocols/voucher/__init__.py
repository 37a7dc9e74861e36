"""Reads vouchers of wearables: EIP-712 typed data, signed on P-256 by the secure element.

A record is compact JSON, `{"device", "domain", "message", "signature"}`: the wearable's name, the
typed data's domain and message, and the signature r||s in hex. A voucher has one form only (except
for its signature's twin): keys in order, no spaces, lower-case hex. Sources: EIP-712; ISO 18245 for
the merchant class.

The domain names the contract and the chain of the voucher. An adapter does not know the right one:
the product compares it with the terms that the payer signed (`wearable_voucher.admit`).
"""

from __future__ import annotations

import re
from typing import Any

from device_adapters.keys import ORDERS, raw_to_der
from device_adapters.protocols.voucher.check import check_vouchers
from device_adapters.protocols.voucher.examples import EXAMPLES
from device_adapters.protocols.voucher.typed import (
    NAME,
    NUMBERS,
    VERSION,
    Domain,
    Voucher,
    signing_input,
    write_record,
)
from device_adapters.strict_json import decode as decode_json
from device_adapters.types import Curve, Event, Reason, Rejected, Signed, device_id
from device_adapters.verdicts import Report

__all__ = ["EXAMPLES", "INLET", "KIND", "check", "decode", "read", "recognise", "split"]

INLET = "proofrail/+/evidence/voucher"  # the topic; + stands for the wearable's own name
KIND = "voucher"
MAX_NAME = 128
_CHAIN_BITS = 63  # the limit of JSON numbers here; EIP-712 allows 256
_ADDRESS = re.compile(r"0x[0-9a-f]{40}")
_WORD = re.compile(r"0x[0-9a-f]{64}")
_SIGNATURE = re.compile(r"0x[0-9a-f]{128}")


def split(body: bytes) -> list[bytes]:
    """Return the records in one message, separated by line feeds."""
    return [line for line in body.splitlines() if line.strip()]


def decode(record: bytes) -> Event:
    """Return the voucher in one record as an event. Pure.

    Facts: {"chain", "contract", "payee", "total", "counter", "taps", "merchant_class", "cap",
    "signed_at", "expiry", "r", "s"}; addresses, r and s as 0x-prefixed lower-case hex. Counter
    and time are the voucher's own.

    Raises:
        Rejected: with any `Reason` of bytes and records.
    """
    name, domain, voucher, r, s = read(record)
    facts = {"chain": domain.chain_id, "contract": domain.contract}
    facts |= voucher._asdict() | {"r": f"0x{r:064x}", "s": f"0x{s:064x}"}
    del facts["wearable"]
    raw = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    content = signing_input(domain, voucher)
    signed = Signed(content, raw_to_der(raw), Curve.SECP256R1, "keccak256")
    at = voucher.signed_at * 1000
    return Event(name, voucher.counter, at, KIND, facts, record, signed, "voucher")


def recognise(data: bytes) -> bool:
    """Return whether a file has vouchers, complete or broken."""
    return f'"{NAME}"'.encode() in data


def check(data: bytes, key: str | bytes | None) -> Report:
    """Check every voucher in a file, one per line (see `verdicts`)."""
    return check_vouchers(split(data), decode, key)


def read(record: bytes) -> tuple[str, Domain, Voucher, int, int]:
    """Return (device name, domain, voucher, r, s) of a record; Rejected where it is not valid."""
    try:
        fields = decode_json(record.decode())
    except UnicodeDecodeError:
        raise Rejected(Reason.NOT_UTF8, "the record is not UTF-8", record) from None
    name = _field(fields, "device", str, Reason.DEVICE_MISSING)
    if not name or len(name) > MAX_NAME or not name.isprintable():
        raise Rejected(Reason.DEVICE_MISSING, "the record names no wearable", record)
    domain = _domain(_field(fields, "domain", dict))
    voucher = _voucher(_field(fields, "message", dict))
    if voucher.wearable != device_id(name):
        detail = f"the voucher is not from {name[:60]!r}: wearable is not the hash of that name"
        raise Rejected(Reason.DEVICE_MISSING, detail, record)
    r, s = _signature(_field(fields, "signature", str, Reason.SIGNATURE_MALFORMED))
    if record != write_record(name, domain, voucher, r, s):
        raise Rejected(Reason.MALFORMED, "not the canonical form of this voucher's record", record)
    return name, domain, voucher, r, s


def _domain(fields: dict[str, Any]) -> Domain:
    """Return the domain; name and version must be ours, chain and contract may be any."""
    if (fields.get("name"), fields.get("version")) != (NAME, VERSION):
        raise Rejected(Reason.WRONG_TYPE, f"the domain is not {NAME} {VERSION}")
    chain = _number(fields, "chainId", _CHAIN_BITS)
    return Domain(chain, _matching(fields, "verifyingContract", _ADDRESS))


def _voucher(fields: dict[str, Any]) -> Voucher:
    wearable = bytes.fromhex(_matching(fields, "wearable", _WORD)[2:])
    payee = _matching(fields, "payee", _ADDRESS)
    numbers = [_number(fields, name, bits) for name, bits in NUMBERS]
    voucher = Voucher(wearable, payee, *numbers)
    if not voucher.counter:
        raise Rejected(Reason.COUNTER_MISSING, "counters begin at 1")
    if not (int(payee, 16) and voucher.total and voucher.taps):
        raise Rejected(Reason.NUMBER_OUT_OF_RANGE, "payee, total and taps must be above zero")
    if not voucher.signed_at:
        raise Rejected(Reason.TIME_MALFORMED, "the voucher has no time")
    return voucher


def _signature(text: str) -> tuple[int, int]:
    if not _SIGNATURE.fullmatch(text):
        raise Rejected(Reason.SIGNATURE_MALFORMED, "the signature is r and s: 64 bytes in hex")
    r, s = int(text[2:66], 16), int(text[66:], 16)
    order = ORDERS[Curve.SECP256R1]
    if not (0 < r < order and 0 < s < order):
        raise Rejected(
            Reason.SIGNATURE_MALFORMED, "r and s must be between 1 and the order minus 1"
        )
    return r, s


def _field(fields: Any, name: str, kind: type, reason: Reason = Reason.WRONG_TYPE) -> Any:
    if not isinstance(fields, dict):
        raise Rejected(Reason.WRONG_TYPE, "the record is not an object")
    value = fields.get(name)
    if not isinstance(value, kind):
        raise Rejected(reason, f"{name!r} is missing or of another type")
    return value


def _matching(fields: dict[str, Any], name: str, form: re.Pattern[str]) -> str:
    value = _field(fields, name, str)
    if not form.fullmatch(value):
        raise Rejected(Reason.WRONG_TYPE, f"{name!r} is not {form.pattern}")
    return value


def _number(fields: dict[str, Any], name: str, bits: int) -> int:
    value = fields.get(name)
    if type(value) is not int:
        reason = Reason.COUNTER_MISSING if name == "counter" else Reason.WRONG_TYPE
        raise Rejected(reason, f"{name!r} is missing or not an integer")
    if not 0 <= value < 1 << bits:
        raise Rejected(Reason.NUMBER_OUT_OF_RANGE, f"{name!r} does not fit {bits} bits")
    return value
