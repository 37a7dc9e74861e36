"""Example records out of OCPP messages, and messages that are none themselves."""

from __future__ import annotations

import json
from typing import Any

from device_adapters.protocols.ocmf.examples import BEGIN, PUBLIC_KEY, SESSION
from device_adapters.protocols.sealed.examples import BY_GATEWAY
from device_adapters.types import Reason

_VALUES = [{"value": SESSION.decode(), "format": "SignedData", "context": "Transaction.End"}]
# OCPP 1.6: one call with two signed values
METER_VALUES = json.dumps(
    [
        2,
        "19223201",
        "MeterValues",
        {
            "connectorId": 1,
            "transactionId": 7,
            "meterValue": [
                {
                    "timestamp": "2026-03-01T07:30:00Z",
                    "sampledValue": [
                        {"value": "2947.1", "unit": "kWh"},
                        {"value": BEGIN.decode(), "format": "SignedData"},
                        *_VALUES,
                    ],
                }
            ],
        },
    ]
).encode()
KEY = PUBLIC_KEY
EXAMPLES: tuple[tuple[str, bytes, dict[str, Any] | Reason], ...] = (
    ("an OCMF record of a message", SESSION, {"device": "EV-0001", "protocol": "ocmf"}),
    ("a sealed record of a message", BY_GATEWAY, {"gateway": "GW-7", "protocol": "sealed"}),
    ("a message is no record", METER_VALUES, Reason.MALFORMED),
    ("a message without signed value", b'[2,"1","Heartbeat",{}]', Reason.MALFORMED),
    ("a message cut off", METER_VALUES[:-20], Reason.TRUNCATED),
    (
        "a format that is not read",
        b"AP;0;3;AJ2J7LYMGCIWT4AHUJPPFIIVB3FGRV2JQ2HVZG2I",
        Reason.MALFORMED,
    ),
)
