"""Rebuilds the state of devices and agreements from the chain's logs."""

from __future__ import annotations

import threading
import time
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from device_adapters.types import Curve, DeviceKey, Rejected
from oracles.types import Agreement, ClaimReason, ProductRules
from orchestrator.edges.chain.client import Chain, DecodedLog

_NEWS_S = 0.5  # how often an unknown id may cause a refresh
_CURVES = (Curve.SECP256R1, Curve.SECP256K1)


@dataclass
class DeviceHistory:
    """A device's keys and states by time, from the registry's logs.

    Attributes:
        keys: (Unix seconds from when, Unix seconds when it ends or 0, the key).
        states: (Unix seconds from when, why it may not sign).
    """

    keys: list[tuple[int, int, DeviceKey]] = field(default_factory=list)
    states: list[tuple[int, ClaimReason | None]] = field(default_factory=list)
    compromised_since: int | None = None

    def key_at(self, at_seconds: int) -> DeviceKey | ClaimReason:
        """Return the key valid at that time, or why there is none (as IDeviceRegistry.keyAt).

        Warning: for a compromised device this still returns the key of the time before. Whether a
        new record may be trusted is another question (KeyRing.compromised_since).
        """
        index = bisect_right(self.keys, at_seconds, key=lambda entry: entry[0])
        if index == 0:
            return ClaimReason.DEVICE_NOT_YET_ENROLLED
        if self.compromised_since is not None and at_seconds >= self.compromised_since:
            return ClaimReason.DEVICE_COMPROMISED
        state = bisect_right(self.states, at_seconds, key=lambda entry: entry[0])
        reason = self.states[state - 1][1] if state else None
        _, ends, key = self.keys[index - 1]
        return reason or (ClaimReason.KEY_EXPIRED if ends and at_seconds >= ends else key)


