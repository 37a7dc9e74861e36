"""Writes and signs OCMF records the way a meter does: exact decimals, one P-256 signature."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

from services.simulated_devices.journal import evidence_of
from services.simulated_devices.station import ORDER

__all__ = ["ORDER", "Point", "counter_of", "evidence_of", "payload_of", "sign", "twin", "units_of"]

UNITS_PER_KWH = 10_000  # registers have kWh with four decimals: a unit is 0.1 Wh
_REGISTER = "01-00:B0.08.00*FF"  # total import at the meter (OCMF specification, table 25)
_SIGNING = ec.ECDSA(
    hashes.SHA256(), deterministic_signing=True
)  # a repeated run gives the same bytes


@dataclass(frozen=True, slots=True)
class Point:
    """One reading. mark: OCMF's TX, "" outside sessions. at: Unix seconds. register: 0.1 Wh."""

    mark: str
    at: int
    register: int


def units_of(kwh: Decimal | str | int) -> int:
    """Return kWh in units of 0.1 Wh; ValueError for more than four decimals."""
    units = Decimal(kwh) * UNITS_PER_KWH
    if units != units.to_integral_value():
        raise ValueError(f"{kwh} kWh has more than four decimals")
    return int(units)


def payload_of(name: str, pagination: str, points: Sequence[Point], tag: str = "") -> str:
    """Return the OCMF payload.

    Args:
        pagination: PG, such as T41.
        tag: the RFID id in hex; "" without identification (a household).
    """
    user = (
        f'"IS":true,"IL":"VERIFIED","IF":["RFID_PLAIN"],"IT":"ISO14443","ID":"{tag}"'
        if tag
        else '"IS":false,"IF":[],"IT":"NONE","ID":""'
    )
    readings = ",".join(map(_reading, points))
    return (
        f'{{"FV":"1.0","GI":"Simulated gateway","GS":"G-{name}","GV":"1.0","PG":"{pagination}",'
        f'"MV":"Simulated","MM":"S1","MS":{json.dumps(name)},"MF":"1.0",{user},'
        f'"RD":[{readings}]}}'
    )


def sign(payload: str, key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return the record `OCMF|payload|signature`: DER in hex, with low or high s by chance."""
    signature = key.sign(payload.encode(), _SIGNING).hex()
    return f'OCMF|{payload}|{{"SD":"{signature}"}}'.encode()


def twin(record: bytes) -> bytes:
    """Return the same record with ECDSA's other valid signature, s replaced by n - s."""
    head, payload, signature = record.split(b"|", 2)
    r, s = decode_dss_signature(bytes.fromhex(json.loads(signature)["SD"]))
    other = encode_dss_signature(r, ORDER - s).hex()
    return b"|".join((head, payload, b'{"SD":"%s"}' % other.encode()))


def counter_of(record: bytes) -> int:
    """Return the counter in PG; fiscal counters begin at 2^39."""
    pagination = json.loads(record.split(b"|", 2)[1])["PG"]
    return int(pagination[1:]) + ((1 << 39) if pagination[0] == "F" else 0)


def _reading(point: Point) -> str:
    mark = f'"TX":"{point.mark}",' if point.mark else ""
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(point.at))
    value = f"{point.register // UNITS_PER_KWH}.{point.register % UNITS_PER_KWH:04d}"
    return (
        f'{{"TM":"{moment},000+0000 S",{mark}"RV":{value},"RI":"{_REGISTER}","RU":"kWh",'
        f'"RT":"AC","EF":"","ST":"G"}}'
    )
