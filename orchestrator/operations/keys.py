"""The keys of a rail: which can be replaced, how, and what holds where one cannot be.

`sender` and the receipt key have no role on chain and are replaced here, also when they are lost.
The steward gives the roles of the contracts to new keys (role_rotation.py), its own as well.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from device_adapters.types import Rejected
from orchestrator.core.receipt import Receipts, public_key_of
from orchestrator.edges.chain import keystore
from orchestrator.edges.chain.client import Chain
from orchestrator.errors import Halt
from orchestrator.settings import Settings

LEAST_WEI = 10**16  # what the key of a sender must hold before it is used: 0.01 ether
_DEVELOPMENT_WEI = 10**21
RECEIPT_KEY_FORMAT = 1  # of the files in keys/receipts


class HeldKey(StrEnum):
    """The keys that somebody holds; docs/KEYS.md has a row for each."""

    DEPLOYER = "deployer"
    STEWARD = "steward"
    GUARDIAN = "guardian"
    MINTER = "minter"
    REGISTRAR = "registrar"
    WARDEN = "warden"
    SENDER = "sender"
    ORACLE = "oracle"
    RECEIPT = "receipt"
    API = "api"
    OFFICER = "officer"
    PARTY = "party"
    DEVICE = "device"
    PASSWORD = "password"


# what no longer works while the key of a role is missing, and what does
CONSEQUENCES: Mapping[HeldKey, str] = {
    HeldKey.MINTER: "Without it no bank credit becomes tokens any more: agreements cannot be "
    "funded, and credits wait as booked. Escrow that is there is still settled, released, redeemed "
    "and paid out, and payers get the rest back when their agreements end.",
    HeldKey.REGISTRAR: "Without it no device is enrolled or resumed any more. Enrolled devices go "
    "on; their owners still rotate, suspend and revoke them, and the warden suspends them.",
    HeldKey.WARDEN: "Without it the rail neither suspends a cloned device nor disputes what a "
    "stolen device key made. The registrar and the owner still suspend devices, and payers still "
    "dispute.",
    HeldKey.STEWARD: "Without it no product is listed, no oracle is seated or unseated, no role is "
    "given to a new key, and a pause ends only by itself. Open agreements go on with the oracles "
    "that are seated.",
    HeldKey.GUARDIAN: "Without it nobody can pause the rail or cancel what the steward schedules. "
    "All else goes on.",
}


STAND_INS = (HeldKey.MINTER, HeldKey.REGISTRAR, HeldKey.WARDEN)  # processes and commands open them


@dataclass(frozen=True)
class KeyReplacement:
    """What a rotation did, or would do.

    Attributes:
        role: The key.
        former: Its address or key id before; None where it is lost.
        following: Its address or key id after; None: a dry run, and no key is made yet.
        done: Whether the following key is in use from the next start on.
        steps: What is done, or would be, and by which party, in order.
    """

    role: str
    former: str | None
    following: str | None
    done: bool
    steps: tuple[str, ...]


@dataclass(frozen=True)
class ReceiptKey:
    """A public receipt key: receipts that it signed verify for ever.

    Attributes:
        kid: Its RFC 7638 thumbprint, which receipts name.
        public_pem: SubjectPublicKeyInfo.
        valid_from: Unix seconds of its first receipt; 0: not known, from the beginning.
        valid_until: When it was replaced; None: it was not.
    """

    kid: str
    public_pem: str
    valid_from: int
    valid_until: int | None


def stand_in(role: HeldKey, settings: Settings, *, dry_run: bool) -> KeyReplacement:
    """Make a key without rights in the place of a lost one: the rail starts only with all files.

    Raises:
        Halt: The key is there; or nothing of the rail opens it.
    """
    if role not in STAND_INS:
        raise Halt(
            f"No process of the rail opens the key of the {role}, so it needs no stand-in. Nothing "
            f"was changed. {CONSEQUENCES[role]}"
        )
    former = keystore.address(settings.keys, role)
    if former is not None:
        raise Halt(
            f"keys/{role}.json is there ({former}), and a stand-in never replaces a key. Nothing "
            "was changed."
        )
    steps = (
        f"make keys/{role}.json, a key without any right on chain",
        "`proofrail restart orchestrator`, which starts with it",
        CONSEQUENCES[role],
        f"`proofrail key rotate {role}`: the steward gives the role to a new key",
    )
    following = None if dry_run else keystore.create(settings.keys, role).address
    return KeyReplacement(role, None, following, not dry_run, steps)


def rotate_sender(
    settings: Settings, chain: Chain, now: int, *, dry_run: bool, prepare: bool
) -> KeyReplacement:
    """Replace the key that pays for the rail's transactions; also where it is lost.

    Sends of the former key stay as they are: their bytes are stored and signed, so the rail sends
    them until blocks hold them. A settlement or mint that is sent by two keys has one effect, for
    the contracts accept each sequence and each credit once.

    Args:
        settings: The settings of the home.
        chain: The checked node.
        now: Unix seconds.
        dry_run: Make no key and change nothing.
        prepare: Make the key alone, so that it can be funded; a later call puts it in its place.

    Raises:
        Halt: The new key holds too little ether.
    """
    former = keystore.address(settings.keys, HeldKey.SENDER)
    steps = (
        "make a key, keys/sender.next.json",
        f"fund its address with at least {LEAST_WEI / 10**18} ether",
        "put it in the place of keys/sender.json; the former key stays in keys/ under another name"
        if former
        else "put it in the place of keys/sender.json, which is missing",
        "`proofrail restart orchestrator`, which then signs with it",
        "sends of the former key are finished from their stored bytes; no key is needed for that",
    )
    if dry_run:
        following = keystore.next_address(settings.keys, HeldKey.SENDER)
        return KeyReplacement(HeldKey.SENDER, former, following, False, steps)
    account = keystore.prepare_next(settings.keys, HeldKey.SENDER)
    fund_on_local_chain(chain, account.address)
    if prepare:
        return KeyReplacement(HeldKey.SENDER, former, account.address, False, steps)
    require_ether(chain, HeldKey.SENDER, account.address)
    take_next(settings, HeldKey.SENDER, now)
    return KeyReplacement(HeldKey.SENDER, former, account.address, True, steps[3:])


def fund_on_local_chain(chain: Chain, address: str) -> None:
    """Give a new key ether, where ether is worth nothing."""
    if chain.deployment.chain_id == keystore.LOCAL_CHAIN:
        chain.rpc("anvil_setBalance", [address, hex(_DEVELOPMENT_WEI)])


def require_ether(chain: Chain, role: HeldKey, address: str) -> None:
    """Check that a new key can pay for transactions before it is used.

    Raises:
        Halt: It holds too little ether.
    """
    balance = int(chain.rpc("eth_getBalance", [address, "latest"]), 16)
    if balance < LEAST_WEI:
        raise Halt(
            f"The new {role} {address} holds {balance / 10**18} ether, and it pays for its "
            f"transactions. The former key stays in use. Next: send it at least "
            f"{LEAST_WEI / 10**18} ether, then run this again; it uses the same new key."
        )


def take_next(settings: Settings, role: HeldKey, now: int) -> None:
    """Put the new key of a role in the place of the former one, which stays under another name."""
    keystore.take_next(settings.keys, role, _mark(now))


def rotate_receipt(settings: Settings, now: int, *, dry_run: bool, prepare: bool) -> KeyReplacement:
    """Replace the key that signs receipts; also where it is lost.

    The former public key stays in keys/receipts with its times, so that its receipts verify.

    Args:
        settings: The settings of the home.
        now: Unix seconds.
        dry_run: Make no key and change nothing.
        prepare: Make and publish the key alone, so that devices get it before it signs.
    """
    public = settings.keys / "receipt.pub.pem"
    former = _kid(public.read_bytes()) if public.exists() else None
    steps = (
        "make a key, keys/receipt.next.pem, and publish its public part in keys/receipts",
        "give the public key to every device: a device that lacks it does not take a receipt by it,"
        " and sends its records again",
        "put it in the place of keys/receipt.pem; the former public key stays in keys/receipts",
        "`proofrail restart orchestrator`, which then signs with it",
    )
    following = settings.keys / "receipt.next.pem"
    if dry_run:
        kid = _kid(following.read_bytes()) if following.exists() else None
        return KeyReplacement(HeldKey.RECEIPT, former, kid, False, steps)
    if not following.exists():
        keystore.write_private(following, _new_receipt_key())
    receipts = Receipts(following.read_bytes())
    kid = _kid(receipts.public_pem)
    if prepare:
        _publish(settings, ReceiptKey(kid, receipts.public_pem.decode(), now, None))
        return KeyReplacement(HeldKey.RECEIPT, former, kid, False, steps)
    if former is not None and former != kid:
        published = _published(settings, former)
        began = published.valid_from if published else 0
        _publish(settings, ReceiptKey(former, public.read_text(), began, now))
    _publish(settings, ReceiptKey(kid, receipts.public_pem.decode(), now, None))
    keystore.write_private(public, receipts.public_pem)
    following.replace(settings.keys / "receipt.pem")
    return KeyReplacement(HeldKey.RECEIPT, former, kid, True, steps[3:])


def open_receipts(settings: Settings) -> Receipts:
    """Return what signs receipts, with all other public keys: former ones and a prepared one.

    Raises:
        Halt: The key, or a published one, is missing or damaged.
    """
    path = settings.keys / "receipt.pem"
    try:
        private = path.read_bytes()
        signer = Receipts(private)
    except (OSError, Rejected) as error:
        raise Halt(
            f"The receipt key {path} cannot be read: {error}. Nothing was started. Restore it from "
            "a backup. If it is lost, `proofrail key rotate receipt` makes another one."
        ) from error
    others = [key for key in receipt_keys(settings) if key.kid != _kid(signer.public_pem)]
    pems = [key.public_pem.encode() for key in reversed(others)]
    return Receipts(private, pems)


def receipt_keys(settings: Settings) -> list[ReceiptKey]:
    """Return every public receipt key that this rail ever used or prepared, oldest first.

    Raises:
        Halt: A file in keys/receipts cannot be read.
    """
    folder = settings.keys / "receipts"
    published = [_read_receipt_key(path) for path in sorted(folder.glob("*.json"))]
    public = settings.keys / "receipt.pub.pem"
    if public.exists():
        kid = _kid(public.read_bytes())
        if kid not in {key.kid for key in published}:
            published.append(ReceiptKey(kid, public.read_text(), 0, None))
    return sorted(published, key=lambda key: (key.valid_from, key.valid_until or 1 << 62))


def _published(settings: Settings, kid: str) -> ReceiptKey | None:
    return next((key for key in receipt_keys(settings) if key.kid == kid), None)


def _publish(settings: Settings, key: ReceiptKey) -> None:
    content: dict[str, Any] = {"version": RECEIPT_KEY_FORMAT, **asdict(key)}
    path = settings.keys / "receipts" / f"{key.kid}.json"
    keystore.write_private(path, json.dumps(content, indent=1).encode())


def _read_receipt_key(path: Path) -> ReceiptKey:
    try:
        content = json.loads(path.read_bytes())
        if content.pop("version") != RECEIPT_KEY_FORMAT:
            raise ValueError("its version is not known")
        key = ReceiptKey(**content)
        if _kid(key.public_pem.encode()) != key.kid:
            raise ValueError("its kid is not that of its key")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Halt(
            f"{path} is not a published receipt key: {error}. Next: restore it from a backup; "
            "receipts of that time do not verify without it."
        ) from error
    return key


def _kid(pem: bytes) -> str:
    try:
        return public_key_of(pem).kid
    except Rejected as refusal:
        raise ValueError(str(refusal)) from refusal


def _new_receipt_key() -> bytes:
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _mark(now: int) -> str:
    return f"{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%SZ}"
