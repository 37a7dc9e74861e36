"""Answers each (client, Idempotency-Key) once: the same request gets the same answer, for ever."""

from __future__ import annotations

import threading
from collections.abc import Callable

from device_adapters.types import Rejected
from orchestrator.edges.api.catalogue import ProblemCode
from orchestrator.edges.store import Store, replies

_STRIPES = 64


class Once:
    """The key is reserved with its request before anything is done, the answer kept after it.

    Should we die in between, the same request is taken again: records that were stored are then
    answered as duplicates, with the same event ids; another request is refused as ever.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._locks = [threading.Lock() for _ in range(_STRIPES)]

    def answer(
        self, client: str, key: str, fingerprint: str, act: Callable[[], tuple[int, str]]
    ) -> tuple[int, str]:
        """(status, body), from `act` or from its first time.

        Raises Rejected (idempotency_key_reused) if the key stands for another request.
        """
        with self._locks[hash((client, key)) % _STRIPES]:
            with self._store.read() as session:
                known = replies.find(session, client, key)
            if known is None:
                with self._store.write() as session:
                    known = replies.reserve(session, client, key, fingerprint)
            if known.body_hash != fingerprint:
                detail = f"key {key[:60]!r} came with another body before"
                raise Rejected(ProblemCode.IDEMPOTENCY_KEY_REUSED, detail)
            if known.status != replies.PENDING:
                return known.status, known.answer
            status, body = act()
            with self._store.write() as session:
                replies.keep(session, client, key, status, body)
            return status, body
