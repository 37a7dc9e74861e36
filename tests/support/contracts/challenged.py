"""OCMF records that claims rest on, and challenges of those claims."""

from __future__ import annotations

import hashlib
import json
from copy import copy
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any

from device_adapters.keys import raw_to_der
from device_adapters.types import Curve, DeviceKey
from oracles import merkle
from oracles.types import Claim
from tests.support.contracts.contract_rail import (
    DEVICE,
    EURO,
    HOUR,
    KWH,
    ContractRail,
    _address,
    facts,
)
from tests.support.contracts.device_keys import DeviceSigner
from tests.support.contracts.settled import NOBODY, SettlementResult

FORGER = DeviceSigner.p256(666)
ENERGY = "01-00:01.08.00*FF"
NONE = bytes(32)
NO_CLAIM = (NONE, 0, 0, 0, NONE, b"")
NO_PROOF = (NO_CLAIM, (NONE, NONE, NOBODY, 0, 0, 0), NONE, [], b"", [])
NO_CASE = (0, NO_PROOF, NO_PROOF, [], 0, False)


class ChallengeFault(IntEnum):
    """IChallenges.Fault."""

    SIGNATURE = 0
    COUNTER = 1
    REGISTER = 2
    KEY = 3


REASONS = (  # IChallenges.Reason
    "Proven",
    "NotInEvidence",
    "OtherMeter",
    "SignatureValid",
    "SignatureInvalid",
    "KeyMaySign",
    "CounterUsedOnce",
    "OtherCounter",
    "NotThatNumber",
    "NotPlainNumber",
    "RegisterAgrees",
)


def moment(seconds: int) -> str:
    """Return a time as OCMF writes it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S,000+0000 S")


def reading(kwh: Any, seconds: int, mark: str = "", **changes: Any) -> dict[str, Any]:
    """Return a reading; None leaves a member out."""
    plain = {"TM": moment(seconds), "TX": mark or None, "RV": kwh, "RI": ENERGY, "RU": "kWh"}
    members = {**plain, "EF": "", "ST": "G", **changes}
    return {name: value for name, value in members.items() if value is not None}


def payload(counter: int, *readings: Any, **changes: Any) -> str:
    """Return the text that the meter signs."""
    plain = {"FV": "1.0", "MS": "EVSE-1", "PG": f"T{counter}", "RD": list(readings)}
    return json.dumps({**plain, **changes}, separators=(",", ":"))


def signed(content: str, key: DeviceSigner, **seal: Any) -> bytes:
    """Return an OCMF record over a payload; `seal` changes members of its signature."""
    r, s = key.sign(hashlib.sha256(content.encode()).digest())
    signature = {"SA": "ECDSA-secp256r1-SHA256", "SD": raw_to_der(r + s).hex(), **seal}
    text = json.dumps({name: value for name, value in signature.items() if value is not None})
    return f"OCMF|{content}|{text}".encode()


class ChallengedClaim:
    """A claim of one charging session of 10 kWh, settled as the oracles attested it.

    Args:
        records: What it rests on; None: the session's record, as the meter made it.
        claim: Changes of the claim.
    """

    def __init__(
        self, contracts: ContractRail, records: list[bytes] | None = None, **claim: Any
    ) -> None:
        self.contracts = contracts
        self.records = records or [session(contracts)]
        hashes = [hashlib.sha256(record).digest() for record in self.records]
        self.leaves = [merkle.keccak(digest) for digest in hashes]
        begin, end = times(contracts)
        plain = {
            "first_counter": 11,
            "last_counter": 11,
            "evidence": merkle.root(self.leaves),
            "facts": facts(100 * KWH, 110 * KWH, begin, end),
        }
        self.claim: Claim = contracts.claim(**{**plain, **claim})
        self.settlement: SettlementResult = contracts.settle(self.claim)
        self.payment = self.settlement.outcomes[0][0]

    def proof(self, record: bytes | None = None, path: list[bytes] | None = None) -> tuple:
        """Return the proof of one record; without one, of the claim alone."""
        _, _, outcome, root, upwards = self.settlement.dispute()
        c = self.claim
        claim = (
            c.agreement,
            c.sequence,
            c.first_counter,
            c.last_counter,
            c.evidence,
            c.facts,
        )
        if record is None:
            return (claim, outcome, root, upwards, b"", [])
        if path is None:
            path = merkle.path(self.leaves, self.records.index(record))
        return (claim, outcome, root, upwards, record, path)

    def case(self, fault: ChallengeFault, index: int = 0, other: tuple = NO_PROOF) -> tuple:
        """Return a challenge by one record."""
        return (fault, self.proof(self.records[index]), other, [], 0, False)

    def register(
        self, number: bytes, at_end: bool = True, records: list[bytes] | None = None
    ) -> tuple:
        """Return a challenge of the register: `number` is where it points, found by its text."""
        records = records or self.records
        record = records[-1 if at_end else 0]
        offset = record.index(number) + len(number) - len(number.split(b":")[-1])
        return (ChallengeFault.REGISTER, self.proof(), NO_PROOF, records, offset, at_end)


def times(contracts: ContractRail) -> tuple[int, int]:
    """Return when the session begins and ends: as claims of the rail's tests do."""
    begin = contracts.now0 - 10 * 24 * HOUR + 6 * HOUR
    return begin, begin + 5 * HOUR


