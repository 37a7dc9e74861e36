"""Attacks on wearable vouchers, each named after itself, with EIP-7951 and without.

Every voucher here is signed with a real P-256 key; what is attested is assumed to be anything the
attacker wants, since a test double plays the rail: the contract has to hold by itself.
"""

from __future__ import annotations

import random

import pytest
from web3 import Web3

from device_adapters.protocols.voucher.typed import digest_of
from tests.support.contracts.device_keys import P256, P256_N, DeviceSigner, rotation, word
from tests.support.contracts.voucher_contract import (
    DAY,
    EURO,
    MERCHANTS,
    VoucherAnswer,
    VoucherContract,
)


def nothing(answer: VoucherAnswer) -> bool:
    return answer.amount == 0


def test_attack__voucher_double_spend__is_proven_and_freezes_what_follows(voucher_contract):
    band = voucher_contract.wearable()
    honest = band.voucher("A", 5 * EURO, 1, 4, 100)
    twice = [band.voucher(to, 9 * EURO, 1, 7, 200) for to in "BC"]
    voucher_contract.at(band.base + 300)
    assert band.report(*twice) == ""
    assert voucher_contract.fork.ask(voucher_contract.contract, "frozenFrom", band.device) == 7
    assert band.pay(twice[0])[:3] == (0, "", "DoubleSpent")
    assert band.pay(band.voucher("C", 9 * EURO, 1, 8, 250))[:3] == (0, "", "DoubleSpent")
    assert band.pay(honest)[:3] == (5 * EURO, "", "")  # signed before: the merchant's


def test_attack__double_spend_below_the_first_proof__freezes_from_there(voucher_contract):
    band = voucher_contract.wearable()
    voucher_contract.at(band.base + 300)
    for counter, frozen in ((7, 7), (9, 7), (5, 5)):
        twice = [band.voucher(to, 9 * EURO, 1, counter, 200) for to in "BC"]
        assert band.report(*twice) == ""
        assert (
            voucher_contract.fork.ask(voucher_contract.contract, "frozenFrom", band.device)
            == frozen
        )


def test_attack__false_accusation_of_double_spending__proves_nothing(voucher_contract):
    band, other = voucher_contract.wearable(), voucher_contract.wearable()
    a = band.voucher("A", 5 * EURO, 1, 7, 100)
    b = band.voucher("B", 5 * EURO, 1, 7, 100)
    voucher_contract.at(band.base + 300)
    assert band.report(a, a) == "no proof"
    twin = [band.facts(a, high=False), band.facts(a, high=True)]
    assert twin[0] == twin[1]  # what goes on chain has one form

    def shown(first, second, **how) -> str:
        sides = []
        for voucher in (first, second):
            r, s = how.get("key", band.key).sign(
                digest_of(voucher_contract.domain, voucher), how.get("high")
            )
            payee = Web3.to_checksum_address(voucher.payee)
            sides += [voucher._replace(payee=payee), r + s]
        call = how.get("domain", voucher_contract.contract.address), *sides
        return voucher_contract.fork.refusal(
            voucher_contract.contract, "reportDoubleSpend", *call, sender=voucher_contract.owner
        )

    assert shown(a, b) == "" and shown(a, b, high=True) == ""
    assert shown(a, a) == "NotDoubleSpend"
    assert shown(a, b._replace(counter=8)) == "NotDoubleSpend"
    assert shown(a, b._replace(wearable=other.device)) == "NotDoubleSpend"
    zero = [voucher._replace(counter=0) for voucher in (a, b)]
    assert shown(*zero) == "NotDoubleSpend"
    assert shown(a, b, key=other.key) == "VoucherUnsigned"
    assert shown(a, b, domain=voucher_contract.owner) == "NotDoubleSpend"
    unborn = [voucher._replace(signed_at=1) for voucher in (a, b)]
    assert shown(*unborn) == "VoucherUnsigned"  # no key at that time
    assert voucher_contract.fork.ask(voucher_contract.contract, "frozenFrom", band.device) == 0


def test_attack__high_s_twin_as_a_second_voucher__proves_nothing(voucher_contract):
    band = voucher_contract.wearable()
    voucher = band.voucher("A", 5 * EURO, 1, 7, 100)
    side = voucher._replace(payee=Web3.to_checksum_address(voucher.payee))
    digest = digest_of(voucher_contract.domain, voucher)
    low, high = (b"".join(band.key.sign(digest, high)) for high in (False, True))
    call = (voucher_contract.contract.address, side, low, side, high)
    refusal = voucher_contract.fork.refusal(
        voucher_contract.contract, "reportDoubleSpend", *call, sender=voucher_contract.owner
    )
    assert refusal == "NotDoubleSpend"


