"""A small rail whose payer redeems tokens from a wallet, with a bank that misbehaves on demand."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

from orchestrator.core import ledger
from orchestrator.edges.chain import keystore
from orchestrator.edges.chain.client import Call
from orchestrator.edges.store import fundings
from orchestrator.edges.store import ledger as store_ledger
from orchestrator.edges.store import payouts as store_payouts
from orchestrator.operations.redemption import redeem
from orchestrator.steps.reconcile import reconcile_store
from tests.support.small_rail import SmallRail

CENTS = 1_000  # of each payout


class RedeemingRail(SmallRail):
    """A small rail with minted tokens in the wallet of its payer."""

    def prepare(self) -> None:
        """Pay 5,000.00 EUR in without a reference and mint them into the payer's wallet."""
        self.instruct_bank(
            {
                "kind": "pay",
                "from": self.payer_iban,
                "to": "",
                "text": "by hand",
                "amount_cents": 500_000,
                "reference": "",
            }
        )
        self.work(1)
        with self.store.read() as session:
            [credit] = fundings.in_stages(session, ["suspense"])
        minter = keystore.load(self.settings.keys, "minter")
        amount = credit.cents * ledger.MICRO_PER_CENT
        call = Call("EuroToken", "mint", (credit.credit_id, self.payer.address, amount))
        quote = self.chain.quote(minter.address, call)
        _, raw = self.chain.sign(minter, self.chain.nonce(minter.address), quote)
        assert self.chain.broadcast([raw]) == ["sent"]
        self.work(2)

    def morning(self) -> None:
        """Move the rail's clock to eight in the morning of the bank's day, if it is earlier."""
        day = datetime.combine(self.bank.books.today, datetime.min.time(), UTC)
        self.clock = max(self.clock, int(day.timestamp()) + 8 * 3_600)

    def misbehave(self, what: str, **options: object) -> None:
        self.instruct_bank({"kind": "misbehave", "what": what, **options})

    def release_matured(self, count: int = 2) -> list[str]:
        """Redeem and order payouts, read the bank's answers, and return the ids of the payouts."""
        earlier = set(self.payouts())
        for _ in range(count):
            redeem(
                self.store,
                self.chain,
                self.payer,
                self.payer_iban,
                CENTS * ledger.MICRO_PER_CENT,
                self.clock,
                self.mine,
            )
        self.work(3)
        return [payout for payout in self.payouts() if payout not in earlier]

    def payouts(self) -> dict[str, str]:
        with self.store.read() as session:
            return {row.payout_id: row.stage for row in store_payouts.all_payouts(session)}

    def end_day(self, days: int = 1) -> None:
        for _ in range(days):
            self.instruct_bank({"kind": "close_day"})
            self.morning()
            self.work(2)

    def breaks(self) -> Counter[str]:
        """Return the number of open breaks by kind."""
        with self.store.read() as session:
            reconciliation = reconcile_store(session, self.iban, self.clock)
        return Counter(str(item.kind) for item in reconciliation.breaks if not item.closed)

    def cents(self) -> Counter[str]:
        with self.store.read() as session:
            return Counter(
                {
                    account: cents
                    for (account, asset), cents in store_ledger.balances(session).items()
                    if asset == ledger.EUR
                }
            )


def since(now: Counter[str], before: Counter[str]) -> dict[str, int]:
    """Return the differences, without zeros."""
    return {key: now[key] - before[key] for key in {*now, *before} if now[key] != before[key]}
