"""Operators' actions on devices: enrol, rotate keys, stop; each is safe to repeat.

The registry on chain is the authority; the stored row is a copy, written after it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from device_adapters.keys import normalise_low_s
from device_adapters.types import DeviceKey, device_id
from orchestrator.core.endorsement import Endorsement
from orchestrator.core.identity import CURVES
from orchestrator.edges.chain.client import Call
from orchestrator.edges.chain.keystore import LOCAL_CHAIN
from orchestrator.edges.chain.sender import ChainCall, Sender, send_and_wait
from orchestrator.edges.store import add_new, agreements
from orchestrator.errors import Halt, Retry
from orchestrator.operations.gateways import SignedAssignment, assign

# names of IDeviceRegistry.Status, by number
STATUSES = ("unknown", "active", "suspended", "retired", "compromised", "expired")
Proof = tuple[int, int]  # an ECDSA signature: r, s


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A device to enrol.

    Attributes:
        owner: Address of the owner.
        r: With s, the proof of possession: a signature over `enrolment_digest`.
        endorsement: The endorsement of the key; only the local chain accepts None.
    """

    name: str
    key: DeviceKey
    owner: str
    r: int
    s: int
    endorsement: Endorsement | None = None


@dataclass(frozen=True, slots=True)
class Rotation:
    """A device's new key with both signatures over `rotation_digest`, and its endorsement."""

    name: str
    key: DeviceKey
    by_old: Proof
    by_new: Proof
    endorsement: Endorsement | None = None


