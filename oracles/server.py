"""The oracle's HTTP server: one bearer token, strict JSON, bounded bodies, TLS beyond loopback."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hmac import compare_digest
from http import HTTPStatus
from pathlib import Path
from typing import Any, Protocol

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from device_adapters.types import Reason, Rejected

from .rulings import SignedRuling
from .types import ClaimReason
from .wire import (
    MAX_BODY_BYTES,
    OracleAnswer,
    Request,
    read_request,
    write_answer,
    write_rulings,
)

_log = logging.getLogger(__name__)
_IDLE_S = 30  # after that, a silent connection is closed
_GRACE_S, _BODY_S = 10, 30
_BACKLOG = 128


class Attesting(Protocol):
    """What is served, as `oracles.node.OracleNode`."""

    def attest(self, request: Request) -> OracleAnswer: ...
    def health(self) -> dict[str, Any]: ...
    def rulings(self) -> list[SignedRuling]: ...


@dataclass(frozen=True)
class Listen:
    """Where a server listens.

    Attributes:
        port: 0 picks a free one.
        certificate: PEM of its certificate chain; None: no TLS, which only loopback may do.
        key: PEM of its private key.
        client_ca: PEM of the authorities whose clients may connect; None: any client.
    """

    host: str = "127.0.0.1"
    port: int = 0
    certificate: Path | None = None
    key: Path | None = None
    client_ca: Path | None = None

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("TLS needs a certificate and its key: give both, or none")
        if self.client_ca is not None and self.certificate is None:
            raise ValueError("client certificates need TLS: give a certificate and its key")
        if self.certificate is None and not is_loopback(self.host):
            raise ValueError(
                f"{self.host} is reachable from other machines, and nothing goes there without "
                "TLS: give a certificate and its key, or listen on 127.0.0.1"
            )

    def tls_options(self) -> dict[str, Any]:
        """Return uvicorn's options for TLS."""
        if self.certificate is None:
            return {}
        options: dict[str, Any] = {"ssl_certfile": self.certificate, "ssl_keyfile": self.key}
        if self.client_ca is not None:
            options |= {"ssl_ca_certs": str(self.client_ca), "ssl_cert_reqs": ssl.CERT_REQUIRED}
        return options

    @property
    def scheme(self) -> str:
        return "https" if self.certificate else "http"

    def open(self) -> socket.socket:
        """Return the listening socket; from here on callers wait and are not refused.

        Raises:
            OSError: The port is taken, or the address is not this machine's; the text says which.
        """
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        # asyncio sets TCP_NODELAY only where the protocol is named; without it answers wait 40 ms
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((self.host, self.port))
            listener.listen(_BACKLOG)
        except OSError as error:
            listener.close()
            place = f"{self.host}:{self.port}"
            raise OSError(error.errno, f"cannot listen on {place}: {error.strerror}") from error
        return listener


def is_loopback(host: str) -> bool:
    """Return whether a host name or address is this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class OracleServer:
    """Serves one oracle: GET /health, GET /rulings, POST /attest; `port` is the one in use.

    Args:
        node: What answers.
        token: The bearer token that every caller needs.
        listen: Address and TLS.
        options: More options of uvicorn.Config, such as a protocol that bounds connections.
    """

    def __init__(
        self,
        node: Attesting,
        token: str,
        listen: Listen | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        if len(token) < 16:
            raise ValueError("a bearer token has at least 16 characters")
        listen = listen or Listen()
        self._listener = listen.open()
        self.port: int = self._listener.getsockname()[1]
        self.url = f"{listen.scheme}://{listen.host}:{self.port}"
        config = uvicorn.Config(
            oracle_app(node, token.encode()),
            **{"http": "h11", "ws": "none", **(options or {})},
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_keep_alive=_IDLE_S,
            timeout_graceful_shutdown=_GRACE_S,
            **listen.tls_options(),
        )
        config.load()  # a wrong certificate is an error of the start, not of a thread
        self._server = uvicorn.Server(config)
        self._server.install_signal_handlers = lambda: None
        self._thread = threading.Thread(target=self._run, name="serve", daemon=True)

    def start(self) -> None:
        """Start to serve in a thread; callers already wait at the listening socket."""
        self._thread.start()

    def stop(self) -> None:
        """Stop; a request that is still running has stored its claims before it answers."""
        self._server.should_exit = True
        self._thread.join()
        self._listener.close()

    def _run(self) -> None:
        self._server.run(sockets=[self._listener])


def oracle_app(node: Attesting, token: bytes) -> Starlette:
    """Return the application of one oracle."""

    async def health(request: HttpRequest) -> Response:
        return _unauthorised(request, token) or await _answered(
            lambda: json.dumps(node.health()).encode()
        )

    async def rulings(request: HttpRequest) -> Response:
        return _unauthorised(request, token) or await _answered(
            lambda: write_rulings(node.rulings())
        )

    async def attest(request: HttpRequest) -> Response:
        refusal = _unauthorised(request, token) or _unusable(request)
        if refusal is not None:
            return refusal
        try:
            async with asyncio.timeout(_BODY_S):
                body = await request.body()
        except TimeoutError:
            detail = f"incomplete after {_BODY_S} s"
            return _refused(HTTPStatus.REQUEST_TIMEOUT, Reason.TRUNCATED, detail)
        return await _answered(lambda: write_answer(node.attest(read_request(body))))

    return Starlette(
        routes=[
            Route("/health", health, methods=["GET"]),
            Route("/rulings", rulings, methods=["GET"]),
            Route("/attest", attest, methods=["POST"]),
        ],
        exception_handlers={HTTPException: _not_found},
    )


def _refused(status: HTTPStatus, reason: str, detail: str) -> Response:
    """Refuse a request and close its connection, so that no unread body is taken for the next."""
    content = json.dumps({"reason": reason, "detail": detail}).encode()
    return _json(content, status, {"Connection": "close"})


async def _not_found(_request: HttpRequest, _error: Exception) -> Response:
    detail = "there is GET /health, GET /rulings and POST /attest"
    return _refused(HTTPStatus.NOT_FOUND, "not_found", detail)


def _unauthorised(request: HttpRequest, token: bytes) -> Response | None:
    header = request.headers.get("authorization", "").encode("utf-8", "replace")
    if compare_digest(header, b"Bearer " + token):
        return None
    detail = "a bearer token is needed"
    return _refused(HTTPStatus.UNAUTHORIZED, ClaimReason.UNAUTHORISED, detail)


def _unusable(request: HttpRequest) -> Response | None:
    """Refuse a body without a length, or with one above the limit, unread."""
    length = request.headers.get("content-length", "")
    if not (length.isascii() and length.isdigit()):
        detail = "Content-Length is needed"
        return _refused(HTTPStatus.LENGTH_REQUIRED, Reason.MALFORMED, detail)
    if len(length) > 9 or int(length) > MAX_BODY_BYTES:
        detail = f"at most {MAX_BODY_BYTES} bytes are taken"
        return _refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, Reason.TOO_LARGE, detail)
    return None


async def _answered(work: Callable[[], bytes]) -> Response:
    """Answer with the result; after an internal error, ask the caller to try again (503)."""
    try:
        return _json(await run_in_threadpool(work))
    except Rejected as refusal:
        return _refused(HTTPStatus.BAD_REQUEST, refusal.reason, refusal.detail)
    except Exception as error:
        _log.exception("a request could not be answered")
        return _refused(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", type(error).__name__)


def _json(
    body: bytes, status: HTTPStatus = HTTPStatus.OK, headers: Mapping[str, str] | None = None
) -> Response:
    return Response(body, status, headers, media_type="application/json")
