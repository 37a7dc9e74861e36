"""Attacks on wearable vouchers, each named after itself, with EIP-7951 and without.

Every voucher here is signed with a real P-256 key; what is attested is assumed to be whatever the
attacker wants, since the test account plays the rail: the contract has to hold by itself.
"""

from __future__ import annotations

import random

import pytest
from web3 import Web3

from device_adapters.protocols.voucher.typed import digest_of
from tests.support.contracts.device_keys import P256, P256_N, DeviceSigner, rotation, word
from tests.support.contracts.wrist import DAY, EURO, MERCHANTS, Answer, Counter


@pytest.fixture(scope="module")
def till(fork):
    return Counter(fork)


def nothing(answer: Answer) -> bool:
    return answer.amount == 0


def test_attack__voucher_double_spend__is_proven_and_freezes_what_follows(till):
    band = till.wearable()
    honest = band.voucher("A", 5 * EURO, 1, 4, 100)
    twice = [band.voucher(to, 9 * EURO, 1, 7, 200) for to in "BC"]
    till.at(band.base + 300)
    assert band.report(*twice) == ""
    assert till.fork.ask(till.contract, "frozenFrom", band.device) == 7
    assert band.pay(twice[0])[:3] == (0, "", "DoubleSpent")
    assert band.pay(band.voucher("C", 9 * EURO, 1, 8, 250))[:3] == (0, "", "DoubleSpent")
    assert band.pay(honest)[:3] == (5 * EURO, "", "")  # signed before: the merchant's


def test_attack__double_spend_below_the_first_proof__freezes_from_there(till):
    band = till.wearable()
    till.at(band.base + 300)
    for counter, frozen in ((7, 7), (9, 7), (5, 5)):
        twice = [band.voucher(to, 9 * EURO, 1, counter, 200) for to in "BC"]
        assert band.report(*twice) == ""
        assert till.fork.ask(till.contract, "frozenFrom", band.device) == frozen


def test_attack__false_accusation_of_double_spending__proves_nothing(till):
    band, other = till.wearable(), till.wearable()
    a = band.voucher("A", 5 * EURO, 1, 7, 100)
    b = band.voucher("B", 5 * EURO, 1, 7, 100)
    till.at(band.base + 300)
    assert band.report(a, a) == "no proof"
    twin = [band.facts(a, high=False), band.facts(a, high=True)]
    assert twin[0] == twin[1]  # what goes on chain has one form

    def shown(first, second, **how) -> str:
        sides = []
        for voucher in (first, second):
            r, s = how.get("key", band.key).sign(digest_of(till.domain, voucher), how.get("high"))
            payee = Web3.to_checksum_address(voucher.payee)
            sides += [voucher._replace(payee=payee), r + s]
        return till.fork.refusal(till.contract, "reportDoubleSpend", *sides, sender=till.owner)

    assert shown(a, b) == "" and shown(a, b, high=True) == ""
    assert shown(a, a) == "NotDoubleSpend"
    assert shown(a, b._replace(counter=8)) == "NotDoubleSpend"
    assert shown(a, b._replace(wearable=other.device)) == "NotDoubleSpend"
    zero = [voucher._replace(counter=0) for voucher in (a, b)]
    assert shown(*zero) == "NotDoubleSpend"
    assert shown(a, b, key=other.key) == "VoucherUnsigned"
    unborn = [voucher._replace(signed_at=1) for voucher in (a, b)]
    assert shown(*unborn) == "VoucherUnsigned"  # no key at that time
    assert till.fork.ask(till.contract, "frozenFrom", band.device) == 0


def test_attack__high_s_twin_as_a_second_voucher__proves_nothing(till):
    band = till.wearable()
    voucher = band.voucher("A", 5 * EURO, 1, 7, 100)
    side = voucher._replace(payee=Web3.to_checksum_address(voucher.payee))
    digest = digest_of(till.domain, voucher)
    low, high = (b"".join(band.key.sign(digest, high)) for high in (False, True))
    call = (side, low, side, high)
    refusal = till.fork.refusal(till.contract, "reportDoubleSpend", *call, sender=till.owner)
    assert refusal == "NotDoubleSpend"


@pytest.mark.parametrize("which", ["chain", "contract"])
def test_attack__voucher_replayed_on_another_chain_or_contract__is_refused(till, which):
    band = till.wearable()
    other = Counter(till.fork).domain if which == "contract" else till.domain._replace(chain_id=1)
    voucher = band.voucher("A", 5 * EURO, 1, 1, 100)
    said = band.pay(voucher, at=200, domain=other)
    assert said[:3] == (0, "SignatureInvalid", "")
    assert band.pay(voucher)[:3] == (5 * EURO, "", "")  # and on ours it is worth what it says


