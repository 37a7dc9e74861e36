"""What the demonstration's devices seal comes to the amounts that it announces."""

from __future__ import annotations

from pathlib import Path

import pytest

from device_adapters.protocols import sealed
from device_adapters.types import device_id
from orchestrator.products import products
from scripts.demo.measured_month import MeasuredMonth
from scripts.demo.tariffs import ATM, DAY_S, FREEZER, cases

README = Path(__file__).parents[4] / "README.md"
BEGIN = 20_500 * DAY_S


@pytest.fixture(scope="module")
def events(tmp_path_factory):
    month = MeasuredMonth(tmp_path_factory.mktemp("devices"), 7, BEGIN)
    records = {**month.readings(), **month.reports()}
    yield {name: [sealed.decode(record) for record in made] for name, made in records.items()}
    for device in month.devices.values():
        device.close()


@pytest.mark.parametrize("case", cases(BEGIN), ids=lambda case: f"{case.product}, {case.device}")
def test_month__of_each_device__is_one_claim_of_the_amount_announced(case, events):
    product = products()[case.product]
    terms, own = product.parse_terms(case.terms), events[case.device]
    previous = None
    for event in own:
        assert product.admit(terms, previous, event) is None
        previous = event
    assert product.complete(terms, None, own) == len(own)
    heard = getattr(product, "hears", lambda terms: frozenset())(terms)
    cited = {
        event.event_id: event
        for device in events.values()
        for event in device
        if device_id(event.device) in heard
    }
    facts = product.derive(terms, None, own, cited)
    state = product.open(terms, BEGIN)
    assert product.price(state, terms, facts, 10**9) == (case.amount_micro, 0)
    if case.device == ATM:
        assert product.decode_facts(facts).metrics == (9_820, 400)


@pytest.mark.parametrize("name", sorted(products()))
def test_readme__of_each_product__has_a_row_with_its_page_and_a_device_of_the_demonstration(name):
    page = f"(orchestrator/products/{name}/README.md)"
    (row,) = [line for line in README.read_text().splitlines() if f"{page} |" in line]
    shown = {case.product: case.device for case in cases(BEGIN) if case.device != FREEZER}
    assert f"`proofrail trace {shown.get(name, '')}" in row
