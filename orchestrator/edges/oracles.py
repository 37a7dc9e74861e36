"""The adapter to the oracles: asks each for its signature over HTTP, and verifies every answer."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import requests

from device_adapters.types import Reason, Rejected
from oracles.attest import recover
from oracles.rulings import SignedRuling
from oracles.types import Attestation, ClaimReason
from oracles.wire import OracleAnswer, Request, read_answer, read_rulings, write_request
from orchestrator.core.health import OracleState
from orchestrator.errors import Retry

_ANSWER_BYTES = 1 << 20  # far more than a refusal of every claim of a batch


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

    def rulings(self, timeout_s: int = 3) -> tuple[SignedRuling, ...]:
        """Return the rulings that this oracle signed, as it says: their signatures are unchecked.

        Raises:
            Retry: the oracle is down, or slow, or its answer makes no sense.
        """
        deadline = time.monotonic() + 2 * timeout_s
        try:
            reply = requests.get(
                f"{self.url}/rulings",
                timeout=timeout_s,
                stream=True,
                **self.tls.options(),
                headers={"Authorization": f"Bearer {self.token}"},
            )
            with reply:
                body = _bounded(reply, deadline)
            if reply.status_code != 200:
                raise Retry(f"oracle {self.name} answered {reply.status_code}")
            return read_rulings(body)
        except requests.RequestException as error:
            raise Retry(f"oracle {self.name} cannot be reached: {type(error).__name__}") from error
        except Rejected as error:
            raise Retry(f"oracle {self.name} answered in an unusable form: {error}") from error

    def _ask(self, request: Request) -> OracleAnswer:
        try:
            reply = requests.post(
                f"{self.url}/attest",
                data=write_request(request),
                timeout=self.timeout_s,
                stream=True,
                **self.tls.options(),
                headers={
                    "Authorization": f"Bearer {self.token}",
                    "Content-Type": "application/json",
                },
            )
            with reply:
                body = _bounded(reply)
            if reply.status_code != 200:
                beginning = body[:200].decode(errors="replace")
                raise Retry(f"oracle {self.name} answered {reply.status_code}: {beginning}")
            return _consistent(read_answer(body), len(request.claims))
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


def _bounded(reply: requests.Response, deadline: float = math.inf) -> bytes:
    """Return an answer's body; one that is longer than any answer is refused unread.

    Args:
        reply: The answer, whose body is not read yet.
        deadline: When `time.monotonic` reaches it, an answer that still drips in is given up.
    """
    body = bytearray()
    for chunk in reply.iter_content(1 << 16):
        body += chunk
        if len(body) > _ANSWER_BYTES:
            raise Rejected(Reason.MALFORMED, f"the answer has more than {_ANSWER_BYTES} bytes")
        if time.monotonic() > deadline:
            raise Rejected(Reason.TRUNCATED, "the answer drips in too slowly")
    return bytes(body)


def _consistent(answer: OracleAnswer, claims: int) -> OracleAnswer:
    """Check that an answer is a signature, or refusals of claims that were asked about."""
    if bool(answer.refusals) == (answer.signature is not None):
        raise Rejected(Reason.MALFORMED, "the answer has neither a signature nor refusals, or both")
    if any(refusal.index >= claims for refusal in answer.refusals):
        raise Rejected(
            Reason.MALFORMED, f"the answer refuses more than the {claims} claims of the request"
        )
    return answer


class OracleCalls:
    """Asks oracles at the same time, and lets none of them hold up the others.

    No call is waited for longer than `round_s`, however slowly its answer drips in. Once the
    answers are enough, the rest is waited for `grace_s` more, and not at all if they were late
    the last time too. An oracle has one open call at most.
    """

    def __init__(self, round_s: float = 30, grace_s: float = 5) -> None:
        self._round_s, self._grace_s = round_s, grace_s
        self._open: dict[str, Future[OracleAnswer | Retry]] = {}  # calls that nobody waits for
        self._late: set[str] = set()

    def ask_all(
        self,
        oracles: Sequence[OracleClient],
        requests: Sequence[Request],
        enough: Callable[[Sequence[OracleAnswer | Retry]], bool] = lambda answers: False,
    ) -> list[OracleAnswer | Retry]:
        """Send each oracle its own request, all at the same time.

        Args:
            oracles: Those to ask.
            requests: One for each.
            enough: Whether these answers, in the order of the oracles, need no more.

        Returns:
            The answers in the order of the oracles; a Retry for each that gave none in time.
        """
        calls = [
            self._start(oracle, request) for oracle, request in zip(oracles, requests, strict=True)
        ]
        began = time.monotonic()
        deadline, counted = began + self._round_s, -1
        while pending := {call for call in calls if not call.done()}:
            finished = len(calls) - len(pending)
            if finished > counted and enough([_answer(call) for call in calls]):
                deadline = min(deadline, time.monotonic() + self._patience(oracles, calls))
            counted = finished
            left = deadline - time.monotonic()
            if left <= 0:
                break
            wait(pending, timeout=left, return_when=FIRST_COMPLETED)
        for oracle, call in zip(oracles, calls, strict=True):
            if call.done():
                self._late.discard(oracle.name)
            else:
                self._late.add(oracle.name)
                self._open[oracle.name] = call
        return [_answer(call) for call in calls]

    def _patience(
        self, oracles: Sequence[OracleClient], calls: Sequence[Future[OracleAnswer | Retry]]
    ) -> float:
        """Return how long the missing answers are waited for: seconds."""
        missing = {o.name for o, call in zip(oracles, calls, strict=True) if not call.done()}
        return 0 if missing <= self._late else self._grace_s

    def _start(self, oracle: OracleClient, request: Request) -> Future[OracleAnswer | Retry]:
        """Ask in a thread that ends with the process, since an oracle may never answer."""
        call: Future[OracleAnswer | Retry] = Future()
        former = self._open.get(oracle.name)
        if former is not None and not former.done():
            call.set_result(Retry(f"oracle {oracle.name} still has an earlier question"))
            self._late.add(oracle.name)
            return call
        self._open.pop(oracle.name, None)
        threading.Thread(target=_ask_into, args=(call, oracle, request), daemon=True).start()
        return call


def _ask_into(call: Future[OracleAnswer | Retry], oracle: OracleClient, request: Request) -> None:
    try:
        call.set_result(oracle.ask(request))
    except Retry as error:
        call.set_result(error)
    except BaseException as error:  # a bug: it is raised where the answer is read
        call.set_exception(error)


def _answer(call: Future[OracleAnswer | Retry]) -> OracleAnswer | Retry:
    return call.result() if call.done() else Retry("it has not answered in time")


def lacking(answer: OracleAnswer | Retry) -> set[int]:
    """Return the indices of the claims for which this oracle lacks evidence."""
    refusals = answer.refusals if isinstance(answer, OracleAnswer) else ()
    return {refusal.index for refusal in refusals if refusal.reason == ClaimReason.EVIDENCE_MISSING}
