"""Attacks on a delivery, each by its name: what somebody tries, and what the contract answers.

What stops an attack off chain (a record that is routed elsewhere or dropped) is in
tests/unit/test_product_delivery_attacks.py.
"""

from __future__ import annotations

import pytest

from orchestrator.products.proof_of_delivery import product
from tests.support.contracts.device_keys import DeviceSigner, rotation
from tests.support.contracts.dock import DAY, Yard

CARRIER = DeviceSigner.p256(69_999)


@pytest.fixture(scope="module")
def yard(fork):
    return Yard(fork)


@pytest.fixture
def dock(yard):
    return yard.dock()


def _delivered(consignment, **changes):
    said = {"received": 100, "delivered_at": consignment.dock.due, "picked_up_at": 1}
    return consignment.facts({**said, "signed_at": consignment.dock.due, **changes})


def test_carrier_only_release__every_oracle_attests_it__signature_invalid(dock):
    """The carrier's key over the very statement that the recipient would have made."""
    consignment = dock.open()
    good = _delivered(consignment)
    digest, *_ = dock.sign("delivered")
    r, s = CARRIER.sign(digest)
    forged = good._replace(digest=digest, r=r, s=s)
    assert consignment.state(forged) == (0, "SignatureInvalid")
    assert consignment.state(good) == (700_000_000, "")


def test_carrier_only_release__pick_up_alone__needs_the_recipient_too(dock):
    consignment = dock.open()
    r, s = CARRIER.sign(b"\5" * 32)
    said = {"picked_up_at": 1, "signed_at": dock.due}
    scan = consignment.facts(said, signed=(b"\5" * 32, r, s))
    assert consignment.state(scan) == (0, "SignatureInvalid")


@pytest.mark.parametrize("r, s", [(0, 0), (1, 1), (2**256 - 1, 2**256 - 1)])
def test_hostile_quorum_without_recipient__made_up_signature__refused(dock, r, s):
    consignment = dock.open()
    facts = _delivered(consignment)._replace(r=r.to_bytes(32, "big"), s=s.to_bytes(32, "big"))
    assert consignment.state(facts) == (0, "SignatureInvalid")


def test_recipient_signature_reused__same_agreement__refused(dock):
    consignment = dock.open()
    first = _delivered(consignment, received=40)
    assert consignment.state(first)[1] == ""
    more = _delivered(consignment, received=60, statement="two")
    again = more._replace(digest=first.digest, r=first.r, s=first.s)
    assert consignment.state(again) == (0, "SignatureUsed")
    assert consignment.state(first) == (0, "SignatureUsed")


def test_recipient_signature_reused__for_another_consignment__refused(dock):
    """One dock serves many consignments; a signature that paid for one pays for no other."""
    one, other = dock.open(), dock.open()
    facts = _delivered(one)
    assert one.state(facts)[1] == ""
    assert other.state(facts) == (0, "SignatureUsed")


def test_high_s_twin__of_a_used_signature__no_second_effect(dock):
    consignment = dock.open()
    digest, *_ = dock.sign("a document")
    twins = [dock.key.sign(digest, high=high) for high in (False, True)]
    said = [_delivered(consignment, statement=str(n), received=40) for n in range(2)]
    facts = [one._replace(digest=digest, r=r, s=s) for one, (r, s) in zip(said, twins, strict=True)]
    assert consignment.ask(facts[1]) == (400_000_000, "")  # either is a signature
    assert consignment.state(facts[0]) == (400_000_000, "")
    assert consignment.state(facts[1]) == (0, "SignatureUsed")


def test_enrolment_signature__public_on_chain__pays_nothing(dock):
    """The proof of possession is a SHA-256 digest under the right key that anybody can copy."""
    consignment = dock.open()
    digest = dock.key.enrolment(dock.yard.registry.address, dock.device, dock.yard.owner)
    copied = _delivered(consignment)._replace(
        digest=digest, r=dock.key.sign(digest)[0], s=dock.key.sign(digest)[1]
    )
    assert consignment.state(copied) == (0, "SignatureUsed")


def test_key_used_after_revocation__dated_after_it__refused_and_before_it_still_good(dock):
    consignment, fork = dock.open(), dock.yard.fork
    fork.send("DeviceRegistry", "revoke", dock.device, sender=dock.yard.owner)
    after = _delivered(consignment, signed_at=fork.now)
    assert consignment.state(after) == (0, "DeviceNotActive")
    assert consignment.state(_delivered(consignment)) == (700_000_000, "")


