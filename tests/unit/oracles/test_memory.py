"""An oracle never signs two claims of one sequence, even if it is killed at any time."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

from device_adapters.types import LogPosition, device_id
from oracles.memory import Memory
from oracles.types import Claim, ClaimReason
from oracles.wire import Request, read_answer, write_request
from orchestrator.products.metered_energy import product
from tests.support import oracle_at
from tests.support.meter_streams import message, session_record
from tests.support.oracle_at import ask, claim_of, events_of, oracle, reasons, recovered


def test_attest__another_claim_for_an_attested_sequence__is_refused_also_after_a_restart(tmp_path):
    node, records = oracle(tmp_path), [session_record("M1", n) for n in (1, 2)]
    node.take([message(*records)])
    short, long = claim_of(records[0]), claim_of(*records)
    assert ask(node, short).signature
    assert reasons(ask(node, long)) == [(0, ClaimReason.ALREADY_ATTESTED_OTHERWISE)]
    node.memory.close()
    again = oracle(tmp_path)
    assert reasons(ask(again, long)) == [(0, ClaimReason.ALREADY_ATTESTED_OTHERWISE)]
    assert recovered(again, ask(again, short), short) == again.identity.address


def test_attest__two_claims_for_one_sequence_at_the_same_moment__one_is_signed(tmp_path):
    """Both pass the check before either is stored: the database decides, across nodes too."""
    records = [session_record("M1", n) for n in (1, 2)]
    claims, barrier = [claim_of(records[0]), claim_of(*records)], threading.Barrier(2, timeout=60)
    answers: dict[int, object] = {}

    # one after the other: a new file is switched to WAL only once
    nodes = [oracle(tmp_path), oracle(tmp_path)]
    nodes[0].take([message(*records)])

    def attest(index: int) -> None:
        node = nodes[index]
        remember = node.memory.remember

        def together(*arguments):
            barrier.wait()
            return remember(*arguments)

        node.memory.remember = together
        answers[index] = ask(node, claims[index])

    threads = [threading.Thread(target=attest, args=(index,)) for index in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(bool(answer.signature) for answer in answers.values()) == [False, True]
    (refused,) = [answer for answer in answers.values() if not answer.signature]
    assert reasons(refused) == [(0, ClaimReason.ALREADY_ATTESTED_OTHERWISE)]


def _in_process(folder: Path, mode: str, claim: Claim) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", oracle_at.__name__, str(folder), mode],
        input=write_request(Request(product.NAME, (claim,))),
        capture_output=True,
        timeout=300,
    )


def test_attest__killed_between_remembering_and_answering__says_nothing_else_afterwards(tmp_path):
    records = [session_record("M1", n) for n in (1, 2)]
    node = oracle(tmp_path)
    node.take([message(*records)])
    node.memory.close()
    first, other = claim_of(records[0]), claim_of(*records)
    killed = _in_process(tmp_path, "kill", first)
    assert killed.returncode == -signal.SIGKILL and not killed.stdout
    refused = read_answer(_in_process(tmp_path, "answer", other).stdout)
    assert reasons(refused) == [(0, ClaimReason.ALREADY_ATTESTED_OTHERWISE)]
    answer = read_answer(_in_process(tmp_path, "answer", first).stdout)
    assert recovered(node, answer, first) == answer.oracle


def test_take__from_the_brokers_log__keeps_its_position_with_the_evidence(tmp_path):
    node, records = oracle(tmp_path), [session_record("M1", n) for n in (1, 2, 3)]
    assert node.memory.log_position() is None
    first, second = (LogPosition("made", n, f"second {n}") for n in (4, 7))
    stored = [
        replace(message(r), position=p) for r, p in zip(records, (first, second), strict=False)
    ]
    node.take(stored)
    node.take([message(records[2])])  # by another inlet: the position stays
    node.memory.close()
    again = oracle(tmp_path)
    assert again.memory.log_position() == second
    again.take([replace(message(b"junk"), position=LogPosition("made again", 1, "third"))])
    assert again.memory.log_position() == LogPosition("made again", 1, "third")


def test_take__returned__is_on_disk_for_another_reader(tmp_path):
    """Acknowledgement comes after this: another reader of the file sees the record."""
    node = oracle(tmp_path)
    node.take([message(session_record("M1", 1))])
    reader = sqlite3.connect(tmp_path / "oracle.sqlite3")
    (facts,) = reader.execute("SELECT facts FROM evidence").fetchone()
    assert len(json.loads(facts)["readings"]) == 2
    mode = node.memory._db.execute("PRAGMA journal_mode").fetchone()[0]
    assert (mode, node.memory._db.execute("PRAGMA synchronous").fetchone()[0]) == ("wal", 2)


def test_memory__records_of_an_older_edition__are_known_by_the_names_of_their_bytes(tmp_path):
    path, [stored] = tmp_path / "oracle.sqlite3", events_of(session_record("M1", 1))
    memory = Memory(path)
    memory.add([stored], [], 0)
    memory.close()
    database = sqlite3.connect(path)
    database.executescript(
        "DROP INDEX evidence_named; ALTER TABLE evidence DROP COLUMN evidence_hash;"
    )
    database.close()
    for memory in (Memory(path), Memory(path)):  # the second time there is nothing left to do
        assert memory.events_named([stored.evidence_name], "") == [stored]
        memory.close()


def test_memory__record_by_the_name_of_its_bytes__about_the_subject_or_of_a_listed_device(tmp_path):
    memory, [stored] = Memory(tmp_path / "oracle.sqlite3"), events_of(session_record("M1", 1))
    memory.add([stored], [], 0)
    names, others = [stored.evidence_name], [device_id("M2"), device_id("M1")]
    assert memory.events_named(names, "sscc:other") == []
    assert memory.events_named(names, "sscc:other", others[:1]) == []
    assert memory.events_named(names, "sscc:other", others) == [stored]
    assert memory.events_named([stored.evidence_name + "="], "", others) == []
