"""The client of a node: reads blocks and logs, sends signed bytes, and never guesses.

An RPC error does not mean that a send failed: its fate is yes, no or unknown, and only the chain's
own answer (a receipt, a used nonce) decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import requests
from web3 import Web3
from web3.exceptions import ContractCustomError, ContractLogicError, Web3Exception

from orchestrator.edges.chain.abi import DecodedLog, decode_log, error_selectors, event_topics
from orchestrator.edges.chain.artifacts import Artifact
from orchestrator.edges.chain.deployment import Deployment
from orchestrator.edges.chain.ethereum import LocalAccount
from orchestrator.errors import Halt, Retry

GAS_LIMIT = 16_777_216  # EIP-7825
TOO_MUCH_GAS = "needs more gas than one transaction may use"
TIP_WEI = 1_000_000_000
_KEPT_LOGS = 4_096  # decoded logs in memory: far more than the blocks hold that are read again
# refusals that may be about this very transaction: its outcome is open
_MAYBE_SENT = ("already known", "already imported", "known transaction", "nonce too low")


@dataclass(frozen=True, slots=True)
class SeenBlock:
    """A block as the node shows it; hashes are 0x-hex, timestamp is Unix seconds."""

    number: int
    hash: str
    parent: str
    timestamp: int


@dataclass(frozen=True, slots=True)
class Call:
    """A call to one of our contracts, by name."""

    contract: str
    function: str
    args: Sequence[Any]


@dataclass(frozen=True, slots=True)
class Quote:
    """An encoded call with its gas limit and fees (wei), ready to be signed with a nonce.

    Its nonce is the sender's lowest that no block has used; a store may know higher ones.
    """

    to: str
    data: str
    gas: int
    max_fee_wei: int
    tip_wei: int
    nonce: int


class Chain:
    """A node at `url`, checked to be the chain of `deployment` before anything is sent."""

    def __init__(
        self, url: str, deployment: Deployment, artifacts: dict[str, Artifact], timeout_s: int = 30
    ) -> None:
        self.url, self.deployment = url, deployment
        self._session = requests.Session()
        self._timeout_s = timeout_s
        self.web3 = Web3(Web3.HTTPProvider(url, session=self._session))
        self._contracts = {
            name: self.web3.eth.contract(address=address, abi=artifacts[name].abi)
            for name, address in deployment.addresses.items()
        }
        self._events = {
            (address.lower(), topic): abi
            for name, address in deployment.addresses.items()
            for topic, abi in event_topics(artifacts[name].abi)
        }
        self._topics = {
            (address, abi["name"]): topic for (address, topic), abi in self._events.items()
        }
        self._decoded_logs: dict[tuple[Any, ...], DecodedLog] = {}  # by all that a log is made of
        self._errors = dict(error_selectors(artifact.abi for artifact in artifacts.values()))

    # --- identity

    def check_identity(self) -> None:
        """Raise Halt unless the node's chain id, genesis and code are those of the deployment."""
        chain_id, genesis = self.rpc_many(
            [("eth_chainId", []), ("eth_getBlockByNumber", ["0x0", False])]
        )
        actual = (int(chain_id, 16), genesis["hash"])
        wanted = (self.deployment.chain_id, self.deployment.genesis)
        if actual != wanted:
            raise Halt(
                f"{self.url} is another chain: chain id and genesis are {actual}, the deployment "
                f"has {wanted}. Nothing was sent. Next: point the rail at its own node."
            )
        rail = self.deployment.addresses["PaymentRail"]
        if self.rpc("eth_getCode", [rail, "latest"]) == "0x":
            raise Halt(
                f"there is no code at PaymentRail {rail}: the node lost its chain or was "
                "reset. Nothing was sent. Next: point the rail at a node that has its chain; a "
                "development chain that was reset needs a new home and a new deployment."
            )

    # --- reading

    def rpc(self, method: str, params: list[Any]) -> Any:
        """Return the result of one JSON-RPC call; raise Retry if the node does not answer it."""
        return self.rpc_many([(method, params)])[0]

    def rpc_many(self, calls: Sequence[tuple[str, list[Any]]]) -> list[Any]:
        """Return the results of a JSON-RPC batch; raise Retry if any is missing or an error."""
        answers = self._post(calls)
        for (method, _), answer in zip(calls, answers, strict=True):
            if (refusal := _refusal(answer)) is not None:
                raise Retry(f"{method}: {refusal}")
        return [answer.get("result") for answer in answers]

    def _post(self, calls: Sequence[tuple[str, list[Any]]]) -> list[dict[str, Any]]:
        body = [
            {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
            for number, (method, params) in enumerate(calls)
        ]
        try:
            reply = self._session.post(self.url, json=body, timeout=self._timeout_s)
            answers = sorted(reply.json(), key=lambda answer: answer["id"])
            if not all(isinstance(answer, dict) for answer in answers):
                raise TypeError("an answer is not an object")
        except (requests.RequestException, ValueError, KeyError, TypeError) as error:
            raise Retry(f"the node at {self.url} gave no usable answer: {error}") from error
        if [answer["id"] for answer in answers] != list(range(len(calls))):
            raise Retry(f"the node at {self.url} answered {len(answers)} of {len(calls)} calls")
        return answers

    def head(self) -> int:
        """Return the number of the newest block."""
        return _number(self.rpc("eth_blockNumber", []))

    def finalized(self) -> int:
        """Return the number of the newest block that the node itself calls final.

        Raises:
            Retry: The node names none.
        """
        block = self.rpc("eth_getBlockByNumber", ["finalized", False])
        if not isinstance(block, dict):
            raise Retry(f"the node gave {block!r:.60} instead of its finalized block")
        return _number(block.get("number"))

    def newest(self) -> SeenBlock:
        """Return the newest block: the one question that says whether anything is new."""
        return _seen(self.rpc("eth_getBlockByNumber", ["latest", False]))

    def blocks(self, numbers: Iterable[int]) -> list[SeenBlock]:
        """Return blocks by number, in one round trip; raise Retry if one has vanished."""
        raw_blocks = self.rpc_many(
            [("eth_getBlockByNumber", [hex(number), False]) for number in numbers]
        )
        if any(block is None for block in raw_blocks):
            raise Retry("a block vanished while it was read")
        return [_seen(raw) for raw in raw_blocks]

    def logs_of(self, block_hashes: Sequence[str]) -> list[DecodedLog]:
        """Return our contracts' logs of these blocks; by hash, so a reorganisation mixes none."""
        addresses = list(self.deployment.addresses.values())
        calls = [
            ("eth_getLogs", [{"blockHash": block_hash, "address": addresses}])
            for block_hash in block_hashes
        ]
        return [log for raw_logs in self.rpc_many(calls) for log in self._decoded(raw_logs)]

    def logs_between(self, contract: str, first: int, last: int) -> list[DecodedLog]:
        """Return one contract's logs of a range of blocks, oldest first."""
        query = {
            "fromBlock": hex(first),
            "toBlock": hex(last),
            "address": self.deployment.addresses[contract],
        }
        return self._decoded(self.rpc("eth_getLogs", [query]))

    def logs_named(
        self, events: Mapping[str, Sequence[str]], first: int, last: int
    ) -> list[DecodedLog]:
        """Return some events of several contracts in a range of blocks, oldest first, in one call.

        Args:
            events: Contract -> names of its events.
            first: The first block.
            last: The last block.
        """
        addresses = [self.deployment.addresses[contract] for contract in events]
        topics = {
            self._topics[address.lower(), name]
            for address, names in zip(addresses, events.values(), strict=True)
            for name in names
        }
        query = {
            "fromBlock": hex(first),
            "toBlock": hex(last),
            "address": addresses,
            "topics": [sorted(topics)],
        }
        return self._decoded(self.rpc("eth_getLogs", [query]))

    def _decoded(self, raw_logs: list[dict[str, Any]]) -> list[DecodedLog]:
        if not isinstance(raw_logs, list):
            raise Retry(f"the node gave {raw_logs!r:.60} instead of logs")
        logs = []
        for raw in raw_logs:
            abi = self._events.get((raw["address"].lower(), raw["topics"][0]))
            if abi is not None:
                logs.append(self._decode(abi, raw))
        return logs

    def _decode(self, abi: dict[str, Any], raw: dict[str, Any]) -> DecodedLog:
        """Decode a log, once: the newest blocks are read again and again, by several readers."""
        key = (raw["blockHash"], raw["logIndex"], raw["address"], raw["data"], *raw["topics"])
        log = self._decoded_logs.get(key)
        if log is None:
            if len(self._decoded_logs) >= _KEPT_LOGS:
                self._decoded_logs.clear()
            log = self._decoded_logs[key] = decode_log(self.web3.codec, abi, raw)
        return log

    def receipts(self, tx_hashes: Sequence[str]) -> list[dict[str, Any] | None]:
        """Return receipts in the form of JSON-RPC; None where there is none (yet)."""
        return self.rpc_many([("eth_getTransactionReceipt", [tx_hash]) for tx_hash in tx_hashes])

    def call_input(self, tx_hash: str, contract: str) -> tuple[str, dict[str, Any]]:
        """Return (function, arguments) of a transaction to one of our contracts.

        ("", {}) if it went to another address, whose call data would prove nothing.

        Raises:
            Retry: The node does not show the transaction.
        """
        transaction = self.rpc("eth_getTransactionByHash", [tx_hash])
        if transaction is None:
            raise Retry(f"the node does not show transaction {tx_hash}")
        own_contract = self._contracts[contract]
        if (transaction["to"] or "").lower() != own_contract.address.lower():
            return "", {}
        function, arguments = own_contract.decode_function_input(transaction["input"])
        return function.fn_name, arguments

    def view(self, contract: str, function: str, *args: Any) -> Any:
        """Return the result of a view function at the newest block.

        Raises:
            Retry: The node does not answer, or the call reverts.
        """
        try:
            return self._contracts[contract].functions[function](*args).call()
        except (Web3Exception, requests.RequestException, ValueError) as error:
            raise Retry(f"{contract}.{function}: {self.error_name(error)}") from error

    def fates(
        self, address: str, tx_hashes: Sequence[str], block: int
    ) -> tuple[int, list[dict[str, Any] | None]]:
        """Return (nonces that this address had used at that block, receipts), from one batch."""
        calls = [("eth_getTransactionCount", [address, hex(block)])]
        calls += [("eth_getTransactionReceipt", [tx_hash]) for tx_hash in tx_hashes]
        used, *receipts = self.rpc_many(calls)
        return _number(used), receipts

    def nonce(self, address: str) -> int:
        """Return the number of transactions that the chain has from this address."""
        return _number(self.rpc("eth_getTransactionCount", [address, "latest"]))

    # --- sending

    def quote(self, sender: str, call: Call, suffix: bytes = b"") -> Quote:
        """Return an encoded call with its cost now, before a nonce is used; send nothing.

        Args:
            sender: The address that would send it.
            call: The call.
            suffix: Bytes after the arguments, which the contract does not read (core.anchors).

        Raises:
            Retry: The call would revert (with the contract's own error name), or no transaction can
                hold it (with TOO_MUCH_GAS), or the node does not answer.
        """
        contract = self._contracts[call.contract]
        data = contract.encode_abi(call.function, list(call.args)) + suffix.hex()
        request = {
            "from": sender,
            "to": contract.address,
            "data": data,
            "gas": hex(GAS_LIMIT),
        }
        estimate, *others = self._post(
            [
                ("eth_estimateGas", [request]),
                ("eth_getBlockByNumber", ["latest", False]),
                ("eth_getTransactionCount", [sender, "latest"]),
            ]
        )
        if (refusal := _refusal(estimate)) is not None:
            if "exceeds allowance" in refusal:
                raise Retry(f"{call.contract}.{call.function} {TOO_MUCH_GAS}")
            error = estimate.get("error")
            named = self._error_of(error.get("data")) if isinstance(error, dict) else None
            raise Retry(f"{call.contract}.{call.function} would revert: {named or refusal}")
        for answer in others:
            if (refusal := _refusal(answer)) is not None:
                raise Retry(f"{call.contract}.{call.function} is not quoted: {refusal}")
        block, used = (answer.get("result") for answer in others)
        gas = min(_number(estimate.get("result")) * 5 // 4, GAS_LIMIT)
        base = _number((block or {}).get("baseFeePerGas"))
        return Quote(contract.address, data, gas, 4 * base + TIP_WEI, TIP_WEI, _number(used))

    def sign(self, account: LocalAccount, nonce: int, quote: Quote) -> tuple[str, str]:
        """Return (transaction hash, raw bytes), both 0x-hex (EIP-1559); pure."""
        signed = account.sign_transaction(
            {
                "chainId": self.deployment.chain_id,
                "nonce": nonce,
                "to": quote.to,
                "data": quote.data,
                "value": 0,
                "gas": quote.gas,
                "type": 2,
                "maxFeePerGas": quote.max_fee_wei,
                "maxPriorityFeePerGas": quote.tip_wei,
            }
        )
        return signed.hash.to_0x_hex(), signed.raw_transaction.to_0x_hex()

    def broadcast(self, raws: Sequence[str]) -> list[str]:
        """Send signed bytes in one round trip; return "sent", "unknown" or the refusal for each.

        Only the same bytes may be sent again after "unknown": an RPC error is not a refusal.
        """
        try:
            answers = self._post([("eth_sendRawTransaction", [raw]) for raw in raws])
        except Retry:
            return ["unknown"] * len(raws)
        return [_verdict(answer) for answer in answers]

    def error_name(self, error: Exception) -> str:
        """Return a contract's custom error by name, or the error's own text."""
        if isinstance(error, ContractCustomError | ContractLogicError):
            return self._error_of(getattr(error, "data", None)) or str(error)
        return str(error)

    def _error_of(self, data: Any) -> str | None:
        return self._errors.get(str(data)[:10]) if data else None


def _verdict(answer: dict[str, Any]) -> str:
    refusal = _refusal(answer)
    if refusal is None:
        return "sent" if answer.get("result") else "unknown"
    return "unknown" if any(text in refusal.lower() for text in _MAYBE_SENT) else refusal.lower()


def _refusal(answer: dict[str, Any]) -> str | None:
    """Return the text of a node's error; None if there is none, or if it is null."""
    error = answer.get("error")
    if error is None:
        return None
    return str(error.get("message", error)) if isinstance(error, dict) else str(error)


def _seen(raw: Any) -> SeenBlock:
    try:
        return SeenBlock(
            int(raw["number"], 16), raw["hash"], raw["parentHash"], int(raw["timestamp"], 16)
        )
    except (TypeError, KeyError, ValueError) as error:
        raise Retry(f"the node gave {raw!r:.60} instead of a block") from error


def _number(quantity: Any) -> int:
    try:
        return int(quantity, 16)
    except (TypeError, ValueError) as error:
        raise Retry(f"the node gave {quantity!r:.60} instead of a number") from error
