"""Challenges: what shows the contract that a settled claim rests on a bad record. Pure.

`contracts/interfaces/IChallenges.sol` decides; here its arguments are made, from a claim's records,
and its answers get their words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Any

from device_adapters.types import Rejected
from oracles.merkle import evidence_root, keccak, path
from oracles.types import Claim
from orchestrator.core.party_call import ChallengeReason

_NUMBER = re.compile(rb'"RV"[ \t\r\n]*:[ \t\r\n]*(-?[0-9])')  # of a reading, or of what looks so
_PAGE = re.compile(rb'"PG"[ \t\r\n]*:[ \t\r\n]*"([TF])([0-9]{1,15})"')  # stream and counter
_NO_HASH = bytes(32)
_NOBODY = "0x" + "00" * 20
_NO_PROOF = (
    (_NO_HASH, 0, 0, 0, _NO_HASH, b""),
    (_NO_HASH, _NO_HASH, _NOBODY, 0, 0, 0),
    _NO_HASH,
    [],
    b"",
    [],
)


class RecordFault(StrEnum):
    """What can be wrong with a record; the order is IChallenges.Fault's."""

    SIGNATURE = "signature"
    COUNTER = "counter"
    REGISTER = "register"
    KEY = "key"


class ChallengeVerdict(StrEnum):
    """What the contract says of a challenge; the order is IChallenges.Reason's. Stable codes."""

    PROVEN = "proven"
    NOT_IN_EVIDENCE = "not_in_evidence"
    OTHER_METER = "other_meter"
    SIGNATURE_VALID = "signature_valid"
    SIGNATURE_INVALID = "signature_invalid"
    KEY_MAY_SIGN = "key_may_sign"
    COUNTER_USED_ONCE = "counter_used_once"
    OTHER_COUNTER = "other_counter"
    NOT_THAT_NUMBER = "not_that_number"
    NOT_PLAIN_NUMBER = "not_plain_number"
    REGISTER_AGREES = "register_agrees"


TEXTS: dict[ChallengeVerdict, str] = {
    ChallengeVerdict.PROVEN: "the fault is proved",
    ChallengeVerdict.NOT_IN_EVIDENCE: "the claim does not rest on this record",
    ChallengeVerdict.OTHER_METER: "the record is of another meter than the agreement's",
    ChallengeVerdict.SIGNATURE_VALID: "the device signed it",
    ChallengeVerdict.SIGNATURE_INVALID: "the device did not sign it, so it proves no register",
    ChallengeVerdict.KEY_MAY_SIGN: "the key was active at that time",
    ChallengeVerdict.COUNTER_USED_ONCE: "no other record has its counter",
    ChallengeVerdict.OTHER_COUNTER: "the claim does not begin, or end, with this record",
    ChallengeVerdict.NOT_THAT_NUMBER: "not the number that the claim begins, or ends, with",
    ChallengeVerdict.NOT_PLAIN_NUMBER: "the number has a sign or an exponent",
    ChallengeVerdict.REGISTER_AGREES: "the register is what the claim says",
}
# errors of the contract, after which a challenge costs nothing -> what they say
REFUSALS: dict[str, str] = {
    "NeedsRuling": "only people can decide it: dispute the payment",
    "RecordUnreadable": "the contract does not read this record: dispute the payment",
    "RecordTooLarge": "the records are larger than one transaction can hold: dispute the payment",
    "WindowOver": "the dispute window is over",
    "NotChallengeable": "nothing was paid, or a fault of it was proved before",
    "OutcomeInvalid": "the settlement does not hold this outcome",
}


@dataclass(frozen=True, slots=True)
class ProvenClaim:
    """A settled claim with all that proves it.

    Attributes:
        claim: As the oracles signed it.
        outcome: The fields of IPaymentRail.Outcome.
        root: Of the settlement's tree.
        path: From the outcome to the root.
        records: What its evidence root is made of, in that order.
    """

    claim: Claim
    outcome: tuple[Any, ...]
    root: bytes
    path: tuple[bytes, ...]
    records: tuple[bytes, ...]

    @property
    def payment(self) -> str:
        """Return the payment's id, 0x-hex."""
        return "0x" + bytes(self.outcome[0]).hex()

    def checked(self) -> ProvenClaim:
        """Return the claim if its records are those that it rests on.

        Raises:
            Rejected: RECORDS_INCOMPLETE.
        """
        hashes = [sha256(record).digest() for record in self.records]
        if not hashes or evidence_root(hashes) != self.claim.evidence:
            raise Rejected(
                ChallengeReason.RECORDS_INCOMPLETE,
                f"the {len(hashes)} records of payment {self.payment} are not those that its claim "
                "rests on, so nothing can be proved with them; nothing was sent. Next: get the "
                "audit bundle of who settled it",
            )
        return self

    def proof(self, record: int | None = None) -> tuple[Any, ...]:
        """Return IChallenges.Proof of the record at a position; None: of the claim alone."""
        c = self.claim
        fields = (
            c.agreement,
            c.sequence,
            c.first_counter,
            c.last_counter,
            c.evidence,
            c.facts,
        )
        head = (fields, self.outcome, self.root, list(self.path))
        if record is None:
            return (*head, b"", [])
        leaves = [keccak(sha256(body).digest()) for body in self.records]
        return (*head, self.records[record], path(leaves, record))


