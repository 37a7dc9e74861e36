"""Keys on disk: encrypted keystores (Web3 Secret Storage v3), their password in a 0600 file."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from orchestrator.edges.chain.ethereum import Account, LocalAccount
from orchestrator.errors import Halt

_SCRYPT_N = 2**13  # low on purpose: keys of a local chain, opened at every start
# accounts of the mnemonic that every local node ships with; anyone can sign for them
DEVELOPMENT_MNEMONIC = "test test test test test test test test test test test junk"
LOCAL_CHAIN = 31337
# roles whose keys no process of the rail needs: each has a folder and a password of its own, so
# that it can be kept on another machine (the registrar's stays where the API registers devices)
APART = ("steward", "guardian", "registrar")
_NEXT = ".next"  # ends the name of the key that will follow
_FORMER_NAMES = {"minter": "gateway"}  # homes made by 0.3.0 keep the key under its former name


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.rename(path)


def password(folder: Path) -> str:
    """Return the keystore password of a folder; it is generated at first use.

    Raises:
        Halt: Others can read the file.
    """
    path = folder / "password"
    if not path.exists():
        write_private(path, secrets.token_urlsafe(24).encode())
    if path.stat().st_mode & 0o077:
        raise Halt(f"{path} can be read by others, who could use the keys; run: chmod 600 {path}")
    return path.read_text()


def file_of(person: str) -> str:
    """Return the name of a person's keystore."""
    return "".join(c if c.isalnum() else "-" for c in person.lower()).strip("-") or "person"


def create(folder: Path, name: str, key: str | None = None) -> LocalAccount:
    """Return the account of a keystore; create it (from `key`, or at random) if it is missing.

    A role of `APART` has a folder and a password of its own.
    """
    path = _path(folder, name)
    if not path.exists():
        account = Account.from_key(key) if key else Account.create()
        secret = password(path.parent)
        store = Account.encrypt(account.key, secret, kdf="scrypt", iterations=_SCRYPT_N)
        write_private(path, json.dumps(store).encode())
        return account
    return load(folder, name)


def load(folder: Path, name: str) -> LocalAccount:
    """Return the account of an existing keystore.

    Raises:
        Halt: There is no such keystore, or it does not open.
    """
    path = _path(folder, name)
    if not path.exists():
        raise Halt(
            f"no key {name!r} in {folder}. Nothing was sent. Next: restore it from a backup; "
            "docs/KEYS.md says what to do where there is none (`proofrail key rotate`)."
        )
    return unlock(path, password(path.parent))


def unlock(path: Path, secret: str) -> LocalAccount:
    """Return the account of a keystore file.

    Raises:
        Halt: The file cannot be read, is no keystore, or does not open with this password.
    """
    try:
        return Account.from_key(Account.decrypt(json.loads(path.read_text()), secret))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Halt(f"{path} does not open with the password given for it: {error}") from error


def _path(folder: Path, name: str) -> Path:
    """Return the file of a keystore.

    Homes of earlier releases keep it under a former name, or with the password of all others.
    """
    path = folder / f"{name}.json"
    role = name.removesuffix(_NEXT)
    if role in APART:  # the key that will follow is next to it, with the same password
        return path if (folder / f"{role}.json").exists() else folder / role / path.name
    former = folder / f"{_FORMER_NAMES.get(name)}.json"
    return former if name in _FORMER_NAMES and not path.exists() and former.exists() else path


def address(folder: Path, name: str) -> str | None:
    """Return the address that a keystore names (0x-hex), without its password.

    None if there is no such keystore.
    """
    return address_in(_path(folder, name))


def address_in(path: Path) -> str | None:
    """Return the address that a keystore file names (0x-hex); None if there is no such file."""
    try:
        return "0x" + json.loads(path.read_text())["address"]
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise Halt(f"{path} is not a keystore: {error}") from error


def prepare_next(folder: Path, name: str) -> LocalAccount:
    """Return the key that will follow the key of this name; it is made at the first call."""
    return create(folder, _following(name))


def take_next(folder: Path, name: str, mark: str) -> str | None:
    """Put the following key in the place of a key; return the name under which the former stays.

    Args:
        folder: The folder of the keystores.
        name: The key.
        mark: Part of the former key's new name, such as the time.

    Returns:
        None where the former key is lost.
    """
    path, kept = _path(folder, name), f"{name}.former-{mark}"
    following = _path(folder, _following(name))
    if path.exists():
        path.with_name(f"{kept}.json").hardlink_to(path)
    else:
        kept = None
    following.replace(following.with_name(f"{name}.json"))
    return kept


def _following(name: str) -> str:
    return f"{name}{_NEXT}"


def next_address(folder: Path, name: str) -> str | None:
    """Return the address of the key that was made to follow a key; None if none was made."""
    return address(folder, _following(name))


def keys_of(folder: Path) -> Callable[[str], LocalAccount | None]:
    """Return a function: address -> its account, where a keystore of the folder holds it."""

    def key_of(wanted: str) -> LocalAccount | None:
        for name in names(folder):
            if (address(folder, name) or "").lower() == wanted.lower():
                return load(folder, name)
        return None

    return key_of


def names(folder: Path) -> list[str]:
    """Return the names of a folder's keystores."""
    return sorted(path.stem for path in folder.glob("*.json"))


@lru_cache  # deriving one takes nine milliseconds
def development_account(index: int) -> LocalAccount:
    """Return an account of the well-known development mnemonic; it is worthless elsewhere."""
    Account.enable_unaudited_hdwallet_features()
    return Account.from_mnemonic(DEVELOPMENT_MNEMONIC, account_path=f"m/44'/60'/0'/0/{index}")
