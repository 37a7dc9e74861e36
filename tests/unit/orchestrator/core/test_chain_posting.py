"""What each log books: the rules read logs written by hand, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from oracles.types import Claim
from orchestrator.core import debt_entries, ledger
from orchestrator.core.chain_posting import (
    BOOKED,
    PostedLog,
    entries,
    entries_of_block,
    orders,
)
from orchestrator.core.identity import payment_id
from orchestrator.core.ledger import Entry
from orchestrator.core.outcome import ClaimOutcome, pack
from orchestrator.core.outside import TokenHistory
from orchestrator.edges.chain.client import DecodedLog as ChainLog

RAIL, HOLDER, PAYEE, OTHER = ("0x" + byte * 20 for byte in ("ab", "88", "99", "aa"))
AGREEMENT, STRANGE = "0x" + "01" * 32, "0x" + "02" * 32
CREDIT, ORDER = "0x" + "03" * 32, "0x" + "04" * 32


@dataclass
class DictContext:
    """A context in a few dicts; the transaction is the logs that it was made of."""

    logs: list[ChainLog] = field(default_factory=list)
    claims_by_tx: dict[str, list[Claim]] = field(default_factory=dict)
    payees: dict[str, str | None] = field(default_factory=lambda: {AGREEMENT: PAYEE})
    posted: dict[str, Entry] = field(default_factory=dict)
    rails: frozenset[str] = frozenset({RAIL})
    outside: TokenHistory = field(default_factory=lambda: TokenHistory(list, lambda _: [], dict))

    def claims(self, log: PostedLog) -> list[Claim]:
        return self.claims_by_tx.get(log.tx_hash, [])

    def payee(self, agreement: str, facts: bytes) -> str | None:
        return facts.decode() or self.payees.get(agreement)

    def around(self, log: PostedLog) -> list[ChainLog]:
        return [other for other in self.logs if other.tx_hash == log.tx_hash]

    def settled(self, payment: str) -> Entry | None:
        return self.posted.get(payment)

    def add(self, name: str, tx: str = "0xt", **args: Any) -> ChainLog:
        address = args.pop("by", "")
        log = ChainLog(name, args, tx, 5, "0xb", len(self.logs), address)
        self.logs.append(log)
        return log

    def book(self) -> list[Entry]:
        return entries_of_block("0xb", 99, self.logs, self)


def claim(agreement: str = AGREEMENT, sequence: int = 1, payee: str = "") -> Claim:
    return Claim(bytes.fromhex(agreement[2:]), sequence, 1, 1, bytes(32), payee.encode())


def payment(agreement: str = AGREEMENT, sequence: int = 1) -> str:
    return "0x" + payment_id(bytes.fromhex(agreement[2:]), sequence).hex()


def settle(
    context: DictContext, claims: list[Claim], *outcomes: tuple[int, int], tx: str = "0xt"
) -> None:
    context.claims_by_tx[tx] = claims
    packed = b"".join(pack(ClaimOutcome(*outcome)) for outcome in outcomes)
    context.add("Settled", tx, outcomes="0x" + packed.hex())


def dated(*entries: Entry) -> list[Entry]:
    return [entry.dated(99, "block:0xb") for entry in entries]


def test_settled__charge_credit_zero_and_refusal__are_booked_by_outcome():
    context = DictContext()
    claims = [claim(sequence=n) for n in (1, 2, 3, 4)]
    settle(context, claims, (70, 0), (-30, 0), (0, 0), (0, 9))
    assert context.book() == dated(
        ledger.settled(payment(sequence=1), AGREEMENT, PAYEE, 70),
        debt_entries.debt_recorded(payment(sequence=2), AGREEMENT, PAYEE, 30),
        ledger.settled(payment(sequence=3), AGREEMENT, PAYEE, 0),
    )


def test_settled__claim_that_names_its_payee__is_booked_to_it():
    context = DictContext()
    settle(context, [claim(payee=OTHER)], (70, 0))
    assert context.book() == dated(ledger.settled(payment(), AGREEMENT, OTHER, 70))


def test_settled__of_claims_that_cannot_be_read__books_nothing():
    context = DictContext()
    settle(context, [], (70, 0))
    assert context.book() == []


def test_settled__of_a_product_without_rules__leaves_its_neighbours_be():
    context = DictContext()
    settle(context, [claim(STRANGE), claim()], (70, 0), (5, 0))
    assert context.book() == dated(ledger.settled(payment(), AGREEMENT, PAYEE, 5))


def test_settled__with_another_number_of_claims_than_outcomes__is_an_error():
    context = DictContext()
    settle(context, [claim()], (70, 0), (5, 0))
    with pytest.raises(ValueError, match="zip"):
        context.book()


def test_minted__into_an_escrow__is_one_entry_for_both_logs():
    context = DictContext()
    context.add("Minted", credit=CREDIT, to=RAIL, amount=50_000)
    context.add("EscrowFunded", agreement=AGREEMENT, amount=50_000)
    assert context.book() == dated(ledger.minted(CREDIT, ledger.escrow(AGREEMENT), 50_000))


def test_minted__to_a_wallet_that_funds_in_the_same_transaction__is_two_entries():
    """A transfer is between them: only adjacent logs are a mint into escrow."""
    context = DictContext()
    context.add("Minted", credit=CREDIT, to=HOLDER, amount=50_000)
    context.add("Transfer")
    context.add("EscrowFunded", agreement=AGREEMENT, amount=20_000)
    assert context.book() == dated(
        ledger.minted(CREDIT, ledger.WALLETS, 50_000),
        ledger.funded("0xt:2", AGREEMENT, 20_000),
    )


def test_minted__twice_in_one_transaction__each_names_its_own_agreement():
    context = DictContext()
    for credit, agreement in ((CREDIT, AGREEMENT), (ORDER, STRANGE)):
        context.add("Minted", credit=credit, to=RAIL, amount=10_000)
        context.add("EscrowFunded", agreement=agreement, amount=10_000)
    assert context.book() == dated(
        ledger.minted(CREDIT, ledger.escrow(AGREEMENT), 10_000),
        ledger.minted(ORDER, ledger.escrow(STRANGE), 10_000),
    )


def test_escrow_funded__next_to_another_transaction_s_mint__is_a_wallet_s():
    context = DictContext()
    context.add("Minted", "0xother", credit=CREDIT, to=HOLDER, amount=10_000)
    context.add("EscrowFunded", agreement=AGREEMENT, amount=10_000)
    assert context.book()[1] == dated(ledger.funded("0xt:1", AGREEMENT, 10_000))[0]


def test_released__its_debts_were_paid_first__leaves_the_rest_and_redeems():
    context = DictContext()
    context.add("DebtPaid", agreement=AGREEMENT, payee=PAYEE, amount=7)  # of an earlier repayment
    context.add("Repaid", payee=PAYEE, amount=7)
    context.add("DebtPaid", agreement=STRANGE, payee=OTHER, amount=1)  # of somebody else
    context.add("DebtPaid", agreement=AGREEMENT, payee=PAYEE, amount=30_000)
    context.add("DebtPaid", agreement=STRANGE, payee=PAYEE, amount=10_000)
    context.add("Released", payee=PAYEE, amount=60_000, releaseTimes=[1])
    context.add("Redeemed", order=ORDER, holder=RAIL, beneficiary=PAYEE, account="0x", cents=2)
    context.add("Repaid", payee=OTHER, amount=1)
    wallets, pending = ledger.WALLETS, ledger.pending(PAYEE)
    assert context.book() == dated(
        debt_entries.debt_paid("0xt:0", AGREEMENT, PAYEE, wallets, 7),
        debt_entries.debt_paid("0xt:2", STRANGE, OTHER, wallets, 1),
        debt_entries.debt_paid("0xt:3", AGREEMENT, PAYEE, pending, 30_000),
        debt_entries.debt_paid("0xt:4", STRANGE, PAYEE, pending, 10_000),
        ledger.released("0xt:5", PAYEE, 20_000),
        ledger.redeemed(ORDER, ledger.withdrawable(PAYEE), 2),
    )


def test_attack__debts_beyond_what_matured__take_what_the_payee_could_withdraw():
    """On 0.3.0 withdrawable money never paid debts: a payee kept it and owed for ever. A release
    now pays with what matured, and the rest of the debts with what was withdrawable before."""
    context = DictContext()
    context.add("DebtPaid", agreement=AGREEMENT, payee=PAYEE, amount=7)
    context.add("DebtPaid", agreement=STRANGE, payee=PAYEE, amount=5)
    context.add("DebtPaid", agreement=AGREEMENT, payee=PAYEE, amount=2)
    context.add("Released", payee=PAYEE, amount=10, releaseTimes=[1])
    pending, free = ledger.pending(PAYEE), ledger.withdrawable(PAYEE)
    booked = context.book()
    assert booked == dated(
        debt_entries.debt_paid("0xt:0", AGREEMENT, PAYEE, pending, 7),
        debt_entries.debt_paid("0xt:1", STRANGE, PAYEE, pending, 5, 2),
        debt_entries.debt_paid("0xt:2", AGREEMENT, PAYEE, free, 2),
        ledger.released("0xt:3", PAYEE, 0),
    )
    sums = ledger.balances(posting for entry in booked for posting in entry.postings)
    assert (sums[pending, ledger.TEUR], sums[free, ledger.TEUR]) == (10, 4)  # both went down


def test_attack__withdrawal_by_a_payee_that_owes__pays_its_debts_from_the_same_money():
    """On 0.3.0 a payee without a payout account withdrew all, and its debts stayed unpaid."""
    context = DictContext()
    context.add("DebtPaid", agreement=AGREEMENT, payee=PAYEE, amount=7)
    context.add("DebtPaid", agreement=STRANGE, payee=OTHER, amount=1)  # of another payee's release
    context.add("Withdrawn", payee=PAYEE, to=HOLDER, amount=3)
    context.add("Released", payee=OTHER, amount=1, releaseTimes=[1])
    context.add("DebtPaid", agreement=AGREEMENT, payee=PAYEE, amount=2)
    context.add("Released", payee=PAYEE, amount=6, releaseTimes=[2])
    assert context.book() == dated(
        debt_entries.debt_paid("0xt:0", AGREEMENT, PAYEE, ledger.withdrawable(PAYEE), 7),
        debt_entries.debt_paid("0xt:1", STRANGE, OTHER, ledger.pending(OTHER), 1),
        ledger.withdrawn("0xt:2", PAYEE, 3),
        ledger.released("0xt:3", OTHER, 0),
        debt_entries.debt_paid("0xt:4", AGREEMENT, PAYEE, ledger.pending(PAYEE), 2),
        ledger.released("0xt:5", PAYEE, 4),
    )


def test_redeemed__by_a_holder_of_its_own__comes_from_the_wallets():
    context = DictContext()
    context.add("Redeemed", order=ORDER, holder=HOLDER, beneficiary=PAYEE, account="0x", cents=2)
    assert context.book() == dated(ledger.redeemed(ORDER, ledger.WALLETS, 2))


def test_logs__reclaimed_and_withdrawn__go_to_the_wallets():
    context = DictContext()
    context.add("EscrowReclaimed", agreement=AGREEMENT, payer=HOLDER, amount=4)
    context.add("Withdrawn", payee=PAYEE, to=HOLDER, amount=3)
    assert context.book() == dated(
        ledger.reclaimed("0xt:0", AGREEMENT, 4), ledger.withdrawn("0xt:1", PAYEE, 3)
    )


@pytest.mark.parametrize("when", ["in an earlier block", "in the same block"])
@pytest.mark.parametrize(
    "end, refunded, kept",
    [
        ({"refunded": True, "kept": 0}, 70, 0),
        ({"refunded": True, "kept": 25}, 45, 25),
        ({"refunded": False, "kept": 0}, 0, 70),
        ({"refunded": True}, 70, 0),  # contracts of version 1
        ({"refunded": False}, 0, 70),
    ],
)
def test_dispute__and_its_end__move_the_payment_s_money_where_it_came_from_or_to(
    when, end, refunded, kept
):
    context = DictContext()
    settled = ledger.settled(payment(), AGREEMENT, PAYEE, 70)
    if when == "in an earlier block":
        context.posted[payment()] = settled
    else:
        settle(context, [claim()], (70, 0), tx="0xs")
    context.add("PaymentDisputed", payment=payment(), payer=HOLDER, payee=PAYEE, amount=70)
    context.add("DisputeEnded", payment=payment(), amount=70, **end)
    assert context.book()[-2:] == dated(
        ledger.disputed(payment(), PAYEE, 70),
        ledger.dispute_ended(payment(), AGREEMENT, PAYEE, refunded, kept),
    )


def test_refund__of_a_payment_that_was_corrected__cancels_its_debt_and_moves_no_token_for_it():
    """On 0.3.0 a refund by ruling and the honest correction left the payee with a debt."""
    context = DictContext()
    context.posted[payment()] = ledger.settled(payment(), AGREEMENT, PAYEE, 70)
    context.add("DebtCancelled", agreement=AGREEMENT, payee=PAYEE, amount=30)
    context.add("DisputeEnded", payment=payment(), refunded=True, amount=70, kept=0)
    cancelled, ended = context.book()
    assert [(p.account, p.amount_minor) for p in cancelled.postings] == [
        (ledger.debt_due(AGREEMENT), 30),
        (ledger.receivable(PAYEE), -30),
    ]
    assert [(p.account, p.amount_minor) for p in ended.postings] == [
        (ledger.FROZEN, 70),
        (ledger.escrow(AGREEMENT), -70),
    ]


def test_dispute__of_a_unknown_payment__ends_without_an_entry():
    context = DictContext()
    context.add("DisputeEnded", payment=payment(), refunded=True, amount=70)
    assert context.book() == []


def test_logs__that_move_no_money__book_nothing_and_the_others_are_these():
    context = DictContext()
    for name in (
        "AgreementOpened",
        "Repaid",
        "Transfer",
        "DeviceEnrolled",
        "DisputeOpened",
        "BondPaid",
    ):
        assert entries(context.add(name), context) == []
    assert {
        "Settled",
        "Minted",
        "EscrowFunded",
        "EscrowReclaimed",
        "Released",
        "DebtPaid",
        "DebtCancelled",
        "Redeemed",
        "Withdrawn",
        "PaymentDisputed",
        "DisputeEnded",
        "Transfer",
        "WaterfallCreated",
    } == BOOKED


def test_released__on_two_rails_in_one_transaction__each_has_its_own_debts_and_order():
    former = "0x" + "ac" * 20
    context = DictContext(rails=frozenset({RAIL, former}))
    context.add("DebtPaid", agreement=AGREEMENT, payee=PAYEE, amount=7, by=RAIL)
    context.add("Released", payee=PAYEE, amount=20, releaseTimes=[1], by=former)
    context.add("Redeemed", order=ORDER, holder=former, beneficiary=PAYEE, account="0x", cents=2)
    context.add("Released", payee=PAYEE, amount=10, releaseTimes=[1], by=RAIL)
    assert [orders(log, context.logs, context.rails) for log in context.logs[1::2]] == [True, False]
    assert context.book() == dated(
        debt_entries.debt_paid("0xt:0", AGREEMENT, PAYEE, ledger.pending(PAYEE), 7, 0),
        ledger.released("0xt:1", PAYEE, 20),
        ledger.redeemed(ORDER, ledger.withdrawable(PAYEE), 2),
        ledger.released("0xt:3", PAYEE, 3),
    )
