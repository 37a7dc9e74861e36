"""A wearable's voucher as EIP-712 typed data: the signed bytes and the canonical record.

The contract `WearableVoucher` hashes the same fields; tests compare the two. Addresses are
0x-prefixed lower-case hex here; amounts are token minor units, times Unix seconds.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any, NamedTuple

import sha3

NAME, VERSION = "proofrail-voucher", "1"
# (name in the typed data, bits): in the order of the struct, after wearable and payee
NUMBERS = (
    ("total", 47),  # a uint48, but an amount is paid as an int48
    ("counter", 40),
    ("taps", 32),
    ("merchantClass", 16),
    ("cap", 48),
    ("signedAt", 40),
    ("expiry", 40),
)
_TYPE = (
    b"Voucher(bytes32 wearable,address payee,uint48 total,uint40 counter,uint32 taps,"
    b"uint16 merchantClass,uint48 cap,uint40 signedAt,uint40 expiry)"
)
_DOMAIN_TYPE = b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"


class Domain(NamedTuple):
    """The contract and chain that a voucher is for."""

    chain_id: int
    contract: str


class Voucher(NamedTuple):
    """The struct that the secure element signs; `total` and `taps` are running sums per payee.

    wearable: device id, 32 bytes. counter: the wearable's own, rising with each tap anywhere.
    merchant_class: ISO 18245. cap: the most that all payees together may get. expiry: the last
    second in which it can be paid.
    """

    wearable: bytes
    payee: str
    total: int
    counter: int
    taps: int
    merchant_class: int
    cap: int
    signed_at: int
    expiry: int


def keccak(data: bytes) -> bytes:
    """Return the keccak256 hash (32 bytes)."""
    return sha3.keccak_256(data).digest()


@lru_cache(maxsize=1024)
def separator(domain: Domain) -> bytes:
    """Return the domain separator (EIP-712), 32 bytes."""
    hashes = (keccak(_DOMAIN_TYPE), keccak(NAME.encode()), keccak(VERSION.encode()))
    contract = domain.chain_id.to_bytes(32, "big") + _address(domain.contract)
    return keccak(b"".join(hashes) + contract)


def signing_input(domain: Domain, voucher: Voucher) -> bytes:
    """Return the 66 bytes whose keccak256 is signed: 0x1901, domain separator, struct hash."""
    numbers = b"".join(number.to_bytes(32, "big") for number in voucher[2:])
    struct = keccak(_TYPE_HASH + voucher.wearable + _address(voucher.payee) + numbers)
    return b"\x19\x01" + separator(domain) + struct


def digest_of(domain: Domain, voucher: Voucher) -> bytes:
    """Return the EIP-712 digest that the secure element signs (32 bytes)."""
    return keccak(signing_input(domain, voucher))


def write_record(name: str, domain: Domain, voucher: Voucher, r: int, s: int) -> bytes:
    """Return the canonical record: compact JSON with the keys in this order.

    Args:
        name: the wearable's device name.
    """
    numbers = dict(zip((name for name, _ in NUMBERS), voucher[2:], strict=True))
    fields: dict[str, Any] = {
        "device": name,
        "domain": {
            "name": NAME,
            "version": VERSION,
            "chainId": domain.chain_id,
            "verifyingContract": domain.contract,
        },
        "message": {"wearable": f"0x{voucher.wearable.hex()}", "payee": voucher.payee, **numbers},
        "signature": f"0x{r:064x}{s:064x}",
    }
    return json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode()


def _address(text: str) -> bytes:
    return bytes(12) + bytes.fromhex(text[2:])


_TYPE_HASH = keccak(_TYPE)
