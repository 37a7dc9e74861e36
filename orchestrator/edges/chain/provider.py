"""Lets web3 ask the nodes of a rail, so that its calls have the same failover and batches."""

from __future__ import annotations

from typing import Any

from web3.providers import BaseProvider

from orchestrator.edges.chain import ethereum  # noqa: F401 - web3 imports eth-account
from orchestrator.edges.chain.nodes import Nodes


class NodesProvider(BaseProvider):
    """web3's way to our nodes."""

    def __init__(self, nodes: Nodes) -> None:
        super().__init__()
        self._nodes = nodes
        self._chain_id: Any = None  # web3 asks for it twice before each call; it never changes

    def make_request(self, method: Any, params: Any) -> Any:
        """Return the answer to one call; raise Retry if no node gives one."""
        if method == "eth_chainId" and self._chain_id is not None:
            return self._chain_id
        answer = self._nodes.ask([(method, params)])[0]
        if method == "eth_chainId" and "result" in answer:
            self._chain_id = answer
        return answer