class Registry:
    """Device keys and agreements from the chain's logs, followed incrementally; thread-safe.

    The newest blocks may still be reorganised, so the last `depth` blocks are read again at each
    refresh. Oracles and rail each have their own copy.
    """

    def __init__(
        self, chain: Chain, products: Mapping[str, tuple[str, ProductRules]], depth: int = 8
    ) -> None:
        """Start empty.

        Args:
            chain: What logs are read from.
            products: Name -> (address of its contract, its rules).
            depth: Blocks that are read again at each refresh.
        """
        self._chain, self._depth = chain, depth
        self._products = {
            address.lower(): (name, rules) for name, (address, rules) in products.items()
        }
        self._lock = threading.Lock()
        self._refreshed_at: float | None = None  # None: nothing was read yet, or it may be undone
        self._settled_to = 0  # blocks up to here are read and will not change
        self._deep: list[DecodedLog] = []
        self.devices: dict[bytes, DeviceHistory] = {}
        self._agreements: dict[bytes, Agreement] = {}
        self._by_device: dict[bytes, list[bytes]] = {}  # oldest first, as the next one
        self._by_subject: dict[bytes, list[bytes]] = {}

    def refresh(self) -> None:
        """Read what is new; raise Retry if the node does not answer: the old view then stays."""
        with self._lock:
            head = self._chain.head()
            fresh = [
                log
                for contract in ("DeviceRegistry", "PaymentRail")
                for log in self._chain.logs_between(contract, self._settled_to + 1, head)
            ]
            deep_to = max(head - self._depth, self._settled_to)
            self._deep += [log for log in fresh if log.block_number <= deep_to]
            shallow = [log for log in fresh if log.block_number > deep_to]
            self._settled_to = deep_to
            self._rebuild(self._deep + shallow)
            self._refreshed_at = time.monotonic()

    def _rebuild(self, logs: list[DecodedLog]) -> None:
        devices: dict[bytes, DeviceHistory] = {}
        agreements: dict[bytes, Agreement] = {}
        by_device: dict[bytes, list[bytes]] = {}
        by_subject: dict[bytes, list[bytes]] = {}
        for log in sorted(logs, key=lambda item: (item.block_number, item.index)):
            if "device" in log.args and log.name != "AgreementOpened":
                name = bytes.fromhex(log.args["device"][2:])
                _apply(devices.setdefault(name, DeviceHistory()), log)
            elif log.name == "AgreementOpened":
                opened = self._opened(log)
                agreements[opened.agreement] = opened
                by_device.setdefault(opened.device_id, []).append(opened.agreement)
                if opened.subject:
                    by_subject.setdefault(opened.subject, []).append(opened.agreement)
            elif log.name in ("AgreementClosed", "EscrowReclaimed"):
                ended = bytes.fromhex(log.args["agreement"][2:])
                agreements[ended] = _ended(agreements[ended], log)
        self.devices, self._agreements = devices, agreements
        self._by_device, self._by_subject = by_device, by_subject

    def _opened(self, log: DecodedLog) -> Agreement:
        raw = bytes.fromhex(log.args["terms"][2:])
        product, rules = self._products.get(log.args["product"].lower(), ("", None))
        return Agreement(
            agreement=bytes.fromhex(log.args["agreement"][2:]),
            device="",
            device_id=bytes.fromhex(log.args["device"][2:]),
            product=product,
            terms=raw,
            opened_at=0,
            expires_at=log.args["expiry"],
            first_counter=log.args["firstCounter"],
            subject=_subject(rules, raw),
        )

    def forget(self) -> None:
        """Read everything again before the next answer, since the chain was rewound."""
        with self._lock:
            self._settled_to, self._deep, self._refreshed_at = 0, [], None

    def _look_again(self, is_known: bool) -> None:
        """Refresh for an unknown id, but not at the pace that strangers choose."""
        read_at = self._refreshed_at
        if read_at is None or (not is_known and time.monotonic() - read_at >= _NEWS_S):
            self.refresh()

    # --- KeyRing

    def key_at(self, device_id: bytes, at_seconds: int) -> DeviceKey | ClaimReason:
        """Return the key of a device at a time; see oracles.types.KeyRing."""
        self._look_again(device_id in self.devices)
        history = self.devices.get(device_id)
        return history.key_at(at_seconds) if history else ClaimReason.DEVICE_UNKNOWN

    def compromised_since(self, device_id: bytes) -> int | None:
        """Return since when a device is compromised; see oracles.types.KeyRing."""
        self._look_again(device_id in self.devices)
        history = self.devices.get(device_id)
        return history.compromised_since if history else None

    # --- Agreements

    def agreements_of(self, device_id: bytes) -> list[Agreement]:
        """Return the agreements of a device; see oracles.types.Agreements."""
        self._look_again(device_id in self._by_device)
        return self._newest_first(self._by_device.get(device_id, ()))

    def agreements_about(self, subject_id: bytes) -> list[Agreement]:
        """Return the agreements about a subject; see oracles.types.Agreements."""
        self._look_again(subject_id in self._by_subject)
        return self._newest_first(self._by_subject.get(subject_id, ()))

    def agreement(self, agreement_id: bytes) -> Agreement | None:
        """Return an agreement by its id; see oracles.types.Agreements."""
        self._look_again(agreement_id in self._agreements)
        return self._agreements.get(agreement_id)

    def _newest_first(self, ids: Sequence[bytes]) -> list[Agreement]:
        agreements = self._agreements
        return [agreements[identity] for identity in reversed(ids) if identity in agreements]


def _subject(rules: ProductRules | None, raw: bytes) -> bytes:
    """Return what the agreement is about.

    The contract accepted these terms, so they can be read. If not, the agreement is about nothing
    that any event names.
    """
    try:
        return rules.subject(raw) if rules else b""
    except Rejected:
        return b"unreadable"


def _ended(agreement: Agreement, log: DecodedLog) -> Agreement:
    """Return the agreement after its end: closing moves the expiry, a reclaim ends it."""
    if log.name == "AgreementClosed":
        return replace(agreement, expires_at=log.args["expiry"])
    return replace(agreement, live=False)


def _apply(history: DeviceHistory, log: DecodedLog) -> None:
    at = log.args.get("at", 0)
    if log.name in ("DeviceEnrolled", "KeyRotated"):
        key = DeviceKey(_CURVES[log.args["curve"]], int(log.args["x"], 16), int(log.args["y"], 16))
        history.keys.append((at, log.args["expiresAt"], key))
        history.states.append((at, None))
    elif log.name == "DeviceSuspended":
        history.states.append((at, ClaimReason.DEVICE_SUSPENDED))
    elif log.name == "DeviceResumed":
        history.states.append((at, None))
    elif log.name == "DeviceRevoked":
        history.states.append((at, ClaimReason.DEVICE_RETIRED))
    elif log.name == "CompromiseDeclared":
        since = log.args["since"]
        earlier = history.compromised_since
        history.compromised_since = since if earlier is None else min(since, earlier)
