"""Example uplinks, each with fields of its first reading or the reason of its rejection."""

from __future__ import annotations

from typing import Any

from device_adapters.types import Reason

CHIRPSTACK = (
    b'{"deduplicationId":"3ac7e3c4-4401-4b8d-9386-a5c902f9202d",'
    b'"time":"2026-03-01T07:00:00.250999+00:00",'
    b'"deviceInfo":{"tenantName":"Utility","applicationName":"Meters","deviceName":"Flat 3",'
    b'"devEui":"70b3d57ed005a1b2"},"devAddr":"00189440","adr":true,"dr":1,"fCnt":4,"fPort":2,'
    b'"confirmed":false,"data":"AAS14w==",'
    b'"object":{"active_energy_import_kwh":1234.567,"1-0:2.8.0_Wh":300,"voltage":{"l1":230.1},'
    b'"valve":"open"},"rxInfo":[{"gatewayId":"0016c001f153a14c","rssi":-36}]}'
)
THINGS_STACK = (
    b'{"end_device_ids":{"device_id":"flat-3","application_ids":{"application_id":"meters"},'
    b'"dev_eui":"70B3D57ED005A1B2","dev_addr":"00189440"},'
    b'"received_at":"2026-03-01T07:00:00.5Z","uplink_message":{"f_port":2,"f_cnt":4,'
    b'"frm_payload":"AAS14w==","decoded_payload":{"active_energy_import_wh":1234567},'
    b'"received_at":"2026-03-01T07:00:00.250Z"}}'
)
_READING = {"device": "70B3D57ED005A1B2", "at_ms": 1_772_348_400_250}
_ENERGY = {"register": "01-00:01.08.00*FF"}
EXAMPLES: tuple[tuple[str, bytes, dict[str, Any] | Reason], ...] = (
    ("ChirpStack v4", CHIRPSTACK, _READING | _ENERGY | {"value": "1234.567", "unit": "kWh"}),
    ("The Things Stack v3", THINGS_STACK, _READING | _ENERGY | {"value": "1234567", "unit": "Wh"}),
    (
        "a field that is not declared",
        CHIRPSTACK.replace(b"active_energy_import_kwh", b"energy"),
        {"register": "energy", "unit": "", "obis": None},
    ),
    (
        "no time",
        CHIRPSTACK.replace(b'"time"', b'"when"'),
        {"device": "70B3D57ED005A1B2", "at_ms": None},
    ),
    ("a devEUI cut off", CHIRPSTACK.replace(b"a1b2", b"a1b"), Reason.DEVICE_MISSING),
    ("a time without zone", CHIRPSTACK.replace(b"+00:00", b""), Reason.TIME_MALFORMED),
    ("no such day", CHIRPSTACK.replace(b"2026-03-01", b"2026-02-30"), Reason.TIME_MALFORMED),
    (
        "a join of The Things Stack",
        THINGS_STACK.replace(b"uplink_message", b"join_accept"),
        Reason.MALFORMED,
    ),
    (
        "an object that is a list",
        CHIRPSTACK.replace(b'"object":{', b'"object":[],"x":{'),
        Reason.WRONG_TYPE,
    ),
    ("another JSON object", b'{"devEui":"70b3d57ed005a1b2"}', Reason.MALFORMED),
    ("a list", b"[]", Reason.WRONG_TYPE),
    ("cut off", CHIRPSTACK[:-7], Reason.TRUNCATED),
)
