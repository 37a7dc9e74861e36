"""A meter that shares no code with the project: cryptography, paho and two published formats.

Records follow the OCMF specification 1.0 of the SAFE initiative (sections "Payload data" and
"Signature data"), in the spelling of another vendor than the simulated meters. Receipts are
compact JWS (RFC 7515) of ES256, checked with the keys at `/.well-known/jwks.json` (RFC 7517).
"""

from __future__ import annotations

import base64
import hashlib
import json
import queue
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from paho.mqtt import client as paho

_ZONE = timezone(timedelta(hours=1))  # a meter writes its local time with the offset
_COMPONENT_BYTES = 32  # of an ES256 signature: r and s
_RESEND_S = 5.0


class IndependentMeter:
    """A charge point with a P-256 key of its own, a register and a counter.

    Args:
        name: its serial number, which is also its name at the broker.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._counter, self._kwh = 0, Decimal("2061.4070")
        self._last = int(time.time())
        self._receipts: queue.Queue[bytes] = queue.Queue()
        self._client: paho.Client | None = None

    @property
    def public_pem(self) -> str:
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return self._key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()

    def prove(self, digest: bytes) -> bytes:
        """Return the DER signature of a SHA-256 digest: the proof that it holds its key."""
        return self._key.sign(digest, ec.ECDSA(utils.Prehashed(hashes.SHA256())))

    def session(self, kwh: Decimal) -> bytes:
        """Return the signed record of a charging session that ends now."""
        begin, self._last = self._last, max(int(time.time()), self._last + 1)
        before, self._kwh = self._kwh, self._kwh + kwh
        self._counter += 1
        payload = _payload(
            self.name,
            self._counter,
            [("B", begin, before), ("E", self._last, self._kwh)],
        )
        signature = {
            "SA": "ECDSA-secp256r1-SHA256",
            "SE": "hex",
            "SM": "application/x-der",
            "SD": self._key.sign(payload.encode(), ec.ECDSA(hashes.SHA256())).hex().upper(),
        }
        return f"OCMF|{payload}|{json.dumps(signature)}".encode()

    def connect(self, host: str, port: int, password: str) -> None:
        """Log in to the broker; the client connects again by itself whenever it has to."""
        # the client id is the device's name, with "." written as "~"
        client = paho.Client(
            paho.CallbackAPIVersion.VERSION2,
            client_id=self.name.replace(".", "~"),
            clean_session=True,
        )
        client.username_pw_set(self.name, password)
        client.reconnect_delay_set(1, 5)
        client.on_connect = lambda *_: client.subscribe(f"proofrail/{self.name}/receipts", qos=1)
        client.on_message = lambda _client, _data, message: self._receipts.put(message.payload)
        client.connect_async(host, port)
        client.loop_start()
        self._client = client

    def close(self) -> None:
        if self._client is not None:
            self._client.disconnect()
            self._client.loop_stop()

    def send(self, record: bytes, keys: Sequence[Mapping[str, str]], patience_s: float) -> str:
        """Send a record, the same bytes again and again, until its receipt comes.

        Args:
            keys: the rail's receipt keys, as JWK.

        Returns:
            The outcome in the receipt: "accepted", or why not.
        """
        assert self._client is not None
        evidence, deadline = hashlib.sha256(record).hexdigest(), time.monotonic() + patience_s
        while time.monotonic() < deadline:
            self._client.publish(f"proofrail/{self.name}/evidence/ocmf", record, qos=1)
            try:
                while True:
                    receipt = read_receipt(self._receipts.get(timeout=_RESEND_S), keys)
                    for line in receipt["records"]:
                        if receipt["device"] == self.name and line["evidence"] == evidence:
                            return line["outcome"]
            except queue.Empty:
                continue
        raise AssertionError(f"{self.name} has no receipt after {patience_s:.0f} s")


def _payload(name: str, counter: int, points: Sequence[tuple[str, int, Decimal]]) -> str:
    readings = [
        f'{{"TM": "{_moment(at)} S", "TX": "{mark}", "RV": {register}, '
        '"RI": "1-b:1.8.0", "RU": "kWh", "RT": "AC", "EF": "", "ST": "G"}'
        for mark, at, register in points
    ]
    fields = {
        **{"FV": "1.0", "GI": "Wallbox of another maker", "GS": f"{name}-gw", "GV": "4.2.0"},
        **{"PG": f"T{counter}", "MV": "Another maker", "MM": "EM-3", "MS": name, "MF": "2.1"},
        **{"IS": True, "IL": "TRUSTED", "IF": ["RFID_RELATED"], "IT": "ISO14443"},
        **{"ID": "1F2D3A4F5506C7", "CT": "EVSEID", "CI": "DE*ABC*E0001*1"},
    }
    # JSON has no number type that keeps the digits of a register, so readings are text here
    return f'{json.dumps(fields)[:-1]}, "RD": [{", ".join(readings)}]}}'


def _moment(at: int) -> str:
    return datetime.fromtimestamp(at, _ZONE).strftime("%Y-%m-%dT%H:%M:%S,000%z")


def read_receipt(token: bytes, keys: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """Return the payload of a receipt; InvalidSignature if none of the rail's keys signed it."""
    head, payload, signature = token.decode().split(".")
    kid = json.loads(_decoded(head))["kid"]
    (key,) = [key for key in keys if key["kid"] == kid]
    x, y = (int.from_bytes(_decoded(key[name]), "big") for name in ("x", "y"))
    public = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    raw = _decoded(signature)
    r, s = raw[:_COMPONENT_BYTES], raw[_COMPONENT_BYTES:]
    der = utils.encode_dss_signature(int.from_bytes(r, "big"), int.from_bytes(s, "big"))
    public.verify(der, f"{head}.{payload}".encode(), ec.ECDSA(hashes.SHA256()))
    return json.loads(_decoded(payload))


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
