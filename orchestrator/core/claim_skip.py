"""What payer and payee sign to pass over a claim that cannot settle: its EIP-712 document."""

from __future__ import annotations

from typing import Any

from oracles.types import SkippedClaim
from orchestrator.core.owner_consent import RAIL_DOMAIN
from orchestrator.core.typed_data import typed_document

_FIELDS = (("agreement", "bytes32"), ("sequence", "uint32"), ("lastCounter", "uint40"))


def skip_document(skipped: SkippedClaim, chain_id: int, rail: str) -> dict[str, Any]:
    """Return the EIP-712 document that both parties sign, as IPaymentRail.skip defines it."""
    message = {
        "agreement": "0x" + skipped.agreement.hex(),
        "sequence": skipped.sequence,
        "lastCounter": skipped.last_counter,
    }
    return typed_document("Skip", _FIELDS, message, chain_id, rail, RAIL_DOMAIN)
