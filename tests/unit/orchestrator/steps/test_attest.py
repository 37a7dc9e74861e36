"""A quorum in spite of faults: a refusal, silence or a false answer costs no other oracle."""

from __future__ import annotations

import http.server
import json
import threading
from collections import Counter
from dataclasses import replace

import pytest

from oracles.attest import address_of, batch_digest, recover, sign
from oracles.types import Batch, Claim, ClaimReason
from oracles.wire import Request
from orchestrator.core.batch_bytes import CLAIM_BYTES
from orchestrator.core.payment import Fact
from orchestrator.edges.oracles import OracleClient
from orchestrator.edges.store import agreements, payments
from orchestrator.errors import Retry
from orchestrator.steps import attest as step
from orchestrator.steps.attest import attest, claim_of_row
from orchestrator.steps.collect import verify
from tests.support.bare_rail import COMMITTEE, PRODUCT, RAIL, BareRail, agreement_of

A, B, C = "cp-0001", "cp-0002", "cp-0003"


@pytest.fixture
def bare(tmp_path):
    bare_rail = BareRail(tmp_path)
    bare_rail.claims(A, B, C)
    yield bare_rail
    bare_rail.close()


def set_oracle(bare, number: int, **changes: object) -> None:
    bare.oracles[number - 1] = replace(bare.oracles[number - 1], **changes)


def refusing(bare, number: int, **says: ClaimReason) -> None:
    """says: device letter -> why this oracle refuses its claim."""
    names = {"A": A, "B": B, "C": C}
    set_oracle(bare, number, says={agreement_of(names[k]): v for k, v in says.items()})


def quorum_of(bare, name: str) -> list[str]:
    """Who signed the batch of a device's payment, checked against the batch itself."""
    digest = bare.payment(name).batch_digest
    with bare.place.store.read() as session:
        rows = [row for row, _ in payments.of_batch(session, digest)]
        kept = payments.attestations_of(session, digest)
    batch = Batch(RAIL, PRODUCT, tuple(claim_of_row(row) for row in rows))
    assert "0x" + batch_digest(batch, 31337, COMMITTEE).hex() == digest
    for attestation in kept:
        assert (
            recover(bytes.fromhex(digest[2:]), bytes.fromhex(attestation.signature[2:]))
            == attestation.oracle
        )
    assert [int(attestation.oracle, 16) for attestation in kept] == sorted(
        int(attestation.oracle, 16) for attestation in kept
    )
    return sorted(attestation.name for attestation in kept)


def test_attest__all_sign__is_one_batch_with_the_fewest_signatures(bare):
    assert attest(bare.rail) == 3
    assert bare.stages(A, B, C) == ["attested"] * 3
    assert len({bare.payment(name).batch_digest for name in (A, B, C)}) == 1
    assert len(quorum_of(bare, A)) == 3 and bare.payment(A).next_step == "settle"
    assert [len(oracle.asked) for oracle in bare.oracles] == [1, 1, 1, 1]


def test_attest__claims_with_long_facts__are_split_before_a_node_refuses_their_size(
    bare, monkeypatch
):
    size = CLAIM_BYTES + len(bare.payment(A).facts) // 2
    monkeypatch.setattr(step, "_BATCH_BYTES", 2 * size)
    assert attest(bare.rail) == 3
    assert bare.stages(A, B, C) == ["attested"] * 3
    batches = Counter(bare.payment(name).batch_digest for name in (A, B, C))
    assert sorted(batches.values()) == [1, 2]


@pytest.mark.parametrize("how", ["down", "lies"])
def test_attest__one_silent_or_lying__costs_nothing_and_is_reported(bare, how):
    set_oracle(bare, 2, how=how)
    assert attest(bare.rail) == 3
    assert "o2" not in quorum_of(bare, A)
    note = {"down": "o2 is down", "lies": "o2 signed another claim"}[how]
    assert note in bare.facts(A)[-1][1]


