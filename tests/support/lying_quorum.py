"""A quorum of oracles that attests what no meter showed; every part of the rail believes it."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from orchestrator.products.metered_energy.abi import decode_facts, encode_facts

KWH = 1_000_000


def attest_more_than_the_meter_showed(patch: pytest.MonkeyPatch, product: ModuleType) -> None:
    """Replace a product's rule by one whose register is one kWh higher at the end."""
    derive = product.derive

    def derive_wrongly(*args: Any, **kwargs: Any) -> bytes:
        facts = decode_facts(derive(*args, **kwargs))
        more = {"to_register": facts.to_register + KWH, "energy": facts.energy + KWH}
        return encode_facts(facts._replace(**more))

    patch.setattr(product, "derive", derive_wrongly)
