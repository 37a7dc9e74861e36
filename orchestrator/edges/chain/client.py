"""The client of a rail's nodes: reads blocks and logs, sends signed bytes, and never guesses.

Blocks, logs, receipts and call data are used only if they prove themselves (checked.py). An RPC
error does not mean that a send failed: its fate is yes, no or unknown, and only the chain's own
answer (a receipt, a used nonce) decides.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from web3 import Web3
from web3.exceptions import ContractCustomError, ContractLogicError, Web3Exception

from orchestrator.core.audit.blocks import transaction_call
from orchestrator.core.block_json import CheckedHeader, CheckedReceipt, check_nonce
from orchestrator.core.consensus_bytes import NodeFault, WrongAnswer
from orchestrator.edges.chain.abi import DecodedLog, LogDecoder, SeenBlock, error_selectors
from orchestrator.edges.chain.artifacts import Artifact
from orchestrator.edges.chain.calls import Call, CallCodec, Contracts, Quote
from orchestrator.edges.chain.checked import BlockReader
from orchestrator.edges.chain.deployment import Deployment
from orchestrator.edges.chain.ethereum import LocalAccount
from orchestrator.edges.chain.nodes import Nodes, lacks_method, refusal
from orchestrator.edges.chain.provider import NodesProvider
from orchestrator.edges.chain.rails import MANY, abi_of, instance_address
from orchestrator.errors import Halt, Retry

GAS_LIMIT = 16_777_216  # EIP-7825
_SPARE_GAS = (
    50_000  # two new slots: what a block's second shares with the last one, the next does not
)
TOO_MUCH_GAS = "needs more gas than one transaction may use"
# what nodes say then: geth, reth and anvil; Hardhat
_TOO_MUCH_GAS_TEXTS = ("exceeds allowance", "out of gas", "requires gas floor")
TIP_WEI = 1_000_000_000
# refusals that may be about this very transaction: its outcome is open
_MAYBE_SENT = ("already known", "already imported", "known transaction", "nonce too low")


class Chain:
    """The chain of `deployment` at one or several nodes; checked before anything is sent.

    Args:
        url: The node that is asked first.
        deployment: Where the contracts are.
        artifacts: The compiled contracts by name.
        timeout_s: For one request.
        others: Further nodes of the same chain: asked if the first is silent, and compared with it.
    """

    def __init__(
        self,
        url: str,
        deployment: Deployment,
        artifacts: dict[str, Artifact],
        timeout_s: int = 30,
        others: Sequence[str] = (),
    ) -> None:
        self.url, self.deployment = url, deployment
        self.nodes = Nodes((url, *others), timeout_s)
        self.reader = BlockReader(
            self.nodes,
            frozenset(bytes.fromhex(at[2:]) for at in deployment.addresses.values()),
        )
        self.web3 = Web3(NodesProvider(self.nodes))
        names = {*deployment.addresses, *(kind for kind in MANY if kind in artifacts)}
        abis = {name: abi_of(deployment, artifacts, name) for name in names}
        self._contracts = Contracts(self.web3, deployment.addresses, abis)
        self._functions = {
            name: {item["name"] for item in abi if item["type"] == "function"}
            for name, abi in abis.items()
        }
        self.calls = CallCodec(self._contracts)
        self._decoder = LogDecoder(
            self.web3.codec,
            {address: abis[name] for name, address in deployment.addresses.items()},
        )
        self._errors = dict(error_selectors(artifact.abi for artifact in artifacts.values()))

    # --- identity

    def check_identity(self) -> None:
        """Raise Halt unless the nodes' chain id, genesis and code are those of the deployment.

        A node that is silent now is checked when it answers (health_monitor.py).

        Raises:
            Retry: None answers.
        """
        wanted = (self.deployment.chain_id, self.deployment.genesis)
        rail = self.deployment.addresses["PaymentRail"]
        calls = [
            ("eth_chainId", []),
            ("eth_getBlockByNumber", ["0x0", False]),
            ("eth_getCode", [rail, "latest"]),
        ]
        for name, (chain_id, genesis, code) in self.nodes.each(calls).items():
            actual = (_number(chain_id), genesis.get("hash") if isinstance(genesis, dict) else None)
            if actual != wanted:
                raise Halt(
                    f"{name} is another chain: chain id and genesis are {actual}, the deployment "
                    f"has {wanted}. Nothing was sent. Next: point the rail at its own node."
                )
            if code == "0x":
                raise Halt(
                    f"there is no code at PaymentRail {rail}: the node {name} lost its chain or "
                    "was reset. Nothing was sent. Next: point the rail at a node that has its "
                    "chain; a development chain that was reset needs a new home and a new "
                    "deployment."
                )

    @property
    def urls(self) -> tuple[str, ...]:
        """Return the URLs of all nodes, the preferred one first; they may hold secrets."""
        return tuple(endpoint.url for endpoint in self.nodes.endpoints)

    # --- reading

    def rpc(self, method: str, params: list[Any]) -> Any:
        """Return the result of one JSON-RPC call; raise Retry if no node answers it."""
        return self.rpc_many([(method, params)])[0]

    def rpc_many(self, calls: Sequence[tuple[str, list[Any]]]) -> list[Any]:
        """Return the unchecked results of JSON-RPC calls; raise Retry if one is missing."""
        return self.nodes.rpc_many(calls)

    def head(self) -> int:
        """Return the number of the newest block."""
        return _number(self.rpc("eth_blockNumber", []))

    def finalized(self) -> int:
        """Return the number of the newest block that the node itself calls final.

        Raises:
            Retry: The node names none.
        """
        return self.reader.finalized().number

    def newest(self) -> SeenBlock:
        """Return the newest block: the one question that says whether anything is new."""
        return _seen(self.reader.newest())

    def blocks(self, numbers: Iterable[int]) -> list[SeenBlock]:
        """Return blocks by number; raise Retry if one has vanished or does not prove itself.

        Blocks with consecutive numbers follow each other by their parents' hashes.
        """
        return [_seen(header) for header in self.reader.headers(numbers)]

    def hashes_at(self, number: int) -> dict[str, str | None]:
        """Return {node: hash of its block of that number} for every node that answers.

        None where the node does not have the block yet. A header that does not prove itself is no
        answer.

        Raises:
            Retry: No node gives a usable answer.
        """
        return self.reader.hashes_at(number)

    def logs_of(self, block_hashes: Sequence[str]) -> list[DecodedLog]:
        """Return our contracts' logs of these blocks; by hash, so a reorganisation mixes none."""
        headers = [self.reader.known(block_hash) for block_hash in block_hashes]
        return self._decoder.decode(self.reader.logs(headers))

    def logs_between(self, contract: str, first: int, last: int) -> list[DecodedLog]:
        """Return the logs of a contract, and of those whose place it took, oldest first."""
        addresses = self._addresses_of(contract)
        raw_logs = self.reader.logs_between(first, last)
        return self._decoder.decode(raw for raw in raw_logs if raw["address"] in addresses)

    def logs_from(self, addresses: Collection[str], first: int, last: int) -> list[DecodedLog]:
        """Return the logs of the contracts at these addresses (lower case), oldest first."""
        raw_logs = self.reader.logs_between(first, last)
        return self._decoder.decode(raw for raw in raw_logs if raw["address"] in addresses)

    def logs_named(
        self, events: Mapping[str, Sequence[str]], first: int, last: int
    ) -> list[DecodedLog]:
        """Return some events of several contracts in a range of blocks, oldest first.

        Args:
            events: Contract -> names of its events; those whose place it took are asked as well.
            first: The first block.
            last: The last block.
        """
        wanted = {
            (address, name)
            for contract, names in events.items()
            for address in self._addresses_of(contract)
            for name in names
        }
        return self._decoder.decode(
            raw
            for raw in self.reader.logs_between(first, last)
            if (raw["address"], self._decoder.name(raw)) in wanted
        )

    def _addresses_of(self, contract: str) -> set[str]:
        deployment = self.deployment
        return {deployment.addresses[name].lower() for name in deployment.named(contract)}

    def receipts(self, tx_hashes: Sequence[str]) -> list[CheckedReceipt | None]:
        """Return receipts out of blocks that the node's chain holds; None where there is none yet.

        Raises:
            Retry: A receipt is not in the block that the node names, or does not prove itself.
        """
        calls = [("eth_getTransactionReceipt", [tx_hash]) for tx_hash in tx_hashes]
        places = {
            tx_hash: (_number(receipt.get("blockNumber")), receipt.get("blockHash"))
            for tx_hash, receipt in zip(tx_hashes, self.nodes.rpc_many(calls), strict=True)
            if isinstance(receipt, dict) and receipt.get("blockHash")  # some show pending ones
        }
        numbers = sorted({number for number, _ in places.values()})
        on_chain = {header.hash for header in self.reader.headers(numbers)}
        checked = self.reader.receipts(on_chain)
        for tx_hash, (_, block_hash) in places.items():
            if block_hash in on_chain and tx_hash not in checked:
                text = f"the node gave a receipt of {tx_hash} that is not in block {block_hash}"
                self.nodes.distrust(f"{text} [{NodeFault.RECEIPTS}]")
                raise WrongAnswer(NodeFault.RECEIPTS, text)
        return [checked.get(tx_hash) for tx_hash in tx_hashes]

    def call_input(self, tx_hash: str, contract: str) -> tuple[str, dict[str, Any]]:
        """Return (function, arguments) of a transaction to a contract, or to one whose place it
        took.

        ("", {}) if it went to another address, whose call data would prove nothing.

        Raises:
            Retry: The node does not show the transaction, or shows one with another hash.
        """
        to, data = transaction_call(self.reader.transaction(tx_hash))
        for name in self.deployment.named(contract):
            own_contract = self._contracts[name]
            if to == bytes.fromhex(own_contract.address[2:]):
                function, arguments = own_contract.decode_function_input(data)
                return function.fn_name, arguments
        return "", {}

    def knows(self, contract: str, function: str) -> bool:
        """Return whether a contract has a function: those of earlier releases lack some."""
        kind = contract.partition("@")[0] if instance_address(contract) else contract
        return function in self._functions[kind]

    def _require(self, contract: str, function: str) -> None:
        if not self.knows(contract, function):
            raise Retry(
                f"{contract} is a contract of an earlier release, which has no {function}: nothing "
                "was sent. Next: `proofrail agreement move` moves a rail to the new contracts"
            )

    def view(self, contract: str, function: str, *args: Any, at: int | None = None) -> Any:
        """Return the result of a view function.

        Args:
            contract: The contract's name.
            function: The function's name.
            args: Its arguments.
            at: The number of a block; None: the newest one.

        Raises:
            Retry: The node does not answer, the call reverts, or the contract has no such function.
        """
        self._require(contract, function)
        call = self._contracts[contract].functions[function](*args)
        try:
            return call.call(block_identifier="latest" if at is None else at)
        except (Web3Exception, ValueError) as error:
            raise Retry(f"{contract}.{function}: {self.error_name(error)}") from error

    def used_nonces(self, address: str, block: int) -> int:
        """Return how many transactions of an address the chain holds up to a block, with proof.

        A node that serves no proofs is believed only as far as all nodes agree: the lowest of
        their numbers counts.

        Raises:
            Retry: The proof does not hold, or the node lacks the state of that block.
        """
        [header] = self.reader.headers([block])
        [answer] = self.nodes.ask([("eth_getProof", [address, [], hex(block)])])
        if lacks_method(answer):
            counts = self.nodes.each([("eth_getTransactionCount", [address, hex(block)])])
            return min(_number(count) for [count] in counts.values())
        if (reason := refusal(answer)) is not None:
            raise Retry(f"eth_getProof: {reason}")
        return check_nonce(header, address, answer.get("result"))

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
        self._require(call.contract, call.function)
        contract = self._contracts[call.contract]
        data = contract.encode_abi(call.function, list(call.args)) + suffix.hex()
        request = {
            "from": sender,
            "to": contract.address,
            "data": data,
            "gas": hex(GAS_LIMIT),
        }
        estimate, *others = self.nodes.ask(
            [
                ("eth_estimateGas", [request]),
                ("eth_getBlockByNumber", ["latest", False]),
                ("eth_getTransactionCount", [sender, "latest"]),
            ]
        )
        if (reason := refusal(estimate)) is not None:
            if any(text in reason.lower() for text in _TOO_MUCH_GAS_TEXTS):
                raise Retry(f"{call.contract}.{call.function} {TOO_MUCH_GAS}")
            error = estimate.get("error")
            named = self._error_of(error.get("data")) if isinstance(error, dict) else None
            raise Retry(f"{call.contract}.{call.function} would revert: {named or reason}")
        for answer in others:
            if (reason := refusal(answer)) is not None:
                raise Retry(f"{call.contract}.{call.function} is not quoted: {reason}")
        block, used = (answer.get("result") for answer in others)
        gas = min(_number(estimate.get("result")) * 5 // 4 + _SPARE_GAS, GAS_LIMIT)
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
            answers = self.nodes.ask([("eth_sendRawTransaction", [raw]) for raw in raws])
        except Retry:
            return ["unknown"] * len(raws)
        return [_verdict(answer) for answer in answers]

    def error_name(self, error: Exception) -> str:
        """Return a contract's custom error by name, or the error's own text."""
        if isinstance(error, ContractCustomError | ContractLogicError):
            return self._error_of(getattr(error, "data", None)) or str(error)
        return str(error)

    def _error_of(self, data: Any) -> str | None:
        """Return the name of the error in an answer's `data`, which Hardhat wraps in an object."""
        raw = data.get("data") if isinstance(data, dict) else data
        return self._errors.get(str(raw)[:10]) if raw else None


def _verdict(answer: dict[str, Any]) -> str:
    reason = refusal(answer)
    if reason is None:
        return "sent" if answer.get("result") else "unknown"
    return "unknown" if any(text in reason.lower() for text in _MAYBE_SENT) else reason.lower()


def _seen(header: CheckedHeader) -> SeenBlock:
    return SeenBlock(header.number, header.hash, header.parent, header.timestamp)


def _number(quantity: Any) -> int:
    try:
        return int(quantity, 16)
    except (TypeError, ValueError) as error:
        raise Retry(f"the node gave {quantity!r:.60} instead of a number") from error
