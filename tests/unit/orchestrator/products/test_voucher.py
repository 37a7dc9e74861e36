"""Wearable vouchers off chain: claims, dropped vouchers, text form, proofs of double spending."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_adapters.merchant.terminal import TapReason
from device_adapters.protocols import voucher as protocol
from device_adapters.protocols.voucher.typed import Domain
from device_adapters.types import Rejected
from oracles import rules
from oracles.attest import checksummed
from oracles.types import Agreement, ClaimReason
from orchestrator.products.wearable_voucher import product
from orchestrator.products.wearable_voucher.abi import VoucherFacts, VoucherTerms
from tests.support.wristband import DAY, EURO, MERCHANT, NOW, OTHER, TERMS, band, twin_of

RAW = product.encode_terms(TERMS)
AGREEMENT = Agreement(b"\1" * 32, "BAND-1", b"", product.NAME, RAW, 0, 2**32 - 1, 0)
WORDS = {
    "chain": "31337",
    "contract": TERMS.contract,
    "per_tap": "25",
    "classes": "5814",
    "offline_taps": "5",
    "offline_amount": "60",
    "max_age": "259200",
}


def taps(folder, *payees: str) -> list:
    wearable = band(folder)
    records = [wearable.tap(payee, EURO, 5814, NOW + n) for n, payee in enumerate(payees)]
    return [protocol.decode(record) for record in records]


def test_runs__vouchers_of_two_merchants__each_is_a_claim_of_its_own(tmp_path):
    events = taps(tmp_path, MERCHANT, OTHER, MERCHANT)
    stream = rules.runs(AGREEMENT, product, 0, None, events)
    assert [event.counter for event in stream.run] == [1] and not stream.holes
    claim = rules.derive_claim(AGREEMENT, product, 1, None, stream.run)
    assert (claim.first_counter, claim.last_counter) == (1, 1)
    assert product.payee(claim.facts).lower() == MERCHANT
    facts = product.decode_facts(claim.facts)
    assert (facts.total, facts.taps, facts.counter) == (EURO, 1, 1)


def test_runs__an_offline_terminals_voucher__is_not_waited_for(tmp_path):
    first, _, third = taps(tmp_path, MERCHANT, OTHER, MERCHANT)
    stream = rules.runs(AGREEMENT, product, first.counter, first, [third])
    assert stream.run == (third,) and not stream.holes


def test_late_run__a_voucher_that_claims_have_passed__is_claimed_and_never_twice(tmp_path):
    _, second, third = taps(tmp_path, MERCHANT, OTHER, MERCHANT)
    stream = rules.late_run(AGREEMENT, product, [second, third], [(1, 1), (3, 3)])
    assert stream.run == (second,)
    again = rules.late_run(AGREEMENT, product, [second, third], [(1, 1), (3, 3), (2, 2)])
    assert again.run == ()


@pytest.mark.parametrize(
    "domain, doubt",
    [
        (Domain(1, TERMS.contract.lower()), ClaimReason.FOREIGN_DOMAIN),
        (Domain(31337, "0x" + "c1" * 20), ClaimReason.FOREIGN_DOMAIN),
        (Domain(31337, TERMS.contract.lower()), None),
    ],
)
def test_attack__voucher_replayed_on_another_chain_or_contract__is_dropped(tmp_path, domain, doubt):
    wearable = band(tmp_path)
    *_, voucher, _, _ = protocol.read(wearable.tap(MERCHANT, EURO, 5814, NOW))
    event = protocol.decode(wearable.sign(voucher, domain))
    refusal = product.admit(RAW, None, event)
    assert (refusal and refusal[0]) == doubt


def test_derive__high_s_twin__gives_the_same_facts(tmp_path):
    record = band(tmp_path).tap(MERCHANT, EURO, 5814, NOW)
    facts = [product.derive(RAW, None, [protocol.decode(r)], {}) for r in (record, twin_of(record))]
    assert facts[0] == facts[1]


def test_proof_of_conflict__two_vouchers_of_one_counter__and_nothing_else(tmp_path):
    wearable = band(tmp_path)
    first = wearable.tap(MERCHANT, EURO, 5814, NOW)
    second = wearable.spend_twice(OTHER, EURO, 5814, NOW + 1)
    *_, voucher, _, _ = protocol.read(second)
    foreign = wearable.sign(voucher, Domain(1, TERMS.contract.lower()))
    third = wearable.tap(OTHER, EURO, 5814, NOW + 2)
    events = [protocol.decode(r) for r in (first, second, twin_of(first), foreign, third)]
    voucher_a, voucher_b, twin, foreign, other = events
    function, arguments = product.proof_of_conflict(b"", voucher_a, voucher_b)
    assert function == "reportDoubleSpend"
    (domain, a, signature_a, b, signature_b) = arguments
    assert domain == checksummed(bytes.fromhex(TERMS.contract[2:]))
    assert a[0] == b[0] == voucher_a.device_id and a[3] == b[3] == 1
    assert a[1] == checksummed(bytes.fromhex(MERCHANT[2:])) and len(signature_a) == 64
    assert signature_a != signature_b
    for stranger in (voucher_a, twin, foreign, other):
        assert product.proof_of_conflict(b"", voucher_a, stranger) is None


_WORDS = st.lists(st.integers(0, 2**256 - 1), min_size=10, max_size=15)


@given(_WORDS)
def test_decode__any_words__round_trip_or_are_malformed(words):
    raw = b"".join(word.to_bytes(32, "big") for word in words)
    for decode, encode in (
        (product.decode_facts, product.encode_facts),
        (product.decode_terms, product.encode_terms),
    ):
        try:
            record = decode(raw)
        except Rejected as refusal:
            assert refusal.reason is ClaimReason.FACTS_MALFORMED
            continue
        if isinstance(record, VoucherTerms) and _has_gap(words[4:8]):
            assert decode(encode(record)) == record  # zero classes move to the end
        else:
            assert encode(record) == raw


def _has_gap(classes: list[int]) -> bool:
    """Return whether a class follows an empty slot, which contract and decoder both skip."""
    return any(after and not before for before, after in pairwise(classes))


def test_decode_terms__a_class_after_an_empty_slot__is_agreed_all_the_same():
    raw = bytearray(product.encode_terms(TERMS._replace(classes=(5814, 5411))))
    raw[32 * 5 : 32 * 8] = bytes(64) + raw[32 * 5 : 32 * 6]
    assert product.decode_terms(bytes(raw)).classes == (5814, 5411)


def test_encode__facts__are_ten_words_of_the_contract():
    signature = f"0x{1:064x}", f"0x{2:064x}"
    facts = VoucherFacts(checksummed(b"\xaa" * 20), 5, 6, 7, 8, 9, 10, 11, *signature)
    raw = product.encode_facts(facts)
    assert len(raw) == 320 and product.decode_facts(raw) == facts
    assert [int.from_bytes(raw[at : at + 32], "big") for at in range(32, 320, 32)] == [
        5,
        6,
        7,
        8,
        9,
        10,
        11,
        1,
        2,
    ]


def test_parse_terms__as_typed__are_the_terms():
    assert product.parse_terms(WORDS) == RAW
    more = {"per_day": "100.50", "cool_off": "30", "classes": "5814,5411"}
    terms = product.decode_terms(product.parse_terms(WORDS | more))
    assert (terms.per_day, terms.cool_off, terms.classes) == (100_500_000, 30, (5814, 5411))
    view = product.format_terms(product.encode_terms(terms))
    assert view["per day"] == "100.50 EUR" and view["merchant classes"] == "5814, 5411"


def test_parse_terms__what_payees_were_paid_before__in_rising_order_behind_the_terms():
    texts = f"{checksummed(bytes.fromhex(OTHER[2:]))}:7.5:3,{MERCHANT}:0.000001:0"
    raw = product.parse_terms(WORDS | {"starts": texts})
    assert raw.startswith(RAW) and len(raw) == len(RAW) + 2 * 96
    starts = product.decode_terms(raw).starts
    assert [(s.payee.lower(), s.paid, s.taps) for s in starts] == [
        (MERCHANT, 1, 0),
        (OTHER, 7_500_000, 3),
    ]
    assert "7.50 EUR for 3 taps" in product.format_terms(raw)["paid before"]
    assert product.encode_terms(product.decode_terms(raw)) == raw


def test_decode_terms__starts_that_the_contract_refuses__are_malformed():
    raw = product.parse_terms(WORDS | {"starts": f"{MERCHANT}:1:1,{OTHER}:2:2"})
    head, first, second = raw[:384], raw[384:480], raw[480:]
    wrong = [
        head + second + first,
        head + first + first,
        head + first[:-1],
        head + first[:32] + bytes(32) + first[64:],
        head + first[:32] + (1 << 47).to_bytes(32, "big") + first[64:],
        head + first[:64] + (1 << 32).to_bytes(32, "big"),
        head + bytes(32) + first[32:],
    ]
    for terms in wrong:
        with pytest.raises(Rejected) as caught:
            product.decode_terms(terms)
        assert caught.value.reason is ClaimReason.FACTS_MALFORMED


@pytest.mark.parametrize(
    "name, text",
    [
        ("starts", "0x12:1:1"),
        ("starts", f"{MERCHANT}:0:1"),
        ("starts", f"{MERCHANT}:1:1,{MERCHANT}:1:1"),
        ("per_tap", "-1"),
        ("per_tap", "1.1234567"),
        ("per_tap", "0"),
        ("per_tap", "ten"),
        ("per_tap", "2000000"),
        ("contract", "0x12"),
        ("chain", "main"),
        ("classes", "58"),
        ("classes", "1111,2222,3333,4444,5555"),
        ("offline_taps", "70000"),
        ("max_age", "0"),
        ("tip", "1"),
    ],
)
def test_parse_terms__a_wrong_word__is_refused(name, text):
    with pytest.raises(Rejected) as caught:
        product.parse_terms(WORDS | {name: text})
    assert caught.value.reason is ClaimReason.FACTS_MALFORMED


@pytest.mark.parametrize("name", WORDS)
def test_parse_terms__a_word_left_out__is_named_or_has_a_meaning(name):
    rest = {k: v for k, v in WORDS.items() if k != name}
    if name == "classes":
        assert product.decode_terms(product.parse_terms(rest)).classes == ()
        return
    with pytest.raises(Rejected, match=f"{name} is missing"):
        product.parse_terms(rest)


def test_format_facts__of_a_voucher__in_euro_and_dates(tmp_path):
    (event,) = taps(tmp_path, MERCHANT)
    view = product.format_facts(product.derive(RAW, None, [event], {}))
    assert view["total"] == "1.00 EUR for 1 tap" and view["signed"].startswith("2026-09-21T")


# --- the simulated secure element


@pytest.mark.parametrize(
    "terms, amount, later, reason",
    [
        ({"per_tap": 4 * EURO}, 5 * EURO, 0, TapReason.ABOVE_TAP_LIMIT),
        ({"cool_off": 60}, EURO, 59, TapReason.COOL_OFF),
        ({"per_day": 8 * EURO}, 5 * EURO, 0, TapReason.ABOVE_DAY_LIMIT),
        ({"offline_taps": 1}, EURO, 0, TapReason.OFFLINE_TAPS),
        ({"offline_amount": 8 * EURO}, 5 * EURO, 0, TapReason.OFFLINE_AMOUNT),
        ({"classes": (5411,)}, EURO, 0, TapReason.CLASS_NOT_AGREED),
    ],
)
def test_tap__beyond_the_owners_limits__is_not_signed(tmp_path, terms, amount, later, reason):
    wearable = band(tmp_path)
    wearable.tap(MERCHANT, 4 * EURO, 5814, NOW)
    wearable.terms = TERMS._replace(**terms)
    with pytest.raises(Rejected) as caught:
        wearable.tap(MERCHANT, amount, 5814, NOW + later)
    assert caught.value.reason is reason and wearable.counter == 1


def test_tap__beyond_its_cap_over_all_payees__is_not_signed(tmp_path):
    wearable = band(tmp_path, cap=10 * EURO)
    wearable.tap(MERCHANT, 6 * EURO, 5814, NOW)
    with pytest.raises(Rejected) as caught:
        wearable.tap(OTHER, 5 * EURO, 5814, NOW)
    assert caught.value.reason is TapReason.ABOVE_CAP


def test_attack__terminal_ten_years_ahead__the_card_goes_on_at_other_terminals(tmp_path):
    """On 0.3.0 a wearable with a cool-off declined every tap until that time came."""
    wearable = band(tmp_path, cool_off=60)
    wearable.tap(OTHER, EURO, 5814, NOW + 3_650 * DAY)
    record = wearable.tap(MERCHANT, EURO, 5814, NOW)
    assert json.loads(record)["message"]["signedAt"] == NOW
    with pytest.raises(Rejected) as caught:
        wearable.tap(MERCHANT, EURO, 5814, NOW + 59)
    assert caught.value.reason is TapReason.COOL_OFF


def test_tap__at_a_terminal_whose_clock_lags__its_time_does_not_fall(tmp_path):
    wearable = band(tmp_path)
    wearable.tap(MERCHANT, EURO, 5814, NOW)
    times = [NOW - 600, NOW - 601, NOW - 500]  # the second is beyond the grace: taken as it is
    signed = [
        json.loads(wearable.tap(OTHER, EURO, 5814, at))["message"]["signedAt"] for at in times
    ]
    assert signed == [NOW, NOW - 601, NOW - 500]


def test_tap__after_a_restart__counter_and_totals_go_on(tmp_path):
    first = band(tmp_path)
    first.tap(MERCHANT, EURO, 5814, NOW)
    first.tap(OTHER, EURO, 5814, NOW)
    first.close()
    second = band(tmp_path)
    event = protocol.decode(second.tap(MERCHANT, EURO, 5814, NOW + 1))
    assert (event.counter, event.facts["total"], event.facts["taps"]) == (3, 2 * EURO, 2)


def test_tap__next_day_or_online_again__bounds_are_new(tmp_path):
    wearable = band(tmp_path, per_day=5 * EURO, offline_taps=1)
    wearable.tap(MERCHANT, 5 * EURO, 5814, NOW)
    wearable.online()
    record = wearable.tap(MERCHANT, 5 * EURO, 5814, NOW + DAY)
    assert json.loads(record)["message"]["total"] == 10 * EURO
