"""Limits each request body in size and time before it is parsed, also chunked ones."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from device_adapters.types import Rejected
from orchestrator.edges.api.catalogue import ProblemCode
from orchestrator.edges.api.problems import answer, document

PATIENCE_S = 30.0


class BodyLimit:
    """ASGI middleware that limits request bodies.

    A declared length above the limit is refused unread; others as soon as they exceed it.

    Args:
        max_bytes: Limit of one body.
        patience_s: Limit for the time of a complete body.
    """

    def __init__(self, app: ASGIApp, max_bytes: int, patience_s: float = PATIENCE_S) -> None:
        self._app, self._max_bytes, self._patience_s = app, max_bytes, patience_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        length = Request(scope).headers.get("content-length", "0")
        # the server refuses a length that is not a number before this code runs
        if length.isdigit() and (len(length) > 18 or int(length) > self._max_bytes):
            problem = document(ProblemCode.BODY_TOO_LARGE, _beyond(self._max_bytes), scope["path"])
            await answer(problem)(scope, receive, send)
            return
        body = _Bounded(receive, self._max_bytes, self._patience_s)
        await self._app(scope, body.receive, send)


class _Bounded:
    """A body being received; raises Rejected inside the app, which answers with a problem."""

    def __init__(self, receive: Receive, max_bytes: int, patience_s: float) -> None:
        self._receive, self._max_bytes, self._left = receive, max_bytes, max_bytes
        self._patience_s, self._deadline, self._whole = patience_s, 0.0, False

    async def receive(self) -> Message:
        if self._whole:  # messages after the body concern the connection
            return await self._receive()
        self._deadline = self._deadline or asyncio.get_running_loop().time() + self._patience_s
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError:
            detail = f"incomplete after {self._patience_s:g} s"
            raise Rejected(ProblemCode.BODY_TOO_SLOW, detail) from None
        self._left -= len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        if self._left < 0:
            raise Rejected(ProblemCode.BODY_TOO_LARGE, _beyond(self._max_bytes))
        return message


def _beyond(limit: int) -> str:
    return f"the limit is {limit} bytes"
