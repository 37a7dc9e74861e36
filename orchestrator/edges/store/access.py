"""API keys: who may call, in which role, for which devices; only a key's SHA-256 is kept."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from enum import StrEnum
from hashlib import sha256

from sqlmodel import Session, delete, select

from orchestrator.edges.store.tables import ApiKeyRow

__all__ = ["ApiKeyRow", "KeyRole", "issue_key", "key_holder", "keys", "renew_key", "revoke_key"]

_PREFIX = "proofrail_"  # so that a key that leaked into a repository is recognised as one


class KeyRole(StrEnum):
    """What a key may do."""

    PARTNER = "partner"  # post evidence, read events and rejections of the devices in its scope
    AUDITOR = "auditor"  # read everything
    OPERATOR = "operator"  # everything


def issue_key(
    session: Session, name: str, role: str, scope: str = "", now: int = 0, party: str = ""
) -> str:
    """Make a new key (256 random bits), which is shown only now.

    Args:
        session: A write session.
        name: Its holder; no other key has this name.
        role: A `KeyRole`.
        scope: How the names of a partner's devices begin, compared exactly ("acme-" holds
            "acme-1").
        now: Unix seconds.
        party: Address of the payer or payee that a partner stands for: it may hold that party's
            payments.

    Raises:
        ValueError: The role is unknown, the name is empty or taken, a partner has no scope, or
            another role has a party.
    """
    if not name or (KeyRole(role) is KeyRole.PARTNER and not scope):
        raise ValueError("a key needs a name, and a partner's key the scope of its devices")
    if party and KeyRole(role) is not KeyRole.PARTNER:
        raise ValueError("only a partner's key stands for a party")
    if _named(session, name) is not None:
        raise ValueError(f"a key named {name!r} exists; `proofrail key rotate api NAME` renews it")
    key, digest = _new_key()
    role = KeyRole(role).value
    session.add(
        ApiKeyRow(key_hash=digest, name=name, role=role, scope=scope, party=party, created_at=now)
    )
    session.flush()
    return key


def renew_key(session: Session, name: str, now: int, grace_s: int = 0) -> str | None:
    """Give a key a new value, which is shown only now; return None if there is no such key.

    Args:
        session: A write session.
        name: The key's name; role, scope and party stay.
        now: Unix seconds.
        grace_s: How long the former value is still accepted.
    """
    row = _named(session, name)
    if row is None:
        return None
    key, digest = _new_key()
    kept = {"name": name, "role": row.role, "scope": row.scope, "party": row.party}
    former = (row.key_hash, now + grace_s) if grace_s > 0 else (None, 0)
    session.delete(row)
    session.flush()
    session.add(
        ApiKeyRow(
            **kept,
            key_hash=digest,
            created_at=now,
            former_hash=former[0],
            former_until=former[1],
        )
    )
    session.flush()
    return key


def revoke_key(session: Session, name: str) -> bool:
    """End the key of that name, with its former value; return False if there is none."""
    return session.exec(delete(ApiKeyRow).where(ApiKeyRow.name == name)).rowcount == 1


def key_holder(session: Session, key: str, now: int) -> ApiKeyRow | None:
    """Return the row of a presented key by its hash, so that no secret is compared byte by byte.

    Args:
        session: A session of the store.
        key: What the caller presents.
        now: Unix seconds; the former value of a renewed key is accepted until its time.
    """
    digest = _hash(key)
    former = select(ApiKeyRow).where(ApiKeyRow.former_hash == digest, ApiKeyRow.former_until > now)
    return session.get(ApiKeyRow, digest) or session.exec(former.limit(1)).first()


def keys(session: Session) -> Sequence[ApiKeyRow]:
    """Return all keys by name."""
    return session.exec(select(ApiKeyRow).order_by(ApiKeyRow.name)).all()


def _named(session: Session, name: str) -> ApiKeyRow | None:
    return session.exec(select(ApiKeyRow).where(ApiKeyRow.name == name).limit(1)).first()


def _new_key() -> tuple[str, str]:
    key = _PREFIX + secrets.token_urlsafe(32)
    return key, _hash(key)


def _hash(key: str) -> str:
    return sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