@pytest.mark.parametrize("which", ["chain", "contract"])
def test_attack__voucher_replayed_on_another_chain_or_contract__is_refused(voucher_contract, which):
    band = voucher_contract.wearable()
    other = (
        VoucherContract(voucher_contract.fork).domain
        if which == "contract"
        else voucher_contract.domain._replace(chain_id=1)
    )
    voucher = band.voucher("A", 5 * EURO, 1, 1, 100)
    answer = band.pay(voucher, at=200, domain=other)
    assert answer[:3] == (0, "SignatureInvalid", "")
    assert band.pay(voucher)[:3] == (5 * EURO, "", "")  # and on ours it is worth what it says


def test_attack__cap_exceeded_by_parallel_redemptions__pays_up_to_the_cap(voucher_contract):
    band = voucher_contract.wearable()
    vouchers = [
        band.voucher(to, 20 * EURO, 1, n, n, cap=50 * EURO) for n, to in enumerate("ABC", start=1)
    ]
    voucher_contract.at(band.base + 60)
    quotes = [band.quote(band.facts(voucher)) for voucher in vouchers]
    prices = voucher_contract.ask("price", quotes)
    assert [price[0] for price in prices] == [20 * EURO, 20 * EURO, 10 * EURO]  # in one batch too
    assert [band.pay(v).amount for v in vouchers] == [20 * EURO, 20 * EURO, 10 * EURO]
    assert sum(map(band.paid, "ABC")) == 50 * EURO


@pytest.mark.parametrize("act", ["revoke", "suspend"])
def test_attack__key_used_after_revocation__pays_nothing(voucher_contract, act):
    band = voucher_contract.wearable()
    voucher_contract.at(band.base + 100)
    band.registry(act)
    stopped = voucher_contract.fork.now - band.base
    for signed in (stopped, stopped + 1, stopped + 50):
        answer = band.pay(band.voucher("A", 5 * EURO, 1, signed, signed), at=stopped + 60)
        assert answer[:3] == (0, "", "DeviceSilenced")
    assert band.pay(band.voucher("A", 5 * EURO, 1, 1, stopped - 1))[:3] == (5 * EURO, "", "")


def test_attack__old_key_used_after_rotation__is_refused(voucher_contract):
    band, new = voucher_contract.wearable(), DeviceSigner.p256(77_000 + random.randrange(10**6))
    voucher_contract.at(band.base + 100)
    digest = rotation(voucher_contract.registry.address, band.device, new, 1)
    signatures = (*band.key.sign(digest), *new.sign(digest))
    band.registry("rotate", P256, new.x, new.y, 0, *signatures)
    rotated = voucher_contract.fork.now - band.base
    voucher = band.voucher("A", 5 * EURO, 1, 2, rotated + 1)
    assert band.pay(voucher, at=rotated + 60)[:3] == (0, "SignatureInvalid", "")
    earlier = band.voucher("A", 4 * EURO, 1, 1, rotated - 1)
    assert band.signed_by(new).pay(earlier)[:3] == (0, "SignatureInvalid", "")
    assert band.pay(earlier)[:3] == (4 * EURO, "", "")
    assert band.signed_by(new).pay(voucher._replace(taps=2))[:3] == (1 * EURO, "", "")


def test_attack__event_back_dated_before_a_compromise__is_refused(voucher_contract):
    band = voucher_contract.wearable()
    voucher_contract.at(band.base + 1_000)
    band.registry("declareCompromised", band.base + 500)
    for signed in (499, 500, 900):
        answer = band.pay(band.voucher("A", 5 * EURO, 1, signed, signed), at=1_100)
        assert answer[:3] == (0, "DeviceNotActive", "")


def test_attack__signed_before_the_device_was_enrolled__is_refused(voucher_contract):
    band = voucher_contract.wearable()
    answer = band.pay(band.voucher("A", 5 * EURO, 1, 1, 5, signed_at=1_000), at=10)
    assert answer[:3] == (0, "DeviceNotActive", "")


def test_attack__lost_wearable__pays_one_last_allowance_and_then_nothing(voucher_contract):
    band = voucher_contract.wearable(offline_amount=30 * EURO, offline_taps=4, max_age=DAY)
    before = band.voucher("A", 20 * EURO, 1, 1, 10)
    assert band.pay(before, at=50)[:3] == (20 * EURO, "", "")  # not lost yet: no allowance used
    voucher_contract.at(band.base + 100)
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


