"""API keys: who may call, in which role, for which devices; only a key's SHA-256 is kept."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from enum import StrEnum
from hashlib import sha256

from sqlmodel import Session, delete, select

from orchestrator.edges.store.tables import ApiKeyRow

__all__ = ["ApiKeyRow", "KeyRole", "issue_key", "key_holder", "keys", "revoke_key"]

_PREFIX = "proofrail_"  # so that a key that leaked into a repository is recognised as one


class KeyRole(StrEnum):
    """What a key may do."""

    PARTNER = "partner"  # post evidence, read events and rejections of the devices in its scope
    AUDITOR = "auditor"  # read everything
    OPERATOR = "operator"  # everything


def issue_key(session: Session, name: str, role: str, scope: str = "") -> str:
    """Make a new key (256 random bits), which is shown only now; an older key of that name ends.

    Args:
        scope: How the names of a partner's devices begin, compared exactly ("acme-" holds
            "acme-1").

    Raises:
        ValueError: The role is unknown, the name is empty, or a partner has no scope.
    """
    if not name or (KeyRole(role) is KeyRole.PARTNER and not scope):
        raise ValueError("a key needs a name, and a partner's key the scope of its devices")
    revoke_key(session, name)
    key = _PREFIX + secrets.token_urlsafe(32)
    session.add(ApiKeyRow(key_hash=_hash(key), name=name, role=KeyRole(role).value, scope=scope))
    session.flush()
    return key


def revoke_key(session: Session, name: str) -> bool:
    """End the key of that name; return False if there is none."""
    return session.exec(delete(ApiKeyRow).where(ApiKeyRow.name == name)).rowcount == 1


def key_holder(session: Session, key: str) -> ApiKeyRow | None:
    """Return the row of a presented key by its hash, so that no secret is compared byte by byte."""
    return session.get(ApiKeyRow, _hash(key))


def keys(session: Session) -> Sequence[ApiKeyRow]:
    """Return all keys by name."""
    return session.exec(select(ApiKeyRow).order_by(ApiKeyRow.name)).all()


def _hash(key: str) -> str:
    return sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
