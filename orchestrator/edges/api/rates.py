"""Limits how many requests a key may send a minute, and how many wrong keys an address may try."""

from __future__ import annotations

from hashlib import sha256
from time import time

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter, WindowStats
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestrator.edges.api.catalogue import ProblemCode
from orchestrator.edges.api.problems import answer, document

_UNLIMITED = ("/health", "/ready")  # supervisors and load balancers ask often
_UNAUTHORISED = 401


class RequestRate:
    """ASGI middleware that answers 429 above a rate, with the time when to try again.

    A request counts for its API key, or without one for its address. A key that is refused counts
    for the address too, so that nobody can try many keys.

    Args:
        per_minute: Requests of one key, or of one address without a key.
        refused_per_minute: Requests of one address with a missing or unknown key.
    """

    def __init__(self, app: ASGIApp, per_minute: int, refused_per_minute: int) -> None:
        self._app = app
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._requests = RateLimitItemPerMinute(per_minute, namespace="requests")
        self._refused = RateLimitItemPerMinute(refused_per_minute, namespace="refused")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in _UNLIMITED:
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        address = request.client.host if request.client else ""
        key = request.headers.get("authorization", "")
        # a hash: the storage of counters is no place for keys
        caller = sha256(key.encode()).hexdigest() if key else address
        if not self._limiter.test(self._refused, address):
            stats = self._limiter.get_window_stats(self._refused, address)
            await self._refuse(scope, receive, send, stats, self._refused)
            return
        allowed = self._limiter.hit(self._requests, caller)
        stats = self._limiter.get_window_stats(self._requests, caller)
        if not allowed:
            await self._refuse(scope, receive, send, stats, self._requests)
            return

        async def send_counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                if message["status"] == _UNAUTHORISED:
                    self._limiter.hit(self._refused, address)
                MutableHeaders(scope=message).update(_headers(self._requests, stats))
            await send(message)

        await self._app(scope, receive, send_counted)

    async def _refuse(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        stats: WindowStats,
        limit: RateLimitItemPerMinute,
    ) -> None:
        detail = f"more than {limit.amount} {limit.namespace} in a minute"
        problem = document(ProblemCode.TOO_MANY_REQUESTS, detail, scope["path"])
        headers = _headers(limit, stats) | {"Retry-After": str(_seconds(stats))}
        await answer(problem, headers)(scope, receive, send)


def _headers(limit: RateLimitItemPerMinute, stats: WindowStats) -> dict[str, str]:
    return {
        "RateLimit-Limit": str(limit.amount),
        "RateLimit-Remaining": str(max(0, stats.remaining)),
        "RateLimit-Reset": str(_seconds(stats)),
    }


def _seconds(stats: WindowStats) -> int:
    """Return the whole seconds until the window allows a request again, at least one."""
    return max(1, int(stats.reset_time - time()) + 1)