def session(
    contracts: ContractRail,
    first: Any = 100,
    last: Any = 110,
    counter: int = 11,
    key: DeviceSigner | None = None,
    **changes: Any,
) -> bytes:
    """Return the record of a session as the meter makes it."""
    begin, end = times(contracts)
    content = payload(counter, reading(first, begin, "B"), reading(last, end, "E"), **changes)
    return signed(content, key or contracts.key)


def pay_bond(contracts: ContractRail) -> None:
    """Give a stranger what a challenge costs."""
    contracts.mint(EURO, to=contracts.stranger)
    contracts.token.approve(contracts.challenges, EURO, sender=contracts.stranger)


def challenge(contracts: ContractRail, case: tuple) -> tuple[str, int]:
    """Challenge as a stranger who is given the bond; return the reason and how many were barred."""
    pay_bond(contracts)
    reason, _ = contracts.challenges.judge(case)
    receipt = contracts.challenges.challenge(case, sender=contracts.stranger)
    contracts.assert_conserved()
    named = [event.event_name for event in receipt.events]
    assert ("FaultProven" in named) == (REASONS[reason] == "Proven")
    return REASONS[reason], named.count("MemberBarredForFault")


def judged(contracts: ContractRail, case: tuple) -> str:
    """Return what a challenge would end in: a reason, or the name of what it reverts with."""
    refusal = contracts.refusal(contracts.challenges.judge, case, sender=contracts.stranger)
    return refusal or REASONS[contracts.challenges.judge(case)[0]]


def able(contracts: ContractRail) -> int:
    """Return how many of the three oracles that attest in tests are not barred."""
    members = [contracts.committee.memberOf(_address(key)) for key in contracts.oracles[:3]]
    return sum(not member.barred for member in members)


def device_key(signer: DeviceSigner) -> DeviceKey:
    """Return a signer's key as the oracles hold it."""
    x, y = (int.from_bytes(number, "big") for number in (signer.x, signer.y))
    return DeviceKey(Curve.SECP256R1, x, y)


def assert_won(
    contracts: ContractRail, claim: ChallengedClaim, case: tuple, barred: int = 3
) -> None:
    """Assert that the payer is refunded, the bond is back, and so many oracles are barred."""
    rail, token = contracts.rail, contracts.token
    escrow = rail.agreementState(claim.claim.agreement).escrow
    amount = claim.settlement.amounts[0]
    assert challenge(contracts, case) == ("Proven", barred)
    assert rail.agreementState(claim.claim.agreement).escrow == escrow + amount
    assert token.balanceOf(contracts.stranger) == EURO
    assert token.balanceOf(contracts.challenges) == 0
    assert able(contracts) == 3 - barred
    assert rail.totals()[1:4] == (0, 0, 0)


def assert_lost(contracts: ContractRail, claim: ChallengedClaim, case: tuple, reason: str) -> None:
    """Assert that the bond is the payee's, and that nothing else changed."""
    rail, token = contracts.rail, contracts.token
    before = rail.totals(), rail.agreementState(claim.claim.agreement)
    assert challenge(contracts, case) == (reason, 0)
    assert (rail.totals(), rail.agreementState(claim.claim.agreement)) == before
    assert token.balanceOf(contracts.payee) == EURO
    assert token.balanceOf(contracts.stranger) == 0
    assert token.balanceOf(contracts.challenges) == 0
    assert able(contracts) == 3


def moved_rail(contracts: ContractRail) -> ContractRail:
    """Return the same parties on a new rail whose registry takes the devices over."""
    moved = copy(contracts)
    before = contracts.registry
    moved.registry = contracts.deploy(
        "DeviceRegistry", contracts.access, contracts.committee, before
    )
    moved.rail = moved.deploy_rail(moved.committee, moved.registry)
    moved.disputes = moved.at("Disputes", moved.rail.disputes())
    moved.product = moved.add_product("MeteredEnergy")
    parts = (moved.rail, moved.token, moved.committee, moved.registry)
    moved.challenges = moved.deploy("Challenges", *parts)
    moved.committee.setChallenges(moved.rail, moved.challenges, sender=moved.steward)
    moved.registry.adopt(DEVICE, sender=moved.stranger)
    moved.agreement = moved.open(moved.mandate(start=moved.now + 1))
    moved.mint(20 * EURO, moved.agreement)
    return moved
