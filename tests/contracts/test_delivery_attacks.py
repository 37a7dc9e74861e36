"""Attacks on a delivery, each by its name: what somebody tries, and what the contract answers.

What stops an attack off chain (a record that is routed elsewhere or dropped) is in
tests/unit/orchestrator/products/test_delivery_attacks.py.
"""

from __future__ import annotations

import pytest

from orchestrator.products.proof_of_delivery import product
from tests.support.contracts.delivery_contract import DAY, DeliveryContract, quoted
from tests.support.contracts.device_keys import DeviceSigner, rotation

CARRIER = DeviceSigner.p256(69_999)


@pytest.fixture(scope="module")
def delivery(fork):
    return DeliveryContract(fork)


@pytest.fixture
def recipient(delivery):
    return delivery.recipient()


def _delivered(consignment, **changes):
    fields = {"received": 100, "delivered_at": consignment.recipient.due, "picked_up_at": 1}
    return consignment.facts({**fields, "signed_at": consignment.recipient.due, **changes})


def test_carrier_only_release__every_oracle_attests_it__signature_invalid(recipient):
    """The carrier's key over the very statement that the recipient would have made."""
    consignment = recipient.open()
    good = _delivered(consignment)
    digest, *_ = recipient.sign("delivered")
    r, s = CARRIER.sign(digest)
    forged = good._replace(digest=digest, r=r, s=s)
    assert consignment.state(forged) == (0, "SignatureInvalid")
    assert consignment.state(good) == (700_000_000, "")


def test_carrier_only_release__pick_up_alone__needs_the_recipient_too(recipient):
    consignment = recipient.open()
    r, s = CARRIER.sign(b"\5" * 32)
    fields = {"picked_up_at": 1, "signed_at": recipient.due}
    scan = consignment.facts(fields, signed=(b"\5" * 32, r, s))
    assert consignment.state(scan) == (0, "SignatureInvalid")


@pytest.mark.parametrize("r, s", [(0, 0), (1, 1), (2**256 - 1, 2**256 - 1)])
def test_hostile_quorum_without_recipient__made_up_signature__refused(recipient, r, s):
    consignment = recipient.open()
    facts = _delivered(consignment)._replace(r=r.to_bytes(32, "big"), s=s.to_bytes(32, "big"))
    assert consignment.state(facts) == (0, "SignatureInvalid")


def test_recipient_signature_reused__same_agreement__refused(recipient):
    consignment = recipient.open()
    first = _delivered(consignment, received=40)
    assert consignment.state(first)[1] == ""
    more = _delivered(consignment, received=60, event_hash="two")
    again = more._replace(digest=first.digest, r=first.r, s=first.s)
    assert consignment.state(again) == (0, "SignatureUsed")
    assert consignment.state(first) == (0, "SignatureUsed")


def test_recipient_signature_reused__for_another_consignment__refused(recipient):
    """One dock serves many consignments; a signature that paid for one pays for no other."""
    first, other = recipient.open(), recipient.open()
    facts = _delivered(first)
    assert first.state(facts)[1] == ""
    assert other.state(facts) == (0, "SignatureUsed")


def test_recipient_signature_reused__for_the_same_consignment_agreed_twice__refused(recipient):
    """Two agreements about one consignment: the signature that paid in one pays in no other."""
    terms = recipient.delivery.terms(recipient.due)
    first, second = recipient.open(terms), recipient.open(terms)
    facts = _delivered(first)
    assert first.state(facts) == (700_000_000, "")
    assert second.state(facts) == (0, "SignatureUsed")
    again = _delivered(second)  # the recipient signs once more: that is its word, and its payer's
    assert second.state(again) == (700_000_000, "")


