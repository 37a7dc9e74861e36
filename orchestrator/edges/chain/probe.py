"""Asks a node, with a short timeout, how far it is and whether it is the right chain."""

from __future__ import annotations

import time

import requests

from orchestrator.core.health import ChainState
from orchestrator.edges.chain.deployment import Deployment
from orchestrator.edges.chain.nodes import shown

_CALLS = (
    ("eth_chainId", []),
    ("eth_getBlockByNumber", ["0x0", False]),
    ("eth_getBlockByNumber", ["latest", False]),
)


def probe_node(url: str, deployment: Deployment, timeout_s: int = 3) -> ChainState:
    """Return the state of the node; never raise."""
    body = [
        {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        for number, (method, params) in enumerate(_CALLS)
    ]
    name = shown(url)
    try:
        reply = requests.post(url, json=body, timeout=timeout_s)
        answers = {answer["id"]: answer["result"] for answer in reply.json()}
        chain_id, genesis, newest = int(answers[0], 16), answers[1]["hash"], answers[2]
        number, block_time = int(newest["number"], 16), int(newest["timestamp"], 16)
    except requests.RequestException as error:
        return ChainState(name, error=f"{name}: {type(error).__name__}")
    except (ValueError, KeyError, TypeError) as error:
        error_text = f"{name} gave no usable answer ({type(error).__name__})"
        return ChainState(name, error=error_text)
    other = ""
    if (chain_id, genesis) != (deployment.chain_id, deployment.genesis):
        other = f"{name} has chain id {chain_id} and genesis {genesis}"
    answered_at = int(time.time())
    return ChainState(name, "", other, number, block_time, answered_at=answered_at)
