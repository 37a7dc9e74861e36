"""The desk at which a person of an oracle's trust domain decides disputes."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from oracles.attest import address_of, recover
from oracles.rulings import Ruling
from oracles.wire import read_ruling
from orchestrator.core.identity import payment_id
from orchestrator.errors import Halt
from services import oracle, oracle_rulings
from services.oracle_home import app, main
from services.oracle_rulings import OracleDesk, sign_ruling
from tests.support.meter_streams import AGREEMENT, message, session_record
from tests.support.oracle_at import CHAIN, COMMITTEE, KEY, RAIL, ask, claim_of
from tests.support.oracle_at import oracle as oracle_at

PAYER, PAYEE, NOBODY = "0x" + "a" * 40, "0x" + "b" * 40, "0x" + "00" * 20
PAYMENT = "0x" + payment_id(AGREEMENT, 1).hex()
OTHER = "0x" + payment_id(AGREEMENT, 9).hex()
DEADLINE = 1_790_600_000
FORMER, FORMER_RAIL, FORMER_COMMITTEE = "PaymentRail@0.5.0", "0x" + "5" * 40, "0x" + "6" * 40
CLI = CliRunner()


@dataclass
class DisputedChain:
    """A chain with disputes: payment -> (block, whether it is still open)."""

    disputes: dict[str, tuple[int, bool]] = field(default_factory=dict)
    asked_from: list[int] = field(default_factory=list)
    deployment: Any = field(
        default_factory=lambda: SimpleNamespace(
            chain_id=CHAIN,
            addresses={
                "PaymentRail": RAIL,
                "OracleCommittee": COMMITTEE,
                "Disputes": "0x" + "4" * 40,
            },
            block_number=1,
            named=lambda contract: (contract,),
            release_of=lambda contract: "0.6.0",
        )
    )
    frozen: frozenset[str] = frozenset()  # payments that are disputed on a rail of 0.5.0

    def head(self) -> int:
        return 40

    def logs_named(self, events, first, last):
        self.asked_from.append(first)
        assert events == {"PaymentRail": ("PaymentDisputed",)}  # that of former rails as well
        args = {"amount": 4_650_000, "payer": PAYER, "payee": PAYEE}
        return [
            SimpleNamespace(
                name="PaymentDisputed", args={"payment": payment, **args}, block_number=block
            )
            for payment, (block, _) in self.disputes.items()
            if first <= block <= last
        ]

    def knows(self, contract, function):
        former = (contract, function) == (FORMER, "dispute")
        return former or (contract, function) == ("Disputes", "disputeOf")

    def view(self, contract, function, payment):
        if contract == FORMER:
            assert function == "frozen"
            return (b"", 4_650_000 if "0x" + payment.hex() in self.frozen else 0, PAYEE)
        assert (contract, function) == ("Disputes", "disputeOf")
        is_open = self.disputes["0x" + payment.hex()][1] and not self.frozen
        return (PAYER, 1_000_000, DEADLINE, 3, 0b111) if is_open else (NOBODY, 0, 0, 0, 0)


@pytest.fixture
def desk(tmp_path) -> OracleDesk:
    """The desk of an oracle that attested the disputed payment."""
    node = oracle_at(tmp_path)
    record = session_record("M1", 1)
    node.take([message(record)])
    assert ask(node, claim_of(record)).signature
    chain = DisputedChain({PAYMENT: (10, True), OTHER: (11, False)})
    registry = SimpleNamespace(agreement=node.view.agreements.agreement)
    return OracleDesk(chain, registry, tmp_path)


@pytest.fixture
def invoke(desk, tmp_path, monkeypatch):
    monkeypatch.setattr(
        oracle_rulings,
        "open_desk",
        lambda home, name: (desk, SimpleNamespace(keystore=home, password_file=home)),
    )
    monkeypatch.setattr(oracle, "read_key", lambda *_: KEY)
    return partial(CLI.invoke, app)


def test_list__with_an_ended_dispute__shows_the_open_one_with_its_evidence(invoke):
    result = invoke(["ruling", "list", "--json"])
    [view] = json.loads(result.output)
    assert (view["payment"], view["amount"]["amount"], view["deadline"]) == (
        PAYMENT,
        "4650000",
        DEADLINE,
    )
    assert (view["payer"], view["payee"], view["signed"]) == (PAYER, PAYEE, None)
    evidence = view["evidence"]
    assert (evidence["attested_here"], evidence["records"]) == (True, 1)
    assert evidence["devices"] == ["M1"] and evidence["facts"]
    assert "1 open disputes" in invoke(["ruling", "list"]).output


def test_list__a_second_time__reads_only_the_newest_blocks(desk):
    desk.open()
    desk.chain.asked_from.clear()
    desk.open()
    assert desk.chain.asked_from == [40 - oracle_rulings.REREAD_BLOCKS + 1]


def test_show__of_a_payment_that_it_never_saw__says_so(desk, invoke):
    desk.chain.disputes = {OTHER: (11, True)}
    result = invoke(["ruling", "show", OTHER[:12]])
    assert "this oracle has nothing about it" in result.output
    assert "trust domain 3 must be among the signers" in result.output


def test_sign__after_the_person_confirms__prints_the_document_and_keeps_who_decided(desk, invoke):
    words = ["ruling", "sign", PAYMENT[:10], "--refund", "--by", "Mia Vogt", "--reason", "swapped"]
    result = invoke(words, input="y\n")
    assert "4.650000 EUR" in result.stderr and "go back to the payer" in result.stderr
    document = result.stdout[result.stdout.index("{") :]  # the runner echoes the answer before it
    signed = read_ruling(document.encode())
    digest = Ruling(RAIL, bytes.fromhex(PAYMENT[2:]), True).digest(CHAIN, COMMITTEE)
    assert recover(digest, signed.signature) == address_of(KEY) == signed.oracle
    assert (signed.decided_by, signed.reason) == ("Mia Vogt", "swapped")
    assert desk.rulings.all() == [signed]
    assert "decided here: refund, by Mia Vogt" in invoke(["ruling", "list"]).output


@pytest.mark.parametrize(
    "words, answer, text",
    [
        (["--refund", "--by", "Mia"], "n\n", "You did not confirm"),
        (["--by", "Mia"], "y\n", "Give --refund or --stand"),
        (["--stand"], "y\n", "Give --refund or --stand"),
    ],
)
def test_sign__without_a_decision_or_a_name__signs_nothing(desk, invoke, words, answer, text):
    result = invoke(["ruling", "sign", PAYMENT, *words], input=answer)
    assert isinstance(result.exception, Halt) and text in str(result.exception)
    assert desk.rulings.all() == []


def test_sign__the_other_answer__is_refused_by_name_and_nothing_is_signed(desk):
    """On 0.3.0 an oracle could sign refund and stand for one payment."""
    [dispute] = desk.open()
    sign_ruling(desk, KEY, dispute, True, "Mia", "", 1)
    with pytest.raises(Halt, match="Two contradicting rulings of one oracle bar it"):
        sign_ruling(desk, KEY, dispute, False, "Jo", "", 2)
    assert [signed.ruling.refund for signed in desk.rulings.all()] == [True]


def test_one__of_no_open_dispute_or_a_short_text__is_a_halt(desk):
    for text in (OTHER, PAYMENT[:5], "0x" + "9" * 12):
        with pytest.raises(Halt, match="open disputes are about a payment"):
            desk.one(text)


def test_sign__on_a_dispute_of_a_former_rail__is_for_its_rail_and_committee(desk, invoke):
    """Before, it was refused by name."""
    desk.chain.frozen = frozenset((PAYMENT,))
    deployment = desk.chain.deployment
    deployment.named = lambda contract: (contract, f"{contract}@0.5.0")
    deployment.addresses |= {FORMER: FORMER_RAIL, "OracleCommittee@0.5.0": FORMER_COMMITTEE}
    assert "1 open disputes" in (listed := invoke(["ruling", "list"]).stdout)
    assert "without a deadline" in listed and "1970" not in listed
    words = ["ruling", "sign", PAYMENT[:14], "--stand", "--by", "Mia", "--yes"]
    signed = read_ruling(invoke(words).stdout.encode())
    digest = Ruling(FORMER_RAIL, bytes.fromhex(PAYMENT[2:]), False).digest(
        CHAIN, FORMER_COMMITTEE, "1"
    )
    assert recover(digest, signed.signature) == address_of(KEY) == signed.oracle
    assert signed.ruling.rail == FORMER_RAIL and desk.rulings.all() == [signed]
    assert "decided here: stand, by Mia" in invoke(["ruling", "show", PAYMENT]).stdout


def test_ruling__in_a_folder_without_an_oracle__ends_with_code_2(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["proofrail-oracle", "ruling", "list", "--home", str(tmp_path)])
    assert main() == 2
    assert "There is no oracle in" in capsys.readouterr().err


def test_ruling__of_an_oracle_that_the_rail_does_not_start__names_the_next_step(tmp_path):
    with pytest.raises(Halt, match="starts no oracle 'south'"):
        oracle_rulings.open_desk(tmp_path, "south")
