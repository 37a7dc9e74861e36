"""The keeper's HTTP server: JSON-RPC at `/`, and `/health`."""

from __future__ import annotations

import socket

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from orchestrator.errors import Halt, Retry
from services.chain.keeper import Keeper

MAX_BODY_BYTES = 32 * 1024 * 1024  # a batch of 500 large settlements, sent again


def listener(host: str, port: int) -> socket.socket:
    """Return a socket that listens; callers wait until the server answers.

    Raises:
        Halt: The address is taken, or is none of this machine's.
    """
    # asyncio turns off Nagle's wait (40 ms per answer) only where the protocol is named
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
        bound.listen(128)
    except OSError as error:
        bound.close()
        raise Halt(
            f"the chain cannot listen on {host}:{port}: {error.strerror}. Nothing was started. "
            "Next: end the other program, or set another port in `rpc_url`."
        ) from error
    return bound


def app(keeper: Keeper) -> Starlette:
    """Return the application that serves a keeper's chain."""

    async def call(request: Request) -> Response:
        # a web page can send other types to this port without asking; this one it cannot
        if request.headers.get("content-type", "").split(";")[0].strip() != "application/json":
            return PlainTextResponse("send JSON-RPC as application/json\n", 415)
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                text = f"the body has more than {MAX_BODY_BYTES} bytes; send smaller batches\n"
                return PlainTextResponse(text, 413, {"Connection": "close"})
        try:
            answer = await run_in_threadpool(keeper.answer, bytes(body))
        except Retry as error:
            return PlainTextResponse(f"{error}\n", 502)
        return Response(answer, media_type="application/json")

    async def health(request: Request) -> Response:
        try:
            return JSONResponse(await run_in_threadpool(keeper.health))
        except Retry as error:
            return JSONResponse({"problem": str(error)}, 503)

    return Starlette(
        routes=[Route("/", call, methods=["POST"]), Route("/health", health, methods=["GET"])]
    )


def server(keeper: Keeper) -> uvicorn.Server:
    """Return the server of a keeper's chain; `should_exit` ends it."""
    config = uvicorn.Config(
        app(keeper),
        log_level="warning",
        access_log=False,
        timeout_keep_alive=75,  # clients poll more often, and find their connection open
        timeout_graceful_shutdown=5,
        lifespan="off",
    )
    http = uvicorn.Server(config)
    http.install_signal_handlers = lambda: None
    return http