class DeviceOps:
    """Operations on the device registry.

    Args:
        senders: Role to Sender: registrar, sender and, if the rail may suspend, warden.
        now: Returns Unix seconds.
        wait: Called while a transaction waits for its block; may raise Retry.
    """

    def __init__(
        self, senders: Mapping[str, Sender], now: Callable[[], int], wait: Callable[[], None]
    ) -> None:
        self._senders = senders
        self._registrar, self._sender = senders["registrar"], senders["sender"]
        self._store, self._chain = self._sender.store, self._sender.chain
        self._now, self._wait = now, wait

    def enrol(self, enrolments: Sequence[Enrolment]) -> None:
        """Enrol devices in the registry on chain, then in the store.

        Raises:
            Halt: a key has no endorsement, or a device is enrolled with another key.
            Retry: a proof of possession is wrong, with the name of the contract's error.
        """
        for enrolment in enrolments:
            self._require_endorsed(enrolment.name, enrolment.key, enrolment.endorsement)
        self._require_same_keys(enrolments)
        calls = [
            ChainCall("enrol", e.name, Call("DeviceRegistry", "enrol", _enrol_arguments(e)))
            for e in enrolments
        ]
        send_and_wait(self._registrar, calls, self._now(), self._wait)
        with self._store.write() as session:
            add_new(
                session,
                [
                    agreements.DeviceRow(
                        device_id="0x" + device_id(e.name).hex(),
                        name=e.name,
                        owner=e.owner,
                        enrolled_at=self._now(),
                        **_key_columns(e.key, e.endorsement),
                    )
                    for e in enrolments
                ],
            )

    def rotate(self, rotation: Rotation) -> None:
        """Give a device its new key; records signed with the old key until then stay valid.

        Raises:
            Halt: the key was replaced a moment ago, or too often within a day.
            Retry: a signature is not of its key, with the name of the contract's error.
        """
        name, key = rotation.name, rotation.key
        self._require_endorsed(name, key, rotation.endorsement)
        if self.key_of(name) != (key.x, key.y):
            self._require_rested(name)
            count = self.keys_so_far(name)
            call = Call("DeviceRegistry", "rotate", _rotate_arguments(rotation))
            self._send(self._sender, ChainCall("rotate", f"{name}:{count}", call))
        self._note(name, **_key_columns(key, rotation.endorsement))

    def assign(self, signed: SignedAssignment) -> None:
        """Assign a gateway to a device; an unknown device is enrolled without a key."""
        assign(self._registrar, signed, self._now(), self._wait)

    def suspend(self, name: str, by: str = "registrar") -> None:
        """Suspend a device until it is resumed; `by` is the signing role, registrar or warden."""
        if self.status(name) != "suspended":
            self._change("suspend", name, self._senders[by])
        self._note(name, status="suspended")

    def resume(self, name: str) -> None:
        """Resume a suspended device; records signed while suspended stay refused."""
        status = self.status(name)
        if status == "suspended":
            self._change("resume", name, self._registrar)
        elif status not in ("active", "expired"):
            raise Halt(
                f"{name} is {status}, not suspended. Nothing was sent. To use a retired device "
                "again, enrol it with a new name and key."
            )
        self._note(name, status="active")

    def retire(self, name: str) -> None:
        """Revoke a device on chain for ever; records signed from now on are refused."""
        if self.status(name) != "retired":
            call = Call("DeviceRegistry", "revoke", (device_id(name),))
            self._send(self._registrar, ChainCall("revoke", name, call))
        self._note(name, status="retired")

    def declare_compromised(self, name: str, since: int) -> int:
        """Declare a device compromised since a past time.

        Args:
            since: Unix seconds.

        Returns:
            The time in force: the earlier one, if one was declared before.

        Raises:
            Halt: only a ruling of the committee reaches so far back.
        """
        declared = self.compromised_since(name)
        if declared == 0 or since < declared:
            self._require_declarable(name, since)
            call = Call("DeviceRegistry", "declareCompromised", (device_id(name), since))
            self._send(self._registrar, ChainCall("compromise", f"{name}:{since}", call))
            declared = since
        self._note(name, status="compromised", compromised_since=declared)
        return declared

    def rule_compromise(self, name: str, since: int, signatures: Sequence[bytes]) -> None:
        """Send the committee's ruling on since when a device's key is stolen; safe to repeat.

        Args:
            name: The device's name.
            since: Unix seconds; 0: it is not stolen.
            signatures: Of oracles over `ruling_document`, 65 bytes each.

        Raises:
            Retry: The signatures are no quorum of this ruling, with the contract's error.
        """
        number = self.rulings_so_far(name)
        arguments = (device_id(name), since, list(signatures))
        call = Call("DeviceRegistry", "ruleCompromise", arguments)
        self._send(self._sender, ChainCall("compromise_ruling", f"{name}:{number}:{since}", call))
        if since:
            self._note(name, status="compromised", compromised_since=since)
        else:
            self._note(name, status=self.status(name), compromised_since=None)

    def dispute(self, disputes: Sequence[ChainCall]) -> dict[str, str]:
        """Send the warden's disputes; return {payment: error} of those that were refused."""
        refused = {}
        for dispute in disputes:
            try:
                self._send(self._senders["warden"], dispute)
            except (Retry, Halt) as error:  # the window ended, or the payer was faster
                refused[dispute.ref] = str(error)
        return refused

    @property
    def has_warden(self) -> bool:
        """Whether the warden's key is available."""
        return "warden" in self._senders

    # --- queries of the registry

    def status(self, name: str) -> str:
        """Return the current status, one of STATUSES."""
        return STATUSES[self._newest(name)[0]]

    def key_of(self, name: str) -> tuple[int, int]:
        """Return the point (x, y) of the newest key; (0, 0) if there is none."""
        _, _, x, y = self._newest(name)
        return int.from_bytes(x), int.from_bytes(y)

    def keys_so_far(self, name: str) -> int:
        """Return how many keys the device has had."""
        return self._view("keyCount", name)

    def compromised_since(self, name: str) -> int:
        """Return the declared time in Unix seconds; 0 if none is declared."""
        return self._view("compromisedSince", name)

    def declarable_from(self, name: str) -> int:
        """Return the earliest time of a compromise that needs no ruling, in Unix seconds."""
        return self._view("declarableFrom", name)

    def rulings_so_far(self, name: str) -> int:
        """Return how many rulings on a compromise the device has had."""
        return self._view("compromiseRulings", name)

    def next_rotation(self, name: str) -> int:
        """Return from when on the key may be replaced, in Unix seconds; 0: at once."""
        return self._view("nextRotation", name)

    def _newest(self, name: str) -> Any:
        return self._view("keyAt", name, self._clock())

    def _clock(self) -> int:
        head = self._chain.blocks([self._chain.head()])[0]  # its clock may be ahead of ours
        return max(self._now(), head.timestamp)

    def _view(self, function: str, name: str, *more: int) -> Any:
        return self._chain.view("DeviceRegistry", function, device_id(name), *more)

    # --- inside

    def _require_endorsed(self, name: str, key: DeviceKey, endorsement: Endorsement | None) -> None:
        if key.curve not in CURVES:
            raise Halt(f"device {name}: no contract can check {key.curve}; use secp256r1")
        if endorsement is None and self._chain.deployment.chain_id != LOCAL_CHAIN:
            raise Halt(
                f"The key of {name} has no endorsement. Nothing was sent. Give the certificates "
                "of its manufacturer or installer with --endorsement."
            )
        same = DeviceKey(key.curve, key.x, key.y)
        if endorsement is not None and (endorsement.device, endorsement.key) != (name, same):
            raise Halt(
                f"The endorsement is for {endorsement.device} with another name or key, not for "
                f"{name}. Nothing was sent. Give the endorsement of {name}."
            )

    def _require_rested(self, name: str) -> None:
        next_at = self.next_rotation(name)
        if self._clock() < next_at:
            raise Halt(
                f"The key of {name} was replaced a short while ago: a key may follow another after "
                f"an hour, and four times a day. Nothing was sent. It may be replaced from "
                f"{_utc(next_at)} on; `proofrail device suspend {name}` stops it at once."
            )

    def _require_declarable(self, name: str, since: int) -> None:
        earliest = self.declarable_from(name)
        if since < earliest:
            raise Halt(
                f"A compromise of {name} cannot be declared for {_utc(since)}: without a ruling of "
                f"the committee it reaches back to {_utc(earliest)}, so that payees of longer ago "
                f"keep what they earned. Nothing was sent. Next: declare it for {_utc(earliest)} "
                "now, and ask the oracles for a ruling on the earlier time."
            )

    def _require_same_keys(self, enrolments: Sequence[Enrolment]) -> None:
        with self._store.read() as session:
            enrolled_keys = {
                row.name: (row.key_x, row.key_y) for row in agreements.devices(session)
            }
        for enrolment in enrolments:
            if (
                enrolled_keys.get(
                    enrolment.name, key := (hex(enrolment.key.x), hex(enrolment.key.y))
                )
                != key
            ):
                raise Halt(
                    f"{enrolment.name} is enrolled with another key. Nothing was sent. `proofrail "
                    "device rotate` replaces a key."
                )

    def _change(self, function: str, name: str, sender: Sender) -> None:
        # the nonce is the same after an interruption, and new after another change
        ref = f"{name}:{self._chain.nonce(sender.account.address)}"
        call = Call("DeviceRegistry", function, (device_id(name),))
        self._send(sender, ChainCall(function, ref, call))

    def _send(self, sender: Sender, call: ChainCall) -> None:
        send_and_wait(sender, [call], self._now(), self._wait)

    def _note(self, name: str, **columns: Any) -> None:
        with self._store.write() as session:
            row = agreements.device_by_name(session, name)
            for column, value in columns.items() if row else ():
                setattr(row, column, value)


