"""A receiver of webhooks on loopback: it keeps what it gets, and answers as a test wants."""

from __future__ import annotations

import base64
import hmac
import threading
import time
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class WebhookReceiver:
    """`got` has (headers, body) of each whole request, `status` is what it answers.

    `drip_s`: pause in an answer without end; `cut_off` is set once its caller hung up.

    Its own check of signatures shares no code with the project.
    """

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.status, self.drip_s = 204, 0.0
        self.location, self.cut_off = "", threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if len(body) < int(self.headers["Content-Length"]):
                    return  # its sender died
                receiver.got.append(({k.lower(): v for k, v in self.headers.items()}, body))
                if receiver.drip_s:
                    self.wfile.write(b"HTTP/1.1 200 OK\r\n")
                    receiver.drip(self.wfile)
                    return
                self.send_response(receiver.status)
                if receiver.location:
                    self.send_header("Location", receiver.location)
                self.end_headers()

            def log_message(self, *_: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/effects?x=1"

    def drip(self, out: Any) -> None:
        """Answer without an end, until the caller hangs up."""
        try:
            while True:
                time.sleep(self.drip_s)
                out.write(b"x: y\r\n")
        except OSError:
            self.cut_off.set()

    def ids(self) -> list[str]:
        return [headers["webhook-id"] for headers, _ in self.got]

    def genuine(self, secret: str) -> bool:
        """Whether each request has the signature of this secret."""
        key = base64.b64decode(secret.split("_", 1)[1])
        return all(
            headers["webhook-signature"]
            == "v1,"
            + base64.b64encode(
                hmac.new(
                    key,
                    b".".join(
                        (
                            headers["webhook-id"].encode(),
                            headers["webhook-timestamp"].encode(),
                            body,
                        )
                    ),
                    sha256,
                ).digest()
            ).decode()
            for headers, body in self.got
        )

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
