"""The one door to the oracles: asks each for its signature over HTTP, and believes none."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import requests

from device_adapters.types import Rejected
from oracles.attest import recover
from oracles.types import Attestation, Doubt
from oracles.wire import Answer, Request, read_answer, write_request
from orchestrator.errors import Retry


@dataclass(frozen=True)
class OracleDoor:
    """One oracle's address. token: what it lets us in with (never logged)."""

    name: str
    address: str  # checksummed signing address
    domain: int
    url: str
    token: str
    timeout_s: int = 20

    def ask(self, request: Request) -> Answer:
        """Its answer. Raises Retry where it is down, slow or speaks nonsense."""
        try:
            reply = requests.post(
                f"{self.url}/attest", data=write_request(request), timeout=self.timeout_s,
                headers={
                    "Authorization": f"Bearer {self.token}", "Content-Type": "application/json",
                },
            )  # fmt: skip
            if reply.status_code != 200:
                raise Retry(f"oracle {self.name} answered {reply.status_code}: {reply.text[:200]}")
            return read_answer(reply.content)
        except requests.RequestException as error:
            raise Retry(f"oracle {self.name} is not reached: {type(error).__name__}") from error
        except Rejected as nonsense:
            raise Retry(f"oracle {self.name} answered nonsense: {nonsense}") from nonsense

    def attestation(self, answer: Answer, digest: bytes) -> Attestation | None:
        """Its signature, if it is one over this very batch by this very oracle."""
        if answer.signature is None:
            return None
        try:
            signer = recover(digest, answer.signature)
        except Rejected:
            return None
        return Attestation(signer, answer.signature) if signer == self.address else None


def ask_all(doors: Sequence[OracleDoor], request: Request) -> list[Answer | Retry]:
    """Everybody's answer at once, in order; one that is down costs nobody else time."""

    def ask(door: OracleDoor) -> Answer | Retry:
        try:
            return door.ask(request)
        except Retry as silence:
            return silence

    with ThreadPoolExecutor(max_workers=max(len(doors), 1)) as pool:
        return list(pool.map(ask, doors))


def lacking(answers: Sequence[Answer | Retry]) -> set[int]:
    """Claims for which somebody lacks the evidence."""
    return {
        refusal.index
        for answer in answers if isinstance(answer, Answer)
        for refusal in answer.refusals if refusal.reason == Doubt.EVIDENCE_MISSING
    }  # fmt: skip
