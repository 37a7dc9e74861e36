"""The writer into our log: a message that our broker refuses holds back none of the others."""

from __future__ import annotations

import asyncio

from device_adapters.inlets.log_writer import LogWriter


class RefusingClient:
    """Stands for a connection to a broker that takes 1,000 bytes of content and headers."""

    max_payload, is_connected = 1_000, True

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def jetstream(self, timeout: float):
        return self

    async def publish(self, subject: str, body: bytes, headers: dict) -> None:
        assert len(body) + 200 < self.max_payload, "the client refuses it, each time again"
        self.written.append(body)


def test_write__one_message_too_large__is_named_and_the_others_are_written(caplog):
    writer = LogWriter("127.0.0.1", 1, "collector", "secret")
    writer._client = client = RefusingClient()
    items = [("proofrail/a/evidence/ocmf", body) for body in (b"one", b"x" * 2_000, b"two")]
    asyncio.run(writer.write_all(items))
    assert client.written == [b"one", b"two"]
    assert "'proofrail/a/evidence/ocmf': 2000 bytes were not taken" in caplog.text
