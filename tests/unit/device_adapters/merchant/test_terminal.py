"""A merchant's terminal offline: what it accepts, what it declines and why, what survives.

take
├── given a voucher within all bounds: it should keep it, and drop the one that it replaces
├── given any other: it should give the reason, and change nothing
└── given two vouchers with one counter: it should keep both as proof, and accept no more
record_answers: it should reset the offline bounds
"""

from __future__ import annotations

import pytest

from device_adapters.merchant.card import WearableCard
from device_adapters.merchant.terminal import TapReason, Terminal
from device_adapters.protocols import voucher as protocol
from device_adapters.protocols.voucher.typed import Domain
from device_adapters.types import Reason, Rejected
from tests.support.wristband import DAY, EURO, MERCHANT, NOW, OTHER, band, card, twin_of


@pytest.fixture
def till(tmp_path):
    terminal = Terminal(tmp_path / "till.sqlite3", MERCHANT, 5814)
    yield terminal
    terminal.close()


def declined(till, record, amount=EURO, now=NOW) -> str:
    before = till.due(), till.account("BAND-1")
    with pytest.raises(Rejected) as caught:
        till.take(record, amount, now)
    if caught.value.reason is not TapReason.DOUBLE_SPENT:
        assert (till.due(), till.account("BAND-1")) == before
    return str(caught.value.reason)


def evidence(record: bytes) -> str:
    return protocol.decode(record).evidence_hash.hex()


def test_take__tap_after_tap__keeps_only_the_newest(tmp_path, till):
    wearable = band(tmp_path)
    till.add(card(wearable))
    records = [wearable.tap(MERCHANT, n * EURO, 5814, NOW + n) for n in (1, 2, 3)]
    for n, record in enumerate(records, start=1):
        till.take(record, n * EURO, NOW + n)
    assert till.due() == records[-1:]
    account = till.account("BAND-1")
    assert (account.total, account.taps, account.counter) == (6 * EURO, 3, 3)


