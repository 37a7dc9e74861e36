"""The one door to the oracles: asks each for its signature over HTTP, and believes none."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import requests

from device_adapters.types import Reason, Rejected
from oracles.attest import recover
from oracles.types import Attestation, ClaimReason
from oracles.wire import OracleAnswer, Request, read_answer, write_request
from orchestrator.errors import Retry


@dataclass(frozen=True)
class OracleClient:
    """One oracle's address. token: what it lets us in with (never logged)."""

    name: str
    address: str  # checksummed signing address
    domain: int
    url: str
    token: str = field(repr=False)
    timeout_s: int = 20

    def ask(self, request: Request) -> OracleAnswer:
        """Its answer. Raises Retry where it is down, slow or speaks nonsense."""
        try:
            reply = requests.post(
                f"{self.url}/attest",
                data=write_request(request),
                timeout=self.timeout_s,
                headers={
                    "Authorization": f"Bearer {self.token}",
                    "Content-Type": "application/json",
                },
            )
            if reply.status_code != 200:
                raise Retry(f"oracle {self.name} answered {reply.status_code}: {reply.text[:200]}")
            return _sensible(read_answer(reply.content), len(request.claims))
        except requests.RequestException as error:
            raise Retry(f"oracle {self.name} is not reached: {type(error).__name__}") from error
        except Rejected as nonsense:
            raise Retry(f"oracle {self.name} answered nonsense: {nonsense}") from nonsense

    def attestation(self, answer: OracleAnswer, digest: bytes) -> Attestation | None:
        """Its signature, if it is one over this very batch by this very oracle."""
        if answer.signature is None:
            return None
        try:
            signer = recover(digest, answer.signature)
        except Rejected:
            return None
        return Attestation(signer, answer.signature) if signer == self.address else None


def _sensible(answer: OracleAnswer, claims: int) -> OracleAnswer:
    """Refusals, of claims that it was asked about, or a signature: anything else is nonsense."""
    if bool(answer.refusals) == (answer.signature is not None):
        raise Rejected(Reason.MALFORMED, "neither a signature nor refusals, or both")
    if any(refusal.index >= claims for refusal in answer.refusals):
        raise Rejected(Reason.MALFORMED, f"it refuses more than the {claims} claims asked about")
    return answer


def ask_all(
    doors: Sequence[OracleClient], requests: Sequence[Request]
) -> list[OracleAnswer | Retry]:
    """Each door's answer to its own request, asked at once, in order; Retry for the silent."""

    def ask(door: OracleClient, request: Request) -> OracleAnswer | Retry:
        try:
            return door.ask(request)
        except Retry as silence:
            return silence

    with ThreadPoolExecutor(max_workers=max(len(doors), 1)) as pool:
        return list(pool.map(ask, doors, requests))


def lacking(answer: OracleAnswer | Retry) -> set[int]:
    """Claims for which this oracle lacks the evidence."""
    refusals = answer.refusals if isinstance(answer, OracleAnswer) else ()
    return {refusal.index for refusal in refusals if refusal.reason == ClaimReason.EVIDENCE_MISSING}
