"""Rebuilds the state of devices and agreements from the chain's logs."""

from __future__ import annotations

import threading
import time
from bisect import bisect_right
from collections import ChainMap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from device_adapters.types import Curve, DeviceKey, Rejected
from oracles.hearing import heard_devices
from oracles.types import Agreement, ClaimReason, ProductRules
from orchestrator.core.mandate import opened_mandate
from orchestrator.edges.chain.client import DecodedLog, SeenBlock

# what devices and agreements are made of: contract -> its events
LOGS = {
    "DeviceRegistry": (
        "DeviceEnrolled",
        "KeyRotated",
        "DeviceSuspended",
        "DeviceResumed",
        "DeviceRevoked",
        "CompromiseDeclared",
        "CompromiseRuled",
        "GatewayAssigned",
        "DeviceAdopted",
    ),
    "PaymentRail": ("AgreementOpened", "AgreementClosed", "EscrowReclaimed"),
}
_NEWS_S = 0.5  # how often an unknown id may cause a refresh
_CURVES = (Curve.SECP256R1, Curve.SECP256K1)


@dataclass
class DeviceHistory:
    """A device's keys and states by time, from the registry's logs.

    Attributes:
        keys: (Unix seconds from when, Unix seconds when it ends or 0, the key).
        states: (Unix seconds from when, why it may not sign).
        compromised_before: (since, until): that the key was stolen became known only after a new
            registry had taken the device over. It counts for the time before that.
        assignments: (Unix seconds from when, end or 0, id of the gateway or zeros), by time.
        adopted_at: When a new registry took the device over, Unix seconds; 0: never.
        predecessor: That of the new registry, lower case: what it says since counts no more.
    """

    keys: list[tuple[int, int, DeviceKey]] = field(default_factory=list)
    states: list[tuple[int, ClaimReason | None]] = field(default_factory=list)
    compromised_since: int | None = None
    compromised_before: tuple[int, int] | None = None
    assignments: list[tuple[int, int, bytes]] = field(default_factory=list)
    adopted_at: int = 0
    predecessor: str = ""

    def key_at(self, at_seconds: int) -> DeviceKey | ClaimReason:
        """Return the key valid at that time, or why there is none (as IDeviceRegistry.keyAt).

        Warning: for a compromised device this still returns the key of the time before. Whether a
        new record may be trusted is another question (KeyRing.compromised_since).
        """
        state = bisect_right(self.states, at_seconds, key=lambda entry: entry[0])
        if state == 0:
            return ClaimReason.DEVICE_NOT_YET_ENROLLED
        if self.compromised_since is not None and at_seconds >= self.compromised_since:
            return ClaimReason.DEVICE_COMPROMISED
        since, until = self.compromised_before or (0, 0)
        if since <= at_seconds < until:
            return ClaimReason.DEVICE_COMPROMISED
        if reason := self.states[state - 1][1]:
            return reason
        index = bisect_right(self.keys, at_seconds, key=lambda entry: entry[0])
        if index == 0:
            return ClaimReason.DEVICE_WITHOUT_KEY
        _, ends, key = self.keys[index - 1]
        return ClaimReason.KEY_EXPIRED if ends and at_seconds >= ends else key

    def gateway_at(self, at_seconds: int) -> bytes | None:
        """Return the gateway that may sign for the device then (as IDeviceRegistry.gatewayAt)."""
        index = bisect_right(self.assignments, at_seconds, key=lambda entry: entry[0])
        _, ends, gateway = self.assignments[index - 1] if index else (0, 0, bytes(32))
        return gateway if any(gateway) and (not ends or at_seconds < ends) else None


class RegistryChain(Protocol):
    """Where a Registry reads: a node (client.Chain), or the store (stored.StoredLogs)."""

    def newest(self) -> SeenBlock:
        """Return the newest block."""

    def logs_named(
        self, events: Mapping[str, Sequence[str]], first: int, last: int
    ) -> Sequence[DecodedLog]:
        """Return these events (contract -> names) in a range of blocks."""


@dataclass(frozen=True)
class _View:
    """Devices and agreements as of a block.

    The last mapping of each chain has what final logs say, an earlier one what newer logs change.
    Values are replaced and never changed, so readers need no lock.

    Attributes:
        by_device: Agreements of a device, oldest first. Each mapping has only ids of its own logs.
        by_subject: The same by subject.
        by_heard: The same by each device that the terms name to hear.
    """

    devices: ChainMap[bytes, DeviceHistory] = field(default_factory=ChainMap)
    agreements: ChainMap[bytes, Agreement] = field(default_factory=ChainMap)
    by_device: ChainMap[bytes, list[bytes]] = field(default_factory=ChainMap)
    by_subject: ChainMap[bytes, list[bytes]] = field(default_factory=ChainMap)
    by_heard: ChainMap[bytes, list[bytes]] = field(default_factory=ChainMap)

    def above(self) -> _View:
        """Return an empty view on top of this one: what is applied to it leaves this one alone."""
        return _View(
            self.devices.new_child(),
            self.agreements.new_child(),
            self.by_device.new_child(),
            self.by_subject.new_child(),
            self.by_heard.new_child(),
        )

    def newest_first(self, index: ChainMap[bytes, list[bytes]], key: bytes) -> list[Agreement]:
        """Return the agreements that an index names for a key."""
        ids = [identity for layer in index.maps for identity in reversed(layer.get(key, ()))]
        # an id stands twice for the moment in which its log becomes final
        return [self.agreements[identity] for identity in dict.fromkeys(ids)]