@dataclass(frozen=True, slots=True)
class ChallengeCase:
    """One challenge.

    Attributes:
        fault: What it is about.
        record: The record's position in the claim, from 1.
        at_end: Of a register: whether it is the claim's last reading.
        arguments: IChallenges.Case.
    """

    fault: RecordFault
    record: int
    at_end: bool
    arguments: tuple[Any, ...]


def challenge_cases(
    proven: ProvenClaim,
    faults: Sequence[RecordFault] = tuple(RecordFault),
    record: int | None = None,
    other: ProvenClaim | None = None,
) -> Iterator[ChallengeCase]:
    """Yield every challenge of a claim that may hold, in the order in which to ask the contract.

    The disputed number of a register is one of several places: the contract says which counts.

    Args:
        proven: The claim, its records checked.
        faults: Which faults to look for.
        record: Only the record at this position, from 1; None: all.
        other: Another payment that may hold the same counters.

    Raises:
        Rejected: RECORD_UNKNOWN.
    """
    count = len(proven.records)
    if record is not None and not 1 <= record <= count:
        raise Rejected(
            ChallengeReason.RECORD_UNKNOWN,
            f"payment {proven.payment} rests on {count} records, and there is no record {record}; "
            "nothing was sent",
        )
    chosen = range(count) if record is None else [record - 1]
    for fault in faults:
        for index in chosen:
            yield from _FINDERS[fault](proven, index, other)


def _by_record(fault: RecordFault) -> Any:
    def cases(proven: ProvenClaim, index: int, _: ProvenClaim | None) -> Iterator[ChallengeCase]:
        yield _case(fault, index, proven.proof(index))

    return cases


def _counters(
    proven: ProvenClaim, index: int, other: ProvenClaim | None
) -> Iterator[ChallengeCase]:
    """Pair a record with the later ones of its claim, and with those of another payment."""
    places = [(proven, second) for second in range(index + 1, len(proven.records))]
    places += [(other, second) for second in range(len(other.records))] if other else []
    for claim, second in places:
        if _may_share_counter(proven.records[index], claim.records[second]):
            yield _case(RecordFault.COUNTER, index, proven.proof(index), claim.proof(second))


def _may_share_counter(record: bytes, second: bytes) -> bool:
    """Return False where both show counters and none is the same: the contract need not say it."""
    counters, others = (
        {(stream, int(digits)) for stream, digits in _PAGE.findall(body)}
        for body in (record, second)
    )
    return not counters or not others or not counters.isdisjoint(others)


def _registers(proven: ProvenClaim, index: int, _: ProvenClaim | None) -> Iterator[ChallengeCase]:
    """Point at the numbers of the claim's last record, the last one first, then of its first."""
    numbers = [match.start(1) for match in _NUMBER.finditer(proven.records[index])]
    ends = {True: numbers[::-1] if index == len(proven.records) - 1 else []}
    ends[False] = numbers if index == 0 else []
    for at_end, places in ends.items():
        for offset in places:
            proofs = (proven.proof(), _NO_PROOF, list(proven.records))
            arguments = (number_of(RecordFault.REGISTER), *proofs, offset, at_end)
            yield ChallengeCase(RecordFault.REGISTER, index + 1, at_end, arguments)


def number_of(fault: RecordFault) -> int:
    """Return the number of a fault in IChallenges.Fault."""
    return list(RecordFault).index(fault)


def _case(fault: RecordFault, index: int, proof: Any, other: Any = _NO_PROOF) -> ChallengeCase:
    return ChallengeCase(fault, index + 1, False, (number_of(fault), proof, other, [], 0, False))


_FINDERS = {
    RecordFault.SIGNATURE: _by_record(RecordFault.SIGNATURE),
    RecordFault.COUNTER: _counters,
    RecordFault.REGISTER: _registers,
    RecordFault.KEY: _by_record(RecordFault.KEY),
}
