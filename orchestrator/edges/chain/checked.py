"""Reads blocks that prove themselves: headers by their hash, logs from receipts by their root.

A block is read once: what was checked stays in a cache by block hash. A block whose bloom filter
excludes our contracts costs its header alone.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from orchestrator.core.block_json import (
    CheckedHeader,
    CheckedReceipt,
    check_header,
    check_linked,
    check_receipts,
    check_transaction,
    check_transactions,
    has_logs_of,
    logs_in,
    outcomes,
)
from orchestrator.core.consensus_bytes import NodeFault, WrongAnswer
from orchestrator.edges.chain.nodes import Nodes, lacks_method, refusal
from orchestrator.errors import Retry

_KEPT_BLOCKS = 4_096  # some megabytes: far more than the blocks that are read again
_KEPT_CALLS = 64  # transactions with their call data, up to 100 kB each
_HEADERS_AT_ONCE, _BODIES_AT_ONCE = 1_000, 20
_BLOCK_RECEIPTS = "eth_getBlockReceipts"


@dataclass(slots=True)
class CheckedBlock:
    """A block as far as it was read and checked.

    Attributes:
        logs: Of our contracts, in the form of JSON-RPC; None: not read yet.
        receipts: Of all its transactions; None: not read yet.
    """

    header: CheckedHeader
    logs: list[dict[str, Any]] | None = None
    receipts: list[CheckedReceipt] | None = None


@dataclass
class BlockReader:
    """Reads checked blocks of the nodes; safe to use from several threads.

    Attributes:
        nodes: Where to ask.
        addresses: Our contracts, 20 bytes each.
    """

    nodes: Nodes
    addresses: frozenset[bytes]
    _blocks: OrderedDict[str, CheckedBlock] = field(default_factory=OrderedDict)
    _calls: OrderedDict[str, bytes] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def newest(self) -> CheckedHeader:
        """Return the header of the newest block."""
        return self._header("latest")

    def finalized(self) -> CheckedHeader:
        """Return the header of the newest block that the node itself calls final."""
        return self._header("finalized")

    def headers(self, numbers: Iterable[int]) -> list[CheckedHeader]:
        """Return headers by number; those with consecutive numbers follow each other.

        Raises:
            Retry: One has vanished, does not prove itself, or does not follow the one before.
        """
        wanted = list(numbers)
        calls = [("eth_getBlockByNumber", [hex(number), False]) for number in wanted]
        raw_blocks = self.nodes.rpc_many(calls)
        with self._checking():
            if None in raw_blocks:
                missing = wanted[raw_blocks.index(None)]
                text = f"block {missing} vanished while it was read, or the node lacks it"
                raise WrongAnswer(NodeFault.MISSING, text)
            headers = [
                check_header(raw, number) for raw, number in zip(raw_blocks, wanted, strict=True)
            ]
            for start, end in _runs(wanted):
                check_linked(headers[start:end])
        return [self._keep(header).header for header in headers]

    def hashes_at(self, number: int) -> dict[str, str | None]:
        """Return {node: hash of its block of that number}; None if it has none.

        Nodes that give no usable answer are left out; raise Retry if all are.
        """
        calls = [("eth_getBlockByNumber", [hex(number), False])]
        hashes: dict[str, str | None] = {}
        wrong = ""
        for name, [raw] in self.nodes.each(calls).items():
            try:
                hashes[name] = None if raw is None else check_header(raw, number).hash
            except WrongAnswer as error:
                wrong = f"{name}: {error}"
        if not hashes:
            raise Retry(wrong)
        return hashes

    def line(self, first: int, last: int, parent: str = "") -> list[CheckedHeader]:
        """Return the headers of a range, each the parent of the next.

        Those that are in the cache are found by their hash, from the last one back.

        Args:
            first: The first number.
            last: The last number.
            parent: The hash of the block before the first one; "": any.
        """
        [header] = self.headers([last])
        older = [header]
        while header.number > first and (known := self._blocks.get(header.parent)) is not None:
            header = known.header
            older.append(header)
        line = self.headers(range(first, header.number)) + older[::-1]
        with self._checking():
            check_linked(line)
            if parent and line[0].parent != parent:
                text = f"block {first} does not follow {parent}: the chain is rewinding"
                raise WrongAnswer(NodeFault.PARENT, text)
        return line

    def logs_between(self, first: int, last: int) -> Iterator[dict[str, Any]]:
        """Yield our contracts' logs of a range of blocks, oldest first, part by part."""
        parent = ""
        for start in range(first, last + 1, _HEADERS_AT_ONCE):
            line = self.line(start, min(start + _HEADERS_AT_ONCE - 1, last), parent)
            yield from self.logs(line)
            parent = line[-1].hash

    def logs(self, headers: Sequence[CheckedHeader]) -> list[dict[str, Any]]:
        """Return our contracts' logs of these blocks, in the form of JSON-RPC."""
        blocks = [self._keep(header) for header in headers]
        unread = [block for block in blocks if block.logs is None]
        for block in unread:
            if not block.header.may_hold(self.addresses):
                block.logs = []
        rest = [block for block in unread if block.logs is None]
        for start in range(0, len(rest), _BODIES_AT_ONCE):
            self._read(rest[start : start + _BODIES_AT_ONCE])
        return [log for block in blocks for log in block.logs or ()]

    def known(self, block_hash: str) -> CheckedHeader:
        """Return the header of a block by its hash."""
        block = self._blocks.get(block_hash)
        if block is not None:
            return block.header
        return self._headers_by_hash([block_hash])[0]

    def receipts(self, block_hashes: Iterable[str]) -> dict[str, CheckedReceipt]:
        """Return {transaction hash: its receipt} of whole blocks."""
        blocks = [self._keep(self.known(block_hash)) for block_hash in dict.fromkeys(block_hashes)]
        unread = [block for block in blocks if block.receipts is None]
        for start in range(0, len(unread), _BODIES_AT_ONCE):
            self._read(unread[start : start + _BODIES_AT_ONCE], every=True)
        return {item.tx_hash: item for block in blocks for item in block.receipts or ()}

    def body(self, header: CheckedHeader) -> tuple[dict[str, bytes], list[dict[str, Any]]]:
        """Return ({hash: consensus bytes} of the transactions, receipts) of a whole block."""
        [receipts] = self._checked_receipts([header])
        [transactions] = self._checked_transactions([(header, len(receipts))])
        return transactions, receipts

    def transaction(self, tx_hash: str) -> bytes:
        """Return the consensus bytes of a transaction, which have this hash."""
        return self.transactions([tx_hash])[0]

    def transactions(self, tx_hashes: Sequence[str]) -> list[bytes]:
        """Return the consensus bytes of transactions by hash; see `transaction`."""
        known = {tx_hash: self._calls.get(tx_hash) for tx_hash in tx_hashes}
        wanted = [tx_hash for tx_hash, raw in known.items() if raw is None]
        calls = [("eth_getTransactionByHash", [tx_hash]) for tx_hash in wanted]
        shown = self.nodes.rpc_many(calls) if calls else ()
        for tx_hash, transaction in zip(wanted, shown, strict=True):
            if transaction is None:
                raise Retry(f"the node does not show transaction {tx_hash}")
            with self._checking():
                known[tx_hash] = check_transaction(transaction, tx_hash)
            self._keep_call(tx_hash, known[tx_hash])
        return [known[tx_hash] for tx_hash in tx_hashes]

    # --- what is read of a node

    def _header(self, tag: str) -> CheckedHeader:
        [raw] = self.nodes.rpc_many([("eth_getBlockByNumber", [tag, False])])
        with self._checking():
            header = check_header(raw)
        if tag == "latest":
            self.nodes.used.saw_head(header.number)
        return self._keep(header).header

    def _headers_by_hash(self, hashes: Sequence[str]) -> list[CheckedHeader]:
        raw_blocks = self.nodes.rpc_many([("eth_getBlockByHash", [h, False]) for h in hashes])
        with self._checking():
            headers = [check_header(raw) for raw in raw_blocks]
            for header, block_hash in zip(headers, hashes, strict=True):
                if header.hash != block_hash:
                    text = f"the node gave block {header.hash} instead of {block_hash}"
                    raise WrongAnswer(NodeFault.NUMBER, text)
        return [self._keep(header).header for header in headers]

    def _read(self, blocks: Sequence[CheckedBlock], every: bool = False) -> None:
        """Read receipts, and the transactions of blocks that have logs of ours.

        Args:
            blocks: Blocks that are not read yet.
            every: The transactions of the other blocks too.
        """
        all_receipts = self._checked_receipts([block.header for block in blocks])
        full = []
        for block, receipts in zip(blocks, all_receipts, strict=True):
            if every or has_logs_of(receipts, self.addresses):
                full.append((block, receipts))
            else:
                block.logs = []
        all_transactions = self._checked_transactions(
            [(block.header, len(receipts)) for block, receipts in full]
        )
        for (block, receipts), transactions in zip(full, all_transactions, strict=True):
            block.receipts = outcomes(block.header, transactions, receipts)
            block.logs = logs_in(block.header, transactions, receipts, self.addresses)
            for log in block.logs:
                self._keep_call(log["transactionHash"], transactions[log["transactionHash"]])

    def _checked_receipts(self, headers: Sequence[CheckedHeader]) -> list[Any]:
        all_receipts = self._receipts_of([header.hash for header in headers])
        with self._checking():
            for header, receipts in zip(headers, all_receipts, strict=True):
                check_receipts(header, receipts)
        return all_receipts

    def _checked_transactions(
        self, wanted: Sequence[tuple[CheckedHeader, int]]
    ) -> list[dict[str, bytes]]:
        """Return {hash: consensus bytes} of whole blocks, given with their count of receipts."""
        calls = [("eth_getBlockByHash", [header.hash, True]) for header, _ in wanted]
        raw_blocks = self.nodes.rpc_many(calls) if calls else ()
        all_transactions = []
        with self._checking():
            for (header, count), raw in zip(wanted, raw_blocks, strict=True):
                if not isinstance(raw, dict):
                    text = f"the node no longer has block {header.hash}"
                    raise WrongAnswer(NodeFault.MISSING, text)
                all_transactions.append(check_transactions(header, raw.get("transactions"), count))
        return all_transactions

    def _receipts_of(self, hashes: Sequence[str]) -> list[Any]:
        """Return the receipts of whole blocks, unchecked; one by one from a node that must be."""
        endpoint = self.nodes.used
        if _BLOCK_RECEIPTS not in endpoint.lacks:
            answers = self.nodes.ask([(_BLOCK_RECEIPTS, [block_hash]) for block_hash in hashes])
            if not any(lacks_method(answer) for answer in answers):
                for answer in answers:
                    if (reason := refusal(answer)) is not None:
                        raise Retry(f"{_BLOCK_RECEIPTS}: {reason}")
                return [answer.get("result") for answer in answers]
            self.nodes.used.lacks.add(_BLOCK_RECEIPTS)
        raw_blocks = self.nodes.rpc_many([("eth_getBlockByHash", [h, False]) for h in hashes])
        if any(not isinstance(raw, dict) for raw in raw_blocks):
            raise WrongAnswer(NodeFault.MISSING, "the node no longer has a block that it showed")
        names = [[str(name) for name in raw.get("transactions") or ()] for raw in raw_blocks]
        flat = [("eth_getTransactionReceipt", [name]) for some in names for name in some]
        rest = iter(self.nodes.rpc_many(flat) if flat else ())
        return [[next(rest) for _ in some] for some in names]

    @contextmanager
    def _checking(self) -> Iterator[None]:
        """Let another node be asked first after an answer that does not prove itself."""
        try:
            yield
        except WrongAnswer as error:
            self.nodes.distrust(str(error))
            raise

    # --- the cache

    def _keep(self, header: CheckedHeader) -> CheckedBlock:
        with self._lock:
            block = self._blocks.setdefault(header.hash, CheckedBlock(header))
            self._blocks.move_to_end(header.hash)
            while len(self._blocks) > _KEPT_BLOCKS:
                self._blocks.popitem(last=False)
            return block

    def _keep_call(self, tx_hash: str, transaction: bytes) -> None:
        with self._lock:
            self._calls[tx_hash] = transaction
            self._calls.move_to_end(tx_hash)
            while len(self._calls) > _KEPT_CALLS:
                self._calls.popitem(last=False)


def _runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of the slices in which each number follows the one before."""
    start = 0
    for place in range(1, len(numbers) + 1):
        if place == len(numbers) or numbers[place] != numbers[place - 1] + 1:
            yield start, place
            start = place