def test_attack__cap_exceeded_by_parallel_redemptions__pays_up_to_the_cap(till):
    band = till.wearable()
    vouchers = [
        band.voucher(to, 20 * EURO, 1, n, n, cap=50 * EURO) for n, to in enumerate("ABC", start=1)
    ]
    till.at(band.base + 60)
    quotes = [(band.agreement, band.device, 2**48 - 1, False, band.facts(v)) for v in vouchers]
    prices = till.fork.ask(till.contract, "price", quotes, sender=till.rail)
    assert [price[0] for price in prices] == [20 * EURO, 20 * EURO, 10 * EURO]  # in one batch too
    assert [band.pay(v).amount for v in vouchers] == [20 * EURO, 20 * EURO, 10 * EURO]
    assert sum(map(band.paid, "ABC")) == 50 * EURO


@pytest.mark.parametrize("act", ["revoke", "suspend"])
def test_attack__key_used_after_revocation__pays_nothing(till, act):
    band = till.wearable()
    till.at(band.base + 100)
    band.registry(act)
    stopped = till.fork.now - band.base
    for signed in (stopped, stopped + 1, stopped + 50):
        said = band.pay(band.voucher("A", 5 * EURO, 1, signed, signed), at=stopped + 60)
        assert said[:3] == (0, "", "DeviceSilenced")
    assert band.pay(band.voucher("A", 5 * EURO, 1, 1, stopped - 1))[:3] == (5 * EURO, "", "")


def test_attack__old_key_used_after_rotation__is_refused(till):
    band, new = till.wearable(), DeviceSigner.p256(77_000 + random.randrange(10**6))
    till.at(band.base + 100)
    digest = rotation(till.registry.address, band.device, new, 1)
    signatures = (*band.key.sign(digest), *new.sign(digest))
    band.registry("rotate", P256, new.x, new.y, 0, *signatures)
    rotated = till.fork.now - band.base
    voucher = band.voucher("A", 5 * EURO, 1, 2, rotated + 1)
    assert band.pay(voucher, at=rotated + 60)[:3] == (0, "SignatureInvalid", "")
    earlier = band.voucher("A", 4 * EURO, 1, 1, rotated - 1)
    assert band.signed_by(new).pay(earlier)[:3] == (0, "SignatureInvalid", "")
    assert band.pay(earlier)[:3] == (4 * EURO, "", "")
    assert band.signed_by(new).pay(voucher._replace(taps=2))[:3] == (1 * EURO, "", "")


def test_attack__event_back_dated_before_a_compromise__is_refused(till):
    band = till.wearable()
    till.at(band.base + 1_000)
    band.registry("declareCompromised", band.base + 500)
    for signed in (499, 500, 900):
        said = band.pay(band.voucher("A", 5 * EURO, 1, signed, signed), at=1_100)
        assert said[:3] == (0, "DeviceNotActive", "")


def test_attack__signed_before_the_device_was_enrolled__is_refused(till):
    band = till.wearable()
    said = band.pay(band.voucher("A", 5 * EURO, 1, 1, 5, signed_at=1_000), at=10)
    assert said[:3] == (0, "DeviceNotActive", "")


def test_attack__lost_wearable__pays_one_last_allowance_and_then_nothing(till):
    band = till.wearable(offline_amount=30 * EURO, offline_taps=4, max_age=DAY)
    before = band.voucher("A", 20 * EURO, 1, 1, 10)
    assert band.pay(before, at=50)[:3] == (20 * EURO, "", "")  # not lost yet: no allowance used
    till.at(band.base + 100)
    band.registry("suspend")
    # the finder's terminal lies about the time: all signed "before"
    assert band.pay(band.voucher("B", 20 * EURO, 2, 2, 50))[:3] == (20 * EURO, "", "")
    rest = band.pay(band.voucher("C", 20 * EURO, 1, 3, 60))
    assert rest[:3] == (10 * EURO, "", "OfflineAmount")
    assert nothing(band.pay(band.voucher("A", 40 * EURO, 2, 4, 70)))
    assert nothing(band.pay(band.voucher("C", 45 * EURO, 2, 5, 101)))
    late = band.voucher("A", 45 * EURO, 3, 6, 80)
    assert band.pay(late, at=DAY + 81)[:3] == (0, "", "TooOld")
    assert sum(map(band.paid, "BC")) == 30 * EURO and band.paid("A") == 20 * EURO


def test_attack__lost_wearable_in_many_small_taps__is_bounded_by_their_count(till):
    band = till.wearable(offline_amount=30 * EURO, offline_taps=3)
    till.at(band.base + 100)
    band.registry("suspend")
    amounts = [
        band.pay(band.voucher(to, EURO, 1, n, 50 + n)).amount for n, to in enumerate("ABC", start=1)
    ]
    assert amounts == [EURO] * 3
    said = band.pay(band.voucher("A", 2 * EURO, 2, 9, 90))
    assert said[:3] == (0, "", "OfflineTaps")


