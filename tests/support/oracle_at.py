"""One oracle for tests, over a folder; as a program, one that is killed before it answers."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from device_adapters import registry
from device_adapters.types import Event, Message
from oracles import rules
from oracles.attest import address_of, batch_digest, recover, sign
from oracles.memory import Memory
from oracles.node import Identity, OracleNode, OracleView
from oracles.readers import OWN, RecordReader
from oracles.types import Agreement, Batch, Claim, ClaimReason, Progress
from oracles.wire import Request, read_request, write_answer
from orchestrator.products.metered_energy import product
from tests.support.meter_streams import AGREEMENT, StreamKeys, agreement, message

CHAIN, RAIL, PRODUCT, COMMITTEE = 31337, *("0x" + digit * 40 for digit in "123")
KEY = b"\x11" * 32


class Opened(dict[bytes, Agreement]):
    """Agreements as on a chain: by id, in the order in which they were opened."""

    def agreement(self, identity: bytes) -> Agreement | None:
        return self.get(identity)

    def agreements_of(self, device: bytes) -> list[Agreement]:
        return [item for item in reversed(self.values()) if item.device_id == device]

    def agreements_about(self, subject: bytes) -> list[Agreement]:
        return [item for item in reversed(self.values()) if item.subject == subject]

    def agreements_hearing(self, device: bytes) -> list[Agreement]:
        return []  # an oracle routes nothing


def oracle(
    folder: Path,
    keys: StreamKeys | None = None,
    agreements: dict[bytes, Agreement] | None = None,
    progress: dict[bytes, Progress] | None = None,
    signer: Callable[[bytes], bytes] | None = None,
    reader: RecordReader = OWN,
) -> OracleNode:
    """Return an oracle whose chain has device M1 and one agreement for it, or the given ones."""
    identity = Identity(
        name="north",
        domain=1,
        address=address_of(KEY),
        sign=signer or partial(sign, private_key=KEY),
        chain_id=CHAIN,
        committee=COMMITTEE,
        rail=RAIL,
    )
    view = OracleView(
        keys=keys or StreamKeys({"M1"}),
        agreements=Opened(agreements or {AGREEMENT: agreement()}),
        progress=(progress or {}).get,
        products={product.NAME: (PRODUCT, product)},
    )
    return OracleNode(identity, view, Memory(folder / "oracle.sqlite3"), reader)


def events_of(*records: bytes) -> list[Event]:
    return [item for item in registry.read(message(*records)) if isinstance(item, Event)]


def claim_of(*records: bytes, sequence: int = 1, anchor: bytes | None = None) -> Claim:
    anchor_event = events_of(anchor)[0] if anchor else None
    return rules.derive_claim(agreement(), product, sequence, anchor_event, events_of(*records))


def ask(node, *claims: Claim, evidence: tuple[Message, ...] = (), anchors=None):
    return node.attest(Request(product.NAME, claims, anchors or {}, evidence))


def reasons(answer) -> list[tuple[int, ClaimReason]]:
    assert answer.signature is None
    return [(refusal.index, refusal.reason) for refusal in answer.refusals]


def recovered(node, answer, *claims: Claim) -> str:
    digest = batch_digest(Batch(RAIL, PRODUCT, claims), CHAIN, COMMITTEE)
    return recover(digest, answer.signature)


def _killed(_digest: bytes) -> bytes:
    """Stands for the signer: the claims are stored, but nothing was answered yet."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("not reached")


def main() -> None:
    """`oracle_at.py FOLDER kill|answer`: attest the request on stdin, answer on stdout."""
    folder, mode = sys.argv[1:]
    node = oracle(Path(folder), signer=_killed if mode == "kill" else None)
    sys.stdout.buffer.write(write_answer(node.attest(read_request(sys.stdin.buffer.read()))))


if __name__ == "__main__":
    main()
