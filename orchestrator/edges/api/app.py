"""Assembles the API: routes, limits, problem documents and its own documentation."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from fastapi.routing import APIRoute

from orchestrator.edges.api import (
    capture,
    effects,
    evidence,
    health,
    holds,
    outcomes,
    party_calls,
    problems,
    reads,
    registration,
)
from orchestrator.edges.api.limits import BodyLimit
from orchestrator.edges.api.once import Once
from orchestrator.edges.api.page import PAGE_HEADERS, page
from orchestrator.edges.api.parts import ApiParts
from orchestrator.edges.api.rates import RequestRate
from orchestrator.edges.api.schema import DESCRIPTION, describe


def create_app(parts: ApiParts) -> FastAPI:
    """Return the app of one rail. Routes run in threads, because intake and store are synchronous.

    The page /docs is self-contained and loads nothing from other servers.
    """
    app = FastAPI(
        title="proofrail",
        version="1",
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # a redirect would be the only answer without a document
        generate_unique_id_function=_name,
    )
    app.state.parts, app.state.once = parts, Once(parts.store)
    settings = parts.settings
    app.add_middleware(BodyLimit, max_bytes=settings.max_body_bytes)
    app.add_middleware(
        RequestRate,
        per_minute=settings.api_requests_per_minute,
        refused_per_minute=settings.api_refused_per_minute,
    )
    problems.install(app)
    app.include_router(evidence.router)
    app.include_router(capture.router)
    app.include_router(reads.router)
    app.include_router(holds.router)
    app.include_router(outcomes.router)
    app.include_router(effects.router)
    if parts.trace is not None:
        app.include_router(reads.traces)
    if parts.party_calls is not None:
        app.include_router(party_calls.router)
    if parts.registration is not None:
        app.include_router(registration.router)
    app.include_router(health.router)
    describe(app)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(page(app.openapi()), headers=PAGE_HEADERS)

    return app


def _name(route: APIRoute) -> str:
    return route.name
