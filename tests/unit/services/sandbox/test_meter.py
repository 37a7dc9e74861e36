"""The sandbox's meter: plausible sessions near the present, again and again, over restarts."""

from __future__ import annotations

import json
from decimal import Decimal
from itertools import pairwise

import pytest
from joserfc.jwk import ECKey

from device_adapters.types import Rejected
from orchestrator.core.receipt import ReceiptRecord, Receipts
from orchestrator.errors import Halt
from orchestrator.operations.keys import open_receipts, rotate_receipt
from orchestrator.settings import Settings
from services.equipment import create_receipt_key
from services.sandbox.meter import BACK_S, WATTS, energy_of, open_meter

NOW = 1_800_000_000


@pytest.fixture
def settings(tmp_path):
    settings = Settings(home=tmp_path)
    create_receipt_key(settings)
    return settings


def span(record: bytes) -> tuple[int, int]:
    """Begin and end of a session, in seconds of its day."""
    readings = json.loads(record.split(b"|", 2)[1])["RD"]
    times = [reading["TM"].split("T")[1][:8].split(":") for reading in readings]
    begin, end = (int(h) * 3_600 + int(m) * 60 + int(s) for h, m, s in times)
    return begin, end


def test_measure__many_in_a_row__never_overlap_and_stay_below_the_fuse(settings):
    meter = open_meter(settings)
    meter.begin_at(NOW - 7_200)
    spans = [span(meter.measure(Decimal(1), NOW)) for _ in range(100)]
    meter.close()
    assert all(later[0] >= earlier[1] for earlier, later in pairwise(spans))
    assert all((end - begin) * WATTS >= 3_600_000 for begin, end in spans)  # watt-seconds of 1 kWh
    assert spans[0][0] == (NOW - BACK_S) % 86_400  # no reading is older than that


def test_measure__after_a_restart__goes_on_with_key_counter_register_and_clock(settings):
    first = open_meter(settings)
    first.begin_at(NOW - 7_200)
    first.measure(Decimal(1), NOW)
    state, public = first.state(), first.public
    first.close()
    second = open_meter(settings)
    second.begin_at(NOW)  # a second set-up must not move the clock of a meter that has measured
    assert (second.state(), second.public) == (state, public)
    second.close()


def test_measure__no_time_before_now__is_refused_and_nothing_is_signed(settings):
    meter = open_meter(settings)
    meter.begin_at(NOW)
    with pytest.raises(Halt, match=r"takes this meter 31 s.*Nothing was signed"):
        meter.measure(Decimal(1), NOW + 30)
    assert meter.counter == 0 and not meter.unreceipted()
    meter.measure(Decimal(1), NOW + 31)
    meter.close()


@pytest.mark.parametrize("text", ["0", "-1", "1.00001", "61", "much", "NaN", "Infinity", ""])
def test_energy_of__what_no_session_measures__is_refused(text):
    with pytest.raises(Halt, match="is not an amount of energy"):
        energy_of(text)


def test_energy_of__a_number__is_exact():
    assert energy_of("1.2345") == Decimal("1.2345")


def test_read__receipt_by_the_key_before_a_rotation__is_genuine(settings):
    running = open_receipts(settings)  # as a rail that runs on while its key is replaced
    rotate_receipt(settings, NOW, dry_run=False, prepare=False)
    meter = open_meter(settings)
    try:
        for signer in (running, open_receipts(settings)):
            receipt = signer.sign(meter.name, [ReceiptRecord("ab" * 32)], NOW)
            assert meter.read(receipt)["device"] == meter.name
        stranger = Receipts(ECKey.generate_key("P-256").as_pem(private=True))
        with pytest.raises(Rejected, match="receipt_other_key"):
            meter.read(stranger.sign(meter.name, [ReceiptRecord("ab" * 32)], NOW))
    finally:
        meter.close()
