"""Over a bank that is reached by SFTP alone a record becomes money and a reconciled bank line.

Real chain, contracts, steps and bank; the bank's folders are served by a real SFTP server.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.edges.bank.channel import open_channel
from orchestrator.edges.bank.files import write_atomically
from orchestrator.edges.store import payouts
from orchestrator.steps.reconcile import reconcile_store
from tests.support.sftp_server import SftpServer
from tests.support.small_rail import START, SmallRail, has_anvil

pytestmark = pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")


@pytest.fixture
def rail(tmp_path):
    small_rail = SmallRail(tmp_path / "home").start()
    server = SftpServer(small_rail.home / "bank").start()
    settings = small_rail.settings.model_copy(update={"bank_channel": server.url()})
    server.admit(settings.keys / "bank-sftp")
    write_atomically(settings.bank_sftp / "known_hosts", server.known_line())
    small_rail.rail = replace(small_rail.rail, settings=settings, bank=open_channel(settings))
    small_rail.worker.context = small_rail.rail
    yield small_rail
    small_rail.stop()
    server.end()


def test_rail__bank_behind_sftp__payment_comes_back_reconciled(rail):
    rail.fund("cp-0001", 20_000)
    rail.work(6)
    rail.clock = START + 100_000
    assert rail.take(*rail.fleet["cp-0001"].session("12.5")) == ["accepted"]
    rail.work(12, 20)
    for _ in range(2):  # the payout is booked on the bank's second day
        rail.close_day()
        rail.work(2)
    assert rail.stages() == {"reconciled": 1}
    with rail.store.read() as session:
        [payout] = payouts.all_payouts(session)
        result = reconcile_store(session, rail.iban)
    assert payout.stage == "booked" and payout.due_on == "2025-10-10" and payout.batch
    assert not result.breaks, result.breaks
    assert list((rail.home / "bank" / "sftp" / "sent").iterdir())
    assert not (rail.settings.to_bank / "sent").exists()  # the folders were never used as such
