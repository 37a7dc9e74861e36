"""Attacks on MeteredEnergy, each named after what the attacker does."""

from __future__ import annotations

import pytest

from device_adapters import registers
from orchestrator.products.metered_energy import product as energy
from orchestrator.products.metered_energy.product import (
    BandStep,
    DatedPrice,
    EnergyFacts,
    EnergyTerms,
    ReadingKind,
    TariffBand,
)
from tests.support.contracts.contract_rail import DAY, DEVICE, EURO, HOUR
from tests.support.contracts.energy_contract import LIMIT, EnergyContract

IMPORT = registers.parse("1.8.0").number
KWH = 1_000_000
PRICE = 300_000
SESSIONS = EnergyTerms(PRICE, 22_000)
HOUSEHOLD = EnergyTerms(PRICE, 22_000, continuous=True)


@pytest.fixture
def meter(contracts):
    return EnergyContract(contracts)


def _session(meter, begin: int, register: int, late: bool = False, energy_mwh: int = KWH):
    """Return a claim of one session that lasts an hour; `begin` counts from the opening."""
    kind = ReadingKind.LATE if late else ReadingKind.ACTUAL
    facts = EnergyFacts(
        register, register + energy_mwh, energy_mwh, begin, begin + HOUR, kind, IMPORT
    )
    return meter.at(facts), LIMIT, late


def _household(meter, *numbers: int, kind: int = ReadingKind.ACTUAL):
    """Return a claim of (from, to, energy, from time, to time)."""
    return meter.at(EnergyFacts(*numbers, kind, IMPORT)), LIMIT, False


def _settled(meter, agreement, claim, counters, until=2**40 - 1) -> tuple[int, str]:
    """Price one claim for good; return its amount and the name of its refusal."""
    options = {"counters": [counters], "until": until}
    [(amount, refusal)] = meter.answers(agreement, [claim], **options)
    meter.settle(agreement, [claim], **options)
    return amount, energy.REFUSALS.get(refusal, "")


@pytest.mark.parametrize("end", [2**32 - 1, None], ids=["2^32-1", "a second ahead"])
def test_facts_dated_until_the_end_of_time__to_get_past_the_fuse__are_refused(meter, end):
    """On 0.3.0 a claim until 2^40-1 fitted any fuse; every later claim ran backwards in time."""
    agreement, until = meter.open(energy.encode_terms(SESSIONS)), meter.since + DAY
    theft = EnergyFacts(0, 10**6 * KWH, 10**6 * KWH, meter.since, end or until + 1, 0, IMPORT)
    claim = energy.encode_facts(theft), LIMIT, False
    assert _settled(meter, agreement, claim, (0, 1, 1), until) == (0, "TimeAhead")
    honest = _session(meter, HOUR, 0)
    assert _settled(meter, agreement, honest, (0, 1, 1), until) == (PRICE, "")


def test_facts_from_before_the_opening__refused(meter):
    """On 0.3.0 the time of an agreement began at 0: a session of last year counted."""
    for terms in (SESSIONS, HOUSEHOLD):
        agreement = meter.open(energy.encode_terms(terms), start=meter.since + 2 * HOUR)
        claims = [_session(meter, begin, 0) for begin in (0, 2 * HOUR - 1, 2 * HOUR)]
        for claim in claims[:2]:
            assert _settled(meter, agreement, claim, (0, 1, 1)) == (0, "TimeBackwards")
        assert _settled(meter, agreement, claims[2], (0, 1, 1)) == (PRICE, "")


def test_late_session_from_before_the_opening__refused(meter):
    agreement = meter.open(energy.encode_terms(SESSIONS), start=meter.since + 2 * HOUR)
    first = _session(meter, 2 * HOUR, 0)
    second = _session(meter, 9 * HOUR, 5 * KWH)
    assert _settled(meter, agreement, first, (0, 5, 5)) == (PRICE, "")
    assert _settled(meter, agreement, second, (5, 9, 9)) == (PRICE, "")
    early = _session(meter, HOUR, KWH, late=True)
    assert _settled(meter, agreement, early, (9, 2, 2)) == (0, "TimeBackwards")


