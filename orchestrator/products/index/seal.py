"""What a device signs of a report, made again from facts and terms as IndexSeal.sol makes it.

A device writes its report so where the contract is to check the signature: claims in the order iss,
sub, iat, version, counter, report; members in the order of `report_of`; metrics as the terms name
them, and no others; a COSE_Sign1 with ES256.
"""

from __future__ import annotations

from typing import Any

import cbor2

from device_adapters.keys import normalise_low_s, read_der
from device_adapters.protocols.sealed.envelope import LABELS, VERSION, open_envelope
from device_adapters.types import Event, Rejected
from orchestrator.products.index.tariff import IndexFacts, IndexTerms, ReportSeal

_PROTECTED = cbor2.dumps({1: -7})


def sealed_content(terms: IndexTerms, facts: IndexFacts, counter: int) -> bytes:
    """Return the Sig_structure (RFC 9052, section 4.4) that the device signs.

    Args:
        terms: They name the device.
        facts: With a seal.
        counter: Of the record.
    """
    assert facts.seal, "terms name a device that signs"
    claims = {
        "iss": terms.signer,
        "sub": terms.signer,
        "iat": facts.seal.sealed_at,
        "version": VERSION,
        "counter": counter,
        "report": report_of(terms, facts),
    }
    payload = cbor2.dumps({LABELS[name]: value for name, value in claims.items()})
    return cbor2.dumps(["Signature1", _PROTECTED, b"", payload])


def report_of(terms: IndexTerms, facts: IndexFacts) -> dict[str, Any]:
    """Return the report, with its members in the order in which they are signed."""
    assert facts.seal, "terms name a device that signs"
    names = [metric.name for metric in terms.metrics]
    return {
        "device": terms.signer,
        "subject": terms.about,
        "ordinal": facts.seal.ordinal,
        "from": facts.begin,
        "to": facts.end,
        "metrics": dict(zip(names, facts.metrics, strict=True)),
        "coverage": facts.coverage,
        "sources": facts.sources,
        "commitment": facts.seal.commitment,
    }


def seal_of(event: Event) -> ReportSeal | None:
    """Return the seal of a report's event; None where it has none that a contract can check."""
    report = event.facts
    try:
        sealed_at = open_envelope(event.evidence).claims["iat"]
        r, s = normalise_low_s(*read_der(event.signed.signature_der), event.signed.curve)
        commitment = bytes.fromhex(report["commitment"])
        signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        return ReportSeal(report["ordinal"], sealed_at, commitment, signature)
    except (Rejected, ValueError, KeyError, OverflowError):
        return None


def is_sealed_by(terms: IndexTerms, facts: IndexFacts, event: Event) -> bool:
    """Return whether a record's signature is over what the contract makes of its facts."""
    try:
        return sealed_content(terms, facts, event.counter) == event.signed.content
    except (OverflowError, ValueError):
        return False