def test_attack__lost_and_found__the_allowance_is_whole_again(till):
    band = till.wearable(offline_amount=30 * EURO)
    till.at(band.base + 100)
    band.registry("suspend")
    spent = band.pay(band.voucher("A", 40 * EURO, 2, 1, 50))
    assert spent[:3] == (30 * EURO, "", "OfflineAmount")
    till.fork.send("DeviceRegistry", "resume", band.device, sender=till.fork.plan.registrar)
    found = till.fork.now - band.base + 1
    assert band.pay(band.voucher("A", 60 * EURO, 4, 2, found), at=found)[:3] == (30 * EURO, "", "")
    assert band.pay(band.voucher("B", 25 * EURO, 1, 3, found))[:3] == (25 * EURO, "", "")


def test_attack__stolen_voucher_redeemed_by_another_payee__is_refused(till):
    band = till.wearable()
    voucher = band.voucher("A", 5 * EURO, 1, 1, 100)
    facts = band.facts(voucher)
    thief = bytes(12) + bytes.fromhex(MERCHANTS["C"][2:])
    till.at(band.base + 200)
    assert band.settle(thief + facts[32:])[:3] == (0, "SignatureInvalid", "")
    assert band.paid("C") == 0
    assert band.settle(facts)[:2] == (5 * EURO, "")


def test_attack__any_field_of_a_signed_voucher_changed__is_refused(till):
    band = till.wearable()
    facts = band.facts(band.voucher("A", 5 * EURO, 1, 1, 100))
    till.at(band.base + 200)
    for at in range(10):
        row = bytearray(facts)
        row[32 * at + 31] ^= 2
        assert band.settle(bytes(row))[:3] == (0, "SignatureInvalid", ""), at


def test_attack__voucher_of_another_wearable__is_refused(till):
    band, other = till.wearable(), till.wearable()
    facts = other.facts(other.voucher("A", 5 * EURO, 1, 1, 100))
    till.at(max(band.base, other.base) + 200)
    assert band.settle(facts)[:3] == (0, "SignatureInvalid", "")


def test_attack__high_s_twin_of_a_used_signature__pays_nothing_more(till):
    band = till.wearable()
    voucher = band.voucher("A", 5 * EURO, 1, 1, 100)
    facts = band.facts(voucher)
    s = P256_N - int.from_bytes(facts[-32:], "big")
    till.at(band.base + 200)
    assert band.settle(facts)[:3] == (5 * EURO, "", "")
    assert band.settle(facts[:-32] + word(s))[:3] == (0, "", "Superseded")


def test_attack__missing_precompile__same_verdicts_through_the_fallback(till):
    """The signatures that a gate must tell apart; the fixture runs this on both chains."""
    assert till.registry.functions.hasPrecompile().call() == till.fork.has_precompile
    band = till.wearable()
    good = band.facts(band.voucher("A", 5 * EURO, 1, 1, 100))
    r, s = good[-64:-32], good[-32:]
    zero, order, beyond = bytes(32), word(P256_N), b"\xff" * 32
    wrong = [
        (zero, s),
        (r, zero),
        (zero, zero),
        (order, s),
        (r, order),
        (beyond, s),
        (r, beyond),
        (s, r),
        (word(int.from_bytes(r, "big") ^ 1), s),
    ]
    till.at(band.base + 200)
    for pair in wrong:
        assert band.settle(good[:-64] + b"".join(pair))[:3] == (0, "SignatureInvalid", "")
    assert band.settle(good)[:3] == (5 * EURO, "", "")


def test_attack__vouchers_dated_ahead_to_use_tomorrow_s_room__pay_nothing(till):
    band = till.wearable(per_day=10 * EURO)
    paid = [
        band.pay(band.voucher("A", 10 * EURO * (n + 1), n + 1, n + 1, n * DAY + 5), at=10)
        for n in range(4)
    ]
    assert [one.amount for one in paid] == [10 * EURO, 0, 0, 0]
    assert {one.cut for one in paid[1:]} == {"SignedAhead"}


@pytest.mark.parametrize("seed", range(3))
def test_price__any_vouchers_in_any_order__stay_within_every_bound(till, seed):
    chance = random.Random(seed)
    band = till.wearable(per_day=60 * EURO, offline_amount=40 * EURO, offline_taps=3)
    cap, owed = 150 * EURO, dict.fromkeys("ABC", (0, 0))
    made = []
    for counter in range(1, 13):
        to, day = chance.choice("ABC"), counter // 6
        total, taps = owed[to]
        owed[to] = total + chance.randrange(1, 25) * EURO, taps + 1
        made.append(band.voucher(to, *owed[to], counter, day * DAY + counter, cap=cap))
    chance.shuffle(made)
    till.at(band.base + 2 * DAY)
    for voucher in made:
        before = band.paid("A") + band.paid("B") + band.paid("C")
        said = band.pay(voucher)
        assert not said.refusal and 0 <= said.amount <= 40 * EURO
        assert sum(map(band.paid, "ABC")) == before + said.amount
    assert all(band.paid(to) <= owed[to][0] for to in "ABC")
    spent = [
        till.fork.ask(till.contract, "spentOn", band.agreement, band.base // DAY + day)
        for day in range(3)
    ]
    assert max(spent) <= 60 * EURO and sum(spent) == sum(map(band.paid, "ABC")) <= cap
