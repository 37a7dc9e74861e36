"""Bundles gathered from a store that a real rail filled: whole, in part, and not at all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from device_adapters.types import Rejected
from orchestrator.core.audit import AuditStage, verify
from orchestrator.edges.store import Session, bank_files, payments
from orchestrator.products import products
from orchestrator.views.audit_bundle import Export, ExportReason, export
from tests.support.small_rail import START, SmallRail, has_anvil, lived

pytestmark = pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")


def exported(which: str) -> Export:
    rail = lived()
    with rail.store.read() as session:
        return export(session, rail.payments()[which], rail.chain.deployment)


@pytest.mark.parametrize("device", ["cp-0001", "meter-0001"])
def test_export__reconciled__verifies_up_to_the_statement_line(device: str) -> None:
    exported_payment = exported(f"{device} reconciled")
    report = verify(exported_payment.bundle, products())
    assert report.failed is None
    assert report.complete
    assert exported_payment.missing == ()


def test_export__reconciled__holds_exactly_the_entries_of_this_payment() -> None:
    bundle = exported("cp-0001 reconciled").bundle
    kinds = [entry["kind"] for entry in bundle["ledger"]]
    assert kinds == ["settled", "released", "redeemed", "payout_booked"]


def test_export__booked_intraday_and_on_the_statement__shows_the_statement() -> None:
    assert exported("cp-0001 reconciled").bundle["bank_line"]["path"].startswith("Stmt[")


@pytest.mark.parametrize("only", [False, True])
def test_export__reported_in_other_messages_too__shows_what_the_verifier_reads(
    monkeypatch: pytest.MonkeyPatch, only: bool
) -> None:
    """MT940 and camt.052 sort before camt.053."""
    lines_of = bank_files.lines_of

    def lines_in_all(session: Session, reference: str) -> list[SimpleNamespace]:
        own = lines_of(session, reference)
        others = [
            SimpleNamespace(
                kind=kind,
                source=line.source,
                path="Stmt[1]/:61:[1]",
                amount_minor=line.amount_minor,
                is_return=False,
            )
            for kind in ("MT940", "camt.052")
            for line in own
        ]
        return others if only else [*others, *own]

    monkeypatch.setattr(bank_files, "lines_of", lines_in_all)
    exported_payment = exported("cp-0001 reconciled")
    report = verify(exported_payment.bundle, products())
    assert (report.failed, report.complete) == (None, not only)
    assert len(exported_payment.missing) == only


@pytest.fixture
def own_rail(tmp_path: Path) -> Iterator[SmallRail]:
    rail = SmallRail(tmp_path / "home").start()
    yield rail
    rail.stop()


def test_export__released_below_a_cent_and_redeemed_with_the_next__verifies(own_rail) -> None:
    rail, point = own_rail, own_rail.fleet["cp-0001"]
    rail.fund("cp-0001", 20_000)
    rail.work(4)
    rail.clock = START + 100_000
    for kwh in ("0.02", "12.5"):  # 6000 micro-euro, then more: released one after the other
        assert rail.take(*point.session(kwh)) == ["accepted"]
        rail.work(12, 20)
    for _ in range(2):
        rail.close_day()
    rail.work(3)
    with rail.store.read() as session:
        rows = payments.of_agreement(session, rail.agreements["cp-0001"], "reconciled")
        first, second = sorted(payments.by_ids(session, rows), key=lambda row: row.sequence)
        exports = [export(session, p.payment_id, rail.chain.deployment) for p in (first, second)]
    assert first.payout_id == second.payout_id
    assert first.release_tx != second.release_tx
    assert first.amount_micro == 6_000
    assert [
        exported_payment.bundle["payout"]["redeemed"] is None for exported_payment in exports
    ] == [False, True]
    for exported_payment in exports:
        report = verify(exported_payment.bundle, products())
        assert report.failed is None
        assert report.complete
        kinds = [entry["kind"] for entry in exported_payment.bundle["ledger"]]
        assert kinds == ["settled", "released", "redeemed", "payout_booked"]


def test_export__committee_changed_since__shows_it_as_it_was() -> None:
    report = verify(exported("meter-0001 reconciled").bundle, products())
    assert report.ok
    assert report.trust["quorum"] == 3
    assert len(report.trust["signers"]) == 3


def test_export__not_paid_out_yet__holds_what_exists_and_names_the_rest() -> None:
    exported_payment = exported("cp-0001 posted")
    report = verify(exported_payment.bundle, products())
    assert report.ok
    assert not report.complete
    assert report.steps[-2].stage is AuditStage.LEDGER
    assert [part.split(":")[0] for part in exported_payment.missing] == [
        "payout",
        "bank order",
        "statement line",
    ]


def test_export__second_payment__starts_from_the_first_ones_last_record() -> None:
    first, second = exported("cp-0001 reconciled").bundle, exported("cp-0001 posted").bundle
    assert first["anchor"] is None
    assert second["anchor"] == first["evidence"][-1]


def test_export__refused_by_the_contract__proves_that_no_money_moved() -> None:
    exported_payment = exported("cp-0002 waiting_for_funds")
    assert verify(exported_payment.bundle, products()).ok
    assert exported_payment.bundle["settlement"]["refusal"] != 0
    assert exported_payment.bundle["ledger"] == []
    assert "escrow_short" in exported_payment.missing[0]


def test_export__not_settled__is_refused_by_name() -> None:
    with pytest.raises(Rejected) as refusal:
        exported("meter-0001 verified")
    assert refusal.value.reason is ExportReason.NOT_SETTLED
    assert "verified" in refusal.value.detail


def test_export__unknown_payment__is_refused_by_name() -> None:
    rail = lived()
    with rail.store.read() as session, pytest.raises(Rejected) as refusal:
        export(session, "0x" + "00" * 32, rail.chain.deployment)
    assert refusal.value.reason is ExportReason.PAYMENT_UNKNOWN
