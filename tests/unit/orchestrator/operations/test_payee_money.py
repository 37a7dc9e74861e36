"""A payee with money on two rails takes out, pays back and names its account on each."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from device_adapters.types import Rejected
from orchestrator.core.release import PayeeOnChain
from orchestrator.edges.chain.deployment import Deployment
from orchestrator.operations import payee_money
from orchestrator.operations.payee_money import PayeeMoney, RailMoney

PAYEE, TO, FORMER = "0x" + "aa" * 20, "0x" + "bb" * 20, "PaymentRail@0.5.0"
RAILS = {"PaymentRail": "0x" + "01" * 20, FORMER: "0x" + "02" * 20}


def on(rail: str, withdrawable: int, owed: int, matured: tuple[int, ...] = (), due: int = 0) -> Any:
    return RailMoney(rail, PayeeOnChain(True, 0, 0, withdrawable, owed), matured, due)


def money(*parts: RailMoney, wallet: int = 0) -> PayeeMoney:
    return PayeeMoney(PAYEE, wallet, parts)


def chain(allowed: int = 0) -> Any:
    return SimpleNamespace(
        deployment=Deployment(1, "", RAILS, {}, True),
        view=lambda *_: allowed,
        knows=lambda rail, function: rail == "PaymentRail",
    )


def words(calls: list[Any]) -> list[tuple[Any, ...]]:
    return [(call.contract, call.function, *call.args) for call in calls]


def test_release__due_on_both_rails__is_one_call_for_each():
    both = money(on("PaymentRail", 0, 0, (5,), 70), on(FORMER, 0, 0, (3, 4), 20_000))
    assert words(payee_money.release_calls(both)) == [
        ("PaymentRail", "release", PAYEE, (5,)),
        (FORMER, "release", PAYEE, (3, 4)),
    ]
    one = money(on("PaymentRail", 0, 0), on(FORMER, 20_000, 0))
    assert words(payee_money.release_calls(one)) == [(FORMER, "release", PAYEE, ())]


def test_withdraw__more_than_one_rail_has__takes_the_former_one_first():
    both = money(on("PaymentRail", 100, 10), on(FORMER, 50, 0))
    assert both.free_micro == 140
    assert words(payee_money.withdraw_calls(both, TO, 60)) == [
        (FORMER, "withdraw", TO, 50),
        ("PaymentRail", "withdraw", TO, 10),
    ]
    with pytest.raises(Rejected):
        payee_money.withdraw_calls(both, TO, 141)


def test_withdraw__debt_on_the_other_rail__does_not_count_here():
    both = money(on("PaymentRail", 100, 0), on(FORMER, 0, 500))
    assert both.free_micro == 100
    assert words(payee_money.withdraw_calls(both, TO, 100)) == [
        ("PaymentRail", "withdraw", TO, 100)
    ]


def test_repay__debts_on_both_rails__allows_and_pays_each_its_own():
    both = money(on("PaymentRail", 0, 30), on(FORMER, 0, 12), wallet=100)
    assert words(payee_money.repay_calls(chain(), both, None)) == [
        ("EuroToken", "approve", RAILS[FORMER], 12),
        (FORMER, "repay", 12),
        ("EuroToken", "approve", RAILS["PaymentRail"], 30),
        ("PaymentRail", "repay", 30),
    ]
    assert words(payee_money.repay_calls(chain(allowed=99), both, 12)) == [(FORMER, "repay", 12)]


def test_payout_account__is_named_on_every_rail_in_its_own_form():
    calls = payee_money.payout_account_calls(chain(), None, 7)
    assert words(calls) == [
        ("PaymentRail", "setPayoutAccount", bytes(32), 7),
        (FORMER, "setPayoutAccount", bytes(32)),
    ]
