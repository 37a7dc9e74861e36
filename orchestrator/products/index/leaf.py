"""An Index product: names, and the rules by which its records become facts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import sha3

from device_adapters.types import Assurance, Curve, Event, Signed, subject_id
from orchestrator.products.index import pricing, reports, text
from orchestrator.products.index.preview import preview
from orchestrator.products.index.tariff import (
    IndexFacts,
    IndexTerms,
    decode_facts,
    decode_terms,
    encode_facts,
    encode_terms,
    tariff_of,
)

_RULES = ("admit", "complete", "derive", "hears", "heard_period", "effects")
_KEEP = bytes.fromhex("600b5981380380925939f3")  # init code that keeps what follows it


@dataclass(frozen=True)
class IndexProduct:
    """A product whose contract is a leaf of `Index.sol`; see `orchestrator.products.Product`.

    Attributes:
        NAME: Name of the folder.
        CONTRACT: Name of the contract.
        rules: Module with `admit`, `complete` and `derive` (oracles.types.ProductRules).
        ways: (name, help) of the terms that say how records become metrics.
        known: Names of the metrics that the rules derive; empty: any that reports bear.
        DISINTERESTED: Whether the payee may not own the device, which judges its work.
        defaults: (name, value) of terms that may be left out.
    """

    NAME: str
    CONTRACT: str
    rules: ModuleType = reports
    ways: tuple[tuple[str, str], ...] = ()
    known: tuple[str, ...] = ()
    DISINTERESTED: bool = False
    defaults: tuple[tuple[str, str], ...] = ()
    GAPLESS = False  # a device's other records may be about something else
    LATE = False
    REFUSALS = pricing.REFUSALS

    encode_terms = staticmethod(encode_terms)
    encode_facts = staticmethod(encode_facts)
    decode_facts = staticmethod(decode_facts)
    format_terms = staticmethod(text.format_terms)
    format_facts = staticmethod(text.format_facts)
    open = staticmethod(pricing.open)
    price = staticmethod(pricing.price)
    advance = staticmethod(pricing.advance)
    refund = staticmethod(pricing.refund)
    skip = staticmethod(pricing.skip)
    preview = staticmethod(preview)

    def __getattr__(self, name: str) -> Any:
        if name in _RULES and hasattr(self.rules, name):
            return getattr(self.rules, name)
        raise AttributeError(name)

    @property
    def TERMS(self) -> tuple[tuple[str, str], ...]:
        """Return (name, help) of each term."""
        return (*text.TERMS, *self.ways)

    def parse_terms(self, words: Mapping[str, str]) -> bytes:
        """Return the encoded terms for what a person typed; Rejected names what is wrong."""
        terms = text.parse_terms({**dict(self.defaults), **words}, self.ways, self.known)
        self.decode_terms(terms)
        return terms

    def decode_terms(self, raw: bytes) -> IndexTerms:
        """Return the terms in a mandate; Rejected where they are none of this product."""
        terms = decode_terms(raw)
        if check := getattr(self.rules, "ways_of", None):
            check(terms)
        return terms

    def subject(self, terms: bytes) -> bytes:
        """Return the id of what the agreement is about (32 bytes)."""
        return subject_id(decode_terms(terms).about)

    def shared_terms(self, terms: bytes) -> int:
        """Return the key under which the contract keeps the tariff (libraries/Code.sol)."""
        return int.from_bytes(sha3.keccak_256(_KEEP + tariff_of(terms)).digest(), "big")

    def payee(self, facts: bytes) -> str | None:
        """Return None: the payee is always the mandate's."""
        return None

    def proof_of_conflict(self, agreement: bytes, first: Event, second: Event) -> None:
        """Return None: the contract takes no such proof."""
        return None

    def case_event(self, record: Mapping[str, Any]) -> Event:
        """Return a record of cases.json as an event with a made-up signature.

        Args:
            record: counter, and the members of a report; or with `readings` {register: [value,
                unit]} and `to` (Unix seconds) those of a sensor; or with `obis` {code: mWh} those
                of a meter.
        """
        evidence = json.dumps(record, sort_keys=True).encode()
        facts = {"ordinal": record["counter"], "coverage": 10_000, "sources": 1} | dict(record)
        kind = reports.KIND
        if values := record.get("readings"):
            names = ("value", "unit", "usable")
            readings = [
                {"register": name} | dict(zip(names, (*value, True), strict=True))
                for name, value in values.items()
            ]
            facts, kind = {"readings": readings}, "sensor.reading"
        if registers := record.get("obis"):
            read = {"at": record["to"] * 1000}
            readings = [read | {"obis": code, "register": mwh} for code, mwh in registers.items()]
            facts, kind = {"readings": readings}, "meter.reading"
        return Event(
            device=record.get("device", "D-1"),
            counter=record["counter"],
            observed_at_ms=record["to"] * 1000,
            kind=record.get("kind", kind),
            facts=facts,
            evidence=evidence,
            signed=Signed(evidence, b"", Curve.SECP256R1),
            protocol="sealed",
            subject=record.get("subject", "policy:1"),
            assurance=Assurance(record.get("assurance", Assurance.DEVICE)),
        )


__all__ = ["IndexFacts", "IndexProduct", "IndexTerms"]
