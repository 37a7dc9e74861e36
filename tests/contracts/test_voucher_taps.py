"""One tap, one payment, and honest times: agreements, versions and clocks that attackers turn."""

from __future__ import annotations

import pytest
from web3 import Web3

from orchestrator.products.wearable_voucher import product
from orchestrator.products.wearable_voucher.abi import VoucherStart
from tests.support.contracts.voucher_contract import (
    DAY,
    EURO,
    MERCHANTS,
    VoucherAnswer,
    VoucherContract,
)

# times and sums need no precompile: one hardfork is enough here
pytestmark = pytest.mark.parametrize("voucher_contract", ["osaka"], indirect=True, scope="module")


def nothing(answer: VoucherAnswer) -> bool:
    return answer.amount == 0


def test_attack__one_tap_in_two_agreements_of_a_wearable__pays_once(voucher_contract):
    """On 0.3.0 accounts were kept per agreement: each agreement paid the whole total again."""
    band = voucher_contract.wearable()
    voucher = band.voucher("A", 5 * EURO, 1, 1, 100)
    assert band.pay(voucher, at=200)[:3] == (5 * EURO, "", "")
    for _ in range(2):
        assert band.renewed(band.base).pay(voucher)[:3] == (0, "", "Superseded")
    assert band.pay(voucher)[:3] == (0, "", "Superseded")
    assert band.paid("A") == 5 * EURO


def test_attack__one_tap_in_two_agreements_of_one_batch__pays_once(voucher_contract):
    band = voucher_contract.wearable()
    facts = band.facts(band.voucher("A", 5 * EURO, 1, 1, 100))
    voucher_contract.at(band.base + 200)
    quotes = [band.quote(facts), band.renewed(band.base).quote(facts)]
    prices = voucher_contract.ask("price", quotes)
    assert [(amount, refusal) for amount, refusal, _ in prices] == [(5 * EURO, 0), (0, 0)]


def test_renewal__the_same_card__goes_on_with_totals_cap_and_the_day_s_limit(voucher_contract):
    band = voucher_contract.wearable(per_day=30 * EURO)
    assert band.pay(band.voucher("A", 20 * EURO, 1, 1, 100, cap=45 * EURO), at=200).amount
    new = band.renewed()  # the card knows nothing of it
    same_day = new.pay(band.voucher("A", 40 * EURO, 2, 2, 300, cap=45 * EURO), at=310)
    assert same_day[:3] == (10 * EURO, "", "DaySpent")
    next_day = new.pay(band.voucher("B", 20 * EURO, 1, 3, DAY + 1, cap=45 * EURO), at=DAY + 10)
    assert next_day[:3] == (15 * EURO, "", "CapSpent")


def test_attack__agreement_ended_with_taps_unredeemed__they_are_paid_once(voucher_contract):
    """Signed before the end: the old agreement pays in its grace, or the new one's next voucher."""
    band = voucher_contract.wearable()
    end = band.base + 500
    opening = bytes(31) + b"9", band.device, band.base, product.encode_terms(band.terms)
    assert (
        voucher_contract.ask("open", *opening) == band.terms.max_age
    )  # all that was signed in time can settle
    voucher_contract.at(band.base + 600)
    new = band.renewed(band.base + 600)
    before = {to: band.voucher(to, 5 * EURO, 1, n, 400 + n) for n, to in enumerate("AB", start=1)}
    assert new.pay(before["A"])[:3] == (0, "", "BeforeStart")
    assert band.pay(before["A"], until=end)[:3] == (5 * EURO, "", "")
    after = band.voucher("B", 8 * EURO, 2, 3, 601)
    assert band.pay(after, until=end)[:3] == (0, "", "SignedAhead")
    assert new.pay(after)[:3] == (8 * EURO, "", "")
    assert band.pay(before["B"], until=end)[:3] == (0, "", "Superseded")
    assert (band.paid("A"), band.paid("B")) == (5 * EURO, 8 * EURO)


def test_attack__refunded_tap_in_a_later_voucher__is_not_paid_again(voucher_contract):
    """Totals are cumulative: a later voucher brings only what is new."""
    band = voucher_contract.wearable()
    assert band.pay(band.voucher("A", 5 * EURO, 1, 1, 100), at=200).amount == 5 * EURO
    voucher_contract.send("refunded", band.agreement, 5 * EURO)
    assert band.pay(band.voucher("A", 8 * EURO, 2, 2, 300), at=400)[:3] == (3 * EURO, "", "")


