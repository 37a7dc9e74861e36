"""Challenges that are lost, or that the contract leaves to a ruling: what they point at.

challenge of an honest claim
├── given another reading, another field, a string, an extension, an exponent, another record
│   └── it should lose: the bond is the payee's, and nothing else changes
├── given a genuine signature in any form
│   └── it should lose
└── given what this contract does not read, or what oracles may have seen otherwise
    └── it should revert by name, and cost nothing
"""

from __future__ import annotations

import hashlib
from base64 import b64encode

import pytest

from device_adapters.keys import genuine, raw_to_der
from device_adapters.protocols.ocmf import decode
from services.testnet import TX_GAS_LIMIT
from tests.support.contracts.challenged import (
    FORGER,
    NO_PROOF,
    ChallengedClaim,
    ChallengeFault,
    assert_lost,
    assert_won,
    device_key,
    judged,
    payload,
    reading,
    session,
    signed,
    times,
)
from tests.support.contracts.contract_rail import (
    DAY,
    DEVICE,
    EURO,
    HOUR,
    KWH,
    facts,
)
from tests.support.contracts.device_keys import DeviceSigner, rotation
from tests.support.contracts.settled import plain_facts


def forms_of(contracts, content):
    """Return a record in each form of signature that an oracle takes."""
    r, s = contracts.key.sign(hashlib.sha256(content.encode()).digest())
    der, raw = raw_to_der(r + s), r + s
    unsigned = b"\x30\x44\x02\x20" + r + b"\x02\x20" + s
    return {
        "no algorithm": signed(content, contracts.key, SA=None),
        "raw": signed(content, contracts.key, SA="ecdsa-SECP256R1-sha256", SD=raw.hex()),
        "base64": signed(content, contracts.key, SD=b64encode(der).decode(), SE="base64"),
        "raw in base64": signed(content, contracts.key, SD=b64encode(raw).decode(), SE="base64"),
        "no sign": signed(content, contracts.key, SD=unsigned.hex().upper()),
        "long form": signed(content, contracts.key, SD=(b"\x30\x81" + unsigned[1:]).hex()),
    }


@pytest.mark.parametrize(
    "form", ["no algorithm", "raw", "base64", "raw in base64", "no sign", "long form"]
)
def test_signature__of_the_device__loses_in_every_form(contracts, form):
    """Attack: a form of signature that the contract does not know makes a genuine record forged."""
    begin, end = times(contracts)
    content = payload(11, reading(100, begin, "B"), reading(110, end, "E"))
    record = forms_of(contracts, content)[form]
    assert genuine(decode(record).signed, device_key(contracts.key))
    claim = ChallengedClaim(contracts, [record])
    assert_lost(contracts, claim, claim.case(ChallengeFault.SIGNATURE), "SignatureValid")


def test_key__that_might_sign__loses(contracts):
    claim = ChallengedClaim(contracts)
    assert_lost(contracts, claim, claim.case(ChallengeFault.KEY), "KeyMaySign")


def test_counter__used_once__loses(contracts):
    records = [session(contracts), session(contracts, counter=12)]
    claim = ChallengedClaim(contracts, records, last_counter=12)
    case = claim.case(ChallengeFault.COUNTER, other=claim.proof(records[1]))
    assert_lost(contracts, claim, case, "CounterUsedOnce")


def test_counter__the_same_record_shown_twice__loses(contracts):
    claim = ChallengedClaim(contracts)
    case = claim.case(ChallengeFault.COUNTER, other=claim.proof(claim.records[0]))
    assert_lost(contracts, claim, case, "CounterUsedOnce")


def test_register__that_agrees__loses(contracts):
    claim = ChallengedClaim(contracts)
    assert_lost(contracts, claim, claim.register(b'"RV":110'), "RegisterAgrees")


TRAPS = {  # where a challenge of an honest claim points -> how the record hides another number
    "another reading": (b'"RV":100', {}),
    "another field": (b'"PG":"T11', {}),
    "digits in a string": (b'"TT":"105', {"TT": "105 ct"}),
    "a reading in a string": (b'\\"RV\\":105', {"TT": '"RD":[{"RV":105}]'}),
    "an extension object": (b'"RV":105', {"U1": {"RD": [{"RV": 105}], "RV": 105}}),
    "an extension in a reading": (b'"RV":105', {"inside": True}),
    "the middle of the number": (b'"RV":1', {"shift": 1}),
    "nothing": (b"", {}),
}


@pytest.mark.parametrize("trap", TRAPS)
def test_register__the_challenge_points_at_another_number__loses(contracts, trap):
    """Attack: a challenger has honest oracles barred by pointing at another number."""
    number, changes = TRAPS[trap]
    begin, end = times(contracts)
    last = reading(110, end, "E")
    if changes.pop("inside", False):
        last = {"X": {"RV": 105}, **last}
    shift = changes.pop("shift", 0)
    content = payload(11, reading(100, begin, "B"), last, **changes)
    claim = ChallengedClaim(contracts, [signed(content, contracts.key)])
    fault, proof, other, records, offset, at_end = claim.register(number)
    case = (fault, proof, other, records, offset + shift, at_end)
    assert_lost(contracts, claim, case, "NotThatNumber")


