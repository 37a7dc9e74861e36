"""The bank adapter and the simulated bank agree with chain and ledger: zero breaks, to the cent."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from hashlib import sha256

import pytest

from orchestrator.core.reconcile import (
    BankFacts,
    BreakKind,
    ChainFacts,
    Ledger,
    LedgerFunding,
    LedgerPayout,
    Mint,
    PayoutRejection,
    Redemption,
    distinct,
    reconcile,
)
from orchestrator.core.references import end_to_end_id, funding_reference, uetr
from orchestrator.edges.bank import camt, pain
from orchestrator.edges.bank.channel import Folder
from orchestrator.edges.bank.types import Address, Debtor, PaymentOrder, StatusReport
from services.bank import new_iban
from services.simulated_bank.bank import SimulatedBank as SimulatedBank

SAFE, PAYER, CLOSED = new_iban(1), new_iban(2), new_iban(3)
DAY, HOME = date(2026, 11, 20), Address("Weg", "1", "10115", "Berlin", "DE")
AGREEMENT = sha256(b"agreement").digest()
REFERENCE = funding_reference(AGREEMENT)


class BankRail:
    """What the orchestrator does around the adapter, in a few lines."""

    def __init__(self, home, payees: list[str]) -> None:
        accounts = [
            {"iban": SAFE, "name": "Safe", "kind": "safeguarding"},
            {"iban": PAYER, "name": "Payer", "kind": "customer", "balance_cents": 10**6},
            {"iban": CLOSED, "name": "Gone", "kind": "customer", "closed": True},
        ]
        self.bank = SimulatedBank(home, {"business_date": str(DAY), "accounts": accounts})
        self.channel, self.home = Folder(home / "to_bank", home / "from_bank"), home
        self.lines, self.balances, self.rejections = [], [], []
        ids = [sha256(bytes([index])).digest() for index in range(len(payees))]
        self.payouts = [
            PaymentOrder(
                payout_id, end_to_end_id(payout_id), uetr(payout_id), "Payee", iban, HOME, 1_234
            )
            for payout_id, iban in zip(ids, payees, strict=True)
        ]
        self.batch = pain.payment_information_id(self.payouts)

    def instruct(self, name: str, **wish) -> None:
        (self.home / "instructions" / f"{name}.json").write_text(json.dumps(wish))
        self.fetch()

    def order(self, batch_booking: bool) -> None:
        data = pain.write(
            self.payouts,
            Debtor("Rail", SAFE, HOME),
            pain.message_id(self.payouts),
            datetime(2026, 11, 20, tzinfo=UTC),
            DAY,
            batch_booking=batch_booking,
        )
        self.channel.send("p.xml", data)
        self.fetch()

    def fetch(self) -> None:
        self.bank.step()
        for name, data in self.channel.receive():
            answer = camt.parse(data, accounts=[SAFE])
            if isinstance(answer, StatusReport):
                refused = answer.refused(payout.end_to_end_id for payout in self.payouts)
                self.rejections += [PayoutRejection(*refusal) for refusal in refused.items()]
            else:
                self.lines += [line for statement in answer for line in statement.lines]
                self.balances += [statement.balances for statement in answer if statement.balances]
            self.channel.done(name)

    def reconcile(self):
        credits = [booked for booked in distinct(self.lines) if booked.line.reference == REFERENCE]
        mints = [Mint(credit.ids[0], credit.line.amount_minor * 10_000) for credit in credits]
        burned = [
            Redemption(payout.payout_id, payout.amount_cents * 10_000) for payout in self.payouts
        ]
        supply = sum(mint.amount_micro for mint in mints) - sum(
            redemption.amount_micro for redemption in burned
        )
        payouts = [
            LedgerPayout(
                payout.payout_id,
                payout.end_to_end_id,
                payout.amount_cents,
                payout.iban,
                self.batch,
                DAY,
            )
            for payout in self.payouts
        ]
        minted = [LedgerFunding(mint.credit_id, mint.amount_micro // 10_000) for mint in mints]
        return reconcile(
            ChainFacts(supply, burned, mints),
            Ledger(payouts, minted, {REFERENCE: AGREEMENT}),
            BankFacts(SAFE, self.lines, self.balances, self.rejections),
        )


def run(tmp_path, payees, batch_booking=True) -> BankRail:
    rail = BankRail(tmp_path, payees)
    rail.instruct("1", kind="pay", **{"from": PAYER}, amount_cents=500_00, reference=REFERENCE)
    rail.order(batch_booking)
    return rail


@pytest.mark.parametrize("batch_booking", [True, False])
@pytest.mark.parametrize("closed", [False, True])
def test_rail_and_bank__funding_and_payouts__reconcile_with_zero_breaks(
    tmp_path, batch_booking, closed
):
    rail = run(tmp_path, [new_iban(10), "FR7630006000011234567890189"], batch_booking)
    if closed:
        rail.instruct("2", kind="close_day")
        assert len(rail.lines) == 2 * len(distinct(rail.lines)) == 6
    result = rail.reconcile()
    assert result.breaks == () == result.in_flight and result.difference_micro == 0
    assert len(result.matches) == 3 and result.supply_micro == (50_000 - 2_468) * 10_000


def test_rail_and_bank__refused_and_returned_payouts__are_the_only_breaks(tmp_path):
    rail = run(tmp_path, [CLOSED, new_iban(10), new_iban(11)])
    rail.instruct("2", kind="return", end_to_end_id=rail.payouts[1].end_to_end_id)
    rail.instruct("3", kind="close_day")
    result = rail.reconcile()
    assert [(difference.kind, *difference.ids) for difference in result.breaks] == [
        (BreakKind.REJECTED, rail.payouts[0].payout_id.hex()),
        (BreakKind.RETURNED, rail.payouts[1].payout_id.hex()),
    ]
    assert result.difference_micro == 0 and len(result.matches) == 2


def test_rail_and_bank__batch_line_stripped_of_its_ids__still_reconciles(tmp_path):
    rail = run(tmp_path, [new_iban(10), new_iban(11)], batch_booking=False)
    rail.instruct("2", kind="close_day")
    rail.lines = [replace(line, end_to_end_id="") for line in rail.lines]
    result = rail.reconcile()
    assert result.breaks == () and [match.rule for match in result.matches].count("batch") == 1
