"""Carries out a deployment's steps exactly once, even if it is killed and run again.

The bytes of each transaction are on disk before they are sent, and only those same bytes are sent
again, unless they did nothing (reverted) or can do nothing (another transaction has their nonce).
A receipt decides, never an error answer. Until all steps are done, a block that the chain lost
since then loses nothing: its steps are sent again, in their order.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from web3 import Web3
from web3.exceptions import Web3Exception

from orchestrator.edges.chain.artifacts import Artifact
from orchestrator.edges.chain.ethereum import LocalAccount
from orchestrator.edges.chain.journal_file import write_journal
from orchestrator.errors import Halt, Retry

GAS_LIMIT = 16_777_216  # EIP-7825
TIP_WEI = 10**9
RECEIPT_SECONDS = 120.0
FINAL_SECONDS = 1_800.0  # a public chain calls a block final after a quarter of an hour


@dataclass(frozen=True, slots=True)
class DeploymentStep:
    """One transaction: a creation (`function` empty) or a call of an earlier contract."""

    name: str
    signer: LocalAccount
    contract: str
    function: str = ""
    args: tuple[Any, ...] = ()


@dataclass
class DeploymentRun:
    """Steps in progress. `journal` always equals the content of the file.

    Attributes:
        part: The part of the journal that holds these steps, under "steps".
        watch: Called with "signed NAME", "sent NAME" and "done NAME".
        addresses: Contract name -> address, of those that the steps need or made.
        made: Names of the contracts that the steps created.
    """

    web3: Web3
    artifacts: Mapping[str, Artifact]
    path: Path
    journal: dict[str, Any]
    part: dict[str, Any]
    watch: Callable[[str], None]
    addresses: dict[str, str] = field(default_factory=dict)
    made: list[str] = field(default_factory=list)

    def note(self, name: str, **values: Any) -> None:
        """Record a step in the journal, in memory and on disk."""
        self.part["steps"].setdefault(name, {}).update(values)
        write_journal(self.path, self.journal)

    def forget(self, name: str, why: str) -> None:
        """Have a step signed again, and keep the hash of what was signed before."""
        step = self.part["steps"].pop(name)
        self.part.setdefault("forgotten", []).append(
            {"step": name, "hash": step["hash"], "why": why}
        )
        write_journal(self.path, self.journal)

    @property
    def is_complete(self) -> bool:
        """Return whether all of its steps were done and checked before."""
        return "deployment" in self.part

    def newest_block(self) -> int:
        """Return the number of the newest block with a step."""
        return max(step["block"] for step in self.part["steps"].values())

    def blocks(self) -> dict[str, int]:
        """Return {contract that the steps created: number of its block}."""
        return {name: self.part["steps"][name]["block"] for name in self.made}

    def contract(self, name: str) -> Any:
        """Return web3's contract of a name."""
        return self.web3.eth.contract(address=self.addresses[name], abi=self.artifacts[name].abi)


def creation(deployer: LocalAccount, contract: str, *args: Any) -> DeploymentStep:
    """Return the step that creates a contract."""
    return DeploymentStep(contract, deployer, contract, args=args)


def take(run: DeploymentRun, step: DeploymentStep) -> None:
    """Finish one step, from wherever it stopped."""
    noted = run.part["steps"].get(step.name, {})
    if "block" not in noted or _is_moved(run, noted, step.signer.address):
        if "raw" in noted and _is_displaced(run.web3, noted, step.signer.address):
            run.forget(step.name, "displaced")
            noted = {}
        if "raw" not in noted:
            digest, raw, nonce = _sign(run, step)
            run.note(step.name, hash=digest, raw=raw, nonce=nonce, sender=step.signer.address)
            run.watch(f"signed {step.name}")
        _settle(run, step)
        run.watch(f"done {step.name}")
    noted = run.part["steps"][step.name]
    if step.function:
        return
    run.addresses[step.contract] = noted["address"]
    run.made.append(step.contract)
    if not run.web3.eth.get_code(noted["address"]):
        raise Halt(
            f"there is no code at {step.contract} {noted['address']}: the chain was rewound "
            f"or reset. Nothing was sent for it. Next: check the node; on a chain that was reset "
            "on purpose, use another journal."
        )


def _is_moved(run: DeploymentRun, noted: Mapping[str, Any], signer: str) -> bool:
    """Return whether a step that was done is in another block now, or in none and can be sent."""
    if run.is_complete or "raw" not in noted or "nonce" not in noted:
        return False
    receipt = _receipt(run.web3, noted["hash"])
    if receipt is not None:
        return receipt["blockNumber"] != noted["block"]
    sender = noted.get("sender", signer)
    return run.web3.eth.get_transaction_count(sender, "latest") <= noted["nonce"]


