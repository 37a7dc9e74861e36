"""The adapter to the oracles: asks each for its signature over HTTP, and verifies every answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import requests

from device_adapters.types import Reason, Rejected
from oracles.attest import recover
from oracles.types import Attestation, ClaimReason
from oracles.wire import OracleAnswer, Request, read_answer, write_request
from orchestrator.core.health import OracleState
from orchestrator.errors import Retry


@dataclass(frozen=True)
class OracleTls:
    """Files (PEM) for connections to oracles.

    Attributes:
        ca: The authorities that oracles' servers are checked with; None: the system's.
        certificate: What this rail shows to an oracle that asks for it; None: nothing.
        key: Its private key.
    """

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    def options(self) -> dict[str, Any]:
        """Return the options of a request. A server is always checked."""
        has_both = self.certificate is not None and self.key is not None
        return {
            "verify": str(self.ca) if self.ca else True,
            "cert": (str(self.certificate), str(self.key)) if has_both else None,
        }


@dataclass(frozen=True)
class OracleClient:
    """Access to one oracle. token: the bearer token that it accepts (never logged)."""

    name: str
    address: str  # checksummed signing address
    domain: int
    url: str
    token: str = field(repr=False)
    timeout_s: int = 20
    tls: OracleTls = OracleTls()
    # is informed of each answer: (oracle, "signed" | "refused" | "failed", seconds)
    watch: Callable[[str, str, float], None] | None = field(default=None, repr=False, compare=False)

    def ask(self, request: Request) -> OracleAnswer:
        """Return the oracle's answer.

        Raises:
            Retry: the oracle is down or slow, or its answer makes no sense.
        """
        began, outcome = time.monotonic(), "failed"
        try:
            answer = self._ask(request)
            outcome = "refused" if answer.signature is None else "signed"
            return answer
        finally:
            if self.watch is not None:
                self.watch(self.name, outcome, time.monotonic() - began)

    def probe(self, timeout_s: int = 3) -> OracleState:
        """Return how the oracle is; never raise."""
        state = OracleState(self.name, self.domain)
        try:
            reply = requests.get(
                f"{self.url}/health",
                timeout=timeout_s,
                **self.tls.options(),
                headers={"Authorization": f"Bearer {self.token}"},
            )
            if reply.status_code != 200:
                return replace(state, error=f"it answered {reply.status_code}")
            view = reply.json()
            if view.get("oracle") != self.address:
                other = f"{view.get('oracle')} answers at its address instead"
                return replace(state, error=other)
            unwell = "; ".join(map(str, view.get("problems", ())))
            return replace(state, unwell=unwell, reader=str(view.get("reader", ""))[:60])
        except requests.RequestException as error:
            return replace(state, error=type(error).__name__)
        except (ValueError, AttributeError, TypeError):
            return replace(state, error="its answer is no JSON object")

    def _ask(self, request: Request) -> OracleAnswer:
        try:
            reply = requests.post(
                f"{self.url}/attest",
                data=write_request(request),
                timeout=self.timeout_s,
                **self.tls.options(),
                headers={
                    "Authorization": f"Bearer {self.token}",
                    "Content-Type": "application/json",
                },
            )
            if reply.status_code != 200:
                raise Retry(f"oracle {self.name} answered {reply.status_code}: {reply.text[:200]}")
            return _consistent(read_answer(reply.content), len(request.claims))
        except requests.RequestException as error:
            raise Retry(f"oracle {self.name} cannot be reached: {type(error).__name__}") from error
        except Rejected as error:
            raise Retry(f"oracle {self.name} answered in an unusable form: {error}") from error

    def attestation(self, answer: OracleAnswer, digest: bytes) -> Attestation | None:
        """Return the oracle's signature if it covers this digest (32 bytes), else None."""
        if answer.signature is None:
            return None
        try:
            signer = recover(digest, answer.signature)
        except Rejected:
            return None
        return Attestation(signer, answer.signature) if signer == self.address else None


def _consistent(answer: OracleAnswer, claims: int) -> OracleAnswer:
    """Check that an answer is a signature, or refusals of claims that were asked about."""
    if bool(answer.refusals) == (answer.signature is not None):
        raise Rejected(Reason.MALFORMED, "the answer has neither a signature nor refusals, or both")
    if any(refusal.index >= claims for refusal in answer.refusals):
        raise Rejected(
            Reason.MALFORMED, f"the answer refuses more than the {claims} claims of the request"
        )
    return answer


def ask_all(
    oracles: Sequence[OracleClient], requests: Sequence[Request]
) -> list[OracleAnswer | Retry]:
    """Send each oracle its own request, all at the same time.

    Returns:
        The answers in the order of the oracles; a Retry for each that gave none.
    """

    def ask(oracle: OracleClient, request: Request) -> OracleAnswer | Retry:
        try:
            return oracle.ask(request)
        except Retry as error:
            return error

    with ThreadPoolExecutor(max_workers=max(len(oracles), 1)) as pool:
        return list(pool.map(ask, oracles, requests))


def lacking(answer: OracleAnswer | Retry) -> set[int]:
    """Return the indices of the claims for which this oracle lacks evidence."""
    refusals = answer.refusals if isinstance(answer, OracleAnswer) else ()
    return {refusal.index for refusal in refusals if refusal.reason == ClaimReason.EVIDENCE_MISSING}