def test_take__taps_of_two_days__keeps_the_newest_of_each(tmp_path, till):
    wearable = band(tmp_path, per_day=10 * EURO)
    till.add(card(wearable))
    records = [wearable.tap(MERCHANT, 5 * EURO, 5814, NOW + n * DAY // 2) for n in range(4)]
    for n, record in enumerate(records):
        till.take(record, 5 * EURO, NOW + n * DAY // 2)
    assert till.due() == [records[1], records[3]]


def test_take__after_the_process_ended__continues_with_its_state(tmp_path, till):
    wearable = band(tmp_path)
    till.add(card(wearable))
    first = wearable.tap(MERCHANT, EURO, 5814, NOW)
    till.take(first, EURO, NOW)
    wearable.close()
    again, once_more = Terminal(tmp_path / "till.sqlite3", MERCHANT, 5814), band(tmp_path)
    assert declined(again, first) == "counter_not_rising"
    second = once_more.tap(MERCHANT, EURO, 5814, NOW + 5)
    assert again.take(second, EURO, NOW + 5).total == 2 * EURO
    assert again.due() == [second]
    again.close()


def test_take__not_signed_by_this_wearable__is_declined(tmp_path, till):
    wearable = band(tmp_path)
    record = wearable.tap(MERCHANT, EURO, 5814, NOW)
    assert declined(till, record) == "wearable_unknown"
    till.add(card(wearable))
    assert declined(till, record[:-9]) == Reason.TRUNCATED
    forged = record.replace(b'"total":1000000', b'"total":2000000')
    assert declined(till, forged) == "signature_forged"


@pytest.mark.parametrize(
    "domain", [Domain(1, "0x" + "c0" * 20), Domain(31337, "0x" + "c1" * 20)], ids=str
)
def test_attack__voucher_for_another_chain_or_contract__is_declined(tmp_path, till, domain):
    wearable = band(tmp_path)
    till.add(card(wearable))
    *_, voucher, _, _ = protocol.read(wearable.tap(MERCHANT, EURO, 5814, NOW))
    assert declined(till, wearable.sign(voucher, domain)) == "foreign_domain"
    till.take(wearable.sign(voucher), EURO, NOW)


def test_take__to_somebody_else_or_for_other_goods__is_declined(tmp_path, till):
    wearable = band(tmp_path, classes=())
    till.add(card(wearable, classes=(5814,)))
    assert declined(till, wearable.tap(OTHER, EURO, 5814, NOW)) == "other_payee"
    assert declined(till, wearable.tap(MERCHANT, EURO, 5411, NOW)) == "class_not_agreed"
    till.add(card(wearable, classes=(5411,)))
    assert declined(till, wearable.tap(MERCHANT, EURO, 5814, NOW)) == "class_not_agreed"


def test_take__less_than_the_sale_or_more_than_a_tap_may_be__is_declined(tmp_path, till):
    wearable = band(tmp_path)
    till.add(card(wearable, per_tap=10 * EURO))
    record = wearable.tap(MERCHANT, 4 * EURO, 5814, NOW)
    assert declined(till, record, 4 * EURO + 1) == "amount_short"
    till.take(record, 4 * EURO, NOW)
    record = wearable.tap(MERCHANT, 10 * EURO + 1, 5814, NOW + 1)
    assert declined(till, record) == "above_tap_limit"


@pytest.mark.parametrize(
    "at, now, reason",
    [
        (601, 0, "clock_differs"),
        (0, 601, "clock_differs"),
        (600, 0, ""),
        (0, 600, ""),
    ],
)
def test_take__clocks_apart__at_most_ten_minutes(tmp_path, till, at, now, reason):
    wearable = band(tmp_path)
    till.add(card(wearable))
    record = wearable.tap(MERCHANT, EURO, 5814, NOW + at)
    if reason:
        assert declined(till, record, now=NOW + now) == reason
    else:
        till.take(record, EURO, NOW + now)


def test_take__expired_too_soon_above_cap_or_day__is_declined(tmp_path, till):
    wearable = band(tmp_path)
    till.add(card(wearable, cool_off=60, per_day=20 * EURO))
    *_, voucher, _, _ = protocol.read(wearable.tap(MERCHANT, 15 * EURO, 5814, NOW))
    assert declined(till, wearable.sign(voucher._replace(expiry=NOW - 1))) == "expired"
    assert declined(till, wearable.sign(voucher._replace(cap=15 * EURO - 1))) == "above_cap"
    till.take(wearable.sign(voucher), EURO, NOW)
    soon, later = (wearable.tap(MERCHANT, 6 * EURO, 5814, NOW + after) for after in (59, 60))
    assert declined(till, soon, now=NOW + 59) == "cool_off"
    assert declined(till, later, now=NOW + 60) == "above_day_limit"
    other_day = wearable.tap(MERCHANT, EURO, 5814, NOW + DAY)
    till.take(other_day, EURO, NOW + DAY)  # and includes the amounts of the declined taps


def test_attack__own_clock_was_ten_years_ahead__later_taps_are_taken(tmp_path, till):
    """On 0.3.0 a cool-off declined all taps for ten years."""
    wearable, ahead = band(tmp_path), NOW + 3_650 * DAY
    till.add(card(wearable, as_of=ahead, cool_off=60))
    till.take(wearable.tap(MERCHANT, EURO, 5814, ahead), EURO, ahead)
    till.add(card(wearable, cool_off=60, per_day=25 * EURO))
    till.take(wearable.tap(MERCHANT, EURO, 5814, NOW), EURO, NOW)
    soon = wearable.tap(MERCHANT, EURO, 5814, NOW + 59)
    assert declined(till, soon, now=NOW + 59) == "cool_off"
    within_grace = wearable.sign(protocol.read(soon)[2]._replace(signed_at=NOW - 600))
    assert declined(till, within_grace, now=NOW) == "cool_off"


def test_take__offline_bounds_of_count_amount_and_age__hold_until_the_rail_answered(tmp_path, till):
    wearable = band(tmp_path, offline_taps=99)
    till.add(card(wearable, offline_taps=2, offline_amount=10 * EURO, max_age=DAY))
    taps = [wearable.tap(MERCHANT, 4 * EURO, 5814, NOW + n) for n in range(2)]
    for n, record in enumerate(taps):
        till.take(record, EURO, NOW + n)
    third = wearable.tap(MERCHANT, EURO, 5814, NOW + 2)
    assert declined(till, third, now=NOW + 2) == "offline_taps"
    till.record_answers([(evidence(taps[1]), "accepted")])
    assert till.due() == [] and till.outcomes() == {evidence(taps[1]): "accepted"}
    till.take(third, EURO, NOW + 2)
    big = wearable.tap(MERCHANT, 11 * EURO, 5814, NOW + 3)
    assert declined(till, big, now=NOW + 3) == "offline_amount"
    late = NOW + 2 + DAY + 1
    till.add(card(wearable, as_of=late, max_age=DAY))
    record = wearable.tap(MERCHANT, EURO, 5814, late)
    assert declined(till, record, now=late) == "offline_age"
    till.record_answers([(evidence(third), "duplicate")])
    till.take(record, EURO, late)


def test_take__card_older_than_its_max_age__is_declined(tmp_path, till):
    wearable = band(tmp_path)
    till.add(card(wearable, as_of=NOW - 3 * DAY - 1))
    record = wearable.tap(MERCHANT, EURO, 5814, NOW)
    assert declined(till, record) == "card_too_old"
    till.add(card(wearable, as_of=NOW - 3 * DAY))
    till.take(record, EURO, NOW)


def test_record_answers__refused_by_the_rail__resets_nothing(tmp_path, till):
    wearable = band(tmp_path)
    till.add(card(wearable, offline_taps=1))
    record = wearable.tap(MERCHANT, EURO, 5814, NOW)
    till.take(record, EURO, NOW)
    till.record_answers([(evidence(record), "device_suspended"), ("ab" * 32, "accepted")])
    assert till.outcomes() == {evidence(record): "device_suspended"}
    second = wearable.tap(MERCHANT, EURO, 5814, NOW + 1)
    assert declined(till, second, now=NOW + 1) == "offline_taps"


def test_attack__voucher_double_spend__both_are_kept_and_the_wearable_is_blocked(tmp_path, till):
    wearable = band(tmp_path)
    till.add(card(wearable))
    first = wearable.tap(MERCHANT, EURO, 5814, NOW)
    till.take(first, EURO, NOW)
    assert declined(till, twin_of(first)) == "counter_not_rising"  # a twin is not a second voucher
    second = wearable.spend_twice(MERCHANT, 2 * EURO, 5814, NOW + 1)
    assert declined(till, second, now=NOW + 1) == "double_spent"
    assert set(till.due()) == {first, second}
    third = wearable.tap(MERCHANT, EURO, 5814, NOW + 2)
    assert declined(till, third, now=NOW + 2) == "double_spent"


def test_attack__stolen_voucher_shown_again__is_declined(tmp_path, till):
    wearable = band(tmp_path)
    till.add(card(wearable))
    record = wearable.tap(MERCHANT, EURO, 5814, NOW)
    till.take(record, EURO, NOW)
    assert declined(till, record) == "counter_not_rising"


def test_card__by_way_of_json__is_the_same(tmp_path):
    original = card(band(tmp_path))
    assert WearableCard.from_json(original.to_json()) == original


@pytest.mark.parametrize(
    "old, new, reason",
    [
        ('"per_tap"', '"per_tip"', Reason.WRONG_TYPE),
        ("25000000", "-1", Reason.WRONG_TYPE),
        ("25000000", "2.5", Reason.WRONG_TYPE),
        ("[5814]", "5814", Reason.WRONG_TYPE),
        ('"BAND-1"', '""', Reason.WRONG_TYPE),
        ('"key": "30', '"key": "31', Reason.KEY_MALFORMED),
        ("}", "", Reason.TRUNCATED),
        ("31337", "true", Reason.WRONG_TYPE),
    ],
)
def test_card__of_another_shape__is_refused_by_name(tmp_path, old, new, reason):
    text = card(band(tmp_path)).to_json()
    assert old in text
    with pytest.raises(Rejected) as caught:
        WearableCard.from_json(text.replace(old, new))
    assert caught.value.reason is reason
