"""Random claims with the answers of the products' Python, as lines that forge reads.

Each line is hex of an ABI encoding: a story of agreements and claims (tests/assurance/Vectors.t.sol
says how), or what is hashed and its hash.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

from eth_abi import encode

from device_adapters.protocols.voucher.typed import Domain, Voucher, digest_of
from oracles.attest import claim_hash
from oracles.attest import keccak as keccak_of
from oracles.types import Claim
from orchestrator.products.metered_energy import product as energy
from orchestrator.products.proof_of_delivery.abi import (
    DeliveryFacts,
    DeliveryTerms,
)
from orchestrator.products.proof_of_delivery.abi import encode_facts as encode_delivery
from orchestrator.products.proof_of_delivery.abi import encode_terms as encode_delivery_terms
from orchestrator.products.wearable_voucher.abi import VoucherFacts, VoucherTerms
from orchestrator.products.wearable_voucher.abi import encode_facts as encode_voucher
from orchestrator.products.wearable_voucher.abi import encode_terms as encode_voucher_terms
from services.testnet import CHAIN_ID
from tests.support.contracts.delivery_contract import owed
from tests.support.contracts.energy_claims import random_claims, random_terms
from tests.support.contracts.energy_contract import FOR_EVER, mirrored
from tests.support.contracts.voucher_model import VoucherModel

DAY, EURO = 86_400, 1_000_000
SINCE = 1_800_000_000 // DAY * DAY
LIMIT = 2**47 - 1
CLAIM_FIELDS = ("agreement", "sequence", "first_counter", "last_counter", "evidence", "facts")
CLAIM = "(bytes32,uint32,uint40,uint40,bytes32,bytes)"
VOUCHER = "(bytes32,address,uint48,uint40,uint32,uint16,uint48,uint40,uint40)"
_QUOTE = "(bytes32,bytes32,uint48,bool,uint40,uint40,uint40,uint40,bytes)"
_STORY = ["(bytes32,bytes32,uint40,bytes)[]", f"(uint256,{_QUOTE},int256,uint256)[]"]
_ATTESTATION = keccak_of(
    b"Attestation(address rail,address product,Claim[] claims)Claim(bytes32 agreement,"
    b"uint32 sequence,uint40 firstCounter,uint40 lastCounter,bytes32 evidence,bytes facts)"
)
Opening = tuple[bytes, bytes, int, bytes]
PricedStep = tuple[int, tuple[Any, ...], int, int]


def energy_story(seed: int) -> str:
    """Sixty claims of one metered agreement."""
    chance = random.Random(f"energy {seed}")
    wanted = random_terms(chance, seed, SINCE)
    terms = energy.encode_terms(wanted)
    until = SINCE + 10**6 + 40_000 if seed % 5 == 0 else FOR_EVER
    claims = random_claims(chance, wanted, terms, SINCE, until)
    mirror = mirrored(terms, claims, SINCE, until)
    agreement = _word("energy", seed)
    steps = [
        (SINCE, (agreement, agreement, limit, late, until, *counters, facts), amount, refusal)
        for (facts, limit, late), counters, (amount, refusal) in zip(
            claims, mirror.counters, mirror.answers, strict=True
        )
    ]
    return _line([(agreement, agreement, SINCE, terms)], steps)


def delivery_story(seed: int) -> str:
    """Thirty statements and withdrawals of one delivery, some with temperature and shock."""
    chance = random.Random(f"delivery {seed}")
    terms = _delivery_terms(chance)
    agreement, standing, steps = _word("delivery", seed), {}, []
    total = 0
    for number in range(30):
        facts = _statement(chance, terms, f"{seed}/{number % 17}", _word(f"digest {seed}", number))
        if facts.withdrawn:
            standing.pop(facts.event_hash, None)
        else:
            standing.setdefault(facts.event_hash, facts)
        worth = owed(terms, standing)
        quote = (agreement, agreement, LIMIT, False, FOR_EVER, number, number + 1, number + 1)
        steps.append((SINCE, (*quote, encode_delivery(facts)), worth - total, 0))
        total = worth
    return _line([(agreement, agreement, 0, encode_delivery_terms(terms))], steps)


def voucher_story(seed: int, wrong: int = 0) -> str:
    """Forty vouchers of one wearable in several agreements, in any order.

    Args:
        wrong: Added to the last answer, so that a comparison must fail.
    """
    chance = random.Random(f"voucher {seed}")
    wearable = _word("wearable", seed)
    agreed: list[tuple[bytes, VoucherTerms, int]] = []
    for number in range(4):
        start = SINCE + min(number, 1) * DAY
        agreed.append((_word(f"voucher {seed}", number), _voucher_terms(chance), start))
    model, now = VoucherModel(SINCE), SINCE + 3 * DAY
    totals: dict[str, tuple[int, int]] = {}
    steps = []
    for number in range(40):
        agreement, terms, start = chance.choice(agreed)
        to = "0x" + chance.choice("abc") * 40
        total, taps = totals.get(to, (0, 0))
        total, taps = total + chance.randrange(1, 25) * EURO, taps + chance.choice((1, 1, 3))
        totals[to] = total, taps
        counter = chance.choice((chance.randrange(1, 40), model.counter + 1))
        signed = now + chance.randrange(-4 * DAY, 1_200)
        cap = chance.choice((300 * EURO, 2**48 - 1))
        voucher = Voucher(wearable, to, total, counter, taps, 0, cap, signed, signed + 9 * DAY)
        until = SINCE + chance.choice((2 * DAY, 9 * DAY, 90 * DAY))
        amount, _ = model.pay(terms, voucher, now, start, until)
        facts = encode_voucher(VoucherFacts(to, *voucher[2:], "0x1", "0x1"))
        quote = (agreement, wearable, LIMIT, False, until, number, number + 1, number + 1, facts)
        steps.append((now, quote, amount + (wrong if number == 39 else 0), 0))
        now += chance.choice((0, 60, 3_600, DAY // 2))
    openings = [(one, wearable, start, encode_voucher_terms(terms)) for one, terms, start in agreed]
    return _line(openings, steps)


def claim_vectors(count: int) -> Iterator[str]:
    """Claims with their hashes, and attestations of batches of one."""
    chance = random.Random("claims")
    for _ in range(count):
        first = chance.getrandbits(chance.randrange(41))
        claim = Claim(
            chance.randbytes(32),
            chance.getrandbits(chance.randrange(33)),
            first,
            chance.getrandbits(chance.randrange(41)),
            chance.randbytes(32),
            chance.randbytes(chance.choice((0, 1, 31, 32, 33, 64, 320))),
        )
        rail, product = chance.randbytes(20), chance.randbytes(20)
        hashed = claim_hash(claim)
        words = rail.rjust(32, b"\0") + product.rjust(32, b"\0") + keccak_of(hashed)
        fields = tuple(getattr(claim, name) for name in CLAIM_FIELDS)
        values = [fields, hashed, f"0x{rail.hex()}", f"0x{product.hex()}"]
        kinds = [CLAIM, "bytes32", "address", "address", "bytes32"]
        yield encode(kinds, [*values, keccak_of(_ATTESTATION + words)]).hex()


def digest_vectors(count: int) -> Iterator[str]:
    """Vouchers with the digests that wearables sign."""
    chance = random.Random("digests")
    for _ in range(count):
        domain = Domain(CHAIN_ID, f"0x{chance.randbytes(20).hex()}")
        numbers = [chance.getrandbits(bits) for bits in (47, 40, 32, 16, 48, 40, 40)]
        voucher = Voucher(chance.randbytes(32), f"0x{chance.randbytes(20).hex()}", *numbers)
        values = [domain.contract, tuple(voucher), digest_of(domain, voucher)]
        yield encode(["address", VOUCHER, "bytes32"], values).hex()


def _line(openings: Sequence[Opening], steps: Sequence[PricedStep]) -> str:
    return encode(_STORY, [list(openings), list(steps)]).hex()


def _word(kind: str, number: int) -> bytes:
    return keccak_of(f"{kind} {number}".encode())


def _delivery_terms(chance: random.Random) -> DeliveryTerms:
    conditions: tuple[int, ...] = (0,) * 6
    if chance.random() < 0.5:
        conditions = (200, 800, chance.randrange(1, 2_000), 5_000, 700, 3_000)
    picked, delivered = chance.randrange(4_000), chance.randrange(4_000)
    return DeliveryTerms(
        _word("consignment", 1),
        _word("truck", 1),
        _word("sensor", 1) if any(conditions) else bytes(32),
        chance.choice((1, 7, 999, 1_000_000_007, 2**47 - 1)),
        chance.choice((1, 3, 100, 2**32 - 1)),
        picked,
        delivered,
        10_000 - picked - delivered,
        SINCE,
        SINCE + 7 * DAY,
        *chance.choice(((0, 0), (50, 2_000), (10_000, 10_000))),
        *conditions,
    )


def _statement(
    chance: random.Random, terms: DeliveryTerms, name: str, digest: bytes
) -> DeliveryFacts:
    """Return a statement of that name, or its withdrawal; one name always says the same."""
    fixed = random.Random(name)
    received = fixed.randrange(terms.quantity + 1) if fixed.random() < 0.7 else 0
    accepted = fixed.randrange(terms.quantity + 1) if fixed.random() < 0.5 else 0
    delivered_at = SINCE + fixed.choice((-DAY, 0, 1, 3_600, 18_001, 3 * DAY)) if received else 0
    accepted_at = SINCE + fixed.randrange(3 * DAY) if accepted else 0
    picked_up_at = SINCE - 2 * DAY if fixed.random() < 0.3 else 0
    sensed = fixed.randrange(4)
    low = fixed.randrange(100, 700) if sensed & 1 else 0
    high = low + fixed.randrange(400) if sensed & 1 else 0
    shock = fixed.randrange(3_000, 7_000) if sensed & 2 else 0
    signed_at = max(picked_up_at, delivered_at, accepted_at, SINCE)
    withdrawn = chance.random() < 0.35
    numbers = (received, accepted, picked_up_at, delivered_at, accepted_at, sensed, low, high)
    event = keccak_of(name.encode())
    return DeliveryFacts(withdrawn, *numbers, shock, signed_at, event, digest, bytes(32), bytes(32))


def _voucher_terms(chance: random.Random) -> VoucherTerms:
    return VoucherTerms(
        CHAIN_ID,
        "0x" + "11" * 20,  # the test puts its contract here
        25 * EURO,
        chance.choice((0, 7, 20 * EURO, 60 * EURO, 2**48 - 1)),
        (),
        chance.choice((0, 0, 30)),
        chance.choice((1, 3, 50)),
        40 * EURO,
        chance.choice((2, 5)) * DAY,
    )
