"""A meter is charged once: by its own agreement, or by that of one fleet."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from device_adapters.types import Rejected, device_id
from orchestrator.core.registration import RegistrationReason
from orchestrator.edges.store import Store, add_all, agreements
from orchestrator.operations.meters import require_charged_once
from orchestrator.products import products
from tests.support.meter_streams import TERMS

NOW = 1_790_000_000
END = NOW + 86_400
FLEET, OWN = "metered_fleet", "metered_energy"
RULES = products()[FLEET]


def fleet_terms(*names: str) -> bytes:
    rows = "\n".join(f"{name},0,1" for name in names)
    words = {"members": rows, "price": "0.30", "fuse": "22000", "period": "1 hour"}
    return RULES.parse_terms(words | {"started": "2026-09-01T00:00Z"})


def agreed(device: str, product: str = OWN, terms: bytes = TERMS, **fields: object):
    """Return an agreement's row; one of a fleet where `terms` names its meters."""
    identity = device_id(f"{device} {product} {sorted(fields.items())}").hex()
    values = {
        "agreement_id": "0x" + identity,
        "device_id": "0x" + device_id(device).hex(),
        "device": device,
        "product": product,
        "product_address": "0x" + "22" * 20,
        "payer": "0x" + "33" * 20,
        "payee": "0x" + "44" * 20,
        "cap_micro": 1,
        "period_days": 30,
        "window_s": 60,
        "expiry": END,
        "first_counter": 0,
        "required_domain": 0,
        "salt": "0x",
        "terms": "0x" + terms.hex(),
        "signature": "0x",
        "reference": identity,
        "stage": agreements.Stage.LIVE,
    }
    return agreements.AgreementRow(**values | fields)


def fleet(*names: str, head: str = "head-1", **fields: object):
    return agreed(head, FLEET, fleet_terms(*names), **fields)


@pytest.fixture
def store(tmp_path) -> Iterator[Store]:
    opened = Store(tmp_path / "store.sqlite3")
    yield opened
    opened.close()


def refusal(store: Store, live: agreements.AgreementRow, new, on_chain: bool = False) -> str:
    """Return why a new agreement is refused next to a stored one; "" if it is not."""
    with store.write() as session:
        add_all(session, [live])
    try:
        with store.read() as session:
            require_charged_once(session, [new], NOW, lambda row: on_chain)
    except Rejected as error:
        assert error.reason == RegistrationReason.DEVICE_CHARGED_ELSEWHERE
        return error.detail
    return ""


@pytest.mark.parametrize(
    "live, new",
    [
        (agreed("m-2"), fleet("m-1", "m-2")),
        (fleet("m-1", "m-2"), agreed("m-2")),
        (fleet("m-1", "m-2"), fleet("m-2", "m-3", head="head-2")),
        (agreed("m-2", start=END - 1), fleet("m-2")),
    ],
)
def test_open__meter_that_another_live_agreement_charges__is_refused_with_the_next_step(
    store, live, new
):
    detail = refusal(store, live, new)
    meter = "0x" + device_id("m-2").hex()
    assert detail.startswith(f"{meter}: agreement {live.agreement_id} of {live.device}")
    assert f"`proofrail agreement close {live.agreement_id[:12]}`" in detail


@pytest.mark.parametrize(
    "live, new",
    [
        (agreed("m-2", stage=agreements.Stage.CLOSED), fleet("m-2")),
        (agreed("m-2", expiry=NOW - 1), fleet("m-2")),
        (agreed("m-2", closes_at=NOW - 1), fleet("m-2")),
        (agreed("m-2"), fleet("m-2", start=END + 1, expiry=END + 2)),
        (agreed("m-2", start=END + 1, expiry=END + 2), fleet("m-2")),
        (agreed("head-1"), fleet("m-2")),  # the head's own register is in no claim of the fleet
        (agreed("m-3"), fleet("m-2")),
        (agreed("m-2"), agreed("m-2", salt="0x01")),  # no fleet: the newest one takes its records
        (fleet("m-2"), fleet("m-3", head="head-2")),
    ],
)
def test_open__meter_that_nothing_else_charges_then__is_taken(store, live, new):
    assert refusal(store, live, new) == ""


@pytest.mark.parametrize("on_chain", [True, False])
def test_open__mandate_that_is_stored__counts_once_the_chain_has_opened_it(store, on_chain):
    """Its first final block may still be to come, or its owner's consent."""
    live = agreed("m-2", stage=agreements.Stage.SIGNED)
    assert bool(refusal(store, live, fleet("m-2"), on_chain)) is on_chain


def test_open__many_meters_that_are_charged__names_three_of_them(store):
    names = [f"m-{number}" for number in range(600)]  # more than one query takes
    detail = refusal(store, fleet(*names), fleet(*names, head="head-2"))
    assert detail.count("0x") == 5 and "and 597 more: agreement" in detail
