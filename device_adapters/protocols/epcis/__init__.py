"""Reads GS1 EPCIS, 2.0 in JSON-LD and 1.0 to 2.0 in XML: one signed document, one consignment.

Sources: EPCIS 1.2 and 2.0, CBV 2.0 (ISO/IEC 19987 and 19988), GS1 Tag Data Standard 2.0, GS1
Digital Link 1.2, RFC 7515 (JWS). The evidence is the document as sent, with a detached JWS in front
of it; the signed form and the framing of several records: `seal`. XML: `xml_events`. The facts, the
rule for the subject, and `cites`, `names` and `place`: `facts`. Units: `units`. Errors, flaws and
warnings: `notes`. What each field decides, and which are shown only: README.md.
"""

from __future__ import annotations

from device_adapters.protocols.epcis.check import check_epcis, holds_epcis
from device_adapters.protocols.epcis.examples import EXAMPLES as JSON_EXAMPLES
from device_adapters.protocols.epcis.examples_xml import XML_EXAMPLES
from device_adapters.protocols.epcis.record import event_from, read
from device_adapters.protocols.epcis.seal import open_record, split
from device_adapters.types import Event, Reason, Rejected
from device_adapters.verdicts import Report

__all__ = ["EXAMPLES", "INLET", "check", "decode", "recognise", "refuse", "split"]

EXAMPLES = (*JSON_EXAMPLES, *XML_EXAMPLES)
INLET = "proofrail/+/evidence/epcis"  # the topic; + stands for the device's own name


def decode(record: bytes) -> Event:
    """Return the event of one signed EPCIS document. Pure.

    device and counter: kid and ctr of the protected header. observed_at_ms: the last time in it.

    Raises:
        Rejected: the seal, the document or its subject is not valid, or the first error of `Notes`.
    """
    sealed = open_record(record)
    return event_from(sealed, record, *read(sealed.document))


def refuse(event: Event) -> Rejected | None:
    """Return why a new record is refused: structure that the standard requires is missing."""
    flaws = event.facts["flaws"]
    return Rejected(Reason(flaws[0][0]), flaws[0][1], event.evidence) if flaws else None


def recognise(data: bytes) -> bool:
    """Return whether a file is EPCIS, signed or not (see `verdicts`)."""
    return holds_epcis(data)


def check(data: bytes, key: str | bytes | None) -> Report:
    """Check every document in a file, signed or not (see `verdicts`)."""
    return check_epcis(data, key)
