"""Officers for tests: an office without a chain, and people with names and keystores in a home."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from oracles.attest import address_of
from orchestrator.commands import home as home_module
from orchestrator.core.approval import Office
from orchestrator.edges.chain import keystore
from orchestrator.edges.store import Store, approvals
from services.development import OFFICERS

CHAIN_ID = 31337
EXPIRY_S = 7 * 86_400


def office_of(*keys: bytes, now: int = 0, chain_id: int = CHAIN_ID) -> Office:
    """Return an office whose officers have these keys."""
    return Office(chain_id, frozenset(map(address_of, keys)), now, EXPIRY_S)


def employ(home: Path, store: Store, *names: str, keys: tuple[bytes, ...] = ()) -> list[str]:
    """Give people names and keystores in a home; return their addresses. It seats nobody."""
    folder = home / "keys" / "officers"
    given = [key.hex() for key in keys] or [None] * len(names)
    addresses = [
        keystore.create(folder, name.lower(), key).address
        for name, key in zip(names, given, strict=True)
    ]
    with store.write() as session:
        for name, address in zip(names, addresses, strict=True):
            approvals.name_officer(session, address, name)
    return addresses


def seated_keys() -> tuple[bytes, ...]:
    """Return the keys of the officers that every development chain seats."""
    return tuple(bytes(keystore.development_account(index).key) for index in OFFICERS.values())


def seat_for_commands(monkeypatch: Any, *addresses: str) -> None:
    """Let commands find these officers on a chain that the test does not run."""

    def office(self: home_module.Home, *, online: bool = True) -> Office:
        now = int(home_module.time.time())
        officers = frozenset(addresses) if online else frozenset()
        return Office(self.deployment.chain_id, officers, now, EXPIRY_S)

    monkeypatch.setattr(home_module.Home, "office", office)
