"""The limits that partners read are those of the code, and each fits the one that carries it."""

from __future__ import annotations

import re
from pathlib import Path

from device_adapters.types import MAX_MESSAGE_BYTES, MAX_RECORD_BYTES, MAX_RECORDS_PER_MESSAGE
from orchestrator.core import later_outcome, receipt
from orchestrator.edges.api.wire import MAX_BATCH
from orchestrator.edges.broker.server import MAX_PAYLOAD_BYTES
from orchestrator.settings import Settings

PAGE = Path(__file__).resolve().parents[2] / "docs" / "PARTNERS.md"
_ROW = re.compile(r"^\| ([a-zA-Z' ,]+) \| ([0-9,]+) \| .+ \|$", re.MULTILINE)
_BASE64 = 4 / 3
_ENVELOPE = 1_000  # header and signature of a JWS, headers of a message
_ANSWER = 400  # a record's answer in a receipt, generously


def default(name: str) -> int:
    return Settings.model_fields[name].default


def test_partners__the_table_of_limits__has_the_figures_of_the_code() -> None:
    section = PAGE.read_text().split("\n## Limits\n")[1].split("\n## ")[0]
    assert {name: int(figure.replace(",", "")) for name, figure in _ROW.findall(section)} == {
        "bytes of a record": MAX_RECORD_BYTES,
        "bytes of a message": MAX_MESSAGE_BYTES,
        "bytes of an MQTT message with its headers": MAX_PAYLOAD_BYTES,
        "records in a message": MAX_RECORDS_PER_MESSAGE,
        "records in a receipt": receipt.RECORDS_PER_RECEIPT,
        "bytes of the outcomes in a message, before the signature": later_outcome.MAX_BYTES,
        "ids in an acknowledgement": later_outcome.MAX_IDS,
        "bytes of an HTTP body": default("max_body_bytes"),
        "records in an HTTP batch": MAX_BATCH,
        "requests of a key in a minute": default("api_requests_per_minute"),
        "messages of a device and protocol in the broker's log": default("broker_device_messages"),
        "hours in the broker's log": default("broker_log_hours"),
    }


def test_limits__each__fits_what_carries_it() -> None:
    """A message that its carrier refuses is sent again and again, and holds back what follows."""
    assert MAX_RECORD_BYTES < MAX_MESSAGE_BYTES < MAX_PAYLOAD_BYTES - _ENVELOPE
    assert receipt.RECORDS_PER_RECEIPT * _ANSWER * _BASE64 + _ENVELOPE < MAX_PAYLOAD_BYTES
    assert receipt.RECORDS_PER_RECEIPT * _ANSWER * _BASE64 + _ENVELOPE < receipt.MAX_RECEIPT_BYTES
    largest = later_outcome.MAX_BYTES + 6 * later_outcome.MAX_DETAIL + _ENVELOPE
    assert largest * _BASE64 + _ENVELOPE < MAX_PAYLOAD_BYTES
    acknowledgement = later_outcome.acknowledgement(["ab" * 32] * later_outcome.MAX_IDS)
    assert len(acknowledgement) < MAX_MESSAGE_BYTES
    assert default("max_body_bytes") > MAX_MESSAGE_BYTES