def test_attest__one_refuses_everything__the_other_three_are_enough(bare):
    refusing(
        bare,
        1,
        A=ClaimReason.CLAIM_DIFFERS,
        B=ClaimReason.CLAIM_DIFFERS,
        C=ClaimReason.CLAIM_DIFFERS,
    )
    assert attest(bare.rail) == 3 and quorum_of(bare, B) == ["o2", "o3", "o4"]


def test_attest__two_refuse_different_claims__all_are_attested_by_those_who_sign(bare):
    refusing(bare, 1, A=ClaimReason.CLAIM_DIFFERS)
    refusing(bare, 2, B=ClaimReason.REGISTER_BACKWARDS)
    assert attest(bare.rail) == 3
    assert "o1" not in quorum_of(bare, A) and "o2" not in quorum_of(bare, B)


def test_attest__two_refuse_one_claim_for_good__it_is_rejected_and_neighbours_go_on(bare):
    refusing(bare, 1, B=ClaimReason.CLAIM_DIFFERS)
    refusing(bare, 4, B=ClaimReason.CLAIM_DIFFERS)
    assert attest(bare.rail) == 2
    assert bare.stages(A, B, C) == ["attested", "rejected", "attested"]
    assert bare.payment(B).reason == "claim_differs"
    assert "o1 refused: claim_differs" in bare.facts(B)[-1][1]


def test_attest__refused_for_a_compromise_that_a_ruling_took_back__is_judged_again(bare):
    """The facts of the second time are no repetition of those of the first."""
    for number in (1, 4):
        refusing(bare, number, B=ClaimReason.DEVICE_COMPROMISED)
    attest(bare.rail)
    assert bare.stages(B) == ["rejected"]
    for ruling in ("first", "second"):
        bare.place.clock += 60
        bare.record(B, Fact.REINSTATED, ruling)
        assert verify(bare.rail) == 1
        assert bare.stages(B) == ["verified"]
        if ruling == "second":
            for number in (1, 4):
                set_oracle(bare, number, says={})
        attest(bare.rail)
        assert bare.stages(B) == ["rejected" if ruling == "first" else "attested"]


def test_attest__refused_since_the_agreement_ended__is_expired(bare):
    for number in (1, 2, 3):
        refusing(bare, number, C=ClaimReason.AGREEMENT_NOT_LIVE)
    attest(bare.rail)
    assert bare.stages(A, B, C) == ["attested", "attested", "expired"]


@pytest.mark.parametrize(
    "doubt",
    [
        ClaimReason.EVIDENCE_MISSING,
        ClaimReason.SEQUENCE_UNEXPECTED,
        ClaimReason.UNAUTHORISED,
    ],
)
def test_attest__refusals_that_time_may_cure__are_tried_again_with_patience(bare, doubt):
    for number in (1, 2):
        refusing(bare, number, A=doubt)
    waits = []
    for _ in range(6):
        before = bare.rail.now()
        attest(bare.rail)
        row = bare.payment(A)
        assert row.stage == "verified" and attest(bare.rail) == 0
        waits.append(row.due_at - before)
        bare.place.clock = row.due_at
    assert waits == [1, 2, 5, 15, 60, 60] and bare.stages(B, C) == ["attested"] * 2
    for number in (1, 2):
        set_oracle(bare, number, says={})
    assert attest(bare.rail) == 1


def test_attest__one_refuses_while_another_is_down__is_later_and_never_for_good(bare):
    """One liar and one that is away: f is one, so nothing may be lost by it."""
    refusing(bare, 1, A=ClaimReason.CLAIM_DIFFERS)
    set_oracle(bare, 2, how="down")
    assert attest(bare.rail) == 2 and bare.stages(A, B, C)[0] == "verified"
    set_oracle(bare, 2, how="")
    bare.place.clock += 60
    assert attest(bare.rail) == 1


