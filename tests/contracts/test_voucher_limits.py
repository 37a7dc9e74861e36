"""The limits of wearable vouchers: contract and model agree, and an honest tap is always paid.

price
├── given any vouchers of one wearable, in any order, under changing terms
│   └── it should answer what the model answers, and never revert
└── given the taps of an honest wearable, redeemed days late and in any order of the terminals
    └── it should pay every tap
"""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_adapters.protocols import voucher as protocol
from device_adapters.protocols.voucher.typed import Voucher
from device_adapters.types import Rejected
from orchestrator.products.wearable_voucher import product
from orchestrator.products.wearable_voucher.abi import VoucherStart, VoucherTerms
from tests.support.contracts.voucher_contract import DAY, EURO
from tests.support.contracts.voucher_model import VoucherModel

START = 20_000 * DAY
_CONTRACT = "0x" + "c0" * 20
# (days since the start, seconds of the day, merchant, amount)
_TAPS = st.lists(
    st.tuples(
        st.integers(0, 6), st.integers(0, DAY - 1), st.sampled_from("ABC"), st.integers(1, 9)
    ),
    min_size=1,
    max_size=25,
)

# times and sums need no precompile: one hardfork is enough here
on_osaka = pytest.mark.parametrize("voucher_contract", ["osaka"], indirect=True, scope="module")


def honest_taps(taps: list, limit: int) -> list[Voucher]:
    """Return the vouchers of taps in the order of their times, none above its day's limit."""
    spent, totals, counts, vouchers = {}, {}, {}, []
    for day, second, to, amount in sorted(taps):
        if spent.get(day, 0) + amount > limit:
            continue
        spent[day] = spent.get(day, 0) + amount
        totals[to], counts[to] = totals.get(to, 0) + amount, counts.get(to, 0) + 1
        at, counter = START + day * DAY + second, len(vouchers) + 1
        numbers = totals[to], counter, counts[to], 5814, 10**9, at, at + 30 * DAY
        vouchers.append(Voucher(b"", to, *numbers))
    return vouchers


