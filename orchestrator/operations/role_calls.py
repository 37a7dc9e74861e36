"""Calls that a role makes: at once, or scheduled at the access manager and made after its delay.

What widens power is the steward's and waits; the guardian reduces power at once. The state of a
call is read from the chain each time, so that running a command again goes on where it stopped.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from device_adapters.types import Rejected
from orchestrator.edges.chain.client import Call, Chain
from orchestrator.edges.chain.plan import Role
from orchestrator.edges.chain.sender import ChainCall, Sender, send_and_wait
from orchestrator.edges.store import Store, blocks
from orchestrator.errors import Halt

MANAGER = "RailAccess"
_SCHEDULED = "OperationScheduled"
_EVENTS = (_SCHEDULED, "OperationExecuted", "OperationCanceled")
_GIVE_UP = "renounceRole"  # the access manager takes it at once, and never schedules it
_LIST = "Next: `proofrail chain scheduled` lists what waits"


class CallState(StrEnum):
    """What comes next for a role's call."""

    DONE = "done"  # the chain is as the call would make it
    AT_ONCE = "at_once"  # it is sent now
    TO_SCHEDULE = "to_schedule"  # it is scheduled now, and made later
    WAITING = "waiting"  # it is scheduled, and its time has not come
    DUE = "due"  # its time has come: it is sent now


@dataclass(frozen=True)
class RoleCall:
    """A call by the holder of a role, and where it stands.

    Attributes:
        role: The role that makes it.
        caller: The address that has the role.
        operation: Id at the access manager (0x-hex); "" where it needs none.
        at: When a scheduled call may be made, or could be if it were scheduled now; Unix seconds.
    """

    call: Call
    role: Role
    caller: str
    state: CallState
    operation: str = ""
    at: int = 0


@dataclass(frozen=True)
class ScheduledCall:
    """A call that waits at the access manager.

    Attributes:
        operation: Its id, 0x-hex.
        at: From when it may be made, Unix seconds.
        until: When it can no longer be made, Unix seconds.
        call: The call; None if it is to a contract that this rail does not know.
    """

    operation: str
    at: int
    until: int
    caller: str
    target: str
    data: bytes
    call: Call | None


