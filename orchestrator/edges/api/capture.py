"""POST /capture of EPCIS 2.0: takes a signed document, JSON or XML, and returns a capture job."""

from __future__ import annotations

import json
import re
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
_JOB = "capture {id}"  # with a blank, which no Idempotency-Key has
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
    "@context": {"proofrail": "urn:proofrail:voc:"},  # in addition to the standard context
    "type": "ObjectEvent",
    "action": "OBSERVE",
    "bizStep": "receiving",
    "eventTime": "2026-03-02T07:30:00Z",
    "eventTimeZoneOffset": "+01:00",
    "epcList": ["urn:epc:id:sscc:4012345.0111111111"],
    "readPoint": {"id": "urn:epc:id:sgln:4012345.00011.0"},
}
_MEDIA = (JSON, "application/ld+json")
_XML_MEDIA = ("application/xml", "text/xml")
_XML = {"schema": {"type": "string", "description": "an EPCISDocument of EPCIS 1.0 to 2.0 in XML"}}
_JSON_VERSION = re.compile(r"2\.0(?:\.\S*)?", re.ASCII)
_XML_VERSION = re.compile(rf"1\.[0-2]|{_JSON_VERSION.pattern}", re.ASCII)
_BODY = {
    "requestBody": {
        "required": True,
        "content": {media: {"schema": {"type": "object"}, "example": _EXAMPLE} for media in _MEDIA}
        | dict.fromkeys(_XML_MEDIA, _XML),
    }
}
Version = Annotated[
    str | None, Header(max_length=20, description="2.0 or 2.0.x (XML: 1.x), if given")
]


async def _document(request: Request) -> Arrival:
    return await read_arrival(request, (*_MEDIA, *_XML_MEDIA), JSON)


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
    arrival: Annotated[Arrival, Depends(_document)],
    jws_signature: Annotated[
        str, Header(description="detached JWS (ES256) over the body as sent: header..signature")
    ] = "",
    gs1_epcis_version: Version = None,
    gs1_cbv_version: Version = None,
    gs1_epcis_capture_error_behaviour: Annotated[
        Literal["rollback", "proceed"],
        Header(description="stored; the document is one record either way"),
    ] = "rollback",
    idempotency_key: Annotated[
        str | None, Header(description="1 to 255 visible ASCII characters, such as a UUID")
    ] = None,
) -> Response:
    """Take one EPCISDocument, EPCISQueryDocument or event, signed by an enrolled device.

    The `JWS-Signature` header is the detached JWS; its protected header has the device (`kid`) and
    its increasing counter (`ctr`). One signature covers the whole document, so it is accepted or
    refused as a whole: `rollback` and `proceed` have the same effect. The result is committed
    before the answer: 202 with the finished job if the record is stored, else 422 with the reason
    as the problem's code. In both cases `Location` is the address of the job.
    """
    supported = _XML_VERSION if arrival.media in _XML_MEDIA else _JSON_VERSION
    for version in (gs1_epcis_version, gs1_cbv_version):
        if version and not supported.fullmatch(version.strip()):
            raise Rejected(
                ProblemCode.VERSION_UNSUPPORTED,
                f"version {version[:20]!r}; supported are 2.0, and 1.0 to 1.2 in XML",
            )
    signature = jws_signature.strip()
    body = (
        signature.encode("ascii", "replace") + b"\n" + arrival.body if signature else arrival.body
    )
    message = Message(PROTOCOL, "", body, source="http", scope=caller.scope or "")

    def act() -> tuple[int, str]:
        body_json = answers(parts, parts.intake.take([message]))
        if not body_json["records"]:
            raise Rejected(Reason.EMPTY, "the body is empty")
        return _finish(parts, caller.name, body_json, gs1_epcis_capture_error_behaviour)

    key, once = arrival.idempotency_key, request.app.state.once
    mark = arrival.fingerprint(f"{PROTOCOL}|{signature}")
    status, text = act() if key is None else once.answer(caller.name, key, mark, act)
    return _answer(status, text)


@router.get(
    "/capture/{capture_id}",
    summary="Get a capture job",
    response_model=CaptureJob,
    responses=_GET,
)
def get_capture(
    parts: Parts,
    caller: Submitter,
    capture_id: Annotated[str, Path(pattern="^[0-9a-f]{32}$", description="captureID")],
) -> Response:
    """Return a finished capture job; each caller sees only its own."""
    with parts.store.read() as session:
        stored = replies.find(session, caller.name, _JOB.format(id=capture_id))
    if stored is None:
        raise Rejected(ProblemCode.NOT_FOUND, f"you have no capture job {capture_id}")
    return Response(stored.answer, 200, _VERSIONS, media_type=JSON)


def _finish(
    parts: ApiParts, client: str, answer: dict[str, Any], error_behaviour: str
) -> tuple[int, str]:
    """Store the finished job; return (status, body) of the answer, with the job's id."""
    is_stored = all(record["event_id"] for record in answer["records"])
    errors = [] if is_stored else [problem_of(answer, "/capture")]
    at = datetime.fromtimestamp(int(parts.now()), UTC).isoformat().replace("+00:00", "Z")
    job = {
        "captureID": uuid4().hex,
        "createdAt": at,
        "finishedAt": at,
        "running": False,
        "success": is_stored,
        "captureErrorBehaviour": error_behaviour,
        "errors": errors,
        **answer,
    }
    key, text = _JOB.format(id=job["captureID"]), json.dumps(job)
    with parts.store.write() as session:
        replies.reserve(session, client, key, "")
        replies.keep(session, client, key, 200, text)
    if is_stored:
        return 202, text
    return errors[0]["status"], json.dumps(errors[0] | {"capture_id": job["captureID"]})


def _answer(status: int, text: str) -> Response:
    """Return the response with the EPCIS 2.0 headers; a problem's body has no job id."""
    body = json.loads(text)
    job = body["captureID"] if status == 202 else body.pop("capture_id")
    headers = {"Location": f"/capture/{job}", **_VERSIONS}
    media = JSON if status == 202 else MEDIA
    return Response(json.dumps(body), status, headers, media_type=media)
