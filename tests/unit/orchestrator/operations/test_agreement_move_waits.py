"""What does not just move: agreements that wait, stay, were closed, or are signed elsewhere."""

from __future__ import annotations

import pytest

from orchestrator.core.payment import Stage as PaymentStage
from orchestrator.edges.chain.ethereum import sign_document
from orchestrator.edges.chain.keystore import development_account
from tests.support.contracts.contract_rail import EURO
from tests.support.former_rail import ELSEWHERE
from tests.support.moving_rail import ASLEEP, BAND, BUSY, DOCK, HELD, LEFT, REMOTE, MovingRail
from tests.support.small_rail import has_anvil

pytestmark = [
    pytest.mark.skipif(not has_anvil(), reason="anvil is not installed"),
    pytest.mark.extended,
]


@pytest.fixture(scope="module")
def moved(tmp_path_factory):
    """The rail after its move, with what each run of the command said."""
    rail = MovingRail(tmp_path_factory.mktemp("rail"), troubled=True)
    rail.move_all()
    yield rail
    rail.stop()


def test_move__agreements_with_trouble__wait_or_stay_and_say_why(moved):
    stages = {name: entry["stage"] for name, entry in moved.second_run.items()}
    troubled = {BUSY: "stays", LEFT: "stays", HELD: "waits", ASLEEP: "waits", REMOTE: "open"}
    assert {name: stages[name] for name in troubled} == troubled
    devices = moved.plan["devices"]
    assert sorted(devices["adopt"]) == sorted({BAND, DOCK, *moved.meters} - {ASLEEP})
    assert devices["suspended"] == [ASLEEP]
    why = {entry["device"]: entry["why"] for entry in moved.plan["agreements"]}
    assert "on its way" in why[BUSY]
    assert "its parties closed it" in why[LEFT]
    assert "attested and not settled" in why[HELD]
    assert "not active" in why[ASLEEP]
    assert moved.after == moved.before


def test_move__agreement_that_its_parties_closed__moves_only_by_name(moved):
    former_id = moved.agreements[LEFT].agreement_id
    assert moved.move(former_id)[LEFT]["stage"] == "moved"
    escrow = moved.new.rail.agreementState(moved.following(LEFT)).escrow
    assert escrow == 100 * EURO


def test_move__payment_that_was_refused_or_is_held__keeps_its_agreement_on_the_former_rail(moved):
    moved.store_payment(HELD, PaymentStage.REFUSED)
    (entry,) = moved.run("agreement", "move", moved.agreements[HELD].agreement_id)["agreements"]
    assert (entry["stage"], "was refused" in entry["why"]) == ("stays", True)
    moved.store_payment(HELD, PaymentStage.HELD)
    (entry,) = moved.run("agreement", "move", moved.agreements[HELD].agreement_id)["agreements"]
    assert (entry["stage"], "is held: two officers decide" in entry["why"]) == ("waits", True)
    moved.store_payment(HELD, PaymentStage.SETTLED)
    (entry,) = moved.run("agreement", "move", moved.agreements[HELD].agreement_id, "--dry-run")[
        "agreements"
    ]
    assert entry["stage"] == "close"


def test_move__payer_with_its_key_elsewhere__signs_the_printed_document(moved):
    former_id = moved.agreements[REMOTE].agreement_id
    view = moved.second_run[REMOTE]
    assert view["missing"] == ["payer"]
    document = moved.run("agreement", "move", former_id, "--document")
    key = development_account(ELSEWHERE)
    wrong = "0x" + sign_document(document, development_account(20)).hex()
    text = moved.run("agreement", "move", former_id, "--payer-signature", wrong, "--yes", code=2)
    assert "is of" in text and "Nothing was stored or sent" in text
    signed = "0x" + sign_document(document, key).hex()
    stages = moved.move(former_id, "--payer-signature", signed)
    assert stages[REMOTE]["stage"] == "fund" and stages[REMOTE]["missing"] == ["payer"]
    # the escrow is back in the payer's own wallet
    assert moved.token.balanceOf(key.address) == 100 * EURO - 300_000
