"""Issues, revokes and checks broker passwords; the file holds salted hashes, never a password."""

from __future__ import annotations

import base64
import fcntl
import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from device_adapters.types import Rejected
from orchestrator.edges.broker.access import CredentialRole, name_is_sound

# Passwords are 256 random bits, so no dictionary reaches them: the hash only has to be one-way,
# and a fleet that reconnects at once must not wait for it.
ITERATIONS = 1_000
_SALT_BYTES = 12  # what mosquitto's own password format expects


class CredentialReason(StrEnum):
    """Why a credential is not issued."""

    NAME_MALFORMED = "name_malformed"
    NAME_TAKEN = "name_taken"


@dataclass(frozen=True, slots=True)
class Credential:
    """One row of the file. salt, hash: hex; hash = PBKDF2-HMAC-SHA512 of the password, 64 bytes."""

    role: CredentialRole
    salt: str
    hash: str
    iterations: int = ITERATIONS

    def opens_with(self, password: str) -> bool:
        """Compares in constant time."""
        found = _derive(password, bytes.fromhex(self.salt), self.iterations)
        return hmac.compare_digest(found, bytes.fromhex(self.hash))

    def mosquitto_line(self, name: str) -> str:
        """The same hash as a line of mosquitto's password file (format 7)."""
        salt, digest = (base64.b64encode(bytes.fromhex(x)).decode() for x in (self.salt, self.hash))
        return f"{name}:$7${self.iterations}${salt}${digest}"


def path(home: Path) -> Path:
    """Where the credentials of this home live."""
    return Path(home) / "broker" / "credentials.json"


def issue(home: Path, username: str, role: CredentialRole | str) -> str:
    """A fresh password for `username`, returned this once; issuing again replaces the old one.

    Raises Rejected (name_malformed; name_taken where the name has another role).
    """
    return issue_many(home, [username], role)[username]


def issue_many(home: Path, usernames: list[str], role: CredentialRole | str) -> dict[str, str]:
    """Passwords by name, written in one go (a fleet is one write, not thousands)."""
    role = CredentialRole(role)
    issued = {name: secrets.token_urlsafe(32) for name in usernames}

    def add(known: dict[str, Credential]) -> None:
        for name, password in issued.items():
            _check(known, name, role)
            salt = secrets.token_bytes(_SALT_BYTES)
            digest = _derive(password, salt, ITERATIONS)
            known[name] = Credential(role, salt.hex(), digest.hex())

    _change(home, add)
    return issued


def revoke(home: Path, username: str) -> bool:
    """Takes the credential away; a running broker ends its connection. False: there was none."""
    gone: list[Credential | None] = []
    _change(home, lambda known: gone.append(known.pop(username, None)))
    return gone[0] is not None


def load(home: Path) -> dict[str, Credential]:
    """All credentials by name; none where the file does not exist yet (so nobody may connect)."""
    try:
        rows = json.loads(path(home).read_text())
    except FileNotFoundError:
        return {}
    return {
        name: Credential(**(row | {"role": CredentialRole(row["role"])}))
        for name, row in rows.items()
    }


def verify(
    known: dict[str, Credential], username: str | None, password: str | None
) -> CredentialRole | None:
    """The role that this name and password open, or None."""
    held = known.get(username or "")
    return held.role if held and password and held.opens_with(password) else None


def _derive(password: str, salt: bytes, iterations: int) -> bytes:
    return hashlib.pbkdf2_hmac("sha512", password.encode(), salt, iterations)


def _check(known: dict[str, Credential], name: str, role: CredentialRole) -> None:
    if not name_is_sound(name):
        raise Rejected(CredentialReason.NAME_MALFORMED, f"{name!r} cannot be a topic level")
    if name in known and known[name].role is not role:
        raise Rejected(CredentialReason.NAME_TAKEN, f"{name!r} is already a {known[name].role}")


def _change(home: Path, edit: Callable[[dict[str, Credential]], None]) -> None:
    with _locked(home):
        known = load(home)
        edit(known)
        rows = {name: asdict(credential) for name, credential in sorted(known.items())}
        replace_private(path(home), json.dumps(rows, indent=1).encode())


@contextmanager
def _locked(home: Path) -> Iterator[None]:
    """Two processes that issue at once must not lose each other's rows."""
    folder = path(home).parent
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with open(folder / ".lock", "w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def replace_private(target: Path, content: bytes) -> None:
    """Writes a file readable by its owner only, whole or not at all."""
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as handle:
        handle.write(content)
        handle.flush()
        os.fsync(handle.fileno())
    os.replace(draft, target)
