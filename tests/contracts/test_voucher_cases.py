"""The worked cases of `wearable_voucher/cases.json` against the contract, on two hardforks.

price
├── given a voucher within all bounds
│   └── it should pay the difference to what its payee was paid
├── given one that meets a bound
│   └── it should pay up to that bound, and name it
└── given facts that no honest quorum attests
    └── it should refuse by name, and change nothing
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from web3 import Web3

from device_adapters.protocols.voucher.typed import digest_of
from orchestrator import products
from orchestrator.products.wearable_voucher import product
from orchestrator.products.wearable_voucher.abi import VoucherStart
from tests.support.contracts.voucher_contract import EURO, VoucherAnswer

CASES = json.loads(
    (Path(products.__file__).parent / "wearable_voucher" / "cases.json").read_text()
)["prices"]


@pytest.mark.parametrize("case", CASES, ids=[case["case"] for case in CASES])
def test_price__worked_case__amount_cut_or_refusal_as_written(voucher_contract, case):
    terms = {k: v for k, v in case["terms"].items() if k not in ("chain_id", "contract")}
    band = voucher_contract.wearable(**terms)
    for claim in case["claims"]:
        rest = {k: claim[k] for k in ("cap", "merchant_class") if k in claim}
        if "expires" in claim:
            rest["expiry"] = band.base + claim["expires"]
        numbers = claim["total"], claim["taps"], claim["counter"], claim["signed"]
        voucher = band.voucher(claim["to"], *numbers, **rest)
        before = band.paid(claim["to"])
        answer = band.pay(voucher, at=claim["at"], limit=claim.get("limit", 2**48 - 1))
        wanted = claim["amount"], claim.get("refusal", ""), claim.get("cut", "")
        assert answer[:3] == wanted, claim
        assert band.paid(claim["to"]) - before == claim["amount"]
        assert not claim["amount"] or answer.payee.lower() == voucher.payee


def test_terms__malformed_or_for_another_contract__do_not_open(voucher_contract):
    good = voucher_contract.terms()
    raw = product.encode_terms
    wrong = [
        b"",
        raw(good)[:-1],
        raw(good) + b"\0",
        b"\xff" * 384,
        raw(good._replace(chain_id=1)),
        raw(good._replace(contract=voucher_contract.owner)),
        *(
            raw(good._replace(**{name: 0}))
            for name in ("per_tap", "offline_taps", "offline_amount", "max_age")
        ),
    ]
    start = good.contract, 1, 1
    last = raw(good._replace(starts=(VoucherStart(*start),)))
    wrong += [last[:-1], last[:-64] + bytes(32) + last[-32:], last + last[-96:]]
    for terms in wrong:
        opening = bytes(32), bytes(32), 1, terms
        assert voucher_contract.refusal("open", *opening) == "TermsMalformed", terms.hex()
    for function, arguments in (
        ("open", (bytes(32), bytes(32), 1, raw(good))),
        ("price", ([], 0, b"")),
        ("refunded", (bytes(32), 1)),
        ("skipped", (bytes(32), 0)),
    ):
        error = voucher_contract.fork.refusal(
            voucher_contract.contract, function, *arguments, sender=voucher_contract.owner
        )
        assert error == "NotTheRail"


def test_facts__malformed__are_refused_and_change_nothing(voucher_contract):
    band = voucher_contract.wearable()
    good = band.facts(band.voucher("A", 5 * EURO, 1, 1, 10))
    words = [good[at : at + 32] for at in range(0, 320, 32)]
    wide = [(0, 160), (1, 47), (2, 40), (3, 32), (4, 16), (5, 48), (6, 40), (7, 40)]
    wrong = [b"", good[:-1], good + b"\0", b"\xff" * 320]
    for at, bits in wide:
        wrong.append(b"".join([*words[:at], (1 << bits).to_bytes(32, "big"), *words[at + 1 :]]))
    for at in range(4):  # payee, total, counter, taps of nothing
        wrong.append(b"".join([*words[:at], bytes(32), *words[at + 1 :]]))
    # on 0.3.0 what the rail was paid stayed there for ever
    rail = bytes.fromhex(voucher_contract.rail.address.removeprefix("0x")).rjust(32, b"\0")
    wrong.append(b"".join([rail, *words[1:]]))
    voucher_contract.at(band.base + 20)
    for facts in wrong:
        assert band.settle(facts) == VoucherAnswer(0, "FactsMalformed", "", "0x" + "0" * 40), (
            facts.hex()
        )
    assert band.paid("A") == 0
    assert band.settle(good)[:3] == (5 * EURO, "", "")


def test_digest__of_the_contract__is_that_of_the_protocol(voucher_contract):
    band = voucher_contract.wearable()
    voucher = band.voucher("A", 5 * EURO, 2, 7, 10)
    for contract in (voucher_contract.contract.address, voucher_contract.owner):
        call = "digestOf", contract, checksummed(voucher)
        digest = voucher_contract.fork.ask(voucher_contract.contract, *call)
        domain = voucher_contract.domain._replace(contract=contract.lower())
        assert bytes(digest) == digest_of(domain, voucher)


def test_names__of_refusals_and_traits__are_the_products(voucher_contract):
    for number, name in product.REFUSALS.items():
        assert voucher_contract.fork.ask(voucher_contract.contract, "refusalName", number) == name
    assert voucher_contract.fork.ask(voucher_contract.contract, "traits") == 1 | 4
    assert voucher_contract.fork.ask(voucher_contract.contract, "name") == product.NAME
    assert voucher_contract.fork.ask(voucher_contract.contract, "version") == 2


def checksummed(voucher):
    return voucher._replace(payee=Web3.to_checksum_address(voucher.payee))
