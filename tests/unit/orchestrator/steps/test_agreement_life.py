"""What ends an agreement and what does not: skips, closings, and the grace, on a real chain."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from device_adapters.types import Rejected
from oracles.memory import Memory
from oracles.types import SkippedClaim
from orchestrator.core.payment import Fact, Stage
from orchestrator.edges.chain.client import Call
from orchestrator.edges.chain.ethereum import sign_document
from orchestrator.edges.chain.sender import Sender, send_in_turn
from orchestrator.edges.store import agreements, payments
from orchestrator.errors import Retry
from orchestrator.operations import agreement_calls
from orchestrator.rebuild import rebuild
from services.oracle import catch_up
from tests.support.small_rail import START, SmallRail, has_anvil

pytestmark = pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")
DAY = 86_400


@pytest.fixture(scope="module")
def rail(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallRail]:
    rail = SmallRail(Path(tmp_path_factory.mktemp("rail")) / "home").start()
    for name in rail.fleet.devices:
        rail.fund(name, 20_000)
    rail.work(4)
    rail.clock = START + 100_000
    yield rail
    rail.stop()


def row_of(rail: SmallRail, name: str) -> agreements.AgreementRow:
    with rail.store.read() as session:
        return agreements.get(session, rail.agreements[name])


def payments_of(rail: SmallRail, name: str) -> list[payments.PaymentRow]:
    with rail.store.read() as session:
        row = agreements.get(session, rail.agreements[name])
        at = (agreements.payment_at(session, row.agreement_id, n) for n in range(1, 9))
        return [payment for payment in at if payment is not None]


def use(rail: SmallRail, name: str, kwh: str) -> list[str]:
    device = rail.fleet[name]
    device.now = max(device.now, rail.clock)
    return rail.take(*device.session(kwh))


def read(rail: SmallRail, name: str, kwh: str) -> list[str]:
    device = rail.fleet[name]
    device.now = max(device.now, rail.clock)
    return rail.take(*device.reading(kwh))


def refuse_for_good(rail: SmallRail, name: str, record=use) -> payments.PaymentRow:
    """Bring about a payment that the oracles refuse for good; return it."""
    oracles = [oracle.name for oracle in rail.rail.oracles]
    rail.with_oracles_down(*oracles)
    assert record(rail, name, "5") == ["accepted"]
    rail.work(2)
    payment = payments_of(rail, name)[-1]
    with rail.store.write() as session:
        doubted = payments.NewFact(payment.payment_id, Fact.DOUBTED, "test")
        payments.record_facts(session, [doubted], rail.clock)
    rail.with_oracles_down("bank")
    return payment


def signed(rail: SmallRail, skipped: SkippedClaim) -> dict[str, bytes]:
    document = agreement_calls.document(rail.chain, skipped)
    keys = {"payer": rail.payer, "payee": rail.payee}
    return {name: sign_document(document, key) for name, key in keys.items()}


def send(rail: SmallRail, call: Call, account=None) -> None:
    account = account or rail.rail.sender.account
    send_in_turn(Sender(rail.store, rail.chain, account), [call], rail.clock, rail.mine)


def test_attack__one_refused_claim__ends_no_agreement_any_more(rail, tmp_path):
    """On 0.3.0 one claim that was refused for good ended its agreement for ever.

    Payer and payee pass over it together: it is a settled claim of nothing, later ones settle.
    """
    refused, row = refuse_for_good(rail, "cp-0001"), row_of(rail, "cp-0001")
    assert use(rail, "cp-0001", "7") == ["accepted"]
    rail.work(4)
    assert [p.stage for p in payments_of(rail, "cp-0001")] == [Stage.REJECTED]
    skipped = agreement_calls.claim_to_skip(rail.store, rail.chain, row, None)
    assert (skipped.sequence, skipped.last_counter) == (1, refused.last_counter)
    signatures = signed(rail, skipped)
    for name in ("payer", "payee"):  # one party alone cannot
        alone = signatures | {name: bytes(64) + b"\x1b"}
        with pytest.raises(Retry, match="SkipUnsigned"):
            rail.rail.sender.quote(agreement_calls.skip_call(skipped, alone))
    send(rail, agreement_calls.skip_call(skipped, signatures))
    rail.work(12, 20)
    first, second = payments_of(rail, "cp-0001")
    assert (first.stage, first.amount_micro, first.reason) == (Stage.SKIPPED, 0, "skipped")
    assert (second.sequence, second.amount_micro) == (2, 7 * 300_000)
    assert second.stage in (Stage.POSTED, Stage.PAID_OUT)
    assert row_of(rail, "cp-0001").sequence == 2
    rebuilt = rebuild(rail.store, rail.chain)
    assert rebuilt.same, rebuilt.differences
    memory = Memory(tmp_path / "oracle.sqlite3")
    catch_up(rail.chain, memory)
    agreement = bytes.fromhex(row.agreement_id[2:])
    assert memory.is_complete(agreement, 2)
    assert memory.highest_counter(agreement, 2) == refused.last_counter
    assert memory.highest_counter(agreement, 3) == second.last_counter
    memory.close()


def skip(rail: SmallRail, name: str) -> SkippedClaim:
    """Payer and payee pass over the claim that an agreement waits for; return it."""
    row = row_of(rail, name)
    skipped = agreement_calls.claim_to_skip(rail.store, rail.chain, row, None)
    send(rail, agreement_calls.skip_call(skipped, signed(rail, skipped)))
    rail.work(4, 20)
    return skipped


def test_attack__refused_claim_of_continuous_terms__ends_no_agreement_either(rail, tmp_path):
    """On 0.3.0 one refused claim ended an agreement; a skip alone did not help continuous terms.

    Their claims go on at the register where the last one ended: behind the records that were passed
    over, a claim begins at its own first reading, and the contract takes it.
    """
    name = next(name for name in rail.fleet.devices if name.startswith("meter"))
    for kwh in ("1", "2"):
        assert read(rail, name, kwh) == ["accepted"]
    rail.work(6, 20)
    refused = refuse_for_good(rail, name, read)
    assert skip(rail, name).last_counter == refused.last_counter
    for kwh in ("1", "4"):
        assert read(rail, name, kwh) == ["accepted"]
    rail.work(8, 20)
    assert read(rail, name, "3") == ["accepted"]  # anchored again
    rail.work(8, 20)
    amounts = [(p.stage == Stage.SKIPPED, p.amount_micro) for p in payments_of(rail, name)]
    assert amounts == [(False, 2 * 300_000), (True, 0), (False, 4 * 300_000), (False, 3 * 300_000)]
    assert {p.stage for p in payments_of(rail, name)[2:]} <= {Stage.POSTED, Stage.PAID_OUT}
    rebuilt = rebuild(rail.store, rail.chain)
    assert rebuilt.same, rebuilt.differences


def test_rebuild__of_a_payment_that_is_skipped_only_in_the_store__names_it(rail):
    payment = payments_of(rail, "cp-0001")[1]
    with rail.store.write() as session:
        payments.by_ids(session, [payment.payment_id])[0].stage = Stage.SKIPPED
    try:
        differences = [d for d in rebuild(rail.store, rail.chain).differences]
    finally:
        with rail.store.write() as session:
            payments.by_ids(session, [payment.payment_id])[0].stage = payment.stage
    assert any("no final block has passed over it" in str(d) for d in differences)


def test_agreement__read_from_the_chain__names_the_contracts_that_no_claim_pays(rail):
    agreement = rail.rail.registry.agreement(bytes.fromhex(rail.agreements["cp-0001"][2:]))
    contracts = rail.chain.deployment.addresses.values()
    assert agreement.never_paid == {address.lower() for address in contracts}


def test_claim_to_skip__counter_of_no_record__is_refused(rail):
    row = row_of(rail, "cp-0001")
    for counter in (None, 0, 99):
        with pytest.raises(Rejected, match="nothing was sent"):
            agreement_calls.claim_to_skip(rail.store, rail.chain, row, counter)
    sequence, claimed_to = agreement_calls.next_claim(rail.chain, row)
    skipped = agreement_calls.claim_to_skip(rail.store, rail.chain, row, claimed_to)
    assert (skipped.sequence, skipped.last_counter) == (sequence, claimed_to)


def test_attack__closed_and_reclaimed__takes_no_attested_money_within_the_grace(rail):
    """On 0.3.0 pause, close and reclaim took the money of claims that were attested.

    What was recorded before the closing settles for the grace, later records do not, and the escrow
    goes back only after it.
    """
    row, oracles = row_of(rail, "cp-0002"), [oracle.name for oracle in rail.rail.oracles]
    rail.with_oracles_down(*oracles)
    assert use(rail, "cp-0002", "5") == ["accepted"]
    device = rail.fleet["cp-0002"]
    rail.clock = max(rail.clock, device.now + 10)
    with pytest.raises(Retry, match="NotParty"):
        rail.chain.quote(
            rail.rail.warden.account.address, agreement_calls.close_call(rail.chain, row)
        )
    send(rail, agreement_calls.close_call(rail.chain, row), rail.payer)
    rail.work(4)
    closed = row_of(rail, "cp-0002")
    assert closed.closes_at and closed.ends_at == closed.closes_at + closed.grace_s
    assert closed.grace_s >= DAY and closed.stage == agreements.Stage.LIVE
    device.now = rail.clock
    assert use(rail, "cp-0002", "9") == ["agreement_not_live"]
    reclaim = Call("PaymentRail", "reclaim", (row.agreement_id,))
    with pytest.raises(Retry, match="NotYetDue"):
        rail.rail.sender.quote(reclaim)
    rail.with_oracles_down("bank")
    rail.work(8, 60)
    [payment] = payments_of(rail, "cp-0002")
    assert payment.amount_micro == 5 * 300_000 and payment.settlement_tx
    assert row_of(rail, "cp-0002").stage == agreements.Stage.LIVE
    rail.clock = closed.ends_at + 2
    rail.work(8)
    assert row_of(rail, "cp-0002").stage == agreements.Stage.CLOSED
    assert rail.chain.view("EuroToken", "balanceOf", rail.payer.address) == 198_500_000