def test_register__digits_of_a_value_in_quotes__lose(contracts):
    begin, end = times(contracts)
    content = payload(11, reading(100, begin, "B"), reading("105", end, "E"))
    claim = ChallengedClaim(contracts, [signed(content, contracts.key)])
    fault, proof, other, records, offset, at_end = claim.register(b'"RV":"105')
    for at in (offset, offset + 1):
        assert judged(contracts, (fault, proof, other, records, at, at_end)) == "NotThatNumber"


@pytest.mark.parametrize("number", ["1.05e2", "105E0", "-105"])
def test_register__a_number_with_exponent_or_sign__loses(contracts, number):
    begin, end = times(contracts)
    content = payload(11, reading(100, begin, "B"), reading(777, end, "E"))
    content = content.replace('"RV":777', f'"RV":{number}')
    claim = ChallengedClaim(contracts, [signed(content, contracts.key)])
    case = claim.register(f'"RV":{number}'.encode())
    assert_lost(contracts, claim, case, "NotPlainNumber")


def test_record__of_another_agreement__loses(contracts):
    """Attack: a genuine record of the same meter, which the claim does not rest on."""
    claim = ChallengedClaim(contracts)
    foreign = session(contracts, last=105, counter=12)
    case = (ChallengeFault.SIGNATURE, claim.proof(foreign, path=[]), NO_PROOF, [], 0, False)
    assert judged(contracts, case) == "NotInEvidence"
    assert judged(contracts, claim.register(b'"RV":105', records=[foreign])) == "NotInEvidence"
    assert_lost(contracts, claim, claim.register(b'"RV":105', records=[foreign]), "NotInEvidence")


def test_record__of_another_meter__loses(contracts):
    """Attack: the claim rests on a record of another device; its register says nothing of this."""
    claim = ChallengedClaim(contracts, [session(contracts, last=105, MS="OTHER")])
    assert judged(contracts, claim.register(b'"RV":105')) == "OtherMeter"
    assert_lost(contracts, claim, claim.case(ChallengeFault.SIGNATURE), "OtherMeter")


def test_register__of_a_record_that_the_claim_does_not_end_with__loses(contracts):
    claim = ChallengedClaim(contracts, [session(contracts, last=105, counter=12)])
    assert_lost(contracts, claim, claim.register(b'"RV":105'), "OtherCounter")


def test_register__of_a_forged_record__loses(contracts):
    """Attack: a challenger's forged number; the fault of such a record is its signature."""
    claim = ChallengedClaim(contracts, [session(contracts, last=105, key=FORGER)])
    assert_lost(contracts, claim, claim.register(b'"RV":105'), "SignatureInvalid")


# --- what reverts and costs nothing


UNREADABLE = {
    "not OCMF": lambda r: b"X" + r,
    "a key with escapes": lambda r: r.replace(b'"PG"', b'"\\u0050G"'),
    "a member twice": lambda r: r.replace(b'{"FV"', b'{"PG":"T1","FV"'),
    "readings twice": lambda r: r.replace(b'{"FV"', b'{"RD":[{"RV":1}],"FV"'),
    "another algorithm": lambda r: r.replace(b"SHA256", b"SHA512"),
    "a curve of no contract": lambda r: r.replace(b"secp256r1", b"brainpoolP256r1"),
    "text behind it": lambda r: r + b" ",
    "cut off": lambda r: r[:-1],
    "no time zone": lambda r: r.replace(b"+0000 S", b" S"),
    "a reading of no energy at the end": lambda r: r.replace(b"01.08", b"01.07"),
    "a page that is no number": lambda r: r.replace(b'"PG":"T', b'"PG":"TX'),
}


@pytest.mark.parametrize("change", UNREADABLE)
def test_record__that_the_contract_does_not_read__reverts(contracts, change):
    record = UNREADABLE[change](session(contracts))
    assert record != session(contracts)
    claim = ChallengedClaim(contracts, [record])
    counter = claim.case(ChallengeFault.COUNTER, other=claim.proof(record))
    asked = counter if "page" in change else claim.case(ChallengeFault.SIGNATURE)
    assert judged(contracts, asked) == "RecordUnreadable"


NEEDS_RULING = {
    "an estimate": {"ST": "S"},
    "an error of the meter": {"EF": "E"},
    "a warning": {"TX": "X"},
}


@pytest.mark.parametrize("change", NEEDS_RULING)
def test_register__readings_with_further_rules__need_a_ruling(contracts, change):
    """Attack: a device reports an error, so that honest oracles end the claim before its last
    reading; a challenger has them barred with that reading."""
    begin, end = times(contracts)
    last = reading(105, end, "E", **NEEDS_RULING[change])
    content = payload(11, reading(100, begin, "B"), last)
    claim = ChallengedClaim(contracts, [signed(content, contracts.key)])
    assert judged(contracts, claim.register(b'"RV":105')) == "NeedsRuling"


