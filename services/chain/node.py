"""The keeper's connections to its anvil, kept open and shared by threads."""

from __future__ import annotations

import json
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from orchestrator.errors import Retry

_CONNECTIONS = 40  # as many as threads forward calls
_TIMEOUT_S = 120  # a dump of a long chain takes seconds
_JSON = {"Content-Type": "application/json"}


class NodeLink:
    """anvil at `url`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy between two processes of one machine
        self._session.mount("http://", HTTPAdapter(pool_maxsize=_CONNECTIONS))

    def post(self, body: bytes) -> bytes:
        """Return anvil's answer to a body, as it is.

        Raises:
            Retry: there is none.
        """
        try:
            return self._session.post(
                self.url, data=body, headers=_JSON, timeout=_TIMEOUT_S
            ).content
        except requests.RequestException as error:
            raise Retry(f"anvil does not answer: {error}") from error

    def ask(self, *calls: tuple[str, list[Any]]) -> list[Any]:
        """Return the results of a batch.

        Raises:
            Retry: one of them is an error.
        """
        batch = [
            {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
            for number, (method, params) in enumerate(calls)
        ]
        try:
            answers = sorted(json.loads(self.post(json.dumps(batch).encode())), key=_number)
            return [answer["result"] for answer in answers]
        except (ValueError, KeyError, TypeError) as error:
            raise Retry(f"anvil answered {calls[0][0]} with no result: {error}") from error


def _number(answer: dict[str, Any]) -> int:
    return answer["id"]
