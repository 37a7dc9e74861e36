"""The state machine of a funding: every pair of stage and fact, against a table written by hand."""

from __future__ import annotations

from orchestrator.core.funding import MACHINE, Fact, Stage, first_stage
from tests.support.machine_table import assert_as_written, reached_from

# stage: what moves it (fact>stage), what it knows already, and what can never occur at it
EXPECTED = {
    "booked": (
        "mint_signed>minting reversed>reversed minted>minted",
        "mint_failed",
        "allocated sent_back",
    ),
    "suspense": (
        "allocated>booked sent_back>sent_back reversed>reversed minted>minted",
        "",
        "mint_signed mint_failed",
    ),
    "minting": (
        "mint_failed>booked minted>minted",
        "reversed",
        "allocated sent_back mint_signed",
    ),
    "minted": (
        "",
        "minted mint_failed reversed",
        "allocated sent_back mint_signed",
    ),
    "sent_back": (
        "minted>minted",
        "reversed",
        "allocated sent_back mint_signed mint_failed",
    ),
    "reversed": (
        "minted>minted",
        "reversed mint_failed",
        "allocated sent_back mint_signed",
    ),
}


def test_funding__every_pair_of_stage_and_fact__is_as_written_down():
    assert_as_written(MACHINE, EXPECTED, Stage, Fact)
    assert len(Stage) * len(Fact) == 6 * 6


def test_funding__from_its_first_stages_on__reaches_every_stage():
    starts = (first_stage("0xaa"), first_stage(None))
    assert starts == (Stage.BOOKED, Stage.SUSPENSE)
    assert reached_from(MACHINE, *starts) == set(Stage)


def test_funding__what_bank_and_chain_report__never_halts():
    for stage in Stage:
        assert MACHINE.verdict(stage, Fact.REVERSED) != "impossible", stage
        assert MACHINE.verdict(stage, Fact.MINTED) != "impossible", stage