def test_attest__one_oracle_refuses_many_times__counts_as_one_refusal(bare):
    refusing(bare, 1, A=ClaimReason.CLAIM_DIFFERS)
    set_oracle(bare, 1, repeats=5)
    set_oracle(bare, 2, how="down")
    attest(bare.rail)
    assert bare.stages(A) == ["verified"]


def test_attest__all_are_down__waits_as_a_whole(bare):
    for number in (1, 2, 3, 4):
        set_oracle(bare, number, how="down")
    assert attest(bare.rail) == 0
    assert bare.stages(A, B, C) == ["verified"] * 3
    assert {bare.payment(name).attempts for name in (A, B, C)} == {1}


def test_attest__domain_that_one_agreement_requires_is_away__holds_up_only_that_one(bare):
    set_oracle(bare, 3, how="down")  # the only one of domain 2
    with bare.place.store.write() as session:
        agreements.get(session, "0x" + agreement_of(B).hex()).required_domain = 2
    assert attest(bare.rail) == 2
    assert bare.stages(A, B, C) == ["attested", "verified", "attested"]
    set_oracle(bare, 3, how="")
    bare.place.clock += 60
    assert attest(bare.rail) == 1 and "o3" in quorum_of(bare, B)


def test_evidence__lacking_where_a_quorum_signs_anyway__is_not_sent(bare):
    set_oracle(bare, 4, lacks={agreement_of(A)})
    assert attest(bare.rail) == 3
    assert all(not request.evidence for oracle in bare.oracles for request in oracle.asked)


def test_evidence__needed_for_the_quorum__is_sent_only_to_oracles_that_lack_it(bare):
    set_oracle(bare, 1, how="down")
    set_oracle(bare, 4, lacks={agreement_of(A), agreement_of(B)})
    assert attest(bare.rail) == 3
    sent = [len(request.evidence) for request in bare.oracles[3].asked]
    assert sent == [0, 2] and [len(bare.oracles[n].asked) for n in (1, 2)] == [1, 1]


def test_evidence__of_a_later_claim__has_the_record_before_it(bare):
    attest(bare.rail)
    bare.record(A, Fact.SETTLED, "b")
    bare.claims(A)
    set_oracle(bare, 1, how="down")
    set_oracle(bare, 4, lacks={agreement_of(A)})
    assert attest(bare.rail) == 1
    bodies = [message.body for message in bare.oracles[3].asked[-1].evidence]
    device = bare.place.fleet[A]
    assert bodies == [record for record in (*_bodies(bare, 1), *_bodies(bare, 2))]
    assert len(bodies) == device.counter == 2


def _bodies(bare, counter: int) -> list[bytes]:
    with bare.place.store.read() as session:
        return [
            bytes(row[0])
            for row in session.connection().exec_driver_sql(
                "SELECT body FROM evidence JOIN event USING (evidence_hash) "
                "WHERE agreement_id = ? AND counter = ?",
                ("0x" + agreement_of(A).hex(), counter),
            )
        ]


def test_evidence__more_than_one_request_may_hold__goes_claim_by_claim(bare, monkeypatch):
    monkeypatch.setattr(step, "_EVIDENCE_BYTES", 10)
    set_oracle(bare, 1, how="down")
    set_oracle(bare, 4, lacks={agreement_of(A), agreement_of(B), agreement_of(C)})
    assert attest(bare.rail) == 3
    assert max(len(request.evidence) for request in bare.oracles[3].asked) == 1


def test_attest__the_same_claim_again_after_funds_came__is_attested_again(bare):
    """Alone in its batch it has the same digest as before: that must not look like old news."""
    assert attest(bare.rail) == 3
    digests = set()
    for block in ("b1", "b2"):
        bare.record(A, Fact.SHORT, block)
        bare.record(A, Fact.FUNDED, block)
        bare.place.clock += 1
        assert attest(bare.rail) == 1 and bare.stages(A) == ["attested"]
        digests.add(bare.payment(A).batch_digest)
    assert len(digests) == 1


