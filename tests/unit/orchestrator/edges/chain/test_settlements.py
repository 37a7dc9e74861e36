"""What settlements applied, read back from the chain: what an oracle that was away has missed."""

from __future__ import annotations

import pytest

from oracles.memory import Memory
from orchestrator.edges.chain.settlements import settled_claims
from orchestrator.edges.store import lookup
from orchestrator.steps.attest import claim_of_row
from services.oracle import catch_up
from tests.support.small_rail import has_anvil, lived

pytestmark = pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")


def test_settled_claims__of_the_whole_chain__are_those_that_were_applied_and_no_refused_ones():
    rail = lived()
    with rail.store.read() as session:
        rows = [row for row, _ in lookup.newest_payments(session, None, 100)]
    applied = [claim_of_row(row) for row in rows if row.release_at]
    refused = [row for row in rows if row.settlement_tx and not row.release_at]
    settled = list(settled_claims(rail.chain, 0, rail.chain.head()))
    claims = [claim for some, _ in settled for claim in some]
    assert refused and len(applied) >= 3
    assert {(c.agreement, c.sequence): c for c in claims} == {
        (c.agreement, c.sequence): c for c in applied
    }
    assert settled[-1][1] == rail.chain.head()


def test_catch_up__again_and_again__notes_each_claim_once_and_where_it_stands(tmp_path):
    rail, book = lived(), Memory(tmp_path / "oracle.sqlite3")
    for _ in range(2):
        catch_up(rail.chain, book)
        assert book.settled_up_to() == rail.chain.head()
    [claim, *_] = next(settled_claims(rail.chain, 0, rail.chain.head()))[0]
    assert book.is_complete(claim.agreement, claim.sequence)
    assert (
        book.overlapping(claim.agreement, claim.first_counter, claim.last_counter) == claim.sequence
    )
    assert book.attested(claim.agreement, claim.sequence) is None  # known is not vouched for
    book.close()