def test_signature__a_key_that_was_replaced_within_the_day__needs_a_ruling(contracts):
    """Attack: a record is dated ahead and attested, then its key is replaced before that date: the
    oracles saw the old key."""
    time = contracts.now + 2 * HOUR
    content = payload(11, reading(100, time - 60, "B"), reading(110, time, "E"))
    claim = ChallengedClaim(contracts, [signed(content, contracts.key)])
    new = DeviceSigner.p256(8)
    digest = rotation(contracts.registry.address, DEVICE, new, 1)
    signatures = (*contracts.key.sign(digest), *new.sign(digest))
    contracts.registry.rotate(
        DEVICE, new.curve, new.x, new.y, 0, *signatures, sender=contracts.stranger
    )
    assert judged(contracts, claim.case(ChallengeFault.SIGNATURE)) == "NeedsRuling"


def test_signature__a_device_whose_gateway_changes__needs_a_ruling(contracts):
    claim = ChallengedClaim(contracts)
    gateway = contracts.registry
    contracts.enrol(b"\7" * 32, DeviceSigner.p256(77))
    gateway.assign(DEVICE, contracts.owner, b"\7" * 32, 0, 0, b"", sender=contracts.owner)
    assert judged(contracts, claim.case(ChallengeFault.SIGNATURE)) == "NeedsRuling"


def test_signature__of_the_assigned_gateway__loses(contracts):
    """Attack: a meter's gateway signed, as its owner allowed, and that is called forged."""
    key = DeviceSigner.p256(77)
    contracts.enrol(b"\7" * 32, key)
    contracts.registry.assign(
        DEVICE, contracts.owner, b"\7" * 32, 0, 0, b"", sender=contracts.owner
    )
    contracts.wait(40 * DAY)
    contracts.reset()
    claim = ChallengedClaim(contracts, [session(contracts, key=key)])
    assert_lost(contracts, claim, claim.case(ChallengeFault.SIGNATURE), "SignatureValid")


def test_record__too_large__reverts(contracts):
    record = session(contracts, TT="x" * 4096)
    claim = ChallengedClaim(contracts, [record])
    assert judged(contracts, claim.case(ChallengeFault.SIGNATURE)) == "RecordTooLarge"
    assert judged(contracts, claim.register(b'"RV":110')) == "RecordTooLarge"
    records = [session(contracts, counter=11 + i, TT="x" * 3500) for i in range(7)]
    many = ChallengedClaim(
        contracts, records, agreement=contracts.agreements(1)[0], last_counter=17
    )
    assert judged(contracts, many.register(b'"RV":110')) == "RecordTooLarge"


def test_challenge__of_another_product__needs_a_ruling(contracts):
    """A product with other facts: signature and counter are its device's all the same."""
    plain = contracts.add_product("PlainProduct", 0)
    contracts.rail.close(contracts.agreement, sender=contracts.payer)
    contracts.wait(3 * DAY)
    contracts.rail.reclaim(contracts.agreement, sender=contracts.payer)
    agreement = contracts.open(contracts.mandate(product=plain.address))
    contracts.mint(20 * EURO, agreement)
    record = session(contracts, key=FORGER)
    product, contracts.product = contracts.product, plain
    claim = ChallengedClaim(contracts, [record], agreement=agreement, facts=plain_facts(3 * EURO))
    contracts.product = product
    good = claim.register(b'"RV":110')
    assert judged(contracts, good) == "SignatureInvalid"
    assert_won(contracts, claim, claim.case(ChallengeFault.SIGNATURE))


# --- what it costs


def test_gas__of_each_challenge__fits_one_transaction(contracts):
    """Print the gas of usual records, of the largest one, and of the largest claim."""
    _, end = times(contracts)
    later = facts(110 * KWH, 120 * KWH, end, end + HOUR)
    usual = ChallengedClaim(contracts, [session(contracts, last=105)])
    large = session(contracts, last=105, counter=21, TT="x" * 3500)
    big = ChallengedClaim(
        contracts, [large], sequence=2, facts=later, first_counter=21, last_counter=21
    )
    many = [session(contracts, last=105, counter=31 + n, TT="x" * 3500) for n in range(6)]
    most = ChallengedClaim(
        contracts,
        many,
        sequence=3,
        facts=facts(120 * KWH, 130 * KWH, end + HOUR, end + 2 * HOUR),
        first_counter=31,
        last_counter=36,
    )
    cases = {
        f"register, a record of {len(usual.records[0])} bytes": usual.register(b'"RV":105'),
        f"signature, a record of {len(large)} bytes": big.case(ChallengeFault.SIGNATURE),
        f"register, 6 records of {len(many[0])} bytes": most.register(b'"RV":105'),
    }
    contracts.mint(5 * EURO, to=contracts.stranger)
    contracts.token.approve(contracts.challenges, 5 * EURO, sender=contracts.stranger)
    for name, case in cases.items():
        receipt = contracts.challenges.challenge(case, sender=contracts.stranger)
        print(f"{name}: {receipt.gas_used:,} gas")
        assert receipt.gas_used < TX_GAS_LIMIT
