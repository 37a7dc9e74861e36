"""An oracle that signs two facts for one sequence is reported once, and the chain bars it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from oracles.attest import batch_digest, recover
from oracles.types import Attestation, Batch, Claim
from orchestrator import cli
from orchestrator.edges.chain import keystore
from orchestrator.edges.chain.sender import Sender
from orchestrator.edges.store import Store, equivocations, payments, sends
from orchestrator.errors import Retry
from orchestrator.steps.attest import attest
from orchestrator.steps.equivocation import REPORT, report_equivocations
from orchestrator.steps.signatures import equivocators
from orchestrator.worker import Worker
from tests.support.bare_rail import CHAIN_ID, COMMITTEE, PRODUCT, RAIL, BareRail
from tests.support.small_rail import SmallRail, has_anvil

CP, LIAR = "cp-0001", "auditor"
EVERYONE = ("utility-a", "utility-b", "bank", LIAR)
A, B, C = "cp-0001", "cp-0002", "cp-0003"


# --- the whole path, on a real chain with the real contracts


@pytest.fixture(scope="module")
def rail(tmp_path_factory):
    if not has_anvil():
        pytest.skip("anvil is not installed")
    small_rail = SmallRail(Path(tmp_path_factory.mktemp("equivocation")) / "home").start()
    small_rail.fund(CP, 20_000)
    small_rail.work(4)
    small_rail.clock += 100_000
    yield small_rail
    small_rail.stop()


def address_of(rail: SmallRail, name: str) -> str:
    return next(oracle.address for oracle in rail.rail.oracles if oracle.name == name)


def barred_logs(rail: SmallRail) -> list[dict]:
    logs = rail.chain.logs_between("OracleCommittee", 1, rail.chain.head())
    return [log.args for log in logs if log.name == "MemberBarred"]


def reports(rail: SmallRail) -> list:
    with rail.store.read() as session:
        query = "SELECT tx_hash, stage FROM chainsend WHERE purpose = ?"
        return session.connection().exec_driver_sql(query, (REPORT,)).all()


def newest_payment(rail: SmallRail) -> payments.PaymentRow:
    with rail.store.read() as session:
        ids = rail.payments()
        key = next(value for name, value in reversed(ids.items()) if name.startswith(CP))
        return payments.by_ids(session, [key])[0]


def set_facts(rail: SmallRail, payment_id: str, facts: str) -> None:
    """As a database restored from a backup would: other facts for the same sequence."""
    with rail.store.write() as session:
        row = payments.by_ids(session, [payment_id])[0]
        row.facts, row.due_at = facts, 0


def sign_two_facts(rail: SmallRail) -> str:
    """The liar alone signs inflated facts; then everybody is asked about the true ones."""
    rail.with_oracles_down(*EVERYONE)
    assert rail.take(*rail.fleet[CP].session("5")) == ["accepted"]
    rail.work(1)
    payment = newest_payment(rail)
    assert payment.stage == "verified"
    inflated = payment.facts[:-1] + ("1" if payment.facts[-1] != "1" else "2")
    set_facts(rail, payment.payment_id, inflated)
    rail.with_oracles_down(*(name for name in EVERYONE if name != LIAR))
    rail.work(1)
    set_facts(rail, payment.payment_id, payment.facts)
    rail.with_oracles_down()
    return payment.payment_id


def restarted(rail: SmallRail) -> Worker:
    """A new worker over a new connection to the same database, as after a restart."""
    store = Store(rail.settings.database)
    keys = ("sender", "minter", "warden")
    senders = {
        role: Sender(store, rail.chain, keystore.load(rail.settings.keys, role)) for role in keys
    }
    return Worker(replace(rail.rail, store=store, **senders))


def test_attack__oracle_signs_two_facts__is_reported_once_barred_and_counts_no_longer(
    rail, monkeypatch
):
    liar = address_of(rail, LIAR)
    key = sign_two_facts(rail)
    assert reports(rail) == [] and barred_logs(rail) == []
    # the process dies between the commit and the broadcast: the stored bytes are all there is
    with monkeypatch.context() as patch:
        patch.setattr(rail.chain, "broadcast", lambda raws: ["unknown"] * len(raws))
        rail.mine(5)
        rail.worker.turn()
    assert len(reports(rail)) == 1 and barred_logs(rail) == []
    rail.worker = restarted(rail)
    rail.worker.recover()
    rail.work(6)
    with rail.store.read() as session:
        payment = payments.by_ids(session, [key])[0]
        used = [row.oracle for row in payments.attestations_of(session, payment.batch_digest)]
        (row,) = equivocations.rows(session)
    assert payment.stage == "posted" and len(used) == 3 and liar not in used
    assert [log["member"] for log in barred_logs(rail)] == [liar]
    assert barred_logs(rail)[0]["sequence"] == payment.sequence
    assert rail.chain.view("OracleCommittee", "memberOf", liar)[:3] == [3, True, True]
    assert rail.chain.view("OracleCommittee", "quorum") == 3
    assert (row.oracle, row.agreement_id, row.refusal) == (liar, payment.agreement_id, "")
    assert row.barred_at is not None and [r.tx_hash for r in reports(rail)] == [row.reported_tx]
    # after one more restart, and with its next lie, there is nothing more to report
    rail.worker = restarted(rail)
    rail.worker.recover()
    second = sign_two_facts(rail)
    rail.work(6)
    with rail.store.read() as session:
        assert payments.by_ids(session, [second])[0].stage == "posted"
    assert len(reports(rail)) == 1 and len(barred_logs(rail)) == 1


def test_status__with_an_equivocation__names_the_oracle_and_that_it_is_barred(rail):
    """Follows the test above."""
    status = ["--home", str(rail.home), "status"]
    text = CliRunner().invoke(cli.app, status)
    assert "EQUIVOCATION" in text.stdout and "barred at" in text.stdout
    content = json.loads(CliRunner().invoke(cli.app, [*status, "--json"]).stdout)
    (item,) = content["equivocating_oracles"]
    assert (item["oracle"], item["refusal"]) == (address_of(rail, LIAR), "")


def test_report__of_an_oracle_that_a_stranger_reported__needs_no_call(rail):
    """Follows the tests above: the chain bars the liar, and the store has lost that."""
    liar = address_of(rail, LIAR)
    with rail.store.write() as session:
        (row,) = equivocations.rows(session)
        row.reported_tx = row.barred_at = None
    assert report_equivocations(rail.rail) == 1 and report_equivocations(rail.rail) == 0
    with rail.store.read() as session:
        (row,) = equivocations.rows(session)
    assert (row.oracle, row.reported_tx, row.refusal) == (liar, "", "Barred")
    assert len(reports(rail)) == 1


# --- which signatures are evidence, and what is kept of them


@pytest.fixture
def bare(tmp_path):
    bare_rail = BareRail(tmp_path)
    bare_rail.claims(A, B, C)
    yield bare_rail
    bare_rail.close()


def ask(bare: BareRail, *oracles: int) -> None:
    """One round in which only these oracles answer."""
    for n, oracle in enumerate(bare.oracles, 1):
        bare.oracles[n - 1] = replace(oracle, how="" if n in oracles else "down")
    bare.place.clock += 100
    attest(bare.rail)


def change_facts(bare: BareRail, name: str) -> None:
    with bare.place.store.write() as session:
        row = payments.by_ids(session, [bare.payment(name).payment_id])[0]
        row.facts = row.facts[:-1] + ("1" if row.facts[-1] != "1" else "2")


def noted(bare: BareRail) -> list[equivocations.EquivocationRow]:
    with bare.place.store.read() as session:
        return list(equivocations.rows(session))


def count(bare: BareRail, table: str) -> int:
    with bare.place.store.read() as session:
        query = f"SELECT count(*) FROM {table}"
        return session.connection().exec_driver_sql(query).scalar()


def test_signatures__over_the_same_claims_again__are_no_evidence_and_are_kept_once(bare):
    ask(bare, 1, 2)
    kept = count(bare, "oraclesignature")
    ask(bare, 1, 2)  # the same batch
    bare.rail.settings.batch_claims = 2
    ask(bare, 1, 2)  # the same claims in smaller batches
    assert noted(bare) == []
    assert count(bare, "oraclesignature") == kept == 2
    ask(bare, 1, 2, 3)
    assert count(bare, "oraclesignature") > kept and noted(bare) == []


def test_signatures__over_another_claim_of_one_sequence__name_each_who_signed_both(bare):
    ask(bare, 1, 2)
    change_facts(bare, B)
    ask(bare, 2, 3)
    (row,) = noted(bare)
    assert row.oracle == bare.oracles[1].address
    assert row.agreement_id == bare.payment(B).agreement_id and row.sequence == 1
    assert row.first_digest != row.second_digest
    with bare.place.store.read() as session:
        first, second = equivocations.proof(session, row)
    for record, digest in ((first, row.first_digest), (second, row.second_digest)):
        signed = batch_digest(record.batch, CHAIN_ID, COMMITTEE)
        assert digest == "0x" + signed.hex()
        assert recover(signed, record.attestation.signature) == row.oracle
    pairs = zip(first.batch.claims, second.batch.claims, strict=True)
    differing = [a.agreement for a, b in pairs if a != b]
    assert ["0x" + agreement.hex() for agreement in differing] == [row.agreement_id]


def test_quorum__with_an_oracle_that_equivocated__counts_the_others_alone(bare):
    ask(bare, 4)
    change_facts(bare, A)
    ask(bare, 1, 2, 4)  # three signatures, one of which is worth nothing since this very round
    assert bare.stages(A, B, C) == ["verified"] * 3
    ask(bare, 1, 2, 3, 4)
    assert bare.stages(A, B, C) == ["attested"] * 3
    with bare.place.store.read() as session:
        kept = payments.attestations_of(session, bare.payment(A).batch_digest)
    assert sorted(row.name for row in kept) == ["o1", "o2", "o3"]


class FixedSender:
    """Quotes and prepares as the sender does; `refusal` is what a quote fails by."""

    def __init__(self) -> None:
        self.refusal, self.prepared, self.broadcasts = "", [], 0

    def quote(self, call):
        if self.refusal:
            raise Retry(self.refusal)
        return call

    def prepare(self, session, purpose, ref, quote, now):
        tx_hash = f"0x{len(self.prepared):064x}"
        self.prepared.append((purpose, ref))
        row = sends.ChainSendRow(
            tx_hash=tx_hash,
            chain_id=1,
            sender="",
            nonce=len(self.prepared),
            raw="",
            purpose=purpose,
            ref=ref,
            created_at=now,
        )
        sends.add(session, row)
        return tx_hash

    def broadcast(self):
        self.broadcasts += 1


@pytest.fixture
def reporting(bare):
    """A rail with one equivocation that is not reported yet, and its sender."""
    ask(bare, 1)
    change_facts(bare, C)
    ask(bare, 1)
    assert len(noted(bare)) == 1
    sender = FixedSender()
    return SimpleNamespace(
        bare=bare, sender=sender, context=replace(bare.rail, sender=sender), store=bare.place.store
    )


@pytest.mark.parametrize(
    "refusal",
    ["the node gave no usable answer", "OracleCommittee.reportEquivocation is not quoted: busy"],
)
def test_report__node_is_silent__waits_and_comes_round_again(reporting, refusal):
    reporting.sender.refusal = refusal
    assert report_equivocations(reporting.context) == 0
    assert reporting.sender.prepared == [] and noted(reporting.bare)[0].reported_tx is None
    reporting.sender.refusal = ""
    assert report_equivocations(reporting.context) == 1
    assert reporting.sender.prepared == [(REPORT, reporting.bare.oracles[0].address)]
    assert reporting.sender.broadcasts == 1


def test_report__that_is_under_way_or_mined__is_sent_once(reporting):
    assert [report_equivocations(reporting.context) for _ in range(3)] == [1, 0, 0]
    with reporting.store.write() as session:
        sends.record_fact(session, noted(reporting.bare)[0].reported_tx, sends.Fact.SUCCEEDED)
    assert report_equivocations(reporting.context) == 0
    assert len(reporting.sender.prepared) == 1


def test_report__that_failed_on_chain__is_sent_again_unless_the_member_is_barred(reporting):
    report_equivocations(reporting.context)
    with reporting.store.write() as session:
        sends.record_fact(session, noted(reporting.bare)[0].reported_tx, sends.Fact.REVERTED)
    assert report_equivocations(reporting.context) == 1
    assert len(reporting.sender.prepared) == 2
    with reporting.store.write() as session:
        oracle = reporting.bare.oracles[0].address
        sends.record_fact(session, noted(reporting.bare)[0].reported_tx, sends.Fact.REVERTED)
        equivocations.mark_barred(session, oracle, "0x", 1, 99)
    assert report_equivocations(reporting.context) == 0
    assert noted(reporting.bare)[0].barred_at == 99


@pytest.mark.parametrize("name", ["Barred", "NotAMember", "NotEquivocation"])
def test_report__that_the_contract_never_takes__is_given_up_with_its_error(reporting, name):
    reporting.sender.refusal = f"OracleCommittee.reportEquivocation would revert: {name}"
    assert report_equivocations(reporting.context) == 1
    assert report_equivocations(reporting.context) == 0
    assert noted(reporting.bare)[0].refusal == name and reporting.sender.prepared == []


def test_barred__by_a_stranger__counts_no_longer_and_needs_no_report(bare):
    oracle = bare.oracles[3].address
    with bare.place.store.write() as session:
        equivocations.mark_barred(session, oracle, "0x" + "00" * 32, 5, 1_000)
    claim = Claim(bytes(32), 1, 1, 1, bytes(32), b"")
    batch = Batch(RAIL, PRODUCT, (claim,))
    digest = batch_digest(batch, CHAIN_ID, COMMITTEE)
    assert equivocators(bare.rail, batch, digest, []) == {oracle}
    signed = [Attestation(bare.oracles[0].address, bytes(65))]
    assert equivocators(bare.rail, batch, digest, signed) == {oracle}
    assert report_equivocations(bare.rail) == 0
    ask(bare, 1, 2, 4)
    assert bare.stages(A, B, C) == ["verified"] * 3
