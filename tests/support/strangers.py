"""What a stranger can send to the chain of an open rail."""

from __future__ import annotations

import rlp
from web3 import Web3

from orchestrator.edges.chain import keystore
from orchestrator.edges.chain.client import Call

STRANGER = 15  # a development account that has no part in the rail


def kept_call(rail, name: str) -> Call:
    """What settles the claim, kept while it is short; then there are funds, and no quorum."""
    rail.join(name)
    rail.charge(name, "5")
    rail.until(name, "waiting_for_funds")
    call = rail.settle_call(name)
    rail.oracles_down()
    rail.fund(name, 5_000)
    rail.until(name, "verified")
    return call


def forward(rail, call: Call) -> str:
    """The call, sent by a stranger through a contract that hands its call data on."""
    address = rail.chain.deployment.addresses["PaymentRail"][2:]
    runtime = "36600060003760006000366000600073" + address + "5af100"
    creation = f"0x60{len(runtime) // 2:02x}80600b6000396000f3{runtime}"
    account = keystore.development_account(STRANGER)
    contract = _created(account.address, rail.chain.nonce(account.address))
    rail.send(STRANGER, to="", data=creation)
    return rail.send(STRANGER, to=contract, data=rail.chain.quote(account.address, call).data)


def _created(sender: str, nonce: int) -> str:
    raw = Web3.keccak(rlp.encode([bytes.fromhex(sender[2:]), nonce]))[12:]
    return Web3.to_checksum_address(raw)
