"""Gas of settlements: within the block rule always, and per claim within what was measured.

settle
├── given 256 claims of distinct agreements (the most a batch may hold)
│   └── it should stay below 16,777,216 gas (EIP-7825)
└── given growing batches
    └── it should cost less per claim
"""

from __future__ import annotations

EIP_7825 = 16_777_216
LIMITS = {1: 145_000, 10: 36_000, 100: 25_000, 256: 25_000}  # gas per claim, measured plus slack


def test_settle__batches_of_1_to_256_claims__stay_within_gas(stage):
    agreements = stage.agreements(256)
    measured = {}
    for sequence, size in enumerate(LIMITS, start=1):
        claims = [stage.claim(one, _next(stage, one)) for one in agreements[:size]]
        done = stage.settle(*claims)
        assert set(done.named) == {"None"}, sequence
        assert done.gas < EIP_7825
        measured[size] = done.gas // size
    print("\ngas per claim", measured)
    for size, limit in LIMITS.items():
        assert measured[size] <= limit, measured


def _next(stage, agreement: bytes) -> int:
    return stage.rail.agreementState(agreement)[0] + 1