def test_recipient_signature_reused__in_the_next_version_of_the_product__refused(recipient):
    """On 0.3.0 each deployed copy of the product knew only the signatures that it had seen."""
    delivery = recipient.delivery
    first = recipient.open()
    facts = _delivered(first)
    assert first.state(facts) == (700_000_000, "")
    second = delivery.another()
    steward = delivery.fork.plan.steward
    set_predecessor = second, "setPredecessor", delivery.contract.address
    for wrong in (second.address, delivery.owner):
        refusal = delivery.fork.refusal(second, "setPredecessor", wrong, sender=steward)
        assert refusal == "PredecessorInvalid"
    refusal = delivery.fork.refusal(*set_predecessor, sender=delivery.owner)
    assert refusal == "AccessManagedUnauthorized"
    delivery.fork.send(*set_predecessor, sender=steward)
    assert delivery.fork.refusal(*set_predecessor, sender=steward) == "PredecessorInvalid"
    third = delivery.another()
    delivery.fork.send(third, "setPredecessor", second.address, sender=steward)
    for later in (second, third):
        moved = recipient.open(contract=later)
        assert moved.state(facts) == (0, "SignatureUsed")
        assert moved.state(_delivered(moved)) == (700_000_000, "")


@pytest.mark.parametrize("days", [1, 400], ids=["a day ahead", "a year ahead"])
def test_record_signed_ahead_of_time__refused(recipient, days, monkeypatch):
    """On 0.3.0 a record could be dated to any time at which the key was active."""
    consignment, now = recipient.open(), recipient.due
    monkeypatch.setattr(recipient.delivery, "until", now)
    ahead = _delivered(consignment, signed_at=now + days * DAY)
    assert consignment.state(ahead) == (0, "TimeAhead")
    assert consignment.state(_delivered(consignment, signed_at=now)) == (700_000_000, "")


def test_record_signed_before_the_opening__refused(recipient):
    """A delivery of last month does not count in the agreement of today."""
    consignment = recipient.open(start=recipient.due)
    early = _delivered(consignment, signed_at=recipient.due - 1)
    assert consignment.state(early) == (0, "TimeBackwards")
    assert consignment.state(_delivered(consignment, signed_at=recipient.due))[1] == ""


@pytest.mark.parametrize("refund, back", [(0, -700), (300, -400), (700, 0), (900, 0)])
def test_refund_by_ruling_and_then_the_withdrawal__gives_back_once(recipient, refund, back):
    """On 0.3.0 the payee owed for a delivery that a ruling had refunded already."""
    consignment, delivery = recipient.open(), recipient.delivery
    assert consignment.state(_delivered(consignment)) == (700_000_000, "")
    refunded = consignment.agreement, refund * 1_000_000
    call = delivery.rail, "refunded", delivery.contract.address, *refunded
    delivery.fork.send(*call, sender=delivery.owner)
    withdrawal = _delivered(consignment, withdrawn=True)
    assert consignment.state(withdrawal) == (back * 1_000_000, "")
    right = _delivered(consignment, event_hash="two", received=50)
    assert consignment.state(right) == (450_000_000, "")  # charged as if nothing had been before


def test_high_s_twin__of_a_used_signature__no_second_effect(recipient):
    consignment = recipient.open()
    digest, *_ = recipient.sign("a document")
    twins = [recipient.key.sign(digest, high=high) for high in (False, True)]
    statements = [_delivered(consignment, event_hash=str(n), received=40) for n in range(2)]
    facts = [
        facts_._replace(digest=digest, r=r, s=s)
        for facts_, (r, s) in zip(statements, twins, strict=True)
    ]
    assert consignment.ask(facts[1]) == (400_000_000, "")  # either is a signature
    assert consignment.state(facts[0]) == (400_000_000, "")
    assert consignment.state(facts[1]) == (0, "SignatureUsed")


def test_enrolment_signature__public_on_chain__pays_nothing(recipient):
    """The proof of possession is a SHA-256 digest under the right key that anybody can copy."""
    consignment = recipient.open()
    digest = recipient.key.enrolment(
        recipient.delivery.registry.address, recipient.device, recipient.delivery.owner
    )
    copied = _delivered(consignment)._replace(
        digest=digest, r=recipient.key.sign(digest)[0], s=recipient.key.sign(digest)[1]
    )
    assert consignment.state(copied) == (0, "SignatureUsed")


def test_key_used_after_revocation__dated_after_it__refused_and_before_it_still_good(recipient):
    consignment, fork = recipient.open(), recipient.delivery.fork
    fork.send("DeviceRegistry", "revoke", recipient.device, sender=recipient.delivery.owner)
    after = _delivered(consignment, signed_at=fork.now)
    assert consignment.state(after) == (0, "DeviceNotActive")
    assert consignment.state(_delivered(consignment)) == (700_000_000, "")


