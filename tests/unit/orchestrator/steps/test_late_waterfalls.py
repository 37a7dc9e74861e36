"""A rail learns of the factory while tokens are in waterfalls: its books begin with them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest

from orchestrator.core import ledger
from orchestrator.core.ledger import TEUR
from orchestrator.core.waterfall import WaterfallTerms
from orchestrator.edges.chain import keystore
from orchestrator.edges.chain.artifacts import load_artifacts
from orchestrator.edges.chain.client import Call, Chain
from orchestrator.edges.chain.deployment import Deployment, deploy
from orchestrator.edges.chain.plan import WATERFALLS
from orchestrator.edges.chain.totals import contract_totals
from orchestrator.edges.store import ledger as store_ledger
from orchestrator.rebuild import rebuild
from orchestrator.steps.reconcile import reconcile_store
from scripts.deploy import development_plan
from tests.support.open_rail import OpenRail
from tests.support.small_rail import has_anvil

pytestmark = pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")

MINTER, ANNA, BERT = 3, 30, 31  # development accounts


class EarlierRail(OpenRail):
    """A rail of an earlier release: its deployment does not name the factory, which is there."""

    def _deploy(self) -> Deployment:
        plan = development_plan()
        self.whole = deploy(
            self.testnet.url, load_artifacts(), plan, self.home / "deployment-whole.json"
        )
        at, blocks = dict(self.whole.addresses), dict(self.whole.blocks)
        del at[WATERFALLS], blocks[WATERFALLS]
        earlier = replace(self.whole, addresses=at, blocks=blocks)
        earlier.save(self.settings.deployment)
        return earlier

    def learn(self) -> None:
        """Start the service again with a deployment that names the factory."""
        self.whole.save(self.settings.deployment)
        self.chain = Chain(self.testnet.url, self.whole, load_artifacts())
        self._rail()

    def outside(self) -> dict[str, int]:
        with self.store.read() as session:
            balances = store_ledger.balances(session)
        kinds = ("share", "holder")
        return {
            account: -total
            for (account, asset), total in balances.items()
            if asset == TEUR and total and account.split(":")[0] in kinds
        }


@pytest.fixture
def rail(tmp_path):
    started = EarlierRail(tmp_path / "home").start()
    yield started
    started.stop()


def test_factory__known_late__recognises_what_moved_before_and_rebuild_agrees(rail):
    anna, bert = (keystore.development_account(index).address for index in (ANNA, BERT))
    shares = sorted([(anna, 2_500), (bert, 7_500)], key=lambda pair: int(pair[0], 16))
    terms = WaterfallTerms(b"\1" * 32, tuple(shares))
    early, rail.chain = rail.chain, Chain(rail.testnet.url, rail.whole, load_artifacts())
    rail.send(MINTER, Call("EuroToken", "mint", (b"\7" * 32, anna, 1_000_000)))
    address = rail.chain.view(WATERFALLS, "addressOf", terms.as_tuple())
    rail.send(BERT, Call(WATERFALLS, "create", (terms.as_tuple(),)))
    rail.send(ANNA, Call("EuroToken", "transfer", (address, 400_003)))
    rail.send(BERT, Call(f"Waterfall@{address}", "take", ()))
    rail.chain = early
    rail.work(4)  # all of it is final, and posted to the one account of wallets
    assert rail.outside() == {}
    rail.learn()
    rail.work(3)
    expected = {
        ledger.share(address, anna): 100_000,
        ledger.undivided(address): 1,
        ledger.holder(anna): 599_997,
        ledger.holder(bert): 300_002,
    }
    assert rail.outside() == expected
    rail.send(ANNA, Call("EuroToken", "transfer", (address, 1)))
    rail.send(ANNA, Call(f"Waterfall@{address}", "take", ()))
    rail.work(4)
    assert rail.outside() == {
        ledger.share(address, bert): 1,
        ledger.holder(anna): 699_997,
        ledger.holder(bert): 300_002,
    }
    with rail.store.read() as session:
        result = reconcile_store(
            session, rail.iban, rail.clock, partial(contract_totals, rail.chain)
        )
    assert [item for item in result.breaks if "total:" in str(item.ids[:1])] == []
    assert rebuild(rail.store, rail.chain).differences == []
