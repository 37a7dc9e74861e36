"""Issues, revokes and checks broker passwords; the file holds salted hashes, never a password."""

from __future__ import annotations

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
from orchestrator.edges.broker.access import CredentialRole, is_valid_name

# Passwords are 256 random bits, which no dictionary contains: the hash only has to be one-way, and
# it must be fast for a fleet that reconnects all at once.
ITERATIONS = 1_000
_SALT_BYTES = 12


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
        """Return whether the password is correct, comparing in constant time."""
        derived = _derive(password, bytes.fromhex(self.salt), self.iterations)
        return hmac.compare_digest(derived, bytes.fromhex(self.hash))


def path(home: Path) -> Path:
    """Return the path of the credentials file of a home."""
    return Path(home) / "broker" / "credentials.json"


def issue(home: Path, username: str, role: CredentialRole | str) -> str:
    """Issue a new password; it is returned only this once and replaces an older one.

    Raises:
        Rejected: NAME_MALFORMED, or NAME_TAKEN if the name has another role.
    """
    return issue_many(home, [username], role)[username]


def issue_many(home: Path, usernames: list[str], role: CredentialRole | str) -> dict[str, str]:
    """Issue passwords for many names in one write; return them by name. Raises as `issue` does."""
    role = CredentialRole(role)
    # hexadecimal: a password that begins with "-" would read like an option of a command
    issued = {name: secrets.token_hex(32) for name in usernames}

    def add(credentials: dict[str, Credential]) -> None:
        for name, password in issued.items():
            _check(credentials, name, role)
            salt = secrets.token_bytes(_SALT_BYTES)
            digest = _derive(password, salt, ITERATIONS)
            credentials[name] = Credential(role, salt.hex(), digest.hex())

    _change(home, add)
    return issued


def revoke(home: Path, username: str) -> bool:
    """Delete a credential; a running broker then ends its connection. False: there was none."""
    deleted: list[Credential | None] = []
    _change(home, lambda credentials: deleted.append(credentials.pop(username, None)))
    return deleted[0] is not None


def load(home: Path) -> dict[str, Credential]:
    """Return all credentials by name; none, so that nobody may connect, if there is no file yet."""
    try:
        rows = json.loads(path(home).read_text())
    except FileNotFoundError:
        return {}
    return {
        name: Credential(**(row | {"role": CredentialRole(row["role"])}))
        for name, row in rows.items()
    }


def verify(
    credentials: dict[str, Credential], username: str | None, password: str | None
) -> CredentialRole | None:
    """Return the role that this name and password give, or None."""
    credential = credentials.get(username or "")
    valid = credential and password and credential.opens_with(password)
    return credential.role if valid else None


def _derive(password: str, salt: bytes, iterations: int) -> bytes:
    return hashlib.pbkdf2_hmac("sha512", password.encode(), salt, iterations)


def _check(credentials: dict[str, Credential], name: str, role: CredentialRole) -> None:
    if not is_valid_name(name):
        raise Rejected(CredentialReason.NAME_MALFORMED, f"{name!r} cannot be a topic level")
    if name in credentials and credentials[name].role is not role:
        raise Rejected(
            CredentialReason.NAME_TAKEN, f"{name!r} is already a {credentials[name].role}"
        )


def _change(home: Path, edit: Callable[[dict[str, Credential]], None]) -> None:
    with _locked(home):
        credentials = load(home)
        edit(credentials)
        rows = {name: asdict(credential) for name, credential in sorted(credentials.items())}
        replace_private(path(home), json.dumps(rows, indent=1).encode())


@contextmanager
def _locked(home: Path) -> Iterator[None]:
    """Lock the file, so that two processes that change it do not lose each other's rows."""
    folder = path(home).parent
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with open(folder / ".lock", "w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def replace_private(target: Path, content: bytes) -> None:
    """Write a file that only its owner may read, completely or not at all."""
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as handle:
        handle.write(content)
        handle.flush()
        os.fsync(handle.fileno())
    os.replace(draft, target)
