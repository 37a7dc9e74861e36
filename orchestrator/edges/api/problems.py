"""Answers each error with an RFC 9457 problem document: stable code, cause and next step."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from device_adapters.types import Rejected
from orchestrator.edges.api.catalogue import ProblemCode, entry_of
from orchestrator.errors import Retry, passing_trouble

MEDIA = "application/problem+json"
URN = "urn:proofrail:problem:"
MAX_ERRORS = 20  # field errors in one document
_HEADERS = {
    401: {"WWW-Authenticate": 'Bearer realm="proofrail"'},
    408: {"Connection": "close"},  # an unread body must not be read as the next request
    413: {"Connection": "close"},
    503: {"Retry-After": "1"},
}
_OF_STATUS = {
    404: ProblemCode.ROUTE_UNKNOWN,
    405: ProblemCode.METHOD_NOT_ALLOWED,
    413: ProblemCode.BODY_TOO_LARGE,
    415: ProblemCode.MEDIA_TYPE_UNSUPPORTED,
}


def document(
    code: str, detail: str, instance: str, status: int | None = None, **members: Any
) -> dict[str, Any]:
    """Return the members of a problem document; `instance` is the requested path."""
    entry = entry_of(code)
    return {
        "type": URN + str(code),
        "title": entry.title,
        "status": status or entry.status,
        "detail": detail,
        "code": str(code),
        "next_step": entry.next_step,
        "instance": instance,
    } | members


def answer(problem: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    """Return a problem document as a response."""
    return Response(
        json.dumps(problem),
        problem["status"],
        media_type=MEDIA,
        headers=dict(headers or {}) | _HEADERS.get(problem["status"], {}),
    )


def install(app: FastAPI) -> None:
    """Make the app answer all its own and the framework's errors with a problem document."""
    app.add_exception_handler(Rejected, _rejected)
    app.add_exception_handler(Retry, _retry)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _framework)
    app.add_exception_handler(Exception, _bug)


async def _rejected(request: Request, error: Rejected) -> Response:
    return answer(document(error.reason, error.detail, request.url.path))


async def _retry(request: Request, error: Retry) -> Response:
    return answer(document(ProblemCode.TRY_AGAIN_LATER, str(error), request.url.path))


async def _invalid(request: Request, error: RequestValidationError) -> Response:
    errors = [
        {"field": ".".join(map(str, e["loc"])), "message": e["msg"]}
        for e in error.errors()[:MAX_ERRORS]
    ]
    detail = f"{errors[0]['field']}: {errors[0]['message']}"
    problem = document(ProblemCode.REQUEST_INVALID, detail, request.url.path, errors=errors)
    return answer(problem)


async def _framework(request: Request, error: HTTPException) -> Response:
    path, status = request.url.path, error.status_code
    code = _OF_STATUS.get(status, ProblemCode.REQUEST_FAILED)
    detail = f"{request.method} {path}: {HTTPStatus(status).phrase}"
    return answer(document(code, detail, path, status), error.headers)


async def _bug(request: Request, error: Exception) -> Response:
    """Hide the cause from the caller; the server logs it. A trouble that passes is no bug."""
    if passing_trouble(error) is not None:
        detail = f"this machine is short of something ({type(error).__name__})"
        return answer(document(ProblemCode.TRY_AGAIN_LATER, detail, request.url.path))
    detail = f"{request.method} failed because of a bug in proofrail"
    return answer(document(ProblemCode.INTERNAL_ERROR, detail, request.url.path))
