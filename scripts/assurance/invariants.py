"""The campaign of forge: random calls of every function, and every invariant after each call.

    python -m scripts.assurance.invariants --calls 100000

The campaign is Solidity, in tests/assurance. This module gives it the contracts as they ship, runs
it, adds up what each of its runs counted, and says whether anything was never tried.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from orchestrator.edges.chain.artifacts import SHIPPED, read_records
from scripts.assurance.forge import CAMPAIGN, ForgeRun, run_forge
from scripts.assurance.line import AssuranceLine, AssuranceTask
from scripts.assurance.pieces import KeptPieces
from scripts.solidity.sources import ROOT

CALLS = 100_000
LONG_CALLS = 10_000_000
DEPTH = 500  # calls from one fresh rail on; what is rare needs a past
PIECE = 100_000  # calls of one process; a longer campaign is several, with a seed each
LEAST_RULES = 20

# What nobody outside may call, so that the campaign can only see it refused. Most of it takes place
# inside of other calls: a settlement prices, a dispute freezes.
_REFUSED_TO_ALL = {
    "PaymentRail": ("onMint", "freeze", "unfreeze", "deviceChanged", "setAuthority"),
    "DeviceRegistry": ("setAuthority",),
    "Disputes": ("uphold",),
    "OracleCommittee": ("setAuthority", "barAttesters"),
    "OfficerRegistry": ("setAuthority",),
    "MeteredEnergy": ("open", "price", "refunded", "skipped"),
    "MeteredFleet": ("open", "price"),
    "ProofOfDelivery": ("open", "price", "refunded", "setAuthority", "setPredecessor"),
    "WearableVoucher": (
        "open",
        "price",
        "passOn",
        "setAuthority",
        "setPredecessor",
        "setSuccessor",
    ),
    "RailAccess": (
        *("consumeScheduledOp", "grantRole", "labelRole", "setRoleAdmin", "setRoleGuardian"),
        *("setGrantDelay", "setTargetFunctionRole", "setTargetAdminDelay", "setTargetClosed"),
    ),
}
_LEAVES = (
    *("UsagePremium", "ServiceLevel", "EnergySavings"),
    *("ParametricCover", "MaintenanceEscrow", "PaygUnlock"),
)
_REFUSED_TO_ALL |= dict.fromkeys(_LEAVES, ("open", "price", "refunded"))
# no cover of the campaign asks for a premium; tests/contracts/test_cover_premium.py proves some
_REFUSED_TO_ALL["ParametricCover"] += ("provePremium",)
NEVER_ACCEPTED = frozenset(
    f"{contract}.{name}" for contract, names in _REFUSED_TO_ALL.items() for name in names
)

_STATE = re.compile(r'"state:([a-z\' ]*[a-z])"')


@dataclass(frozen=True)
class CampaignCounts:
    """What all runs of a campaign counted.

    Attributes:
        calls: How often each function accepted a call, by "Contract.function".
        refused: How often each refused one, as the model said that it must.
        states: How often each rare state was reached.
        rules: How often each invariant was checked; 0 stands for after every call.
    """

    calls: Counter[str]
    refused: Counter[str]
    states: Counter[str]
    rules: Counter[str]


def measure(task: AssuranceTask) -> list[AssuranceLine]:
    """Run the campaign of `make assurance`, or the long one, and return its lines."""
    calls = LONG_CALLS if task.long else CALLS
    task.say(f"{calls:,} calls, and the invariants after each")
    if not task.long:
        return measure_campaign(calls, say=task.say)
    kept = KeptPieces.of(task.root)
    return measure_campaign(calls, at_once=os.cpu_count() or 1, say=task.say, kept=kept)


def measure_campaign(
    calls: int,
    seed: int | None = None,
    replaced: Mapping[str, str] | None = None,
    at_once: int = 1,
    say: Callable[[str], None] = lambda text: None,
    kept: KeptPieces | None = None,
) -> list[AssuranceLine]:
    """Run a campaign and return its lines.

    Args:
        calls: How many calls; rounded up to whole runs.
        seed: Makes the campaign repeatable; without one each is another.
        replaced: Bytecode (hex) of faulty contracts, by name, to see that the campaign finds them.
        at_once: How many processes make it: forge works on one core.
        say: Shows a line of progress.
        kept: Where pieces that passed are kept, and not made again.

    Raises:
        Halt: forge or the compiler is missing.
    """
    begun, runs, earlier = time.monotonic(), list[ForgeRun](), list[ForgeRun]()

    def run_piece(number: int, size: int) -> None:
        if not all(run.ok for run in runs):
            return  # one finding is enough to look at
        run = kept.get(number, size) if kept else None
        if run is not None:
            earlier.append(run)
        else:
            run = _forge_campaign(size, None if seed is None else seed + number, replaced)
            if kept:
                kept.put(number, size, run)
        runs.append(run)
        say(f"{sum(run.calls for run in runs):,} calls in {time.monotonic() - begun:,.0f} s")

    pieces = [min(PIECE, calls - from_) for from_ in range(0, calls, PIECE)]
    pool = ThreadPoolExecutor(at_once)  # the work is in other processes
    try:
        list(pool.map(run_piece, range(len(pieces)), pieces))
    finally:  # who interrupts it does not want the pieces that have not begun
        pool.shutdown(cancel_futures=True)
    campaign = merge_runs(runs)
    seconds, before = time.monotonic() - begun, sum(run.calls for run in earlier)
    line = _campaign_line(campaign, before, seconds)
    return [line, *lines_of(read_counts(campaign.counts), functions(), rare_states())]


def merge_runs(runs: Sequence[ForgeRun]) -> ForgeRun:
    """Return several campaigns as one: ok if each was, else with the first failure."""
    return ForgeRun(
        ok=bool(runs) and all(run.ok for run in runs),
        runs=sum(run.runs for run in runs),
        calls=sum(run.calls for run in runs),
        failure=next((run.failure for run in runs if not run.ok), ""),
        counts=tuple(row for run in runs for row in run.counts),
    )


def _forge_campaign(calls: int, seed: int | None, replaced: Mapping[str, str] | None) -> ForgeRun:
    depth = min(DEPTH, calls)
    size = {
        "FOUNDRY_INVARIANT_RUNS": str(-(-calls // depth)),
        "FOUNDRY_INVARIANT_DEPTH": str(depth),
    }
    if seed is not None:
        size["FOUNDRY_FUZZ_SEED"] = hex(seed)
    return run_forge(["--match-contract", "InvariantsTest"], size, replaced=replaced)


def read_counts(rows: Iterable[str]) -> CampaignCounts:
    """Add up the rows that the runs wrote: JSON objects from "kind:what" to a number."""
    kinds: dict[str, Counter[str]] = {
        kind: Counter() for kind in ("call", "refused", "state", "rule", "always")
    }
    for row in rows:
        for name, number in json.loads(row).items():
            kind, _, what = name.partition(":")
            kinds[kind][what] += number
    rules = kinds["rule"] + Counter()
    rules.update(dict.fromkeys(kinds["always"], 0))
    return CampaignCounts(kinds["call"], kinds["refused"], kinds["state"], rules)


def functions() -> list[str]:
    """Return every function of the shipped contracts that can change something."""
    return sorted(
        f"{record['name']}.{entry['name']}"
        for record in read_records(SHIPPED)
        for entry in record["abi"]
        if entry["type"] == "function" and entry["stateMutability"] in ("nonpayable", "payable")
    )


def rare_states(root: Path = ROOT) -> list[str]:
    """Return the names of the rare states that the campaign looks for."""
    names: set[str] = set()
    for path in sorted((root / CAMPAIGN).glob("*.sol")):
        names.update(_STATE.findall(path.read_text()))
    return sorted(names)


def lines_of(
    campaign: CampaignCounts, wanted: Sequence[str], states: Sequence[str]
) -> list[AssuranceLine]:
    """Return the lines that say what a campaign reached; what it never reached is not ok."""
    untried = [
        name
        for name in wanted
        if not campaign.calls[name] and not (name in NEVER_ACCEPTED and campaign.refused[name])
    ]
    unreached = [name for name in states if not campaign.states[name]]
    called = [
        f"{name}: {campaign.calls[name]:,} accepted, {campaign.refused[name]:,} refused"
        for name in wanted
    ]
    reached = [f"{name}: {campaign.states[name]:,}" for name in campaign.states | Counter(states)]
    checked = [f"{name}: {number or 'after each call'}" for name, number in campaign.rules.items()]
    return [
        AssuranceLine(
            "invariants",
            f"{len(campaign.rules)} checked",
            len(campaign.rules) >= LEAST_RULES,
            "\n".join(sorted(checked)),
        ),
        AssuranceLine(
            "invariants: functions",
            f"{len(wanted) - len(untried)} of {len(wanted)} called",
            not untried,
            "\n".join([*_missing("never called", untried), *called]),
        ),
        AssuranceLine(
            "invariants: rare states",
            f"{len(states) - len(unreached)} of {len(states)} reached",
            not unreached,
            "\n".join([*_missing("never reached", unreached), *sorted(reached)]),
        ),
    ]


def _missing(what: str, names: Sequence[str]) -> list[str]:
    return [f"{what}: {', '.join(names)}"] if names else []


def _campaign_line(run: ForgeRun, before: int, seconds: float) -> AssuranceLine:
    value = f"{run.calls:,} calls in {run.runs:,} runs"
    if now := run.calls - before:
        value += f", {now / max(seconds, 1):,.0f} a second"
    if before:
        value += f"; {before:,} of them made before"
    return AssuranceLine("invariants: campaign", value, run.ok, run.failure)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one campaign and print its lines; exit with 1 if one is not ok."""
    parser = ArgumentParser(description="Random calls of the contracts, and every invariant.")
    parser.add_argument("--calls", type=int, default=CALLS)
    parser.add_argument("--seed", type=int, help="repeats the campaign that had it")
    parser.add_argument("--at-once", type=int, default=1, help="how many processes")
    parser.add_argument("--keep", action="store_true", help="go on with what passed before")
    chosen = parser.parse_args(arguments)
    kept = KeptPieces.of() if chosen.keep else None
    say = partial(print, flush=True)
    lines = measure_campaign(chosen.calls, chosen.seed, at_once=chosen.at_once, say=say, kept=kept)
    for line in lines:
        print(f"{'✓' if line.ok else '✗'} {line.name}: {line.value}")
        for text in line.note.splitlines():
            print(f"    {text}")
    return 0 if all(line.ok for line in lines) else 1


if __name__ == "__main__":
    sys.exit(main())