class Registry:
    """Device keys and agreements from the chain's logs, followed incrementally; thread-safe.

    The newest blocks may still be reorganised. So logs of the last `depth` blocks are kept apart
    from the others, in a small view on top, which is made again for each new block. Older logs are
    applied once: a refresh costs as much as its blocks hold, however many devices there are.

    Oracles and rail each have their own copy.
    """

    def __init__(
        self,
        chain: RegistryChain,
        products: Mapping[str, tuple[str, ProductRules]],
        depth: int = 8,
        contracts: Iterable[str] = (),
    ) -> None:
        """Start empty.

        Args:
            chain: What logs are read from.
            products: Name, with the release of a former version (`metered_energy@0.5.0`) ->
                (address of its contract, its rules).
            depth: Blocks that are read again for each new block.
            contracts: Addresses of the rail's own contracts, which no claim may pay.
        """
        self._chain, self._depth = chain, depth
        self._never_paid = frozenset(map(str.lower, contracts))
        self._products = {
            address.lower(): (name.partition("@")[0], rules)
            for name, (address, rules) in products.items()
        }
        self._lock = threading.Lock()
        self._start()
        self._view = self._base.above()

    def _start(self) -> None:
        """Begin again; what was read last answers until the next refresh has succeeded."""
        self._refreshed_at: float | None = None  # None: nothing was read yet, or it may be undone
        self._head: SeenBlock | None = None  # the view is of this block; None: it may be of none
        self._settled_to = 0  # blocks up to here are read and will not change
        self._base = _View()  # what they say

    @property
    def devices(self) -> Mapping[bytes, DeviceHistory]:
        """Return every device's history by the device's id."""
        return self._view.devices

    def refresh(self) -> SeenBlock:
        """Read what is new, and nothing if the newest block is the one of the last time.

        Returns:
            The block that the view is of.

        Raises:
            Retry: The node does not answer. The old view stays.
        """
        with self._lock:
            head = self._chain.newest()
            if head != self._head:
                self._read(head)
            self._refreshed_at = time.monotonic()
            return head

    def _read(self, head: SeenBlock) -> None:
        first = self._settled_to + 1
        logs = self._chain.logs_named(LOGS, first, head.number) if first <= head.number else ()
        # a reorganisation while the logs were read: read again next time, even at the same block
        is_whole = self._chain.newest() == head
        settled_to = max(head.number - self._depth, self._settled_to)
        ordered = sorted(logs, key=lambda log: (log.block_number, log.index))
        try:
            for log in ordered:
                if log.block_number <= settled_to:
                    self._apply(self._base, log)
            view = self._base.above()
            for log in ordered:
                if log.block_number > settled_to:
                    self._apply(view, log)
        except BaseException:
            self._start()  # half of the logs are applied: begin again
            raise
        self._view, self._settled_to = view, settled_to
        self._head = head if is_whole else None

    def _apply(self, view: _View, log: DecodedLog) -> None:
        if log.name == "AgreementOpened":
            opened = self._opened(log)
            view.agreements[opened.agreement] = opened
            view.by_device.maps[0].setdefault(opened.device_id, []).append(opened.agreement)
            if opened.subject:
                view.by_subject.maps[0].setdefault(opened.subject, []).append(opened.agreement)
            for device in self._heard_by(log, opened):
                view.by_heard.maps[0].setdefault(device, []).append(opened.agreement)
        elif log.name in ("AgreementClosed", "EscrowReclaimed"):
            ended = bytes.fromhex(log.args["agreement"][2:])
            view.agreements[ended] = _ended(view.agreements[ended], log)
        else:
            device = bytes.fromhex(log.args["device"][2:])
            view.devices[device] = _with(view.devices.get(device) or DeviceHistory(), log)

    def _opened(self, log: DecodedLog) -> Agreement:
        mandate = opened_mandate(log.args)
        raw = bytes.fromhex(mandate["terms"][2:])
        product, rules = self._products.get(mandate["product"].lower(), ("", None))
        return Agreement(
            agreement=bytes.fromhex(log.args["agreement"][2:]),
            device="",
            device_id=bytes.fromhex(mandate["device"][2:]),
            product=product,
            terms=raw,
            start=log.args.get("start", 0),
            expires_at=mandate["expiry"],
            first_counter=mandate["firstCounter"],
            subject=_subject(rules, raw),
            grace=log.args.get("grace", 0),
            never_paid=self._never_paid,
        )

    def _heard_by(self, log: DecodedLog, opened: Agreement) -> frozenset[bytes]:
        _, rules = self._products.get(opened_mandate(log.args)["product"].lower(), ("", None))
        return heard_devices(rules, opened.terms, opened.device_id)

    def forget(self, above: int = 0) -> None:
        """Read again before the next answer, since the chain was rewound.

        Args:
            above: The last block that still stands. If only blocks within `depth` are gone, what
                older blocks say is kept.
        """
        with self._lock:
            if self._settled_to > above:
                self._start()
            else:
                self._refreshed_at, self._head = None, None

    def _look_again(self, is_known: bool) -> None:
        """Refresh for an unknown id, but not at the pace that strangers choose."""
        read_at = self._refreshed_at
        if read_at is None or (not is_known and time.monotonic() - read_at >= _NEWS_S):
            self.refresh()

    # --- KeyRing

    def key_at(self, device_id: bytes, at_seconds: int) -> DeviceKey | ClaimReason:
        """Return the key of a device at a time; see oracles.types.KeyRing."""
        self._look_again(device_id in self._view.devices)
        history = self._view.devices.get(device_id)
        return history.key_at(at_seconds) if history else ClaimReason.DEVICE_UNKNOWN

    def compromised_since(self, device_id: bytes) -> int | None:
        """Return since when a device is compromised; see oracles.types.KeyRing."""
        self._look_again(device_id in self._view.devices)
        history = self._view.devices.get(device_id)
        return history.compromised_since if history else None

    def gateway_at(self, device_id: bytes, at_seconds: int) -> bytes | None:
        """Return the gateway of a device at a time; see oracles.types.KeyRing."""
        self._look_again(device_id in self._view.devices)
        history = self._view.devices.get(device_id)
        return history.gateway_at(at_seconds) if history else None

    # --- Agreements

    def agreements_of(self, device_id: bytes) -> list[Agreement]:
        """Return the agreements of a device; see oracles.types.Agreements."""
        self._look_again(device_id in self._view.by_device)
        view = self._view
        return view.newest_first(view.by_device, device_id)

    def agreements_about(self, subject_id: bytes) -> list[Agreement]:
        """Return the agreements about a subject; see oracles.types.Agreements."""
        self._look_again(subject_id in self._view.by_subject)
        view = self._view
        return view.newest_first(view.by_subject, subject_id)

    def agreements_hearing(self, device_id: bytes) -> list[Agreement]:
        """Return the agreements that hear a device; see oracles.types.Agreements."""
        self._look_again(device_id in self._view.by_heard or device_id in self._view.by_device)
        view = self._view
        return view.newest_first(view.by_heard, device_id)

    def agreement(self, agreement_id: bytes) -> Agreement | None:
        """Return an agreement by its id; see oracles.types.Agreements."""
        self._look_again(agreement_id in self._view.agreements)
        return self._view.agreements.get(agreement_id)


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


