"""Reads uplinks of LoRaWAN devices as network servers send them, in JSON.

Sources: ChirpStack v4 (integration event "up"), The Things Stack v3 (ApplicationUp with
uplink_message). The network server's codec decodes the device's bytes; which of its fields are
registers is declared in `FIELDS`, and nothing is guessed from other names.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from device_adapters import strict_json
from device_adapters.content import Content, Reading
from device_adapters.registers import Register, parse
from device_adapters.types import Reason, Rejected

_IMPORT, _EXPORT = (Register(bytes([1, 0, c, 8, 0, 0xFF])) for c in (1, 2))
# A codec's field -> (register, unit). Names of our own: a codec is one line of JavaScript away.
FIELDS: dict[str, tuple[Register, str]] = {
    "active_energy_import_wh": (_IMPORT, "Wh"),
    "active_energy_import_kwh": (_IMPORT, "kWh"),
    "active_energy_export_wh": (_EXPORT, "Wh"),
    "active_energy_export_kwh": (_EXPORT, "kWh"),
}
_OBIS_FIELD = re.compile(r"([0-9.:*-]{5,20})[ _](k?Wh)")  # such as "1-0:1.8.0_kWh"
_EUI = re.compile(r"[0-9a-fA-F]{16}")
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)")
_MARK = re.compile(rb'"(?:devEui|dev_eui)"\s*:')
_MOST_FIELDS, _MAX_NAME = 500, 100


class _Uplink(NamedTuple):
    """One uplink of either network server."""

    eui: str
    at_ms: int | None
    fields: dict[str, Any]
    shown: dict[str, Any]


def recognise(data: bytes) -> bool:
    """Return whether bytes are a JSON object with the EUI of a LoRaWAN device."""
    return data.lstrip()[:1] == b"{" and _MARK.search(data) is not None


def read(content: bytes) -> Content:
    """Return the readings of one uplink: numbers of the decoded object, by their paths.

    A reading's device is the devEUI in upper case, its time the one at which the network received
    the uplink. Shown: fPort, fCnt, the raw frame in base64, and what is no number.

    Raises:
        Rejected: it is no uplink of ChirpStack v4 or The Things Stack v3, or names no devEUI.
    """
    try:
        event = strict_json.decode(content.decode())
    except UnicodeDecodeError:
        raise Rejected(Reason.NOT_UTF8, "the uplink is not UTF-8") from None
    if not isinstance(event, dict):
        raise Rejected(Reason.WRONG_TYPE, "an uplink is a JSON object")
    if "deviceInfo" in event:
        uplink = _chirpstack(event)
    elif "end_device_ids" in event:
        uplink = _things_stack(event)
    else:
        detail = "neither an uplink of ChirpStack v4 nor of The Things Stack v3"
        raise Rejected(Reason.MALFORMED, detail)
    shown = uplink.shown
    readings: list[Reading] = []
    for name, value in _leaves(uplink.fields, ""):
        if isinstance(value, int | Decimal) and not isinstance(value, bool):
            readings.append(_reading(uplink, name, value))
        else:
            shown.setdefault("other_fields", {})[name] = value if value is None else str(value)
    return Content(tuple(readings), shown=shown)


def _chirpstack(event: dict[str, Any]) -> _Uplink:
    info = _object(event, "deviceInfo")
    shown = _shown(event, fPort="fPort", fCnt="fCnt", raw="data", id="deduplicationId")
    return _Uplink(
        _eui(info.get("devEui")), _time(event.get("time")), _decoded(event, "object"), shown
    )


def _things_stack(event: dict[str, Any]) -> _Uplink:
    ids, message = _object(event, "end_device_ids"), _object(event, "uplink_message")
    shown = _shown(message, fPort="f_port", fCnt="f_cnt", raw="frm_payload")
    at_ms = _time(message.get("received_at", event.get("received_at")))
    return _Uplink(_eui(ids.get("dev_eui")), at_ms, _decoded(message, "decoded_payload"), shown)


def _reading(uplink: _Uplink, name: str, value: int | Decimal) -> Reading:
    register, unit = FIELDS.get(name, (None, ""))
    if register is None and (match := _OBIS_FIELD.fullmatch(name)):
        register, unit = parse(match[1], decimal=True), match[2]
    text = format(Decimal(value), "f")
    return Reading(
        uplink.eui, uplink.at_ms, register.text if register else name, text, unit, obis=register
    )


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield (path, value) of all leaves of a decoded object; paths are joined with slashes."""
    pending = deque([(path, value)])
    count = 0
    while pending:
        path, value = pending.popleft()
        if isinstance(value, dict):
            pending.extend((f"{path}/{key}" if path else key, v) for key, v in value.items())
        elif isinstance(value, list):
            pending.extend((f"{path}/{index}", item) for index, item in enumerate(value))
        else:
            count += 1
            if count > _MOST_FIELDS or len(path) > _MAX_NAME:
                raise Rejected(Reason.TOO_LARGE, f"more than {_MOST_FIELDS} fields, or a long name")
            yield path, value


def _decoded(message: dict[str, Any], name: str) -> dict[str, Any]:
    fields = message.get(name)
    if fields is None:
        return {}
    if not isinstance(fields, dict):
        raise Rejected(Reason.WRONG_TYPE, f"{name} is not an object")
    return fields


def _object(event: dict[str, Any], name: str) -> dict[str, Any]:
    value = event.get(name)
    if not isinstance(value, dict):
        raise Rejected(Reason.MALFORMED, f"the uplink has no {name}: it is another event")
    return value


def _shown(message: dict[str, Any], **names: str) -> dict[str, Any]:
    values = {ours: message.get(theirs) for ours, theirs in names.items()}
    return {name: value for name, value in values.items() if isinstance(value, str | int)}


def _eui(value: Any) -> str:
    if not isinstance(value, str) or not _EUI.fullmatch(value):
        raise Rejected(Reason.DEVICE_MISSING, "the devEUI is not 16 hex digits")
    return value.upper()


def _time(value: Any) -> int | None:
    """Return Unix milliseconds of an RFC 3339 time; None where there is none."""
    if value is None:
        return None
    match = _TIME.fullmatch(value) if isinstance(value, str) else None
    try:
        moment = datetime.fromisoformat(match[1] + match[3]) if match else None
    except ValueError:
        moment = None
    if match is None or moment is None:
        raise Rejected(Reason.TIME_MALFORMED, f"the time is {value!r:.60}")
    return int(moment.timestamp()) * 1000 + int(((match[2] or "") + "000")[:3])
