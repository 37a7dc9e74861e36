"""The rail behind mosquitto, if it is installed; all other flow tests use amqtt."""

from __future__ import annotations

import pytest

from orchestrator.edges.broker import mosquitto
from tests.support import invariants
from tests.support.whole_rail import AT_BANK, WholeRail


@pytest.mark.skipif(mosquitto.executable() is None, reason="mosquitto is not installed")
def test_records__behind_mosquitto_even_if_it_is_killed__reach_the_bank(tmp_path_factory):
    home = tmp_path_factory.mktemp("rail")
    rail = WholeRail(home, embedded_broker=False, hole_patience_s=90)
    try:
        rail.start()
        assert rail.stack.broker["broker"] == "mosquitto"
        rail.measure(3)
        rail.publish(2)
        rail.kill("broker")
        rail.stack.restart_broker()
        rail.until_receipted()
        rail.until_booked()
        assert set(rail.stages()) <= AT_BANK
        assert rail.reconciliation().breaks == ()
        invariants.assert_all(rail)
    finally:
        rail.stop()