def test_attack__one_tap_in_two_versions_of_the_product__pays_once(voucher_contract):
    """The next version takes a wearable over, with the card as it is, and reads what was paid."""
    voucher_contract = VoucherContract(voucher_contract.fork)
    fork, contract = voucher_contract.fork, voucher_contract.contract
    other, stranger = VoucherContract(fork), voucher_contract.owner
    band = voucher_contract.wearable()
    voucher = band.voucher("A", 5 * EURO, 1, 1, 100)
    assert band.pay(voucher, at=200).amount == 5 * EURO
    opened = bytes(32), band.device, band.base, product.encode_terms(band.terms)
    error = other.refusal("open", *opened)
    assert error == "TermsMalformed"  # a version without ties does not take the card's vouchers
    following = fork.create("NextVoucher", contract.address)
    assert fork.refusal(following, "open", band.device, sender=stranger) == "NotSuccessor"
    voucher_contract.link("setSuccessor", following.address)
    fork.send(following, "open", band.device, sender=stranger)
    for total, amount in ((5 * EURO, 0), (7 * EURO, 2 * EURO), (7 * EURO, 0)):
        call = band.device, Web3.to_checksum_address(voucher.payee), total
        assert fork.ask(following, "pay", *call, sender=stranger) == amount
        fork.send(following, "pay", *call, sender=stranger)
    newer = band.voucher("A", 9 * EURO, 2, 2, 300)
    assert band.pay(newer, at=400)[:3] == (0, "", "PassedOn")
    assert voucher_contract.refusal("open", *opened) == "PassedOnAlready"
    assert fork.refusal(following, "open", band.device, sender=stranger) == "PassedOnAlready"


@pytest.mark.parametrize("function", ["setSuccessor", "setPredecessor"])
def test_attack__stranger_ties_versions_together__only_the_steward_can_and_once(
    voucher_contract, function
):
    voucher_contract = VoucherContract(voucher_contract.fork)
    fork, contract = voucher_contract.fork, voucher_contract.contract
    some = voucher_contract.owner
    error = fork.refusal(contract, function, some, sender=some)
    assert error == "AccessManagedUnauthorized"
    steward = fork.plan.steward
    for wrong in ("0x" + "00" * 20, contract.address):
        assert fork.refusal(contract, function, wrong, sender=steward) == "LinkInvalid"
    voucher_contract.link(function, some)
    assert fork.refusal(contract, function, some, sender=steward) == "LinkInvalid"


def test_move__a_card_of_a_rail_before__pays_what_is_new_by_its_old_contract(voucher_contract):
    """The terms carry what was paid there; the card keeps signing for the contract it knows."""
    voucher_contract = VoucherContract(voucher_contract.fork)
    old = voucher_contract.owner
    starts = tuple(
        VoucherStart(Web3.to_checksum_address(MERCHANTS[to]), paid * EURO, taps)
        for to, paid, taps in (("A", 5, 1), ("B", 7, 2))
    )
    domain = voucher_contract.domain._replace(contract=old.lower())
    voucher_contract.link("setPredecessor", old)
    band = voucher_contract.wearable(contract=old, starts=starts)
    same = band.voucher("A", 5 * EURO, 1, 4, 100)
    assert band.pay(same, at=200, domain=domain)[:3] == (0, "", "Superseded")
    cap = {"cap": 14 * EURO}  # of all that the card signs in its life
    newer = band.voucher("B", 12 * EURO, 3, 5, 150, **cap)
    assert band.pay(newer, domain=domain)[:3] == (2 * EURO, "", "CapSpent")
    assert band.pay(band.voucher("A", 6 * EURO, 2, 6, 180))[1] == "SignatureInvalid"
    twice = [band.voucher(to, 9 * EURO, 4, 9, 190) for to in "AB"]
    assert band.report(*twice, domain=domain) == ""


def test_attack__later_agreement_says_what_was_paid__does_not_void_a_merchant_s_taps(
    voucher_contract,
):
    """A payer could else write off what merchants hold; only the first agreement may say it."""
    band = voucher_contract.wearable()
    start = VoucherStart(Web3.to_checksum_address(MERCHANTS["A"]), 100 * EURO, 9)
    terms = product.encode_terms(band.terms._replace(starts=(start,)))
    opening = bytes(31) + b"8", band.device, band.base, terms
    assert voucher_contract.refusal("open", *opening) == "StartsUnexpected"


def test_voucher__signed_in_the_second_of_the_start__is_paid_and_none_before(voucher_contract):
    band = voucher_contract.wearable()
    early, first = (band.voucher("A", EURO, 1, 1, signed) for signed in (-1, 0))
    assert band.pay(early, at=60)[:3] == (0, "", "BeforeStart")
    assert band.pay(first)[:3] == (EURO, "", "")


@pytest.mark.parametrize(
    ("counter", "signed", "cut"),
    [
        *((3, -600, ""), (3, -601, "TimeFell")),  # newer, and earlier
        *((1, 600, ""), (1, 601, "TimeFell")),  # older, and later
    ],
)
def test_voucher__whose_clock_differs__is_paid_within_ten_minutes(
    voucher_contract, counter, signed, cut
):
    band, last = voucher_contract.wearable(), 1_000
    assert band.pay(band.voucher("A", EURO, 1, 2, last), at=last + 700).amount == EURO
    answer = band.pay(band.voucher("B", EURO, 1, counter, last + signed))
    assert (answer.amount, answer.cut) == (0 if cut else EURO, cut)


