"""Checks a bundle from the bundle alone, and names the first thing that does not hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from eth_abi.exceptions import DecodingError, EncodingError

from device_adapters.types import Rejected
from oracles.types import ProductRules

from . import bank, consent, device, settlement
from .blocks import ProofReason, unproven
from .bundle import check_shape, digest, in_present_form
from .case import Anchors, Case
from .effects import effects


class AuditStage(StrEnum):
    """The checks, in this order; docs/AUDIT.md says what each compares with what."""

    FORMAT = "format"
    DEVICE_KEY = "device_key"
    EVIDENCE = "evidence"
    EVENTS = "events"
    CLAIM = "claim"
    MANDATE = "mandate"
    ATTESTATION = "attestation"
    SETTLEMENT = "settlement"
    EFFECTS = "effects"
    LEDGER = "ledger"
    PAYOUT = "payout"
    BANK_FILE = "bank_file"
    BANK_LINE = "bank_line"


@dataclass(frozen=True, slots=True)
class AuditStep:
    """One stage's result: what holds, or what does not."""

    stage: AuditStage
    ok: bool
    detail: str


@dataclass(frozen=True, slots=True)
class AuditReport:
    """The result of a verification.

    Attributes:
        steps: The stages in order, up to the first that fails.
        trust: What the bundle rests on and cannot prove, JSON-ready.
    """

    steps: list[AuditStep]
    failed: AuditStep | None
    trust: dict[str, Any]

    @property
    def ok(self) -> bool:
        """Return whether no stage has failed."""
        return self.failed is None

    @property
    def complete(self) -> bool:
        """Return whether everything holds, up to the line of the bank statement."""
        return self.ok and any(step.stage is AuditStage.BANK_LINE for step in self.steps)


# every stage reads only what is in the bundle; those of a part that is null are left out
_STAGES: tuple[tuple[AuditStage, Callable[[Case], str]], ...] = (
    (AuditStage.DEVICE_KEY, device.device_key),
    (AuditStage.EVIDENCE, device.evidence),
    (AuditStage.EVENTS, device.events),
    (AuditStage.CLAIM, consent.claim),
    (AuditStage.MANDATE, consent.mandate),
    (AuditStage.ATTESTATION, consent.attestation),
    (AuditStage.SETTLEMENT, settlement.settlement),
    (AuditStage.EFFECTS, effects),
    (AuditStage.LEDGER, settlement.ledger),
    (AuditStage.PAYOUT, settlement.payout),
    (AuditStage.BANK_FILE, bank.bank_file),
    (AuditStage.BANK_LINE, bank.bank_line),
)
# where each address that the auditor may expect is used first
_EXPECTED = {
    AuditStage.DEVICE_KEY: "registry",
    AuditStage.MANDATE: "rail",
    AuditStage.ATTESTATION: "committee",
    AuditStage.PAYOUT: "token",
}
# What libraries raise on malformed bytes, next to Rejected. Anything else is our own bug and must
# be visible.
_MALFORMED = (
    DecodingError,
    EncodingError,
    ValueError,
    OverflowError,
    TypeError,
    LookupError,
    AssertionError,
    RecursionError,
)


def verify(
    bundle: Any, products: Mapping[str, ProductRules], anchors: Anchors | None = None
) -> AuditReport:
    """Check every stage until one fails; pure, and raises nothing for any content of a bundle.

    Args:
        bundle: The parsed JSON.
        products: Name -> rules of the payment products; they are above this package.
        anchors: What the auditor knows from elsewhere.
    """
    case = Case(bundle, anchors or Anchors(), products)
    steps = [_step(AuditStage.FORMAT, _format, case)]
    for stage, check in _STAGES:
        if not steps[-1].ok:
            break
        if case.bundle.get(stage.value, ...) is not None:
            steps.append(_step(stage, check, case))
    if steps[-1].ok:
        # last, so that each change is named by the stage that it breaks
        steps.append(_step(AuditStage.FORMAT, lambda _: _seal(bundle), case))
    failed = None if steps[-1].ok else steps[-1]
    shaped = steps[0].ok
    return AuditReport(steps, failed, _trust(case) if shaped else {})


def _step(stage: AuditStage, check: Callable[[Case], str], case: Case) -> AuditStep:
    try:
        _compare_with_anchors(stage, case)
        return AuditStep(stage, True, check(case))
    except Rejected as error:
        return AuditStep(
            stage, False, error.detail if error.reason is ProofReason.UNPROVEN else str(error)
        )
    except _MALFORMED as error:
        return AuditStep(stage, False, f"malformed: {type(error).__name__}: {error}"[:500])


def _format(case: Case) -> str:
    check_shape(case.bundle)
    case.bundle = in_present_form(case.bundle)
    return f"version {case.bundle['version']}"


def _seal(bundle: dict[str, Any]) -> str:
    if bundle["digest"] != digest(bundle):
        raise unproven("the digest is not that of the bundle")
    return f"digest {bundle['digest']}"


def _compare_with_anchors(stage: AuditStage, case: Case) -> None:
    """Check addresses and chain against those that the auditor expects, if given."""
    name = _EXPECTED.get(stage)
    if name is None:
        return
    part = case.bundle["payout"] if name == "token" else case.bundle["chain"]
    expected = getattr(case.anchors, name)
    if expected is not None and part[name] != expected.lower():
        raise unproven(f"the {name} is {part[name]}, not {expected.lower()}")
    chain_id = case.anchors.chain_id
    if stage is AuditStage.MANDATE and chain_id not in (None, case.bundle["chain"]["id"]):
        raise unproven(f"the chain is {case.bundle['chain']['id']}, not {chain_id}")


def _trust(case: Case) -> dict[str, Any]:
    """Return what the bundle cannot prove by itself, as plain values; see docs/AUDIT.md."""
    payout = case.bundle["payout"]
    return {
        "chain_id": case.bundle["chain"]["id"],
        "rail": case.bundle["chain"]["rail"],
        "registry": case.bundle["chain"]["registry"],
        "committee": case.bundle["chain"]["committee"],
        "token": payout["token"] if payout else None,
        "product": case.bundle["mandate"]["fields"]["product"],
        "signers": case.signers,
        "quorum": case.quorum,
        "min_domains": case.anchors.min_domains,
        "blocks": {str(number): block for number, block in sorted(case.blocks.items())},
        "blocks_anchored": bool(case.anchors.blocks),
        "files": [f"0x{name}" for name in case.files],
        "files_anchored": bool(case.anchors.files),
        "settlement": case.settlement_tx,
        "payment": case.payment,
    }
