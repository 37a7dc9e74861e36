"""A payout is ordered exactly once, wherever the power is cut and whichever way the bank moved.

Real processes are killed (SIGKILL) at each commit, fsync, rename and upload, over both channels.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.edges.bank.channel import open_channel
from orchestrator.edges.bank.files import write_atomically
from orchestrator.edges.store import payouts
from orchestrator.steps.bank_files import read_bank
from tests.support.rail_with_bank import RailWithBank
from tests.support.sftp_server import SftpServer

ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture(scope="module")
def forks():
    """Processes at will: (home, ..., point) -> whether it was killed or came to its end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.payout_process"],
        cwd=ROOT,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )

    def call(**arguments: object) -> str:
        process.stdin.write(json.dumps(arguments) + "\n")
        process.stdin.flush()
        return process.stdout.readline().strip()

    yield call
    process.stdin.close()
    process.wait(timeout=60)


@pytest.fixture(params=["folder", "sftp"])
def place(request, tmp_path):
    """(rail, url of the channel): the bank's own folders, as they are or served by SFTP."""
    rail, url = RailWithBank(tmp_path), ""
    server = None
    if request.param == "sftp":
        server = SftpServer(tmp_path / "bank").start()
        settings = rail.context.settings
        server.admit(settings.keys / "bank-sftp")
        write_atomically(settings.bank_sftp / "known_hosts", server.known_line())
        url = server.url()
    yield rail, url
    if server is not None:
        server.end()
    rail.bare.close()


def orders(rail) -> list[str]:
    """EndToEndId of every order that the bank took, over all time."""
    cursor = rail.bank.books.db.execute("SELECT end_to_end_id FROM orders")
    return [row[0] for row in cursor.fetchall()]


@pytest.mark.parametrize("meanwhile", ["the bank sleeps", "the bank works"])
def test_payouts__power_cut_at_any_point__each_is_ordered_exactly_once(place, forks, meanwhile):
    rail, url = place
    about = {
        "home": str(rail.home),
        "channel": url,
        "now": rail.context.now(),
        "safeguarding": dict(rail.context.safeguarding),
    }
    ids, point, ending = [], 0, "killed"
    while ending == "killed":
        point += 1
        ids += [rail.payout(2 * point), rail.payout(2 * point + 1)]
        ending = forks(**about, point=point)
        if meanwhile == "the bank works":
            rail.bank.step()  # also before we have noted that a file is placed
        assert forks(**about, point=0) == "done"
        rail.bank.step()
    assert ending == "done" and point > 12, f"only {point} points were reached"
    with rail.store.read() as session:
        wanted = [payouts.get(session, payout_id).end_to_end_id for payout_id in ids]
    assert sorted(orders(rail)) == sorted(wanted)
    rail.context = rail.with_channel(
        open_channel(rail.context.settings.model_copy(update={"bank_channel": url}))
    )
    while read_bank(rail.context) + read_bank(rail.context):  # by SFTP the first look takes nothing
        pass
    assert {rail.stage(payout_id) for payout_id in ids} == {("booked", None)}