@pytest.mark.parametrize(("seconds", "cut"), [(600, ""), (599, "CoolOff")])
def test_voucher__after_the_cool_off_itself__is_paid(voucher_contract, seconds, cut):
    band = voucher_contract.wearable(cool_off=600)
    assert band.pay(band.voucher("A", EURO, 1, 1, 100), at=1_000).amount == EURO
    assert band.pay(band.voucher("B", EURO, 1, 2, 100 + seconds)).cut == cut


def test_attack__eight_vouchers_of_one_minute_with_back_dated_times__one_day_s_limit(
    voucher_contract,
):
    """On 0.3.0 each paid by the limit of the day that it claimed: eight limits in a minute."""
    terms = {"per_day": 20 * EURO, "cool_off": 600, "max_age": 9 * DAY}
    band = voucher_contract.wearable(**terms)
    now = 8 * DAY + 50_000
    assert band.pay(band.voucher("A", EURO, 1, 1, now - 3_600), at=now - 3_000).amount
    voucher_contract.at(band.base + now)
    stolen = [
        band.pay(band.voucher(to, 20 * EURO, 1, 2 + n, now - (7 - n) * DAY))
        for n, to in enumerate("BCDEF12")
    ]
    assert {answer.cut for answer in stolen} == {"TimeFell"}
    spread = [
        band.pay(band.voucher(to, 20 * EURO, 1, 20 + n, now - 600 + n * 60))
        for n, to in enumerate("BCDEF12")
    ]
    assert sum(answer.amount for answer in spread) == 19 * EURO
    assert {answer.cut for answer in spread[1:]} <= {"CoolOff", "DaySpent"}


def test_attack__back_dated_vouchers_after_days_without_a_settlement__a_limit_for_each_day(
    voucher_contract,
):
    """What the chain cannot see it bounds: the limit times the days since the last settlement."""
    band = voucher_contract.wearable(per_day=20 * EURO, max_age=9 * DAY)
    assert band.pay(band.voucher("A", 20 * EURO, 1, 1, 50), at=60).amount == 20 * EURO
    voucher_contract.at(band.base + 3 * DAY + 100)
    made = [
        band.pay(band.voucher(to, 20 * EURO, 1, 2 + n, n * DAY // 2 + 100))
        for n, to in enumerate("BCDEF12")
    ]
    assert sum(answer.amount for answer in made) == 3 * 20 * EURO


def test_attack__terminal_ten_years_ahead__its_voucher_is_unpaid_and_the_card_works(
    voucher_contract,
):
    """A time far ahead must not stay: as the last time of signing it would stop the card."""
    band = voucher_contract.wearable(per_day=20 * EURO, cool_off=60)
    assert band.pay(band.voucher("A", 5 * EURO, 1, 1, 100), at=200).amount == 5 * EURO
    ahead = band.voucher("B", 5 * EURO, 1, 2, 3_650 * DAY)
    assert band.pay(ahead)[:3] == (0, "", "SignedAhead")
    assert band.pay(band.voucher("C", 5 * EURO, 1, 3, 210), at=220)[:3] == (5 * EURO, "", "")
    state = voucher_contract.fork.ask(voucher_contract.contract, "stateOf", band.device)
    assert state[1:3] == [3, band.base + 210]
    assert band.pay(band.voucher("B", 9 * EURO, 2, 4, 300), at=310)[:3] == (9 * EURO, "", "")


def test_attack__signed_at_the_edge_of_the_grace__is_the_last_that_is_paid(voucher_contract):
    band = voucher_contract.wearable()
    voucher_contract.at(band.base + 100)
    now = voucher_contract.fork.now - band.base
    beyond = band.voucher("A", 5 * EURO, 1, 1, now + 700)
    assert band.pay(beyond)[:3] == (0, "", "SignedAhead")
    within = band.voucher("A", 5 * EURO, 1, 2, now + 590)
    assert band.pay(within)[:3] == (5 * EURO, "", "")


def test_attack__seven_days_offline__one_voucher_pays_each_day_s_limit(voucher_contract):
    """On 0.3.0 one voucher paid one day's limit."""
    terms = {"per_day": 10 * EURO, "offline_taps": 20, "offline_amount": 100 * EURO}
    band = voucher_contract.wearable(**terms, max_age=8 * DAY)
    assert band.pay(band.voucher("A", 10 * EURO, 1, 1, 50), at=60).amount == 10 * EURO
    week = band.voucher("A", 80 * EURO, 15, 15, 7 * DAY + 50)
    assert band.pay(week, at=7 * DAY + 60)[:3] == (70 * EURO, "", "")
