"""What the API is made of, handed in by whoever starts it; nothing here is global."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

from fastapi import Depends, Request

from device_adapters.types import Message
from orchestrator.core.receipt import Answered, Receipts
from orchestrator.edges.store import Session, Store
from orchestrator.settings import Settings


class AnsweredRecord(Answered, Protocol):
    """What one record is answered; `orchestrator.ingest.intake.RecordOutcome` is one."""

    @property
    def device(self) -> str: ...
    @property
    def detail(self) -> str: ...


class Takes(Protocol):
    """The one path of all inlets; `orchestrator.ingest.intake.Intake` is one."""

    def take(self, messages: Sequence[Message]) -> Sequence[Sequence[AnsweredRecord]]: ...


@dataclass(frozen=True)
class ApiParts:
    """store, intake, receipts: as the MQTT inlet has them. worker: its turns and halted steps.

    now: Unix seconds. trace: (session, any id) -> what is known of it, or Rejected (not_found,
    ambiguous); without it there is no route for traces.
    """

    store: Store
    intake: Takes
    receipts: Receipts
    worker: Callable[[], Mapping[str, Any]]
    settings: Settings
    now: Callable[[], float]
    trace: Callable[[Session, str], Mapping[str, Any]] | None = None


async def _parts(request: Request) -> ApiParts:
    return request.app.state.parts


Parts = Annotated[ApiParts, Depends(_parts)]