class RoleCalls:
    """Reads and makes the calls of roles on one rail's chain.

    Args:
        now: Unix seconds.
        wait: Called between polls for a block; see `send_and_wait`.
    """

    def __init__(
        self, store: Store, chain: Chain, now: Callable[[], int], wait: Callable[[], None]
    ) -> None:
        if MANAGER not in chain.deployment.addresses:
            raise Halt(
                "The contracts of this rail are of release 0.5.0 or before and have no access "
                "manager. Nothing was sent. Next: move the rail to the contracts of this release."
            )
        self._store, self._chain, self._now, self._wait = store, chain, now, wait

    def look(self, call: Call, role: Role, caller: str) -> RoleCall:
        """Return where a call stands, whether it can be made, and by which means.

        Raises:
            Halt: The address does not hold the role.
            Retry: The node does not answer.
        """
        self._require_role(role, caller)
        target, data = self._chain.calls.encode(call)
        # the guardian is checked by each contract, without delay
        if role is Role.GUARDIAN or call.function == _GIVE_UP:
            return RoleCall(call, role, caller, CallState.AT_ONCE)
        at_once, delay_s = self._chain.view(MANAGER, "canCall", caller, target, data[:4])
        if at_once:
            return RoleCall(call, role, caller, CallState.AT_ONCE)
        operation = self._chain.view(MANAGER, "hashOperation", caller, target, data)
        at = self._chain.view(MANAGER, "getSchedule", operation)
        identity = "0x" + operation.hex()
        if not at:
            later = self._time() + delay_s
            return RoleCall(call, role, caller, CallState.TO_SCHEDULE, identity, later)
        state = CallState.WAITING if at > self._time() else CallState.DUE
        return RoleCall(call, role, caller, state, identity, at)

    def check(self, role_call: RoleCall) -> None:
        """Raise Retry with the contract's own error if the call would revert now.

        A call that is to be scheduled is tried as the access manager's schedule alone: what it
        calls may hold only after the delay.
        """
        if role_call.state in (CallState.DONE, CallState.WAITING):
            return
        self._chain.quote(role_call.caller, self._next_call(role_call))

    def make(self, role_call: RoleCall, sender: Sender) -> RoleCall:
        """Send the next call of this role call and wait for its block; return where it stands then.

        Raises:
            Halt: It failed on chain.
            Retry: It would revert, or no block took it in time.
        """
        if role_call.state in (CallState.DONE, CallState.WAITING):
            return role_call
        call = self._next_call(role_call)
        # the nonce is the same after an interruption, and new for the same call another time; the
        # next holder of the role begins at nonce 0 again
        address = sender.account.address
        ref = f"{call.contract}.{call.function}:{address}:{self._chain.nonce(address)}"
        send_and_wait(
            sender, [ChainCall(role_call.role.name.lower(), ref, call)], self._now(), self._wait
        )
        if role_call.state is CallState.TO_SCHEDULE:
            return self.look(role_call.call, role_call.role, role_call.caller)
        return RoleCall(role_call.call, role_call.role, role_call.caller, CallState.DONE)

    def sender(self, account: Any) -> Sender:
        """Return a sender for the account of a role."""
        return Sender(self._store, self._chain, account)

    def _next_call(self, role_call: RoleCall) -> Call:
        if role_call.state is not CallState.TO_SCHEDULE:
            return role_call.call
        target, data = self._chain.calls.encode(role_call.call)
        return Call(MANAGER, "schedule", (target, data, 0))

    def _require_role(self, role: Role, caller: str) -> None:
        is_member, _ = self._chain.view(MANAGER, "hasRole", int(role), caller)
        if not is_member:
            raise Halt(
                f"{caller} does not hold the role {role.name.lower()}. Nothing was sent. Next: "
                "give the keystore of its holder with --keystore."
            )

    def _time(self) -> int:
        """Return the time that the next block will have at least: Unix seconds."""
        return max(self._now(), self._chain.newest().timestamp)

    # --- what waits

    def scheduled(self) -> list[ScheduledCall]:
        """Return the calls that wait at the access manager, the next one first.

        Raises:
            Retry: The node does not answer.
        """
        newest: dict[str, Mapping[str, Any]] = {}
        for name, arguments in self.logs(MANAGER, _EVENTS):
            if name == _SCHEDULED:
                newest[arguments["operationId"]] = arguments
            else:
                newest.pop(arguments["operationId"], None)
        expiration = self._chain.view(MANAGER, "expiration") if newest else 0
        waiting = []
        for operation, arguments in newest.items():
            # 0 where it has expired
            at = self._chain.view(MANAGER, "getSchedule", bytes.fromhex(operation[2:]))
            if at:
                target, data = arguments["target"], bytes.fromhex(arguments["data"][2:])
                call = self._chain.calls.decode(target, data)
                caller = arguments["caller"]
                waiting.append(
                    ScheduledCall(operation, at, at + expiration, caller, target, data, call)
                )
        return sorted(waiting, key=lambda item: (item.at, item.operation))

    def one_scheduled(self, start: str) -> ScheduledCall:
        """Return the waiting call whose id begins so.

        Raises:
            Rejected: There is none, or several.
        """
        matches = [item for item in self.scheduled() if item.operation.startswith(start)]
        if len(matches) != 1:
            what = f"{len(matches)} scheduled calls begin" if matches else "none begins"
            raise Rejected(CallReason.OPERATION_UNKNOWN, f"{what} with {start!r}. {_LIST}")
        return matches[0]

    def require_due(self, role_call: RoleCall) -> None:
        """Refuse to make a scheduled call before its time.

        Raises:
            Rejected: Its time has not come.
        """
        if role_call.state is CallState.WAITING:
            at = datetime.fromtimestamp(role_call.at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
            raise Rejected(
                CallReason.NOT_DUE,
                f"the call {role_call.operation} can be made from {at} on; nothing was sent. Next: "
                "run the same command again then",
            )

    def to_cancel(self, item: ScheduledCall, caller: str) -> RoleCall:
        """Return the guardian's call that cancels a scheduled call."""
        arguments = (item.caller, item.target, item.data)
        self._require_role(Role.GUARDIAN, caller)
        call = Call(MANAGER, "cancel", arguments)
        return RoleCall(call, Role.GUARDIAN, caller, CallState.AT_ONCE, item.operation)

    def logs(self, contract: str, names: Sequence[str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yield (event, arguments) of a contract in chain order: stored ones, then the node's.

        Raises:
            Retry: The node does not answer.
        """
        with self._store.read() as session:
            last = blocks.newest(session)
            stored: Sequence[Any] = blocks.logs_named(session, names)
        yield from ((row.name, json.loads(row.args)) for row in stored)
        first = last.number + 1 if last else self._chain.deployment.block_number
        head = self._chain.newest().number
        if first <= head:
            logs = self._chain.logs_named({contract: names}, first, head)
            yield from ((log.name, log.args) for log in logs)


class CallReason(StrEnum):
    """Why a scheduled call is not made. Stable codes."""

    OPERATION_UNKNOWN = "operation_unknown"
    NOT_DUE = "operation_not_due"
