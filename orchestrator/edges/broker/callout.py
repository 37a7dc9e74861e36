"""Answers the server, for each new connection, who it is and what it may do."""

from __future__ import annotations

import json
import logging
from typing import Any

from nats.aio.client import Client
from nats.aio.msg import Msg

from orchestrator.edges.broker import access
from orchestrator.edges.broker.credentials import Credential
from orchestrator.edges.broker.guard import Guard
from orchestrator.edges.broker.server import ACCOUNT
from orchestrator.edges.broker.tokens import Issuer

_RIGHTS_SECONDS = 24 * 3600  # then the server ends the connection, and the client comes again
_ANSWER_SECONDS = 10
_log = logging.getLogger(__name__)


class Callout:
    """Admits connections by the credentials file, and ends those whose credential changed."""

    def __init__(self, system: Client, guard: Guard, issuer: Issuer) -> None:
        self._system, self._guard, self._issuer = system, guard, issuer
        self._connections: dict[int, tuple[str, Credential]] = {}
        self._server_id = ""

    async def start(self) -> None:
        """Begin to answer the server's questions."""
        await self._system.subscribe("$SYS.REQ.USER.AUTH", cb=self._answer)
        await self._system.subscribe(f"$SYS.ACCOUNT.{ACCOUNT}.DISCONNECT", cb=self._forget)
        await self._system.flush()  # without it the first requests would find no service

    async def end_changed(self) -> None:
        """End each connection whose credential was revoked or replaced."""
        self._guard.refresh()
        for number, (name, credential) in list(self._connections.items()):
            if self._guard.credentials.get(name) != credential:
                _log.warning("%s: the credential changed, its connection ends", name)
                await self._kick(number)

    async def _kick(self, number: int) -> None:
        """End a connection, if it is still there."""
        subject = f"$SYS.REQ.SERVER.{self._server_id}.KICK"
        body = json.dumps({"cid": number}).encode()
        await self._system.request(subject, body, timeout=_ANSWER_SECONDS)
        self._connections.pop(number, None)

    async def _answer(self, request: Msg) -> None:
        """Answer one request; without an answer the server refuses after its own time limit."""
        try:
            server_curve = request.headers["Nats-Server-Xkey"]
            asked = self._issuer.open(request.data, server_curve)["nats"]
            server, user = asked["server_id"]["id"], asked["user_nkey"]
            granted = self._granted(asked["connect_opts"], asked["client_info"], user)
            content = {"jwt": granted} if granted else {"error": "name, password or client id"}
            token = self._issuer.sign("authorization_response", user, server, content)
            self._server_id = server
            await request.respond(self._issuer.seal(token, server_curve))
        except Exception:  # a stranger's first bytes may cause any error
            _log.exception("a connection could not be judged")

    def _granted(self, given: dict[str, Any], client: dict[str, Any], user: str) -> str | None:
        """Return the signed rights of a connection, or None if it is refused."""
        name, password = given.get("user"), given.get("pass")
        credential = self._guard.admit(name, password)
        if credential is None:
            _log.info("refused %r: name or password", name)
            return None
        protocol, client_id = client.get("type", ""), client.get("mqtt_id", "")
        if not access.may_connect(name, credential.role, protocol, client_id):
            _log.warning("refused %s: protocol %r, client id %r", name, protocol, client_id)
            return None
        self._connections[client["id"]] = name, credential
        rights = access.rights_of(name, credential.role)
        content = {
            "name": name,
            "seconds": _RIGHTS_SECONDS,
            "pub": {"allow": list(rights.publish)},
            "sub": {"allow": list(rights.subscribe)},
            "subs": -1,
            "data": -1,
            "payload": -1,
        }
        return self._issuer.sign("user", user, ACCOUNT, content)

    async def _forget(self, event: Msg) -> None:
        self._connections.pop(json.loads(event.data)["client"]["id"], None)
