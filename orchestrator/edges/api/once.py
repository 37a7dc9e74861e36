"""Answers each (client, Idempotency-Key) once: the same request always gets the same answer."""

from __future__ import annotations

import threading
from collections.abc import Callable

from device_adapters.types import Rejected
from orchestrator.edges.api.catalogue import ProblemCode
from orchestrator.edges.store import Store, replies

_STRIPES = 64


class Once:
    """Reserves a key with its request before the work, and stores the answer after it.

    After a crash in between, the same request runs again: stored records are then answered as
    duplicates with the same event ids. Another request with the key is refused.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._locks = [threading.Lock() for _ in range(_STRIPES)]

    def answer(
        self, client: str, key: str, fingerprint: str, act: Callable[[], tuple[int, str]]
    ) -> tuple[int, str]:
        """Return (status, body), from `act` or from the stored answer.

        Raises:
            Rejected: idempotency_key_reused, if the key belongs to another request.
        """
        with self._locks[hash((client, key)) % _STRIPES]:
            with self._store.read() as session:
                reply = replies.find(session, client, key)
            if reply is None:
                with self._store.write() as session:
                    reply = replies.reserve(session, client, key, fingerprint)
            if reply.body_hash != fingerprint:
                detail = f"the key {key[:60]!r} was used with another body"
                raise Rejected(ProblemCode.IDEMPOTENCY_KEY_REUSED, detail)
            if reply.status != replies.PENDING:
                return reply.status, reply.answer
            status, body = act()
            with self._store.write() as session:
                replies.keep(session, client, key, status, body)
            return status, body