def test_late_stretch__presented_three_times_by_a_quorum__is_paid_once(meter):
    """On 0.3.0 other sessions that passed by left energy: one late stretch was paid three times."""
    agreement = meter.open(energy.encode_terms(SESSIONS))
    assert _settled(meter, agreement, _session(meter, 0, 0), (0, 1, 1)) == (PRICE, "")
    after = _session(meter, 20 * HOUR, 9 * KWH)
    assert _settled(meter, agreement, after, (1, 10, 10)) == (PRICE, "")
    late = _session(meter, 2 * HOUR, KWH, late=True)
    assert _settled(meter, agreement, late, (10, 4, 5)) == (PRICE, "")
    unknown = (0, "LateCountersUnknown")
    for first, last in ((4, 5), (5, 5), (3, 4), (5, 6), (2, 9), (1, 1), (9, 10), (10, 10)):
        assert _settled(meter, agreement, late, (10, first, last)) == unknown
    for first, last in ((2, 3), (6, 9)):  # what is left of the gap
        assert _settled(meter, agreement, late, (10, first, last)) == (PRICE, "")
    assert meter.kept(agreement)[1] == []


def test_late_stretch__refused_for_its_amount__keeps_its_gap(meter):
    agreement = meter.open(energy.encode_terms(SESSIONS))
    _settled(meter, agreement, _session(meter, 0, 0), (0, 1, 1))
    _settled(meter, agreement, _session(meter, 9 * HOUR, 5 * KWH), (1, 9, 9))
    facts, _, _ = late = _session(meter, 2 * HOUR, KWH, late=True)
    assert _settled(meter, agreement, (facts, 1, True), (9, 4, 4)) == (0, "OverLimit")
    assert _settled(meter, agreement, late, (9, 4, 4)) == (PRICE, "")


def test_fifth_gap__drops_the_oldest_one_and_no_other(meter):
    agreement = meter.open(energy.encode_terms(SESSIONS))
    for turn in range(6):  # gaps 1..9, 11..19, ..., 51..59
        claim = _session(meter, 4 * turn * HOUR, 3 * turn * KWH)
        counters = (10 * turn, 10 * turn + 10, 10 * turn + 10)
        assert _settled(meter, agreement, claim, counters) == (PRICE, "")
    assert meter.kept(agreement)[1] == [(n * 10 + 1, n * 10 + 9) for n in (2, 3, 4, 5)]
    late = _session(meter, 2 * HOUR, KWH, late=True)
    assert _settled(meter, agreement, late, (60, 11, 11)) == (0, "LateCountersUnknown")
    assert _settled(meter, agreement, late, (60, 25, 25)) == (PRICE, "")
    assert meter.kept(agreement)[1] == [(26, 29), (31, 39), (41, 49), (51, 59)]


def test_gap_of_all_counters__is_cut_to_its_newest_and_reverts_nowhere(meter):
    agreement, last = meter.open(energy.encode_terms(SESSIONS)), 2**40 - 1
    assert _settled(meter, agreement, _session(meter, 0, 0), (0, last, last)) == (PRICE, "")
    assert meter.kept(agreement)[1] == [(last - (2**24 - 1), last - 1)]
    late = _session(meter, 0, 0, late=True)
    assert _settled(meter, agreement, late, (last, 0, last)) == (0, "LateCountersUnknown")
    assert _settled(meter, agreement, late, (last, last - 1, last - 1)) == (0, "")


def _estimated(meter) -> bytes:
    """An agreement with 1 kWh charged by a reading, and 1 kWh by an estimate."""
    agreement = meter.open(energy.encode_terms(HOUSEHOLD))
    actual = _household(meter, 0, KWH, KWH, 0, HOUR)
    assert _settled(meter, agreement, actual, (0, 1, 1)) == (PRICE, "")
    guess = _household(meter, KWH, 2 * KWH, KWH, HOUR, 2 * HOUR, kind=ReadingKind.ESTIMATED)
    assert _settled(meter, agreement, guess, (1, 2, 2)) == (PRICE, "")
    return agreement


def test_skipped__correction_of_an_estimate_passed_over__leaves_the_estimate_as_it_stands(meter):
    """The correction may be among what was passed over: the charge stays, and no claim waits."""
    agreement = _estimated(meter)
    later = _household(meter, 5 * KWH, 7 * KWH, 2 * KWH, 4 * HOUR, 5 * HOUR)
    assert _settled(meter, agreement, later, (2, 9, 9)) == (0, "RegisterDiscontinuous")
    (before,), _ = meter.kept(agreement)
    meter.send("skipped", agreement)
    ((band,), _) = meter.kept(agreement)
    assert (before.ahead, band.ahead) == (KWH, 0)
    assert energy.skip(energy.EnergyState(0, (before,))).bands == (band,)
    earlier = _household(meter, 5 * KWH, 7 * KWH, 2 * KWH, 0, 5 * HOUR)
    assert _settled(meter, agreement, earlier, (9, 10, 10)) == (0, "TimeBackwards")
    assert _settled(meter, agreement, later, (9, 10, 10)) == (2 * PRICE, "")