@pytest.mark.parametrize("how", ["suspend", "expired", "not yet enrolled"])
def test_key_used_when_it_was_not_active__refused(dock, how):
    consignment, fork = dock.open(), dock.yard.fork
    at = fork.now + 1
    if how == "suspend":
        fork.send("DeviceRegistry", "suspend", dock.device, sender=dock.yard.owner)
        at = fork.now
    elif how == "expired":
        new = DeviceSigner.p256(int.from_bytes(dock.device[:4], "big"))
        _rotate(dock, new, expires_at=at + DAY)
        dock.key, at = new, at + DAY
    else:
        at = dock.due - 15 * DAY - 60
    assert consignment.state(_delivered(consignment, signed_at=at)) == (0, "DeviceNotActive")


def test_event_back_dated_before_a_compromise__declared_to_cover_it__refused(dock):
    consignment, fork = dock.open(), dock.yard.fork
    dated = _delivered(consignment)
    fork.send(
        "DeviceRegistry", "declareCompromised", dock.device, dock.due - DAY, sender=dock.yard.owner
    )
    assert consignment.state(dated) == (0, "DeviceNotActive")


def test_rotated_key__used_for_later_times__refused(dock):
    """The old key signs only for the time in which it was the key."""
    consignment, old = dock.open(), dock.key
    new = DeviceSigner.p256(int.from_bytes(dock.device[:4], "big"))
    _rotate(dock, new)
    now = dock.yard.fork.now
    late = _delivered(consignment, signed_at=now)
    assert consignment.ask(late) == (0, "SignatureInvalid")
    dock.key = new
    assert consignment.ask(_delivered(consignment)) == (0, "SignatureInvalid")
    dock.key = old
    assert consignment.state(_delivered(consignment)) == (700_000_000, "")


def test_other_recipient__with_an_enrolled_key__refused(dock):
    consignment, other = dock.open(), dock.yard.dock()
    digest, r, s = other.sign("delivered")
    forged = _delivered(consignment)._replace(digest=digest, r=r, s=s)
    assert consignment.state(forged) == (0, "SignatureInvalid")


def test_over_delivery__two_genuine_statements__never_more_than_the_price(dock):
    consignment = dock.open()
    total = sum(
        consignment.state(
            _delivered(consignment, statement=str(n), accepted=100, accepted_at=dock.due)
        )[0]
        for n in range(3)
    )
    assert total == consignment.terms.price


def test_bad_claim__among_good_ones__stops_none_of_them(dock):
    """Two agreements of one dock in one call: the refusal of one is no business of the other."""
    good, bad = dock.open(), dock.open()
    facts = [
        product.encode_facts(_delivered(good)),
        product.encode_facts(_delivered(bad, received=101)),
        b"\xff" * 480,
    ]
    quotes = [
        (c.agreement, dock.device, 2**47, False, raw)
        for c, raw in zip((good, bad, bad), facts, strict=True)
    ]
    answers = dock.yard.fork.ask(dock.yard.contract, "price", quotes, sender=dock.yard.rail)
    named = [(amount, product.REFUSALS.get(refusal)) for amount, refusal, _ in answers]
    assert named == [(700_000_000, None), (0, "QuantityExceeded"), (0, "FactsMalformed")]


def test_gas__of_a_claim__is_bounded_on_both_hardforks(dock):
    """A first claim writes the state's slots, the statement and the digest. The fallback costs a
    signature check in Solidity on top."""
    consignment = dock.open()
    consignment.state(_delivered(consignment))
    assert consignment.gas < (180_000 if dock.yard.fork.has_precompile else 600_000)


def _rotate(dock, new: DeviceSigner, expires_at: int = 0) -> None:
    fork = dock.yard.fork
    digest = rotation(dock.yard.registry.address, dock.device, new, 1, expires_at)
    fork.send(
        "DeviceRegistry",
        "rotate",
        dock.device,
        new.curve,
        new.x,
        new.y,
        expires_at,
        *dock.key.sign(digest),
        *new.sign(digest),
        sender=dock.yard.owner,
    )
    fork.chain.mine(1, seconds=60)
