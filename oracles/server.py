"""The oracle's HTTP server: loopback only, one bearer token, strict JSON, bounded bodies."""

from __future__ import annotations

import json
import logging
import threading
from hmac import compare_digest
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from device_adapters.types import Reason, Rejected

from .node import OracleNode
from .types import ClaimReason
from .wire import MAX_BODY_BYTES, read_request, write_answer

_log = logging.getLogger(__name__)
_IDLE_S = 30  # after that, a silent connection is closed


class OracleServer:
    """Serves one oracle on 127.0.0.1. Port 0 picks a free port; `port` is the one in use."""

    def __init__(self, node: OracleNode, token: str, port: int = 0) -> None:
        if len(token) < 16:
            raise ValueError("a bearer token has at least 16 characters")
        handler = type("Handler", (OracleHandler,), {"node": node, "token": token.encode()})
        self._server = ThreadingHTTPServer(("127.0.0.1", port), handler)
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)

    def start(self) -> None:
        """Start to serve in a thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop; a request that is still running has stored its claims before it answers."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class OracleHandler(BaseHTTPRequestHandler):
    """Answers GET /health and POST /attest."""

    node: OracleNode
    token: bytes
    timeout = _IDLE_S
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "oracle", ""

    def do_GET(self) -> None:
        if self.path != "/health":
            return self._refuse(HTTPStatus.NOT_FOUND, "not_found", "there is /health and /attest")
        if self._authorised():
            self._guarded(lambda: json.dumps(self.node.health()).encode())
        return None

    def do_POST(self) -> None:
        if self.path != "/attest":
            return self._refuse(HTTPStatus.NOT_FOUND, "not_found", "there is /health and /attest")
        if not self._authorised():
            return None
        body = self._body()
        if body is not None:
            self._guarded(lambda: write_answer(self.node.attest(read_request(body))))
        return None

    def _authorised(self) -> bool:
        header = self.headers.get("Authorization", "").encode("utf-8", "replace")
        if compare_digest(header, b"Bearer " + self.token):
            return True
        self._refuse(HTTPStatus.UNAUTHORIZED, ClaimReason.UNAUTHORISED, "a bearer token is needed")
        return False

    def _body(self) -> bytes | None:
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            self._refuse(HTTPStatus.LENGTH_REQUIRED, Reason.MALFORMED, "Content-Length is needed")
        elif len(length) > 9 or int(length) > MAX_BODY_BYTES:
            detail = f"at most {MAX_BODY_BYTES} bytes are taken"
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, Reason.TOO_LARGE, detail)
        else:
            return self.rfile.read(int(length))
        return None

    def _guarded(self, answer: Any) -> None:
        """Send the answer; after an internal error, ask the caller to try again (503)."""
        try:
            self._send(HTTPStatus.OK, answer())
        except Rejected as refusal:
            self._refuse(HTTPStatus.BAD_REQUEST, refusal.reason, refusal.detail)
        except Exception as error:
            _log.exception("a request could not be answered")
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", type(error).__name__)

    def _refuse(self, status: HTTPStatus, reason: str, detail: str) -> None:
        self.close_connection = True  # or an unread body would be read as the next request
        self._send(status, json.dumps({"reason": reason, "detail": detail}).encode())

    def _send(self, status: HTTPStatus, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        _log.debug(format, *args)
