"""Liveness and readiness (without a key), and the status of the rail (with a key)."""

from __future__ import annotations

from fastapi import APIRouter, Response

from orchestrator.core.health import is_ready, problem_view
from orchestrator.edges.api.access import Reader
from orchestrator.edges.api.parts import Parts
from orchestrator.edges.api.schema import KEYED, OPEN, problems_of
from orchestrator.edges.api.views import (
    BlockView,
    Health,
    HealthProblemView,
    KeySet,
    Ready,
    StatusView,
)
from orchestrator.edges.api.wire import WaitingEffects
from orchestrator.edges.store import blocks, effects, payments, rejections

router = APIRouter(tags=["rail"])


@router.get("/health", responses=problems_of(*OPEN), summary="Liveness, without a key")
async def get_health() -> Health:
    """Answer while the process runs; this says nothing about the rail's work."""
    return Health(status="ok")


@router.get(
    "/ready",
    responses={503: {"model": Ready, "description": "Part of the rail's work has stopped"}}
    | problems_of(*OPEN),
    summary="Readiness, without a key",
)
async def get_ready(parts: Parts, response: Response) -> Ready:
    """Answer 200 while the rail does its work, else 503; with the names of all problems."""
    problems = parts.health()
    ready = is_ready(problems)
    response.status_code = 200 if ready else 503
    return Ready(ready=ready, problems=sorted({problem.name for problem in problems}))


@router.get(
    "/.well-known/jwks.json", responses=problems_of(*OPEN), summary="Public keys of receipts"
)
async def get_jwks(parts: Parts) -> KeySet:
    """Return the keys that check receipts (RFC 7517), the current one first, then former ones."""
    return KeySet(**parts.receipts.jwks)


@router.get("/v1/status", responses=problems_of(*KEYED), summary="Status of the rail")
def get_status(parts: Parts, caller: Reader) -> StatusView:
    """Return what is wrong, the worker's steps, counts by stage and reason, and newest blocks."""
    with parts.store.read() as session:
        head = blocks.newest(session)
        return StatusView(
            worker=dict(parts.worker()),
            stages=payments.open_counts(session),
            rejections=rejections.count_by_reason(session),
            head=head and BlockView(number=head.number, hash=head.hash),
            final_block=blocks.newest_final(session),
            effects=[
                WaitingEffects(
                    target=target.name,
                    waiting=target.waiting,
                    oldest_age_s=max(0, int(parts.now()) - target.oldest_at)
                    if target.waiting
                    else 0,
                    trouble=target.trouble,
                )
                for target in effects.states(session)
            ],
            problems=[HealthProblemView(**problem_view(item)) for item in parts.health()],
        )