def test_attest__again_after_a_signer_lost_its_seat__keeps_only_the_newest_quorum(bare):
    bare.record(B, Fact.DOUBTED)
    bare.record(C, Fact.DOUBTED)
    assert attest(bare.rail) == 1
    before, digest = quorum_of(bare, A), bare.payment(A).batch_digest
    bare.record(A, Fact.STALE, "gone")
    bare.place.clock += 1
    lost = next(name for name in before if name in ("o1", "o2"))
    set_oracle(bare, int(lost[1]), how="down")
    assert attest(bare.rail) == 1 and bare.payment(A).batch_digest == digest
    assert len(quorum_of(bare, A)) == 3 and lost not in quorum_of(bare, A)


# --- the real client, against a server that says what it likes


@pytest.fixture
def client():
    """(a client to an oracle, what it is to say: a status and a body)."""
    says: list[tuple[int, bytes]] = []

    class Says(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            status, body = says[-1]
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Says)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    yield OracleClient("o1", address_of(b"\1" * 32), 1, url, "token", timeout_s=60), says
    server.shutdown()
    server.server_close()


CLAIM = Claim(b"\1" * 32, 1, 1, 1, b"\2" * 32, b"")
REFUSAL = {"index": 0, "reason": "claim_differs", "detail": ""}
SIGNATURE = "0x" + "11" * 65


def said(signature: str | None, *refusals: dict) -> bytes:
    return json.dumps({"oracle": "o", "signature": signature, "refusals": list(refusals)}).encode()


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, said(None, REFUSAL | {"index": 1})),
        (200, said(None, REFUSAL | {"index": 65_535})),
        (200, said(SIGNATURE, REFUSAL)),
        (200, said(None)),
        (200, b"[]"),
        (200, b"\xff"),
        (200, said(None, REFUSAL | {"reason": "because"})),
        (200, said(None, REFUSAL | {"index": -1})),
        (500, b"oops"),
        (413, b""),
        (401, b"{}"),
        (200, b""),
        (200, said("0x11")),
    ],
)
def test_client__answer_without_sense__counts_as_no_answer(client, status, body):
    """An index beyond the claims would otherwise be a bug of ours, and stop all money."""
    oracle, says = client
    says.append((status, body))
    with pytest.raises(Retry, match="oracle o1 answered"):
        oracle.ask(Request("metered_energy", (CLAIM,)))


def test_client__closed__is_a_retry():
    with pytest.raises(Retry, match="cannot be reached"):
        OracleClient("o1", "0x", 1, "http://127.0.0.1:9", "t").ask(Request("p", (CLAIM,)))


def test_client__signature_of_another_key_or_digest__attests_nothing(client):
    oracle, says = client
    digest = batch_digest(Batch(RAIL, PRODUCT, (CLAIM,)), 31337, COMMITTEE)
    for key, signed, good in ((1, digest, True), (2, digest, False), (1, bytes(32), False)):
        says.append((200, said("0x" + sign(signed, bytes([key]) * 32).hex())))
        answer = oracle.ask(Request("metered_energy", (CLAIM,)))
        assert (oracle.attestation(answer, digest) is not None) == good


def test_attest__contracts_of_a_former_rail__nobody_is_asked_and_the_payment_says_why(bare):
    chain = bare.rail.chain
    moved = {"PaymentRail@0.5.0": "0x" + "55" * 20, "MeteredEnergy@0.5.0": PRODUCT}
    chain.deployment = replace(
        chain.deployment,
        addresses=chain.deployment.addresses | moved,
        rails={"MeteredEnergy@0.5.0": "PaymentRail@0.5.0"},
    )
    assert attest(bare.rail) == 0
    assert bare.stages(A, B, C) == ["verified"] * 3
    assert "agreement move" in bare.payment(A).reason
    assert [oracle.asked for oracle in bare.oracles] == [[], [], [], []]
