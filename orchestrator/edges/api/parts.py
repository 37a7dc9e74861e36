"""The objects that the API uses, passed in by its caller; there is no global state."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

from fastapi import Depends, Request

from device_adapters.types import Message
from orchestrator.core.challenge import RecordFault
from orchestrator.core.health import HealthProblem
from orchestrator.core.receipt import Answered, Receipts
from orchestrator.edges.store import Session, Store
from orchestrator.settings import Settings


class AnsweredRecord(Answered, Protocol):
    """The outcome of one record, as in `orchestrator.ingest.intake.RecordOutcome`."""

    @property
    def device(self) -> str: ...
    @property
    def detail(self) -> str: ...


class Takes(Protocol):
    """The intake that all inlets share, as in `orchestrator.ingest.intake.Intake`."""

    def take(self, messages: Sequence[Message]) -> Sequence[Sequence[AnsweredRecord]]: ...


class Registers(Protocol):
    """What the API registers, as `orchestrator.operations.registration.Registration`."""

    def digest(self, device: str, owner: str) -> Mapping[str, Any]: ...
    def enrol(self, request: Mapping[str, Any]) -> Mapping[str, Any]: ...
    def save_party(self, request: Mapping[str, Any]) -> Mapping[str, Any]: ...
    def mandate(self, request: Mapping[str, Any]) -> Mapping[str, Any]: ...
    def open(self, request: Mapping[str, Any]) -> Mapping[str, Any]: ...


class MakesCalls(Protocol):
    """What parties sign, as `orchestrator.operations.party_calls.PartyCalls`."""

    def close(self, agreement: str, by: str | None) -> Mapping[str, Any]: ...
    def fund(self, agreement: str, amount_micro: int, by: str | None) -> Mapping[str, Any]: ...
    def skip(
        self, agreement: str, last_counter: int | None, signatures: Mapping[str, str | None]
    ) -> Mapping[str, Any]: ...
    def of_payment(self, payment: str, function: str) -> Mapping[str, Any]: ...
    def challenge(
        self,
        payment: str,
        fault: RecordFault | None,
        record: int | None,
        other: str | None,
        by: str | None,
    ) -> Mapping[str, Any]: ...
    def release(self, payee: str) -> Mapping[str, Any]: ...
    def withdraw(self, payee: str, amount_micro: int, to: str) -> Mapping[str, Any]: ...
    def repay(self, payee: str, amount_micro: int | None) -> Mapping[str, Any]: ...


@dataclass(frozen=True)
class ApiParts:
    """The objects that the API uses.

    Attributes:
        store: The same as the MQTT inlet's, as are intake and receipts.
        worker: Returns the worker's turns and halted steps.
        now: Returns Unix seconds.
        health: Returns what is wrong with the rail now.
        trace: (session, any id) -> its JSON view; raises Rejected (not_found, ambiguous). Without
            it there is no trace route.
        registration: What registers devices, parties and agreements. Without it there are no such
            routes.
        party_calls: What makes the calls that parties sign. Without it there are no such routes.
    """

    store: Store
    intake: Takes
    receipts: Receipts
    worker: Callable[[], Mapping[str, Any]]
    settings: Settings
    now: Callable[[], float]
    trace: Callable[[Session, str], Mapping[str, Any]] | None = None
    health: Callable[[], Sequence[HealthProblem]] = tuple
    registration: Registers | None = None
    party_calls: MakesCalls | None = None


async def _parts(request: Request) -> ApiParts:
    return request.app.state.parts


Parts = Annotated[ApiParts, Depends(_parts)]
