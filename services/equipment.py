"""Makes the keys, secrets and folders that the processes of a rail need in its home.

Nothing is ever made a second time: what exists stays as it is.
"""

from __future__ import annotations

import secrets
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from orchestrator.core.receipt import Receipts
from orchestrator.edges.broker import credentials
from orchestrator.edges.chain import keystore
from orchestrator.edges.store import Store, approvals
from orchestrator.settings import Settings
from services.development import FIRST_ORACLE, OFFICERS, ROLES


def create_role_keys(settings: Settings) -> None:
    """Create the keystores of all roles from the development mnemonic; existing ones stay."""
    for role, index in ROLES.items():
        key = keystore.development_account(index).key.hex()
        keystore.create(settings.keys, role, key)


def create_officers(settings: Settings, store: Store) -> None:
    """Give the officers of a development chain their keystores and names; existing ones stay."""
    for name, index in OFFICERS.items():
        key = keystore.development_account(index).key.hex()
        account = keystore.create(settings.officer_keys, keystore.file_of(name), key)
        with store.write() as session:
            names = approvals.officer_names(session)
            if account.address not in names and name not in names.values():
                approvals.name_officer(session, account.address, name)


def create_receipt_key(settings: Settings) -> None:
    """Create the key that signs receipts and its public half; existing ones stay."""
    path, public = settings.keys / "receipt.pem", settings.keys / "receipt.pub.pem"
    if not path.exists():
        key = ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        keystore.write_private(path, key)
    if not public.exists():
        keystore.write_private(public, Receipts(path.read_bytes()).public_pem)


def create_broker_password(home: Path, user: str, role: str, file: Path) -> None:
    """Create a broker credential and write its password to a file; an existing file stays."""
    if not file.exists():
        keystore.write_private(file, credentials.issue(home, user, role).encode())


def create_oracle_token(settings: Settings, name: str) -> bytes:
    """Return the secret that the rail shows to an oracle; it is created at the first call."""
    file = settings.keys / f"{name}.token"
    if not file.exists():
        keystore.write_private(file, secrets.token_urlsafe(32).encode())
    return file.read_bytes()


def equip_oracle(settings: Settings, name: str, index: int) -> None:
    """Make the folder of an oracle of this machine: its key, its token and its broker password.

    Args:
        index: its place among `ORACLES`, which decides its development key.
    """
    home = settings.home / "oracles" / name
    key = keystore.development_account(FIRST_ORACLE + index).key.hex()
    keystore.create(home, "key", key)
    keystore.write_private(home / "token", create_oracle_token(settings, name))
    role = credentials.CredentialRole.ORACLE
    create_broker_password(settings.home, name, role, home / "broker.password")
