"""Asks a committee for a quorum on two claims, as the account that stands for the rail."""

from __future__ import annotations

from web3 import Web3

from tests.support.contracts.contract_rail import ORACLE_KEYS, _address

HASHES = [Web3.keccak(text="a claim"), Web3.keccak(text="another")]
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
STRANGER_KEY = ORACLE_KEYS[6]


def checked(powers, signatures, committee=None, hashes=HASHES):
    """(error, its arguments) of a quorum check by the account that stands for the rail."""
    method = (committee or powers.committee).requireQuorum
    claims = Web3.keccak(b"".join(hashes))
    return powers.refusal_args(method, powers.payer, claims, signatures, sender=powers.rail)


def answered(powers, signatures, committee=None):
    method = (committee or powers.committee).requireQuorum
    return method(powers.payer, Web3.keccak(b"".join(HASHES)), signatures, sender=powers.rail)


def bits(powers, *keys, committee=None):
    members = committee or powers.committee
    return sum(1 << members.memberOf(_address(key)).index for key in keys)


def junk(good: bytes) -> list[bytes]:
    """Malformed forms of a signature, none of which counts."""
    s = int.from_bytes(good[32:64], "big")
    high = good[:32] + (ORDER - s).to_bytes(32, "big") + bytes([55 - good[64]])
    low_v = good[:64] + bytes([good[64] - 27])
    return [high, low_v, good[:64], good + b"\0", b"", bytes(65), b"\xff" * 65]
