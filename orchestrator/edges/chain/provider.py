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

    def make_request(self, method: Any, params: Any) -> Any:
        """Return the answer to one call; raise Retry if no node gives one."""
        return self._nodes.ask([(method, params)])[0]
