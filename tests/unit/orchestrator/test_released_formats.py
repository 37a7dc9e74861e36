"""What earlier releases wrote is still read: audit bundles verify, databases migrate."""

from __future__ import annotations

import copy
import gzip
import json
import sqlite3
from pathlib import Path

import pytest
from sqlmodel import select

from device_adapters.registry import load
from device_adapters.types import Assurance
from orchestrator.approvals import ready
from orchestrator.approvals import verify as verify_approval
from orchestrator.core.approval import Office
from orchestrator.core.audit import verify
from orchestrator.edges.store import Store, approvals, debts, ledger
from orchestrator.edges.store.tables import (
    ApprovalRow,
    EventRow,
    EvidenceRow,
    PaymentRow,
    PayoutRow,
)
from orchestrator.products import products
from tests.support.officers import EXPIRY_S
from tests.support.released import FOLDER, migrated_database

BUNDLES = sorted(FOLDER.glob("*/bundle_*.json.gz"))
CHAIN_ID = 31337


def bundle_of(path: Path) -> dict:
    return json.loads(gzip.decompress(path.read_bytes()))


@pytest.mark.parametrize("path", BUNDLES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_bundle__of_an_earlier_release__verifies_in_every_stage(path):
    report = verify(bundle_of(path), products())
    assert report.failed is None
    assert len(report.steps) > 8


@pytest.mark.parametrize("path", BUNDLES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_bundle__of_an_earlier_release_with_a_changed_entry__fails_at_the_ledger(path):
    bundle = bundle_of(path)
    changed = copy.deepcopy(bundle)
    changed["ledger"][0]["postings"][0]["amount_minor"] += 1
    changed["ledger"][0]["postings"][1]["amount_minor"] -= 1
    report = verify(changed, products())
    assert report.failed is not None and report.failed.stage == "ledger"


@pytest.fixture
def migrated(tmp_path: Path) -> Store:
    store = Store(migrated_database(tmp_path / "proofrail.sqlite3"))
    yield store
    store.close()


def test_database__of_0_3_0__keeps_every_hash_under_plain_names(migrated):
    with migrated.read() as session:
        assert ledger.first_broken_link(session) is None
        assert ledger.count(session) == 129
        kinds = {entry.kind for _, entry in ledger.entries(session)}
        assert {"debt_recorded", "debt_paid"} < kinds and not {"credited", "credit_paid"} & kinds
        accounts = {account.partition(":")[0] for account, _ in ledger.balances(session)}
        assert "debt_due" in accounts and "credit_due" not in accounts
        assert not debts.all_open(session)


def test_database__of_0_3_0__keeps_stages_steps_and_signed_approvals(migrated):
    with migrated.read() as session:
        stages = set(session.exec(select(PayoutRow.stage)))
        assert stages == {"booked", "due"}
        assert set(session.exec(select(PaymentRow.next_step))) <= {None, "release"}
        assert len(session.exec(select(ApprovalRow)).all()) == 2
        row = approvals.approved(session, "release_payout")[0]
        verify_approval(session, CHAIN_ID, row)  # its officers had their seats in the store alone
        approval = approvals.content_of(row)
        # it was not executed then: officers of today sign it again
        office = Office(CHAIN_ID, frozenset({row.proposer}), row.proposed_at, EXPIRY_S)
        assert ready(session, office, "release_payout") == []
        assert approval.detail["cents"] == 150_000_000


def test_database__of_0_3_0__is_append_only_again_after_the_migration(migrated):
    path = migrated.path
    with sqlite3.connect(path) as base, pytest.raises(sqlite3.IntegrityError, match="append-only"):
        base.execute("UPDATE ledgerentry SET kind = 'settled'")
    with sqlite3.connect(path) as base, pytest.raises(sqlite3.IntegrityError, match="append-only"):
        base.execute("UPDATE ledgerposting SET amount_minor = 0")


@pytest.mark.parametrize("release", ["0.3.0", "0.4.0"])
def test_database__of_an_earlier_release__keeps_its_journal_and_its_records(tmp_path, release):
    store = Store(migrated_database(tmp_path / "proofrail.sqlite3", release))
    with store.read() as session:
        assert ledger.first_broken_link(session) is None
        records = session.exec(
            select(EvidenceRow.body, EvidenceRow.protocol, EventRow).join(
                EventRow, EventRow.evidence_hash == EvidenceRow.evidence_hash
            )
        ).all()
    store.close()
    assert len(records) > 50
    for body, protocol, row in records:
        event = load(protocol).decode(body)
        assert ("0x" + event.event_id.hex(), event.observed_at_ms) == (
            row.event_id,
            row.observed_at_ms,
        )
        assert (row.assurance, row.gateway) == (Assurance.DEVICE, "")