def _with(history: DeviceHistory, log: DecodedLog) -> DeviceHistory:
    """Return a device's history with one more log; the given one stays as it is."""
    later = replace(
        history,
        keys=[*history.keys],
        states=[*history.states],
        assignments=[*history.assignments],
    )
    at = log.args.get("at", 0)
    if log.address and log.address == history.predecessor:
        if log.name == "CompromiseDeclared":
            later.compromised_before = (log.args["since"], history.adopted_at)
        return later
    if log.name in ("DeviceEnrolled", "KeyRotated"):
        key = DeviceKey(_CURVES[log.args["curve"]], int(log.args["x"], 16), int(log.args["y"], 16))
        later.keys.append((at, log.args["expiresAt"], key))
        later.states.append((at, None))
    elif log.name == "DeviceSuspended":
        later.states.append((at, ClaimReason.DEVICE_SUSPENDED))
    elif log.name == "DeviceResumed":
        later.states.append((at, None))
    elif log.name == "DeviceRevoked":
        later.states.append((at, ClaimReason.DEVICE_RETIRED))
    elif log.name == "CompromiseDeclared":
        since, earlier = log.args["since"], history.compromised_since
        later.compromised_since = since if earlier is None else min(since, earlier)
    elif log.name == "CompromiseRuled":  # replaces what was declared; 0 takes it back
        later.compromised_since = log.args["since"] or None
    elif log.name == "DeviceAdopted":
        later.adopted_at, later.predecessor = at, log.args["predecessor"].lower()
    elif log.name == "GatewayAssigned":
        since, until = log.args["since"], log.args["until"]
        if not later.states:  # an unknown device: it is enrolled without a key
            later.states.append((at, None))
        # what has not begun by then never begins
        later.assignments = [entry for entry in later.assignments if entry[0] < since]
        later.assignments.append((since, until, bytes.fromhex(log.args["gateway"][2:])))
    return later
