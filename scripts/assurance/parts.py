"""The parts of the run, the longest first, since two of them run at a time."""

from __future__ import annotations

from scripts.assurance import (
    coverage,
    index_claims,
    invariants,
    mutation,
    planted,
    proofs,
    recorded,
    slither,
)
from scripts.assurance.line import AssurancePart

PARTS = (
    AssurancePart("mutants", "do tests notice changed contracts", mutation.measure, True),
    AssurancePart("proofs", "arithmetic, for every input", proofs.measure, True),
    AssurancePart("faults", "does the campaign find planted ones", planted.measure, True),
    AssurancePart("branches", "branches that the contract tests take", coverage.measure),
    AssurancePart("invariants", "random calls and what must always hold", invariants.measure),
    AssurancePart("fuzz", "prices and hashes against Python", recorded.measure_vectors),
    AssurancePart("index", "index claims against Python", index_claims.measure),
    AssurancePart("slither", "findings of high and medium impact", slither.measure),
    AssurancePart("roles", "every function called by every role", recorded.measure_roles),
    AssurancePart("wycheproof", "vectors of signatures", recorded.measure_wycheproof),
    AssurancePart("keys", "what k stolen keys of n take", recorded.measure_stolen_keys),
)
