"""POST /capture as EPCIS 2.0 names it: a document in, a capture job out; signed like any record."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import uuid4

from fastapi import APIRouter, Depends, Header, Path, Request, Response

from device_adapters.types import Message, Reason, Rejected
from orchestrator.edges.api.access import Submitter
from orchestrator.edges.api.catalogue import ProblemCode
from orchestrator.edges.api.evidence import answers, problem_of
from orchestrator.edges.api.parts import ApiParts, Parts
from orchestrator.edges.api.problems import MEDIA
from orchestrator.edges.api.schema import KEYED, problems_of
from orchestrator.edges.api.submission import JSON, Arrival, read_arrival
from orchestrator.edges.api.wire import CaptureJob
from orchestrator.edges.store import replies

PROTOCOL = "epcis"
_VERSIONS = {"GS1-EPCIS-Version": "2.0.0", "GS1-CBV-Version": "2.0.0"}
_JOB = "capture {id}"  # a blank stands in no Idempotency-Key, so the two never meet
router = APIRouter(tags=["evidence"])
_POST = problems_of(
    *KEYED,
    ProblemCode.IDEMPOTENCY_KEY_MALFORMED,
    ProblemCode.IDEMPOTENCY_KEY_REUSED,
    ProblemCode.MEDIA_TYPE_UNSUPPORTED,
    ProblemCode.CONTENT_CODING_UNSUPPORTED,
    ProblemCode.TRY_AGAIN_LATER,
    ProblemCode.VERSION_UNSUPPORTED,
    Reason.EMPTY,
    Reason.SIGNATURE_MISSING,
    Reason.CODE_MALFORMED,
    "signature_forged",
)
_GET = problems_of(*KEYED, ProblemCode.NOT_FOUND)
_EXAMPLE = {
    "@context": {"proofrail": "urn:proofrail:voc:"},  # besides the standard one, by its address
    "type": "ObjectEvent",
    "action": "OBSERVE",
    "bizStep": "receiving",
    "eventTime": "2026-03-02T07:30:00Z",
    "eventTimeZoneOffset": "+01:00",
    "epcList": ["urn:epc:id:sscc:4012345.0111111111"],
    "readPoint": {"id": "urn:epc:id:sgln:4012345.00011.0"},
}
_MEDIA = (JSON, "application/ld+json")
_BODY = {
    "requestBody": {
        "required": True,
        "content": {media: {"schema": {"type": "object"}, "example": _EXAMPLE} for media in _MEDIA},
    }
}
Version = Annotated[str | None, Header(max_length=20, description="2.0 or 2.0.x, if given")]


async def _document(request: Request) -> Arrival:
    return await read_arrival(request, _MEDIA, JSON)


@router.post(
    "/capture",
    status_code=202,
    summary="Capture an EPCIS document",
    response_model=CaptureJob,
    responses=_POST,
    openapi_extra=_BODY,
)
def post_capture(
    request: Request,
    parts: Parts,
    caller: Submitter,
    given: Annotated[Arrival, Depends(_document)],
    jws_signature: Annotated[
        str, Header(description="detached JWS (ES256) over the body as sent: header..signature")
    ] = "",
    gs1_epcis_version: Version = None,
    gs1_cbv_version: Version = None,
    gs1_epcis_capture_error_behaviour: Annotated[
        Literal["rollback", "proceed"], Header(description="noted; the document is one record")
    ] = "rollback",
    idempotency_key: Annotated[
        str | None, Header(description="1 to 255 visible ASCII characters, such as a UUID")
    ] = None,
) -> Response:
    """Takes one EPCISDocument, EPCISQueryDocument or event, signed by an enrolled device.

    The `JWS-Signature` header holds the detached JWS; its protected header names the device (`kid`)
    and its rising number (`ctr`). One signature covers the whole document, so it is taken or
    refused as a whole: `rollback` and `proceed` come to the same. It is judged and committed before
    the answer: 202 with the finished job if the record is safe, else 422 with the reason as the
    problem's code. Either way `Location` is the job's address.
    """
    for asked in (gs1_epcis_version, gs1_cbv_version):
        if asked and asked.strip() != "2.0" and not asked.strip().startswith("2.0."):
            raise Rejected(
                ProblemCode.VERSION_UNSUPPORTED, f"version {asked[:20]!r}; 2.0.0 is spoken"
            )
    jws = jws_signature.strip()
    body = jws.encode("ascii", "replace") + b"\n" + given.body if jws else given.body
    message = Message(PROTOCOL, "", body, source="http", scope=caller.scope or "")

    def act() -> tuple[int, str]:
        told = answers(parts, parts.intake.take([message]))
        if not told["records"]:
            raise Rejected(Reason.EMPTY, "the body is empty")
        return _finish(parts, caller.name, told, gs1_epcis_capture_error_behaviour)

    key, once = given.idempotency_key, request.app.state.once
    mark = given.fingerprint(f"{PROTOCOL}|{jws}")
    status, text = act() if key is None else once.answer(caller.name, key, mark, act)
    return _answer(status, text)


@router.get(
    "/capture/{capture_id}",
    summary="The state of a capture job",
    response_model=CaptureJob,
    responses=_GET,
)
def get_capture(
    parts: Parts,
    caller: Submitter,
    capture_id: Annotated[str, Path(pattern="^[0-9a-f]{32}$", description="captureID")],
) -> Response:
    """A job as it ended; each caller sees its own."""
    with parts.store.read() as session:
        known = replies.find(session, caller.name, _JOB.format(id=capture_id))
    if known is None:
        raise Rejected(ProblemCode.NOT_FOUND, f"no capture job {capture_id} of yours")
    return Response(known.answer, 200, _VERSIONS, media_type=JSON)


def _finish(parts: ApiParts, client: str, told: dict[str, Any], manner: str) -> tuple[int, str]:
    """Keeps the finished job; (status, body) of the answer, the job's id in either."""
    safe = all(record["event_id"] for record in told["records"])
    errors = [] if safe else [problem_of(told, "/capture")]
    at = datetime.fromtimestamp(int(parts.now()), UTC).isoformat().replace("+00:00", "Z")
    job = {
        "captureID": uuid4().hex,
        "createdAt": at,
        "finishedAt": at,
        "running": False,
        "success": safe,
        "captureErrorBehaviour": manner,
        "errors": errors,
        **told,
    }
    key, text = _JOB.format(id=job["captureID"]), json.dumps(job)
    with parts.store.write() as session:
        replies.reserve(session, client, key, "")
        replies.keep(session, client, key, 200, text)
    if safe:
        return 202, text
    return errors[0]["status"], json.dumps(errors[0] | {"capture_id": job["captureID"]})


def _answer(status: int, text: str) -> Response:
    """Adds the headers of EPCIS 2.0; a problem's own body does not carry the job's id."""
    body = json.loads(text)
    job = body["captureID"] if status == 202 else body.pop("capture_id")
    headers = {"Location": f"/capture/{job}", **_VERSIONS}
    media = JSON if status == 202 else MEDIA
    return Response(json.dumps(body), status, headers, media_type=media)
