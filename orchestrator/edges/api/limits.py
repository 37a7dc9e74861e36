"""Bounds every request body in bytes and time before anything parses it, chunked ones too."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from device_adapters.types import Rejected
from orchestrator.edges.api.catalogue import ProblemCode
from orchestrator.edges.api.problems import answer, document

PATIENCE_S = 30.0


class BodyLimit:
    """ASGI middleware. max_bytes: of one body; patience_s: how long a whole body may take.

    A declared length beyond the limit is refused unread; an undeclared one as soon as it passes.
    """

    def __init__(self, app: ASGIApp, max_bytes: int, patience_s: float = PATIENCE_S) -> None:
        self._app, self._max_bytes, self._patience_s = app, max_bytes, patience_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        length = Request(scope).headers.get("content-length", "0")
        # a length that is no number is refused by the server, before anything of ours
        if length.isdigit() and (len(length) > 18 or int(length) > self._max_bytes):
            problem = document(ProblemCode.BODY_TOO_LARGE, _beyond(self._max_bytes), scope["path"])
            await answer(problem)(scope, receive, send)
            return
        body = _Bounded(receive, self._max_bytes, self._patience_s)
        await self._app(scope, body.receive, send)


class _Bounded:
    """One body on its way in; raises Rejected inside the app, which answers with a problem."""

    def __init__(self, receive: Receive, max_bytes: int, patience_s: float) -> None:
        self._receive, self._max_bytes, self._left = receive, max_bytes, max_bytes
        self._patience_s, self._deadline, self._whole = patience_s, 0.0, False

    async def receive(self) -> Message:
        if self._whole:  # what follows the body is only news of the connection
            return await self._receive()
        self._deadline = self._deadline or asyncio.get_running_loop().time() + self._patience_s
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError:
            detail = f"not whole after {self._patience_s:g} s"
            raise Rejected(ProblemCode.BODY_TOO_SLOW, detail) from None
        self._left -= len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        if self._left < 0:
            raise Rejected(ProblemCode.BODY_TOO_LARGE, _beyond(self._max_bytes))
        return message


def _beyond(limit: int) -> str:
    return f"at most {limit} bytes are taken"