def _is_displaced(web3: Web3, noted: Mapping[str, Any], signer: str) -> bool:
    """Return whether another transaction has the nonce of a step's bytes for good."""
    if "nonce" not in noted:
        return False
    try:
        used = web3.eth.get_transaction_count(noted.get("sender", signer), "finalized")
    except Web3Exception:  # the node names no final block
        return False
    return used > noted["nonce"] and _receipt(web3, noted["hash"]) is None


def _sign(run: DeploymentRun, step: DeploymentStep) -> tuple[str, str, int]:
    eth, artifact = run.web3.eth, run.artifacts[step.contract]
    sender = step.signer.address
    fees = {
        "maxFeePerGas": 2 * eth.get_block("latest")["baseFeePerGas"] + TIP_WEI,
        "maxPriorityFeePerGas": TIP_WEI,
    }
    common = {
        "from": sender,
        "nonce": eth.get_transaction_count(sender),
        "value": 0,
        "chainId": eth.chain_id,
        **fees,
    }
    if step.function:
        target = eth.contract(address=run.addresses[step.contract], abi=artifact.abi)
        request = target.functions[step.function](*step.args)
    else:
        request = eth.contract(abi=artifact.abi, bytecode=artifact.bytecode).constructor(*step.args)
    gas = min(request.estimate_gas({"from": sender}) * 6 // 5, GAS_LIMIT)
    transaction = request.build_transaction({**common, "gas": gas})
    signed = step.signer.sign_transaction(transaction)
    return Web3.to_hex(signed.hash), Web3.to_hex(signed.raw_transaction), common["nonce"]


def _settle(run: DeploymentRun, step: DeploymentStep) -> None:
    """Send the stored bytes (again) and wait; only a receipt decides, never an error answer."""
    noted = run.part["steps"][step.name]
    refusal = ""
    if _receipt(run.web3, noted["hash"]) is None:
        try:
            run.web3.eth.send_raw_transaction(noted["raw"])
        except Web3Exception as error:
            refusal = str(error)  # "already known", or lost: the receipt decides
        run.watch(f"sent {step.name}")
    receipt = _wait(run.web3, noted["hash"], refusal)
    if receipt["status"] != 1:
        run.forget(step.name, "reverted")
        raise Halt(
            f"deployment step {step.name} reverted in block {receipt['blockNumber']} "
            f"({noted['hash']}). Nothing after it was sent. Next: see its receipt for the reason; "
            "then run the same command again, which tries the step again."
        )
    run.note(step.name, block=receipt["blockNumber"], address=receipt["contractAddress"])


def wait_until_final(run: DeploymentRun) -> None:
    """Wait until the node calls every step's block final, so that no kill or rewind undoes one.

    Raises:
        Retry: It does not within the time.
    """
    newest, deadline = run.newest_block(), time.monotonic() + FINAL_SECONDS
    while (final := _final_block(run.web3)) is not None and final < newest:
        if time.monotonic() > deadline:
            raise Retry(
                f"All steps are done, and the node does not call block {newest} final yet; its "
                f"final block is {final}. Nothing was changed in {run.path}. Next: look at the "
                "node; then the same command again, which sends nothing twice."
            )
        time.sleep(0.05)


def _final_block(web3: Web3) -> int | None:
    try:
        return web3.eth.get_block("finalized")["number"]
    except Web3Exception:  # the node names no final block
        return None


def _wait(web3: Web3, digest: str, refusal: str) -> Any:
    deadline = time.monotonic() + (RECEIPT_SECONDS if not refusal else RECEIPT_SECONDS / 4)
    while True:
        receipt = _receipt(web3, digest)
        if receipt is not None:
            return receipt
        if time.monotonic() > deadline:
            raise Retry(
                f"transaction {digest} is in no block yet. {refusal} Run the deployment "
                "again with the same journal; it sends the same bytes."
            )
        time.sleep(0.05)


def _receipt(web3: Web3, digest: str) -> Any:
    answer = web3.provider.make_request("eth_getTransactionReceipt", [digest])
    receipt = answer.get("result")
    if not receipt:
        return None
    address = receipt["contractAddress"]
    return {
        "status": int(receipt["status"], 16),
        "blockNumber": int(receipt["blockNumber"], 16),
        "contractAddress": address and Web3.to_checksum_address(address),
    }
