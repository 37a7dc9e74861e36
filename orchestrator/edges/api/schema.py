"""Completes the OpenAPI document: all responses of each route, with problems and examples."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI

from orchestrator.edges.api.catalogue import ProblemCode, entry_of
from orchestrator.edges.api.problems import MEDIA, document
from orchestrator.edges.api.wire import EvidenceBatch, ProblemDocument

_REF = "#/components/schemas/{model}"
OPEN = (
    ProblemCode.BODY_TOO_LARGE,
    ProblemCode.BODY_TOO_SLOW,
    ProblemCode.TOO_MANY_REQUESTS,
    ProblemCode.INTERNAL_ERROR,
)  # of every route
KEYED = (
    *OPEN,
    ProblemCode.KEY_MISSING,
    ProblemCode.KEY_UNKNOWN,
    ProblemCode.ROLE_FORBIDDEN,
    ProblemCode.REQUEST_INVALID,
)

DESCRIPTION = """Takes signed device records; returns events, payments and the ledger.

Every error is a problem document (RFC 9457) whose `code` is stable. Amounts are strings of minor
units with their asset. Times are Unix seconds unless the name says milliseconds. Listings come in
pages: pass `next` of one page as `after` of the next. An unknown route is answered with 404
`route_unknown`, an unsupported method with 405 `method_not_allowed`.
"""

_SCHEMA = {"$ref": _REF.format(model=EvidenceBatch.__name__)}
_BATCH = EvidenceBatch.model_config["json_schema_extra"]["examples"][0]
_RECORD = _BATCH["records"][0]["record"]
EVIDENCE_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "text/plain": {"schema": {"type": "string"}, "example": _RECORD},
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            "application/json": {"schema": _SCHEMA, "example": _BATCH},
        },
    }
}


def problems_of(*codes: str) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a route with these codes, with one example for each."""
    responses: dict[int | str, dict[str, Any]] = {}
    for code in sorted(codes):
        entry = entry_of(code)
        response = responses.setdefault(
            entry.status,
            {
                "description": HTTPStatus(entry.status).phrase,
                "content": {
                    MEDIA: {
                        "schema": {"$ref": _REF.format(model=ProblemDocument.__name__)},
                        "examples": {},
                    }
                },
            },
        )
        example = document(code, "what happened in this case", "/the/path")
        response["content"][MEDIA]["examples"][str(code)] = {
            "summary": entry.title,
            "value": example,
        }
    return responses


def describe(app: FastAPI) -> None:
    """Replace the app's OpenAPI document with the completed one, built on first use."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        if not app.openapi_schema:
            schemas = plain()["components"]["schemas"]
            for unused in ("HTTPValidationError", "ValidationError"):
                schemas.pop(unused, None)
            for model in (EvidenceBatch, ProblemDocument):
                schema = model.model_json_schema(ref_template=_REF, by_alias=True)
                schemas.update(schema.pop("$defs", {}))
                schemas[model.__name__] = schema
        return app.openapi_schema

    app.openapi = openapi
