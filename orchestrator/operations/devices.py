"""What happens to devices in the registry: enrolled, given new keys, stopped; each safe to repeat.

The registry on chain is the authority; the store's row is the rail's copy, written after it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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

# IDeviceRegistry.Status, as the store and people say it
STATUSES = ("unknown", "active", "suspended", "retired", "compromised", "expired")
Proof = tuple[int, int]  # an ECDSA signature: r, s


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A device to enrol: its name, key, owner (address) and its proof of possession (r, s) over
    `enrolment_digest`; who vouches for the key. Only the local chain takes a device for which
    nobody does."""

    name: str
    key: DeviceKey
    owner: str
    r: int
    s: int
    endorsement: Endorsement | None = None


@dataclass(frozen=True, slots=True)
class Rotation:
    """A device's new key with both signatures over `rotation_digest`, and who vouches for it."""

    name: str
    key: DeviceKey
    by_old: Proof
    by_new: Proof
    endorsement: Endorsement | None = None


class DeviceOps:
    """The registry's operators. senders: role -> Sender: registrar, sender, and warden where the
    rail may suspend."""

    def __init__(
        self, senders: Mapping[str, Sender], now: Callable[[], int], wait: Callable[[], None]
    ) -> None:
        self._senders = senders
        self._registrar, self._sender = senders["registrar"], senders["sender"]
        self._store, self._chain = self._sender.store, self._sender.chain
        self._now, self._wait = now, wait

    def enrol(self, enrolments: Sequence[Enrolment]) -> None:
        """Writes devices into the registry on chain, then into the store.

        Raises Halt where nobody vouches for the key, or a device has another key already; Retry,
        by the contract's error name, where a proof of possession does not hold.
        """
        for one in enrolments:
            self._require_endorsed(one.name, one.key, one.endorsement)
        self._require_same_keys(enrolments)
        errands = [
            ChainCall("enrol", e.name, Call("DeviceRegistry", "enrol", _enrol_arguments(e)))
            for e in enrolments
        ]
        send_and_wait(self._registrar, errands, self._now(), self._wait)
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
        """Gives a device its new key. What the old one signed until then stands.

        Raises Retry, by the contract's error name, where a signature is not of its key.
        """
        name, key = rotation.name, rotation.key
        self._require_endorsed(name, key, rotation.endorsement)
        if self.key_of(name) != (key.x, key.y):
            count = self.keys_so_far(name)
            call = Call("DeviceRegistry", "rotate", _rotate_arguments(rotation))
            self._send(self._sender, ChainCall("rotate", f"{name}:{count}", call))
        self._note(name, **_key_columns(key, rotation.endorsement))

    def suspend(self, name: str, by: str = "registrar") -> None:
        """Silences a device until it is resumed. by: the role whose key says so, registrar or
        warden."""
        if self.status(name) != "suspended":
            self._change("suspend", name, self._senders[by])
        self._note(name, status="suspended")

    def resume(self, name: str) -> None:
        """Lets a suspended device speak again; what it signed meanwhile stays refused."""
        status = self.status(name)
        if status == "suspended":
            self._change("resume", name, self._registrar)
        elif status not in ("active", "expired"):
            raise Halt(
                f"{name} is {status}, not suspended. Nothing was sent. A device that was "
                "ended is enrolled anew under a name and key of its own."
            )
        self._note(name, status="active")

    def retire(self, name: str) -> None:
        """Revokes a device on chain: what it signs from now on is refused, for ever."""
        if self.status(name) != "retired":
            call = Call("DeviceRegistry", "revoke", (device_id(name),))
            self._send(self._registrar, ChainCall("revoke", name, call))
        self._note(name, status="retired")

    def declare_compromised(self, name: str, since: int) -> int:
        """Says that a device's word is worth nothing from `since` (Unix seconds, past) on.

        Returns the time that holds: an earlier declaration is never taken back.
        """
        known = self.compromised_since(name)
        if known == 0 or since < known:
            call = Call("DeviceRegistry", "declareCompromised", (device_id(name), since))
            self._send(self._registrar, ChainCall("compromise", f"{name}:{since}", call))
            known = since
        self._note(name, status="compromised", compromised_since=known)
        return known

    def freeze(self, disputes: Sequence[ChainCall]) -> dict[str, str]:
        """Sends the warden's disputes (`steps.dispute.dispute_calls`); returns what was not
        frozen: payment -> why."""
        refused = {}
        for errand in disputes:
            try:
                self._send(self._senders["warden"], errand)
            except (Retry, Halt) as why:  # its window ended meanwhile, or the payer was faster
                refused[errand.ref] = str(why)
        return refused

    @property
    def has_warden(self) -> bool:
        return "warden" in self._senders

    # --- what the registry says

    def status(self, name: str) -> str:
        """One of STATUSES, now."""
        return STATUSES[self._newest(name)[0]]

    def key_of(self, name: str) -> tuple[int, int]:
        """The point (x, y) of the newest key; (0, 0) where there is none."""
        _, _, x, y = self._newest(name)
        return int.from_bytes(x), int.from_bytes(y)

    def keys_so_far(self, name: str) -> int:
        return self._view("keyCount", name)

    def compromised_since(self, name: str) -> int:
        """Unix seconds; 0 where no compromise is declared."""
        return self._view("compromisedSince", name)

    def _newest(self, name: str) -> Any:
        head = self._chain.blocks([self._chain.head()])[0]  # its clock may be ahead of ours
        return self._view("keyAt", name, max(self._now(), head.timestamp))

    def _view(self, function: str, name: str, *more: int) -> Any:
        return self._chain.view("DeviceRegistry", function, device_id(name), *more)

    # --- inside

    def _require_endorsed(self, name: str, key: DeviceKey, found: Endorsement | None) -> None:
        if key.curve not in CURVES:
            raise Halt(f"device {name}: no contract can check {key.curve}; use secp256r1")
        if found is None and self._chain.deployment.chain_id != LOCAL_CHAIN:
            raise Halt(
                f"Nobody vouches for the key of {name}. Nothing was sent. Give the chain of "
                "its manufacturer or installer with --endorsement."
            )
        same = DeviceKey(key.curve, key.x, key.y)
        if found is not None and (found.device, found.key) != (name, same):
            raise Halt(
                f"The endorsement is for {found.device} with another name or key, not for "
                f"{name}. Nothing was sent."
            )

    def _require_same_keys(self, enrolments: Sequence[Enrolment]) -> None:
        with self._store.read() as session:
            known = {row.name: (row.key_x, row.key_y) for row in agreements.devices(session)}
        for one in enrolments:
            if known.get(one.name, key := (hex(one.key.x), hex(one.key.y))) != key:
                raise Halt(
                    f"{one.name} is enrolled with another key. Nothing was sent. `proofrail "
                    "device rotate` replaces a key."
                )

    def _change(self, function: str, name: str, sender: Sender) -> None:
        # interrupted, it is the same errand; after another change, it is a new one
        ref = f"{name}:{self._chain.nonce(sender.account.address)}"
        call = Call("DeviceRegistry", function, (device_id(name),))
        self._send(sender, ChainCall(function, ref, call))

    def _send(self, sender: Sender, errand: ChainCall) -> None:
        send_and_wait(sender, [errand], self._now(), self._wait)

    def _note(self, name: str, **columns: Any) -> None:
        with self._store.write() as session:
            row = agreements.device_by_name(session, name)
            for column, value in columns.items() if row else ():
                setattr(row, column, value)


def _key_columns(key: DeviceKey, found: Endorsement | None) -> dict[str, Any]:
    return {
        "curve": key.curve,
        "key_x": hex(key.x),
        "key_y": hex(key.y),
        "endorsement": found.sha256.hex() if found else "",
        "expires_at": found.expires_at if found else 0,
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
    # the contract takes either twin of the old key's signature; its curve is not known here
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


def _expiry(found: Endorsement | None) -> int:
    return found.expires_at if found else 0