def test_attack__lost_wearable_in_many_small_taps__is_bounded_by_their_count(voucher_contract):
    band = voucher_contract.wearable(offline_amount=30 * EURO, offline_taps=3)
    voucher_contract.at(band.base + 100)
    band.registry("suspend")
    amounts = [
        band.pay(band.voucher(to, EURO, 1, n, 50 + n)).amount for n, to in enumerate("ABC", start=1)
    ]
    assert amounts == [EURO] * 3
    answer = band.pay(band.voucher("A", 2 * EURO, 2, 9, 90))
    assert answer[:3] == (0, "", "OfflineTaps")


def test_attack__lost_and_found__the_allowance_is_whole_again(voucher_contract):
    band = voucher_contract.wearable(offline_amount=30 * EURO)
    voucher_contract.at(band.base + 100)
    band.registry("suspend")
    spent = band.pay(band.voucher("A", 40 * EURO, 2, 1, 50))
    assert spent[:3] == (30 * EURO, "", "OfflineAmount")
    voucher_contract.fork.send(
        "DeviceRegistry", "resume", band.device, sender=voucher_contract.fork.plan.registrar
    )
    resumed = voucher_contract.fork.now - band.base + 1
    assert band.pay(band.voucher("A", 60 * EURO, 4, 2, resumed), at=resumed)[:3] == (
        30 * EURO,
        "",
        "",
    )
    assert band.pay(band.voucher("B", 25 * EURO, 1, 3, resumed))[:3] == (25 * EURO, "", "")


def test_attack__stolen_voucher_redeemed_by_another_payee__is_refused(voucher_contract):
    band = voucher_contract.wearable()
    voucher = band.voucher("A", 5 * EURO, 1, 1, 100)
    facts = band.facts(voucher)
    thief = bytes(12) + bytes.fromhex(MERCHANTS["C"][2:])
    voucher_contract.at(band.base + 200)
    assert band.settle(thief + facts[32:])[:3] == (0, "SignatureInvalid", "")
    assert band.paid("C") == 0
    assert band.settle(facts)[:2] == (5 * EURO, "")


def test_attack__any_field_of_a_signed_voucher_changed__is_refused(voucher_contract):
    band = voucher_contract.wearable()
    facts = band.facts(band.voucher("A", 5 * EURO, 1, 1, 100))
    voucher_contract.at(band.base + 200)
    for at in range(10):
        row = bytearray(facts)
        row[32 * at + 31] ^= 2
        assert band.settle(bytes(row))[:3] == (0, "SignatureInvalid", ""), at


def test_attack__voucher_of_another_wearable__is_refused(voucher_contract):
    band, other = voucher_contract.wearable(), voucher_contract.wearable()
    facts = other.facts(other.voucher("A", 5 * EURO, 1, 1, 100))
    voucher_contract.at(max(band.base, other.base) + 200)
    assert band.settle(facts)[:3] == (0, "SignatureInvalid", "")


def test_attack__high_s_twin_of_a_used_signature__pays_nothing_more(voucher_contract):
    band = voucher_contract.wearable()
    voucher = band.voucher("A", 5 * EURO, 1, 1, 100)
    facts = band.facts(voucher)
    s = P256_N - int.from_bytes(facts[-32:], "big")
    voucher_contract.at(band.base + 200)
    assert band.settle(facts)[:3] == (5 * EURO, "", "")
    assert band.settle(facts[:-32] + word(s))[:3] == (0, "", "Superseded")


def test_attack__missing_precompile__same_verdicts_through_the_fallback(voucher_contract):
    """The signatures that a check must distinguish; the fixture runs this on both chains."""
    assert (
        voucher_contract.registry.functions.hasPrecompile().call()
        == voucher_contract.fork.has_precompile
    )
    band = voucher_contract.wearable()
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
    voucher_contract.at(band.base + 200)
    for pair in wrong:
        assert band.settle(good[:-64] + b"".join(pair))[:3] == (0, "SignatureInvalid", "")
    assert band.settle(good)[:3] == (5 * EURO, "", "")


def test_attack__vouchers_dated_ahead_to_use_tomorrow_s_limit__pay_nothing(voucher_contract):
    band = voucher_contract.wearable(per_day=10 * EURO)
    paid = [
        band.pay(band.voucher("A", 10 * EURO * (n + 1), n + 1, n + 1, n * DAY + 5), at=10)
        for n in range(4)
    ]
    assert [answer.amount for answer in paid] == [10 * EURO, 0, 0, 0]
    assert {answer.cut for answer in paid[1:]} == {"SignedAhead"}
