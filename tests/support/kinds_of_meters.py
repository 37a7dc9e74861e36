"""What meters without a key say, in each protocol, for a time and a register: for flow tests."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from device_adapters.protocols.mscons.examples import interchange
from tests.support.sml_writer import Unsigned
from tests.support.sml_writer import write as write_sml

Content = Callable[[int, int], bytes]  # (Unix seconds, Wh) -> bytes


def _sml(at: int, wh: int) -> bytes:
    server = b"\x0a\x01TST\x00" + (42).to_bytes(4, "big")
    register = bytes([1, 0, 1, 8, 0, 255])
    moment = [Unsigned(2), Unsigned(at)]
    return write_sml(server, [(register, None, moment, Unsigned(30), 0, Unsigned(wh))])


def _dsmr(at: int, wh: int) -> bytes:
    local = time.strftime("%y%m%d%H%M%SW", time.gmtime(at + 3_600))
    name = b"P1-0042".hex()
    body = f"/TST5\\P1\r\n\r\n0-0:1.0.0({local})\r\n0-0:96.1.1({name})\r\n"
    body += f"1-0:1.8.1({wh // 1000:06}.{wh % 1000:03}*kWh)\r\n1-0:1.8.2(000000.000*kWh)\r\n!\r\n"
    return body.encode()


def _mbus(_at: int, wh: int) -> bytes:
    """Return a frame; it has no time of its own."""
    maker = ((ord("T") - 64) << 10 | (ord("S") - 64) << 5 | (ord("T") - 64)).to_bytes(2, "little")
    header = bytes([8, 1, 0x72]) + bytes.fromhex("42000000") + maker + bytes([1, 2, 0, 0, 0, 0])
    body = header + bytes([0x04, 0x03]) + wh.to_bytes(4, "little")
    size = bytes([len(body)])
    return b"\x68" + size + size + b"\x68" + body + bytes([sum(body) % 256, 0x16])


def _lorawan(at: int, wh: int) -> bytes:
    uplink = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at)),
        "deviceInfo": {"devEui": "70b3d57ed0000042"},
        "fCnt": 1,
        "fPort": 2,
        "data": "AA==",
        "object": {"active_energy_import_wh": wh},
    }
    return json.dumps(uplink).encode()


def _senml(at: int, wh: int) -> bytes:
    return json.dumps(
        [{"bn": "senml-42:", "bt": at, "n": "1-0:1.8.0", "u": "Wh", "v": wh}]
    ).encode()


def _mscons(at: int, wh: int) -> bytes:
    moment = time.strftime("%Y%m%d%H%M?+00", time.gmtime(at))
    value = f"QTY+220:{wh // 1000}.{wh % 1000:03}:KWH"
    return interchange(
        "LOC+172+DE00042", "LIN+1", "PIA+5+1-0?:1.8.0:SRW", value, f"DTM+7:{moment}:303"
    )


def _csv(at: int, wh: int) -> bytes:
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
    declared = (
        "#proofrail csv/1 device=m;at=t;register=r;value=v;unit=u;zone=offset;decimal=.;separator=;"
    )
    return f"{declared}\nm;t;r;v;u\ncsv-42;{moment};1-0:1.8.0;{wh};Wh\n".encode()


WITHOUT_ENERGY = {"machine"}  # protocols of devices that are no meters
# protocol -> (the meter's name in its content, the content)
KINDS: dict[str, tuple[str, Content]] = {
    "sml": ("1TST0000000042", _sml),
    "dsmr": ("P1-0042", _dsmr),
    "mbus": ("TST00000042", _mbus),
    "lorawan": ("70B3D57ED0000042", _lorawan),
    "senml": ("senml-42", _senml),
    "mscons": ("DE00042", _mscons),
    "csv": ("csv-42", _csv),
}