def _utc(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _key_columns(key: DeviceKey, endorsement: Endorsement | None) -> dict[str, Any]:
    return {
        "curve": key.curve,
        "key_x": hex(key.x),
        "key_y": hex(key.y),
        "endorsement": endorsement.sha256.hex() if endorsement else "",
        "expires_at": endorsement.expires_at if endorsement else 0,
    }


def _enrol_arguments(e: Enrolment) -> tuple[Any, ...]:
    hashed = e.endorsement.sha256 if e.endorsement else bytes(32)
    return (
        *_key_arguments(e.name, e.key),
        e.owner,
        hashed,
        _expiry(e.endorsement),
        *_words(*_low(e.key, (e.r, e.s))),
    )


def _rotate_arguments(rotation: Rotation) -> tuple[Any, ...]:
    # the contract accepts both s values of the old key's signature; its curve is unknown here
    return (
        *_key_arguments(rotation.name, rotation.key),
        _expiry(rotation.endorsement),
        *_words(*rotation.by_old),
        *_words(*_low(rotation.key, rotation.by_new)),
    )


def _key_arguments(name: str, key: DeviceKey) -> tuple[Any, ...]:
    return (device_id(name), CURVES[key.curve], *_words(key.x, key.y))


def _low(key: DeviceKey, proof: Proof) -> Proof:
    return proof[0], normalise_low_s(*proof, key.curve)[1]


def _words(*numbers: int) -> list[bytes]:
    return [number.to_bytes(32, "big") for number in numbers]


def _expiry(endorsement: Endorsement | None) -> int:
    return endorsement.expires_at if endorsement else 0
