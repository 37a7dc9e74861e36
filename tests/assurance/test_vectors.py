"""Prices and hashes of the contracts are those of the products' Python.

given thousands of random claims of each product, and random claims and vouchers to hash
└── the contract should answer each as the Python of its product does
given one answer that is wrong by the least
└── the comparison should fail
"""

from __future__ import annotations

import pytest

from scripts.assurance.forge import run_forge
from tests.support.contracts import price_vectors as vectors
from tests.support.contracts.forge import needs_forge

pytestmark = needs_forge


def compare(name: str, lines: list[str], test: str) -> str:
    """Return why forge's test of these lines failed; empty where it passed."""
    files = {f"{name}.vectors": "".join(f"{line}\n" for line in lines)}
    return run_forge(["--match-test", f"^{test}\\("], {}, files).failure


def test_price__random_metered_claims__as_the_python(record_property, extent):
    stories = [vectors.energy_story(seed) for seed in range(8 * extent)]
    assert compare("energy", stories, "testEnergy") == ""
    record_property("fuzz: metered energy", f"{len(stories) * 60:,} claims priced alike")


def test_price__random_delivery_statements__as_the_python(record_property, extent):
    stories = [vectors.delivery_story(seed) for seed in range(50 * extent)]
    assert compare("deliveries", stories, "testDeliveries") == ""
    record_property("fuzz: proof of delivery", f"{len(stories) * 30:,} claims priced alike")


def test_price__random_vouchers__as_the_python(record_property, extent):
    stories = [vectors.voucher_story(seed) for seed in range(50 * extent)]
    assert compare("vouchers", stories, "testVouchers") == ""
    record_property("fuzz: wearable voucher", f"{len(stories) * 40:,} claims priced alike")


def test_hash__random_claims_and_vouchers__as_the_python(record_property, extent):
    claims = list(vectors.claim_vectors(500 * extent))
    assert compare("claims", claims, "testClaimHashes") == ""
    digests = list(vectors.digest_vectors(500 * extent))
    assert compare("digests", digests, "testVoucherDigests") == ""
    record_property("fuzz: hashes", f"{len(claims) + len(digests):,} claims and vouchers")


@pytest.mark.parametrize(
    ("name", "test", "line"),
    [
        ("claims", "testClaimHashes", lambda: next(vectors.claim_vectors(1))),
        ("digests", "testVoucherDigests", lambda: next(vectors.digest_vectors(1))),
    ],
)
def test_hash__one_bit_differs__fails(name, test, line):
    raw = bytearray.fromhex(line())
    raw[-1 if name == "digests" else 63] ^= 1
    assert "differs" in compare(name, [raw.hex()], test)


def test_price__one_unit_differs__fails():
    amounts = vectors.voucher_story(3, wrong=1)
    assert "an amount differs" in compare("vouchers", [amounts], "testVouchers")
