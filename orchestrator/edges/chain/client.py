"""The one door to the chain: reads blocks and logs, sends signed bytes, and never guesses.

An RPC error is not a "no": what became of a send is yes, no or unknown, and only the chain's own
answer (a receipt, a consumed nonce) decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import requests
from eth_account.signers.local import LocalAccount
from web3 import Web3
from web3.exceptions import ContractCustomError, ContractLogicError, Web3Exception

from orchestrator.edges.chain.abi import Log, decode_log, error_selectors, event_topics
from orchestrator.edges.chain.compiler import Artifact
from orchestrator.edges.chain.deployment import Deployment
from orchestrator.errors import Halt, Retry

# answers of nodes that mean "this very transaction is already known": the outcome is open
GAS_LIMIT = 16_777_216  # EIP-7825
TIP_WEI = 1_000_000_000
_KNOWN = ("already known", "already imported", "known transaction", "nonce too low")


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
    """An encoded call with its gas limit and fees (wei), ready to be signed with a nonce."""

    to: str
    data: str
    gas: int
    max_fee_wei: int
    tip_wei: int


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
        self._errors = dict(error_selectors(a.abi for a in artifacts.values()))

    # --- identity

    def check_identity(self) -> None:
        """Raises Halt unless the node's chain id, genesis and code are those of the deployment."""
        chain_id, genesis = self.rpc_many(
            [("eth_chainId", []), ("eth_getBlockByNumber", ["0x0", False])]
        )
        found = (int(chain_id, 16), genesis["hash"])
        wanted = (self.deployment.chain_id, self.deployment.genesis)
        if found != wanted:
            raise Halt(
                f"{self.url} is another chain: chain id and genesis are {found}, the deployment "
                f"says {wanted}. Nothing was sent. Point the rail at its own node, or deploy anew."
            )
        rail = self.deployment.addresses["PaymentRail"]
        if self.rpc("eth_getCode", [rail, "latest"]) == "0x":
            raise Halt(f"there is no code at PaymentRail {rail}: the chain was reset; deploy anew.")

    # --- reading

    def rpc(self, method: str, params: list[Any]) -> Any:
        """One JSON-RPC call. Raises Retry on silence, Web3Exception-free."""
        return self.rpc_many([(method, params)])[0]

    def rpc_many(self, calls: Sequence[tuple[str, list[Any]]]) -> list[Any]:
        """A JSON-RPC batch; raises Retry if the node is silent or any answer is an error."""
        answers = self._post(calls)
        for (method, _), answer in zip(calls, answers, strict=True):
            if "error" in answer:
                raise Retry(f"{method}: {answer['error'].get('message', answer['error'])}")
        return [answer["result"] for answer in answers]

    def _post(self, calls: Sequence[tuple[str, list[Any]]]) -> list[dict[str, Any]]:
        body = [
            {"jsonrpc": "2.0", "id": i, "method": method, "params": params}
            for i, (method, params) in enumerate(calls)
        ]
        try:
            reply = self._session.post(self.url, json=body, timeout=self._timeout_s)
            answers = sorted(reply.json(), key=lambda answer: answer["id"])
        except (requests.RequestException, ValueError, KeyError, TypeError) as error:
            raise Retry(f"the node at {self.url} gave no usable answer: {error}") from error
        if [answer["id"] for answer in answers] != list(range(len(calls))):
            raise Retry(f"the node at {self.url} answered {len(answers)} of {len(calls)} calls")
        return answers

    def head(self) -> int:
        """The number of the newest block."""
        return int(self.rpc("eth_blockNumber", []), 16)

    def blocks(self, numbers: Iterable[int]) -> list[SeenBlock]:
        """Blocks by number, in one round trip; a block that vanished meanwhile raises Retry."""
        found = self.rpc_many([("eth_getBlockByNumber", [hex(n), False]) for n in numbers])
        if any(block is None for block in found):
            raise Retry("a block vanished while it was read")
        return [
            SeenBlock(int(b["number"], 16), b["hash"], b["parentHash"], int(b["timestamp"], 16))
            for b in found
        ]

    def logs_of(self, block_hashes: Sequence[str]) -> list[Log]:
        """Our contracts' logs of these very blocks (by hash, so a reorganisation cannot mix)."""
        addresses = list(self.deployment.addresses.values())
        calls = [("eth_getLogs", [{"blockHash": h, "address": addresses}]) for h in block_hashes]
        return [log for found in self.rpc_many(calls) for log in self._decoded(found)]

    def logs_between(self, contract: str, first: int, last: int) -> list[Log]:
        """One contract's logs of a range of blocks, oldest first."""
        query = {
            "fromBlock": hex(first), "toBlock": hex(last),
            "address": self.deployment.addresses[contract],
        }  # fmt: skip
        return self._decoded(self.rpc("eth_getLogs", [query]))

    def _decoded(self, raw_logs: list[dict[str, Any]]) -> list[Log]:
        logs = []
        for raw in raw_logs:
            abi = self._events.get((raw["address"].lower(), raw["topics"][0]))
            if abi is not None:
                logs.append(decode_log(self.web3.codec, abi, raw))
        return logs

    def receipts(self, tx_hashes: Sequence[str]) -> list[dict[str, Any] | None]:
        """Receipts as the node gives them, None where there is none (yet)."""
        return self.rpc_many([("eth_getTransactionReceipt", [h]) for h in tx_hashes])

    def call_input(self, tx_hash: str, contract: str) -> tuple[str, dict[str, Any]]:
        """The decoded call data of a transaction to one of our contracts: (function, arguments)."""
        found = self.rpc("eth_getTransactionByHash", [tx_hash])
        function, arguments = self._contracts[contract].decode_function_input(found["input"])
        return function.fn_name, arguments

    def view(self, contract: str, function: str, *args: Any) -> Any:
        """The result of a view function at the newest block."""
        try:
            return self._contracts[contract].functions[function](*args).call()
        except (Web3Exception, requests.RequestException) as error:
            raise Retry(f"{contract}.{function}: {self.error_name(error)}") from error

    def nonce(self, address: str) -> int:
        """The number of transactions that the chain has from this address."""
        return int(self.rpc("eth_getTransactionCount", [address, "latest"]), 16)

    # --- sending

    def quote(self, sender: str, call: Call) -> Quote:
        """Encodes a call and asks what it costs now, before any nonce is spent on it.

        Raises Retry with the contract's own error name if the call would revert; sends nothing.
        """
        contract = self._contracts[call.contract]
        data = contract.encode_abi(call.function, list(call.args))
        request = {"from": sender, "to": contract.address, "data": data}
        estimate, block = self._post(
            [("eth_estimateGas", [request]), ("eth_getBlockByNumber", ["latest", False])]
        )
        if "error" in estimate:
            named = self._error_of(estimate["error"].get("data"))
            named = named or estimate["error"].get("message")
            raise Retry(f"{call.contract}.{call.function} would revert: {named}")
        gas = min(int(estimate["result"], 16) * 5 // 4, GAS_LIMIT)
        base = int(block["result"]["baseFeePerGas"], 16)
        return Quote(contract.address, data, gas, 4 * base + TIP_WEI, TIP_WEI)

    def sign(self, account: LocalAccount, nonce: int, quote: Quote) -> tuple[str, str]:
        """(transaction hash, raw bytes), both 0x-hex (EIP-1559); pure."""
        signed = account.sign_transaction({
            "chainId": self.deployment.chain_id, "nonce": nonce, "to": quote.to,
            "data": quote.data, "value": 0, "gas": quote.gas, "type": 2,
            "maxFeePerGas": quote.max_fee_wei, "maxPriorityFeePerGas": quote.tip_wei,
        })  # fmt: skip
        return signed.hash.to_0x_hex(), signed.raw_transaction.to_0x_hex()

    def broadcast(self, raws: Sequence[str]) -> list[str]:
        """Sends signed bytes in one round trip; "sent", "unknown", or the node's refusal.

        Only the same bytes may be sent again after "unknown" (reliability: an RPC error is not
        a no).
        """
        try:
            answers = self._post([("eth_sendRawTransaction", [raw]) for raw in raws])
        except Retry:
            return ["unknown"] * len(raws)
        return [_verdict(answer) for answer in answers]

    def error_name(self, error: Exception) -> str:
        """A contract's custom error by name, or the error's own text."""
        if isinstance(error, ContractCustomError | ContractLogicError):
            return self._error_of(getattr(error, "data", None)) or str(error)
        return str(error)

    def _error_of(self, data: Any) -> str | None:
        return self._errors.get(str(data)[:10]) if data else None


def _verdict(answer: dict[str, Any]) -> str:
    if "result" in answer:
        return "sent"
    message = str(answer["error"].get("message", "")).lower()
    return "unknown" if any(known in message for known in _KNOWN) else message