@pytest.mark.parametrize("how", ["suspend", "expired", "not yet enrolled"])
def test_key_used_when_it_was_not_active__refused(recipient, how):
    consignment, fork = recipient.open(), recipient.delivery.fork
    at = fork.now + 1
    if how == "suspend":
        fork.send("DeviceRegistry", "suspend", recipient.device, sender=recipient.delivery.owner)
        at = fork.now
    elif how == "expired":
        new = DeviceSigner.p256(int.from_bytes(recipient.device[:4], "big"))
        _rotate(recipient, new, expires_at=at + DAY)
        recipient.key, at = new, at + DAY
    else:
        at = recipient.due - 15 * DAY - 60
    assert consignment.state(_delivered(consignment, signed_at=at)) == (0, "DeviceNotActive")


def test_event_back_dated_before_a_compromise__declared_to_cover_it__refused(recipient):
    consignment, fork = recipient.open(), recipient.delivery.fork
    dated = _delivered(consignment, signed_at=fork.now - 60)
    fork.send(
        "DeviceRegistry",
        "declareCompromised",
        recipient.device,
        fork.now - 120,
        sender=recipient.delivery.owner,
    )
    assert consignment.state(dated) == (0, "DeviceNotActive")


def test_rotated_key__used_for_later_times__refused(recipient):
    """The old key signs only for the time in which it was the key."""
    consignment, old = recipient.open(), recipient.key
    new = DeviceSigner.p256(int.from_bytes(recipient.device[:4], "big"))
    _rotate(recipient, new)
    now = recipient.delivery.fork.now
    late = _delivered(consignment, signed_at=now)
    assert consignment.ask(late) == (0, "SignatureInvalid")
    recipient.key = new
    assert consignment.ask(_delivered(consignment)) == (0, "SignatureInvalid")
    recipient.key = old
    assert consignment.state(_delivered(consignment)) == (700_000_000, "")


def test_other_recipient__with_an_enrolled_key__refused(recipient):
    consignment, other = recipient.open(), recipient.delivery.recipient()
    digest, r, s = other.sign("delivered")
    forged = _delivered(consignment)._replace(digest=digest, r=r, s=s)
    assert consignment.state(forged) == (0, "SignatureInvalid")


def test_over_delivery__two_genuine_statements__never_more_than_the_price(recipient):
    consignment = recipient.open()
    total = sum(
        consignment.state(
            _delivered(consignment, event_hash=str(n), accepted=100, accepted_at=recipient.due)
        )[0]
        for n in range(3)
    )
    assert total == consignment.terms.price


def test_bad_claim__among_good_ones__stops_none_of_them(recipient):
    """Two agreements of one dock in one call: the refusal of one does not touch the other."""
    good, bad = recipient.open(), recipient.open()
    facts = [
        product.encode_facts(_delivered(good)),
        product.encode_facts(_delivered(bad, received=101)),
        b"\xff" * 480,
    ]
    quotes = [quoted(c, raw) for c, raw in zip((good, bad, bad), facts, strict=True)]
    delivery = recipient.delivery
    answers = delivery.fork.ask(delivery.rail, "price", delivery.contract.address, quotes)
    named = [(amount, product.REFUSALS.get(refusal)) for amount, refusal, _ in answers]
    assert named == [(700_000_000, None), (0, "QuantityExceeded"), (0, "FactsMalformed")]


def test_gas__of_a_claim__is_bounded_on_both_hardforks(recipient):
    """A first claim writes the state's slots, the statement and the digest. The fallback costs a
    signature check in Solidity on top."""
    consignment = recipient.open()
    consignment.state(_delivered(consignment))
    assert consignment.gas < (180_000 if recipient.delivery.fork.has_precompile else 600_000)


def _rotate(recipient, new: DeviceSigner, expires_at: int = 0) -> None:
    fork = recipient.delivery.fork
    digest = rotation(recipient.delivery.registry.address, recipient.device, new, 1, expires_at)
    fork.send(
        "DeviceRegistry",
        "rotate",
        recipient.device,
        new.curve,
        new.x,
        new.y,
        expires_at,
        *recipient.key.sign(digest),
        *new.sign(digest),
        sender=recipient.delivery.owner,
    )
    fork.chain.mine(1, seconds=60)
