"""Hundreds of bad payloads among good ones: all bad are rejected and kept, all good are paid."""

from __future__ import annotations

import random
from hashlib import sha256

from orchestrator.edges.store import evidence, rejections
from orchestrator.ingest.intake import INTERNAL_ERROR
from tests.support import invariants
from tests.support.whole_rail import WholeRail

SEED, STORM, GOOD_EVERY = 20_260, 400, 40
AROUND = b" \t\r\n\xef\xbb\xbf"  # white space and byte order marks do not belong to a record


def _bad(chance: random.Random, accepted: list[bytes]) -> bytes:
    """Return one of eight kinds of junk; mutants are made of accepted records, so none is new."""
    record = bytearray(chance.choice(accepted))
    at = chance.randrange(len(record))
    kind = chance.randrange(8)
    if kind == 0:
        return chance.randbytes(chance.randrange(1, 300)).replace(b"\n", b"?")
    if kind == 1:
        return bytes(record[:at]) or b"O"
    if kind == 2:
        record[at] ^= 1 << chance.randrange(8)
        return bytes(record).replace(b"\n", b"?")
    if kind == 3:
        return bytes(record[:at] + record[at + 1 :])
    if kind == 4:
        return b"OCMF|" + b'{"a":' * 200 + b"|{}"
    if kind == 5:
        return bytes(record).replace(b'"RV":', b'"RV":9e99999999999,"RV":', 1)
    if kind == 6:
        return bytes(record).replace(b"+0000 S", b"+9900 S").replace(b'"PG":"', b'"PG":"T9')
    return bytes(record).replace(b'"MS":"', b'"MS":"\xff\xfe')


def _rejected(rail: WholeRail, after: int) -> list[rejections.RejectionRow]:
    with rail.store.read() as session:
        newest = rejections.newest(session, None, None, 5_000)
    return [row for row in newest if row.id > after]


def _missing(rail: WholeRail, after: int, sent: list[bytes]) -> list[bytes]:
    """Return the payloads that are not kept among the rejections."""
    kept = {row.body.strip(AROUND) for row in _rejected(rail, after)}
    return [body for body in sent if body.strip(AROUND) not in kept]


def test_storm__of_junk_and_mutants_between_good_records__stops_nothing(rail):
    chance = random.Random(SEED)
    rail.measure(2)
    accepted = [record for name in rail.funded for record in rail.sent[name][-2:]]
    with rail.store.read() as session:
        last = max((row.id for row in rejections.newest(session, None, None, 1)), default=0)
    sent, good = [], []
    for number in range(STORM):
        name = chance.choice(rail.funded)
        sent.append(_bad(chance, accepted))
        rail.fleet[name].link.publish(sent[-1])
        if number % GOOD_EVERY == 0:
            good += [record for records in rail.publish(1).values() for record in records]
    rail.until(lambda: not _missing(rail, last, sent), "every bad payload rejected and kept")
    rail.until_receipted()
    rail.until_settled()
    rows = _rejected(rail, last)
    reasons = {row.reason for row in rows}
    print(f"{len(rows)} rejected for {len(reasons)} reasons: {', '.join(sorted(reasons))}")
    assert INTERNAL_ERROR not in reasons and all(reasons) and len(reasons) >= 5
    with rail.store.read() as session:
        events = [
            evidence.event_of_evidence(session, sha256(record).hexdigest()) for record in good
        ]
    assert all(event is not None and event.payment_id for event in events)
    assert rail.halted() == {}
    rail.until_booked()
    invariants.assert_all(rail)
