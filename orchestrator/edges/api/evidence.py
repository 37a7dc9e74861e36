"""POST /v1/evidence: takes signed records; returns an event id or reason for each, and receipts."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request, Response

from orchestrator.core.receipt import ACCEPTED
from orchestrator.edges.api.access import Submitter
from orchestrator.edges.api.catalogue import ProblemCode, entry_of
from orchestrator.edges.api.parts import AnsweredRecord, ApiParts, Parts
from orchestrator.edges.api.problems import MEDIA, document
from orchestrator.edges.api.schema import EVIDENCE_BODY, KEYED, problems_of
from orchestrator.edges.api.submission import JSON, Arrival, arrival, messages_of
from orchestrator.edges.api.wire import Answers

router = APIRouter(tags=["evidence"])
_PROBLEMS = problems_of(
    *KEYED,
    ProblemCode.JSON_UNREADABLE,
    ProblemCode.IDEMPOTENCY_KEY_MALFORMED,
    ProblemCode.IDEMPOTENCY_KEY_REUSED,
    ProblemCode.MEDIA_TYPE_UNSUPPORTED,
    ProblemCode.CONTENT_CODING_UNSUPPORTED,
    ProblemCode.TRY_AGAIN_LATER,
    "signature_forged",
)


@router.post(
    "/v1/evidence",
    summary="Send signed records",
    response_model=Answers,
    responses=_PROBLEMS,
    openapi_extra=EVIDENCE_BODY,
)
def post_evidence(
    request: Request,
    parts: Parts,
    caller: Submitter,
    submission: Annotated[Arrival, Depends(arrival)],
    protocol: Annotated[
        str, Query(max_length=60, description="protocol of a body that is one record")
    ] = "ocmf",
    idempotency_key: Annotated[
        str | None, Header(description="1 to 255 visible ASCII characters, such as a UUID")
    ] = None,
) -> Response:
    """Take one record as the body, exactly as signed, or a JSON batch.

    A single record is answered with 200 if it is stored (accepted, duplicate, or genuine but not
    billable), else with 422 and the reason as the problem's code. Several records are always
    answered with 200 and one answer per record, in order. Everything is committed before the
    answer; `receipts` are the rail's signatures over it. With an `Idempotency-Key` the same request
    always gets the same bytes, and another request with that key gets 409.
    """
    messages = messages_of(submission, protocol, caller.scope or "")

    def act() -> tuple[int, str]:
        outcomes = parts.intake.take(messages)
        body = answers(parts, outcomes)
        alone = submission.media != JSON and len(body["records"]) == 1
        if alone and body["records"][0]["event_id"] is None:
            body = problem_of(body, request.url.path)
            return body["status"], json.dumps(body)
        return 200, json.dumps(body)

    key, once = submission.idempotency_key, request.app.state.once
    status, text = (
        act()
        if key is None
        else once.answer(caller.name, key, submission.fingerprint(protocol), act)
    )
    return Response(text, status, media_type=JSON if status == 200 else MEDIA)


def answers(parts: ApiParts, outcomes: Sequence[Sequence[AnsweredRecord]]) -> dict[str, Any]:
    """Return `Answers` as JSON for the outcomes of an intake, with receipts for each device."""
    by_device: dict[str, list[AnsweredRecord]] = defaultdict(list)
    for outcome in (outcome for outcomes_of_item in outcomes for outcome in outcomes_of_item):
        by_device[outcome.device].append(outcome)
    at = int(parts.now())
    return {
        "records": [
            _record(item, outcome)
            for item, outcomes_of_item in enumerate(outcomes)
            for outcome in outcomes_of_item
        ],
        "receipts": [
            {"device": device, "receipt": receipt.decode()}
            for device, outcomes_of_item in by_device.items()
            for receipt in parts.receipts.sign_all(device, outcomes_of_item, at)
        ],
    }


def _record(item: int, outcome: AnsweredRecord) -> dict[str, Any]:
    reason = None if outcome.outcome == ACCEPTED else str(outcome.outcome)
    return {
        "item": item,
        "evidence": outcome.evidence,
        "device": outcome.device,
        "counter": outcome.counter,
        "outcome": str(outcome.outcome),
        "event_id": outcome.event_id,
        "reason": reason,
        "detail": outcome.detail,
        "next_step": reason and entry_of(reason).next_step,
    }


def problem_of(body: dict[str, Any], path: str) -> dict[str, Any]:
    """Return the problem document of a single refused record, from its `Answers`."""
    record = body["records"][0]
    return document(record["reason"], record["detail"], path, **body)