@settings(max_examples=500, deadline=None)
@given(_TAPS, st.integers(9, 20), st.lists(st.sets(st.sampled_from("ABC")), max_size=25))
def test_attack__seven_days_offline_each_day_within_the_limit__every_tap_is_paid(
    taps, limit, redeeming
):
    """A cut by dates alone (as 0.3.0's) left what one voucher brought for several days unpaid.

    Each merchant keeps the newest voucher of each day. After each tap some merchants redeem what
    they keep, in the order of counters; at the end all do.
    """
    terms = VoucherTerms(1, _CONTRACT, 10**6, limit, (), 0, 1000, 10**9, 8 * DAY)
    vouchers, model, kept = honest_taps(taps, limit), VoucherModel(START), {}
    for number, voucher in enumerate(vouchers, start=1):
        merchants = redeeming[number - 1] if number <= len(redeeming) else ()
        if number == len(vouchers):
            merchants = "ABC"
        kept[voucher.payee, voucher.signed_at // DAY] = voucher
        for to in sorted(merchants, reverse=limit % 2 == 0):
            due = [kept.pop(key) for key in sorted(kept) if key[0] == to]
            for record in sorted(due, key=lambda record: record.counter):
                model.pay(terms, record, voucher.signed_at)
    owed = {voucher.payee: voucher.total for voucher in vouchers}
    assert {to: paid for to, (paid, _) in model.accounts.items()} == owed


@settings(max_examples=400, deadline=None)
@given(_TAPS, st.integers(1, 20), st.randoms(use_true_random=False))
def test_price__any_vouchers__settle_at_most_the_limit_of_each_day(taps, limit, chance):
    """What counters and times a broken wearable signs: the days bound the sum."""
    terms = VoucherTerms(1, _CONTRACT, 10**6, limit, (), 0, 1000, 10**9, 30 * DAY)
    model, totals, last = VoucherModel(START), {}, START
    for number, (day, second, to, amount) in enumerate(taps, start=1):
        totals[to] = totals.get(to, 0) + amount
        at = START + day * DAY + second
        counter = chance.randrange(1, 30)
        model.pay(
            terms,
            Voucher(b"", to, totals[to], counter, number, 0, 10**9, at, at + 30 * DAY),
            START + 7 * DAY,
        )
        last = max(last, at)
    assert model.paid <= limit * (last // DAY - START // DAY + 1)


@pytest.mark.parametrize("seed", range(4))
@on_osaka
def test_price__any_vouchers_under_changing_terms__as_the_model_and_never_a_revert(
    voucher_contract, seed
):
    chance = random.Random(seed)
    band = voucher_contract.wearable(offline_amount=40 * EURO, offline_taps=3, per_day=60 * EURO)
    model, totals = VoucherModel(band.base), dict.fromkeys("ABC", (0, 0))
    agreements = [(band, band.base)]
    for per_day, cool_off in ((0, 0), (20 * EURO, 30), (7, 0), (2**48 - 1, 0)):
        terms = {"per_day": per_day, "cool_off": cool_off, "max_age": 5 * DAY}
        agreements.append((band.renewed(band.base + DAY, **terms), band.base + DAY))
    voucher_contract.at(band.base + 3 * DAY)
    for _ in range(30):
        to, (agreed, start) = chance.choice("ABC"), chance.choice(agreements)
        total, taps = totals[to]
        totals[to] = total + chance.randrange(1, 25) * EURO, taps + chance.choice((1, 1, 3))
        counter = chance.choice((chance.randrange(1, 40), model.counter + 1))
        signed = chance.randrange(-DAY, 3 * DAY + 1_200)
        cap = chance.choice((150 * EURO, 2**48 - 1))
        voucher = agreed.voucher(to, *totals[to], counter, signed, cap=cap)
        until = band.base + chance.choice((2 * DAY, 9 * DAY))
        now = voucher_contract.fork.now
        expected = model.pay(agreed.terms, voucher._replace(payee=to), now + 1, start, until)
        answer = agreed.pay(voucher, until=until)
        assert (answer.amount, answer.refusal, answer.cut) == (expected[0], "", expected[1])
    state = voucher_contract.fork.ask(voucher_contract.contract, "stateOf", band.device)
    assert tuple(state[:5]) == (
        model.paid,
        model.counter,
        model.signed_at,
        model.today,
        model.carried,
    )
    assert model.paid > 0


@on_osaka
def test_rules__of_the_oracles_and_of_the_contract__drop_the_same_vouchers(voucher_contract):
    chance = random.Random(9)
    band = voucher_contract.wearable(classes=(5814, 5411), per_tap=2 * EURO)
    raw, quotes, dropped = product.encode_terms(band.terms), [], []
    voucher_contract.at(band.base + 10)
    for counter in range(1, 41):
        taps = chance.choice((1, 2, 2**32 - 1))
        total = min(2 * EURO * taps + chance.choice((-1, 0, 1)), 2**47 - 1)
        code = chance.choice((5814, 5411, 0, 6051))
        voucher = band.voucher("A", total, taps, counter, 5, merchant_class=code)
        refusal = product.admit(raw, None, protocol.decode(band.record(voucher)))
        dropped.append(
            {None: 0, "class_not_agreed": 5, "above_tap_limit": 6}[refusal and refusal[0]]
        )
        quotes.append(band.quote(band.facts(voucher)))
    prices = voucher_contract.ask("price", quotes)
    assert [refusal for _, refusal, _ in prices] == dropped
    assert set(dropped) == {0, 5, 6}


@on_osaka
@pytest.mark.parametrize("classes", [(0, 5411), (5814, 0, 5411)])
def test_class__zero_before_a_code__is_not_agreed(voucher_contract, classes):
    """Zero stands for no code, wherever it is; a voucher without a class is of none of them."""
    band = voucher_contract.wearable(classes=classes)
    voucher_contract.at(band.base + 10)
    for code, refusal in ((0, "ClassNotAgreed"), (5411, "")):
        voucher = band.voucher("A", EURO, 1, 1, 5, merchant_class=code)
        assert band.pay(voucher).refusal == refusal


@on_osaka
def test_terms__of_any_words__open_where_python_reads_them(voucher_contract):
    chance, plain, readable = random.Random(3), voucher_contract.terms(), []
    paid = VoucherStart(voucher_contract.owner, EURO, 1)
    for number in range(60):
        starts = chance.choice(((), (paid,)))
        raw = bytearray(product.encode_terms(plain._replace(starts=starts)))
        word = 32 * chance.choice((2, 3, 4, 7, 8, 9, 10, 11, *(12, 13, 14) * len(starts)))
        bit = chance.choice((5, 15, 16, 24, 32, 40, 47, 48, 160, 255))
        raw[word : word + 32] = chance.choice((0, 1 << bit)).to_bytes(32, "big")
        opening = bytes(32), number.to_bytes(32, "big"), 1, bytes(raw)
        error = voucher_contract.refusal("open", *opening)
        assert error in ("", "TermsMalformed")
        try:
            product.decode_terms(bytes(raw))
        except Rejected:
            assert error, raw.hex()
        else:
            assert not error, raw.hex()
        readable.append(not error)
    assert any(readable) and not all(readable)


@on_osaka
def test_price__hostile_words_of_every_kind__are_answered_and_never_revert(voucher_contract):
    """A claim's facts are a merchant's: none may block the batch of the others."""
    chance, band = random.Random(5), voucher_contract.wearable(per_day=2**48 - 1)
    bits = (160, 47, 40, 32, 16, 48, 40, 40, 256, 256)
    voucher_contract.at(band.base + 10)

    def word(size: int) -> bytes:
        edge = chance.choice((0, 1, 2**size - 1, chance.randrange(2**size), 2**255))
        return edge.to_bytes(32, "big")

    quotes = []
    for _ in range(150):
        facts = b"".join(map(word, bits))
        quotes.append(band.quote(facts[: chance.choice((320, 320, 320, chance.randrange(320)))]))
        edges = [chance.choice((0, 1, 2**size - 1)) for size in (47, 40, 32, 48)]
        total, counter, taps, cap = edges
        times = {name: chance.choice((0, band.base, 2**40 - 1)) for name in ("signed_at", "expiry")}
        signed = band.voucher("A", total or 1, taps or 1, counter or 1, 0, cap=cap, **times)
        if signed.signed_at:  # the protocol itself refuses no time
            until = chance.choice((0, 2**40 - 1))
            quotes.append(band.quote(band.facts(signed), chance.choice((0, 2**48 - 1)), until))
    for at in range(0, len(quotes), 20):  # what one call can check without the precompile
        prices = voucher_contract.ask("price", quotes[at : at + 20])
        assert len(prices) == len(quotes[at : at + 20])
