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


class CountingCalls:
    """The real client; `fetched` has the transactions whose call data was asked for."""

    def __init__(self, chain) -> None:
        self._chain, self.fetched = chain, []

    def call_input(self, tx_hash: str, contract: str):
        self.fetched.append(tx_hash)
        return self._chain.call_input(tx_hash, contract)

    def __getattr__(self, name: str):
        return getattr(self._chain, name)


def test_catch_up__with_what_it_recorded_before__fetches_each_settlement_once(tmp_path):
    """The newest blocks are read again each time, but not the calls that they hold."""
    rail, book, recorded = lived(), Memory(tmp_path / "oracle.sqlite3"), {}
    chain = CountingCalls(rail.chain)
    catch_up(chain, book, recorded)
    all_of_them = list(chain.fetched)
    assert len(all_of_them) >= 2 and {tx for _, tx, _ in recorded} == set(all_of_them)
    book.record_settled([], 1)  # as if all blocks were still among the newest
    catch_up(chain, book, recorded)
    assert chain.fetched == all_of_them
    (key, _), *_ = recorded.items()
    del recorded[key]  # a block that came back under another hash
    book.record_settled([], 1)
    catch_up(chain, book, recorded)
    assert chain.fetched == [*all_of_them, key[1]]
    book.record_settled([], rail.chain.head() + 100)
    catch_up(chain, book, recorded)
    assert recorded == {}  # blocks that are final are not remembered
    book.close()