def test_skipped__agreement_with_tariff_bands__any_register_of_each_may_come_first(meter):
    band = TariffBand(2, 9 * KWH, (DatedPrice(0, PRICE),))
    terms = HOUSEHOLD._replace(band=1, start_register=5 * KWH, more_bands=(band,))
    agreement = meter.open(energy.encode_terms(terms))
    before, _ = meter.kept(agreement)
    meter.send("skipped", agreement)
    after, _ = meter.kept(agreement)
    assert [band.claimed for band in (*before, *after)] == [True, True, False, False]
    assert energy.skip(energy.EnergyState(0, before)).bands == after


@pytest.mark.parametrize(("refund", "back"), [(0, -PRICE), (PRICE // 3, -200_000), (PRICE, 0)])
def test_refund_by_ruling_and_then_the_honest_correction__gives_back_once(meter, refund, back):
    """On 0.3.0 the payee owed for an estimate that a ruling had refunded already."""
    agreement = _estimated(meter)
    meter.send("refunded", agreement, refund)
    correction = _household(meter, KWH, KWH, -KWH, HOUR, 3 * HOUR)
    assert _settled(meter, agreement, correction, (2, 3, 3)) == (back, "")
    ((band,), _) = meter.kept(agreement)
    assert (band.register, band.ahead) == (KWH, 0)
    assert meter.product.refundedOf(agreement) == 0


def test_refund_of_an_old_charge__does_not_cover_the_correction_of_a_new_estimate(meter):
    agreement = meter.open(energy.encode_terms(HOUSEHOLD))
    _settled(meter, agreement, _household(meter, 0, KWH, KWH, 0, HOUR), (0, 1, 1))
    meter.send("refunded", agreement, PRICE)
    guess = _household(meter, KWH, 2 * KWH, KWH, HOUR, 2 * HOUR, kind=ReadingKind.ESTIMATED)
    assert _settled(meter, agreement, guess, (1, 2, 2)) == (PRICE, "")
    correction = _household(meter, KWH, KWH, -KWH, HOUR, 3 * HOUR)
    assert _settled(meter, agreement, correction, (2, 3, 3)) == (-PRICE, "")


def test_correction_dated_into_a_dearer_price__to_give_back_more__is_refused(meter):
    """The estimate is charged at the old price; its correction counts at the same one."""
    dated = HOUSEHOLD._replace(later_prices=(DatedPrice(meter.since + 2 * HOUR, 2 * PRICE),))
    agreement = meter.open(energy.encode_terms(dated))
    _settled(meter, agreement, _household(meter, 0, KWH, KWH, 0, HOUR), (0, 1, 1))
    guess = _household(meter, KWH, 2 * KWH, KWH, HOUR, 2 * HOUR, kind=ReadingKind.ESTIMATED)
    assert _settled(meter, agreement, guess, (1, 2, 2)) == (PRICE, "")
    dearer = _household(meter, KWH, KWH, -KWH, 2 * HOUR, 3 * HOUR)
    assert _settled(meter, agreement, dearer, (2, 3, 3)) == (0, "RegisterDiscontinuous")
    honest = _household(meter, KWH, KWH, -KWH, HOUR, 3 * HOUR)
    assert _settled(meter, agreement, honest, (2, 3, 3)) == (-PRICE, "")
    after = _household(meter, KWH, 2 * KWH, KWH, 3 * HOUR, 4 * HOUR)
    assert _settled(meter, agreement, after, (3, 4, 4)) == (2 * PRICE, "")


def test_two_bands__each_at_the_whole_fuse__are_refused_together(meter):
    """A meter has one fuse: its tariff registers share it."""
    other = TariffBand(2, 0, (DatedPrice(0, 2 * PRICE),))
    terms = HOUSEHOLD._replace(band=1, more_bands=(other,))
    agreement = meter.open(energy.encode_terms(terms))

    def claim(first: int, second: int):
        step = BandStep(IMPORT | 2 << 8, 0, second, second)
        facts = EnergyFacts(0, first, first, 0, HOUR, 0, IMPORT | 1 << 8, (step,))
        return meter.at(facts), LIMIT, False

    assert _settled(meter, agreement, claim(15 * KWH, 15 * KWH), (0, 1, 1)) == (0, "FuseExceeded")
    assert _settled(meter, agreement, claim(15 * KWH, 5 * KWH), (0, 1, 1)) == (25 * PRICE, "")
    (first, second), _ = meter.kept(agreement)
    assert (first.register, second.register) == (15 * KWH, 5 * KWH)


def test_band_named_twice__to_charge_it_twice__is_refused(meter):
    other = TariffBand(2, 0, (DatedPrice(0, PRICE),))
    agreement = meter.open(energy.encode_terms(HOUSEHOLD._replace(band=1, more_bands=(other,))))
    for numbers in ((1, 1), (2, 2), (2, 1), (0, 1), (1, 3)):
        first, second = (IMPORT | number << 8 for number in numbers)
        facts = EnergyFacts(0, KWH, KWH, 0, HOUR, 0, first, (BandStep(second, 0, KWH, KWH),))
        claim = meter.at(facts), LIMIT, False
        assert _settled(meter, agreement, claim, (0, 1, 1)) == (0, "RegisterNotAgreed")
    alone = meter.at(EnergyFacts(0, KWH, KWH, 0, HOUR, 0, IMPORT | 1 << 8)), LIMIT, False
    assert _settled(meter, agreement, alone, (0, 1, 1)) == (0, "FactsMalformed")


def test_start_register_read_before_the_opening__charges_from_there_and_nothing_earlier(meter):
    """An agreement that is opened again goes on where the one before it ended."""
    terms = HOUSEHOLD._replace(start_register=7 * KWH, started_at=meter.since - HOUR)
    agreement = meter.open(energy.encode_terms(terms))
    for begin in (-HOUR - 1, -HOUR + 1, -1):
        claim = _household(meter, 7 * KWH, 17 * KWH, 10 * KWH, begin, HOUR)
        assert _settled(meter, agreement, claim, (0, 1, 1)) == (0, "TimeBackwards")
    over = _household(meter, 7 * KWH, 8 * KWH, KWH, -HOUR, -1)
    assert _settled(meter, agreement, over, (0, 1, 1)) == (0, "TimeBackwards")
    claim = _household(meter, 7 * KWH, 17 * KWH, 10 * KWH, -HOUR, HOUR)
    assert _settled(meter, agreement, claim, (0, 1, 1)) == (10 * PRICE, "")


@pytest.mark.parametrize(("seconds", "refusal"), [(0, ""), (1, "TermsMalformed")])
def test_start_register_read_in_the_second_of_the_opening__is_the_latest(meter, seconds, refusal):
    terms = HOUSEHOLD._replace(start_register=KWH, started_at=meter.contracts.now + seconds)
    opening = bytes(32), DEVICE, meter.since, energy.encode_terms(terms)
    assert meter.refusal("open", *opening) == refusal


def test_refunds__of_several_payments__add_up(meter):
    agreement = _estimated(meter)
    for _ in range(2):
        meter.send("refunded", agreement, PRICE // 3)
    assert meter.product.refundedOf(agreement) == 2 * PRICE // 3


def test_refund_by_ruling_and_then_the_honest_correction__on_the_rail__nothing_is_owed(contracts):
    """The product hears of the refund; the correction is settled and moves nothing."""
    terms = energy.encode_terms(HOUSEHOLD)
    (agreement,) = contracts.agreements(1, terms=terms)
    begin = contracts.now0 - DAY

    def settled(sequence: int, *numbers: int, kind: int = ReadingKind.ACTUAL):
        facts = EnergyFacts(*numbers, kind, IMPORT)
        raw = energy.encode_facts(facts)
        return contracts.settle(contracts.claim(agreement, sequence, facts=raw))

    assert settled(1, 0, 10 * KWH, 10 * KWH, begin, begin + HOUR).amounts == [3 * EURO]
    numbers = (10 * KWH, 20 * KWH, 10 * KWH, begin + HOUR, begin + 2 * HOUR)
    estimate = settled(2, *numbers, kind=ReadingKind.ESTIMATED)
    contracts.disputes.concede(contracts.dispute(estimate), sender=contracts.payee)
    corrected = settled(3, 10 * KWH, 10 * KWH, -10 * KWH, begin + HOUR, begin + 3 * HOUR)
    assert (corrected.named, corrected.amounts) == (["None"], [0])
    assert contracts.rail.owed(contracts.payee) == 0
    assert contracts.rail.agreementState(agreement).escrow == 7 * EURO
    after = settled(4, 10 * KWH, 20 * KWH, 10 * KWH, begin + 3 * HOUR, begin + 4 * HOUR)
    assert after.amounts == [3 * EURO]
    contracts.assert_conserved()
