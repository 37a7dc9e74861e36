"""Which contracts of a deployment belong together, once some took the place of others."""

from __future__ import annotations

import pytest

from orchestrator.edges.chain import rails
from orchestrator.edges.chain.artifacts import load_artifacts
from orchestrator.edges.chain.deployment import Deployment
from orchestrator.steps.added_contracts import first_added

FORMER = "PaymentRail@0.5.0"


def at(number: int) -> str:
    return f"0x{number:040X}"


PRESENT = Deployment(
    1,
    "",
    {"PaymentRail": at(1), "RailAccess": at(2), "OracleCommittee": at(3), "MeteredEnergy": at(4)},
    {"PaymentRail": 1, "RailAccess": 1, "OracleCommittee": 1, "MeteredEnergy": 1},
    True,
)
MOVED = Deployment(
    1,
    "",
    PRESENT.addresses
    | {"EuroToken": at(20), FORMER: at(11), "OracleCommittee@0.5.0": at(13)}
    | {"MeteredEnergy@0.5.0": at(14), "MeteredEnergy@0.6.0": at(15), "PaymentRail@0.10.0": at(16)},
    {"PaymentRail": 90, "RailAccess": 90, "OracleCommittee": 90, "MeteredEnergy": 95}
    | {"EuroToken": 3, FORMER: 4, "OracleCommittee@0.5.0": 2, "MeteredEnergy@0.5.0": 5},
    True,
    rails={"MeteredEnergy@0.5.0": FORMER},
)
BEFORE = Deployment(1, "", {"PaymentRail": at(11), "MeteredEnergy": at(14)}, {}, True)


def test_rails__of_a_moved_deployment__are_the_present_one_first():
    assert rails.rails(MOVED) == ("PaymentRail", "PaymentRail@0.10.0", FORMER)
    assert rails.rails(PRESENT) == ("PaymentRail",) and rails.former_rails(PRESENT) == ()
    assert at(11).lower() in rails.rail_addresses(MOVED)


@pytest.mark.parametrize(
    ("product", "rail"),
    [(14, FORMER), (15, "PaymentRail"), (4, "PaymentRail"), (99, "PaymentRail")],
)
def test_rail_of__each_version_of_a_product__is_its_own(product, rail):
    assert rails.rail_of(MOVED, at(product).lower()) == rail


def test_takes_groups__a_rail_of_0_5_0__takes_structs_under_either_name():
    assert rails.takes_groups(PRESENT, "PaymentRail") and rails.takes_groups(MOVED, "PaymentRail")
    assert rails.takes_groups(MOVED, "PaymentRail@0.10.0")
    assert not rails.takes_groups(MOVED, FORMER)
    assert not rails.takes_groups(BEFORE, "PaymentRail")


def test_signing_version__of_each_committee__is_that_of_its_release():
    versions = [
        rails.signing_version(deployment, name)
        for deployment, name in (
            (PRESENT, "OracleCommittee"),
            (MOVED, "OracleCommittee"),
            (MOVED, "OracleCommittee@0.5.0"),
            (BEFORE, "OracleCommittee"),
        )
    ]
    assert versions == ["2", "2", "1", "1"]


def test_products_of__a_rail__are_those_versions_that_belong_to_it():
    assert rails.products_of(MOVED, FORMER) == {at(14).lower()}
    present = rails.products_of(MOVED, "PaymentRail")
    assert {at(4).lower(), at(15).lower()} <= present and at(14).lower() not in present
    assert rails.products_of(PRESENT, "PaymentRail") is None


def test_serving__a_former_rail__has_its_own_committee_and_shares_what_was_kept():
    assert rails.serving(MOVED, FORMER, "OracleCommittee") == "OracleCommittee@0.5.0"
    assert rails.serving(MOVED, FORMER, "EuroToken") == "EuroToken"
    assert rails.serving(MOVED, "PaymentRail", "OracleCommittee") == "OracleCommittee"


def test_emitter__log_without_an_address__is_of_the_first_contract_of_its_kind():
    assert rails.emitter(MOVED, "PaymentRail", "") == FORMER  # 0.5.0 is before 0.10.0
    assert rails.emitter(PRESENT, "PaymentRail", "") == "PaymentRail"
    assert rails.emitter(MOVED, "PaymentRail", at(1).lower()) == "PaymentRail"
    assert rails.emitter(MOVED, "PaymentRail", at(3)) is None


def test_attests__contracts_of_before__are_not_signed_for():
    assert rails.attests(MOVED, at(4)) and rails.attests(MOVED, at(15))
    assert not rails.attests(MOVED, at(14))
    assert not rails.attests(BEFORE, at(14))  # the rail has not moved yet


def test_abi_of__each_contract__is_that_of_its_release():
    artifacts = load_artifacts()

    def has(deployment: Deployment, name: str, function: str) -> bool:
        return function in {item.get("name") for item in rails.abi_of(deployment, artifacts, name)}

    assert has(MOVED, "PaymentRail", "payoutLimits")
    assert not has(MOVED, FORMER, "payoutLimits") and has(MOVED, FORMER, "dispute")
    assert not has(BEFORE, "PaymentRail", "payoutLimits") and has(BEFORE, "PaymentRail", "settle")
    assert has(MOVED, "MeteredEnergy@0.6.0", "traits")  # a version whose interface is today's


def test_first_added__is_the_first_contract_that_took_the_place_of_another():
    assert first_added(MOVED) == 90
    assert first_added(PRESENT) > 1 << 60
