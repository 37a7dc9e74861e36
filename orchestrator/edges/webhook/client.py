"""Posts a signed message to a checked address, follows no redirect, and never waits for long."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException

from orchestrator.core.effect_delivery import DELIVERED, DeliveryVerdict, TargetAnswer
from orchestrator.edges.webhook.address import ReachPolicy, WebhookEndpoint, read_url, resolve
from orchestrator.edges.webhook.signing import signed_headers

_PATIENCE_S = 8.0  # for one try, all together
_LATER = (408, 425, 429)  # the receiver takes nothing now; so do all from 500 on


@dataclass(frozen=True)
class WebhookTarget:
    """One receiver. secret: shared with it (never logged)."""

    url: str
    secret: str = field(repr=False)
    policy: ReachPolicy = field(default_factory=ReachPolicy)
    patience_s: float = _PATIENCE_S

    def deliver(self, identity: str, name: str, body: bytes, now: int) -> TargetAnswer:
        """Post one message; never raise for what the receiver or its network does.

        Args:
            identity: Id of the effect.
            name: Not used: a webhook has no file name.
            body: What is sent.
            now: Unix seconds.
        """
        endpoint = read_url(self.url, self.policy)
        if isinstance(endpoint, str):
            return TargetAnswer(DeliveryVerdict.UNREACHABLE, f"its URL may not be used: {endpoint}")
        headers = {"Content-Type": "application/json", "User-Agent": "proofrail"}
        try:
            headers |= signed_headers(self.secret, identity, now, body)
        except ValueError:  # its text may show the secret
            detail = "not sent: its secret is damaged; restore it from a backup"
            return TargetAnswer(DeliveryVerdict.UNREACHABLE, detail)
        try:
            return _answer_of(self._post(endpoint, headers, body))
        except PermissionError as error:
            return TargetAnswer(DeliveryVerdict.UNREACHABLE, f"not sent: {error}")
        # errors of TLS are OSErrors; a name that no resolver takes is a ValueError
        except (OSError, HTTPException, ValueError) as error:
            detail = str(error)[:200] or type(error).__name__
            return TargetAnswer(DeliveryVerdict.UNREACHABLE, f"no answer: {detail}")

    def _post(self, endpoint: WebhookEndpoint, headers: dict[str, str], body: bytes) -> int:
        address = resolve(endpoint, self.policy)
        connection = _CheckedConnection(endpoint, address, self.patience_s)
        timer = threading.Timer(self.patience_s, connection.cut)
        timer.daemon = True
        timer.start()
        try:
            connection.request("POST", endpoint.path, body, headers)
            status = connection.getresponse().status  # the answer's body is not read
            connection.require_whole()
            return status
        finally:
            timer.cancel()
            connection.close()


def _answer_of(status: int) -> TargetAnswer:
    if 200 <= status < 300:
        return DELIVERED
    if 300 <= status < 400:
        return TargetAnswer(
            DeliveryVerdict.REFUSED,
            f"it answered {status}, and no redirect is followed: correct the URL",
        )
    is_later = status in _LATER or status >= 500
    verdict = DeliveryVerdict.UNREACHABLE if is_later else DeliveryVerdict.REFUSED
    return TargetAnswer(verdict, f"it answered {status}")


class _CheckedConnection(HTTPConnection):
    """A connection to the address that was checked, under the name of the URL."""

    def __init__(self, endpoint: WebhookEndpoint, address: str, timeout_s: float) -> None:
        super().__init__(endpoint.host, endpoint.port, timeout=timeout_s)
        self._endpoint, self._address = endpoint, address
        self._is_cut = False

    def connect(self) -> None:
        """Connect to the checked address; the certificate has to be for the URL's name."""
        plain = socket.create_connection((self._address, self.port), self.timeout)
        self.sock = plain
        if self._endpoint.is_tls:
            self.sock = ssl.create_default_context().wrap_socket(
                plain, server_hostname=self._endpoint.host, do_handshake_on_connect=False
            )
            self.sock.do_handshake()  # now, so that `cut` can end a slow one
        self.require_whole()

    def require_whole(self) -> None:
        """Raise TimeoutError after `cut`: what was read looks whole, since headers end with it."""
        if self._is_cut:
            raise TimeoutError("it is too slow")

    def cut(self) -> None:
        """End the connection: a receiver that drips its answer in would hold up the rest."""
        self._is_cut = True
        if self.sock is not None:
            with suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)
