"""The rotation of a role on chain: the steward gives it to a new key, then takes the former one's.

Roles are in the access manager, RailAccess, and only its steward gives them. What is done is read
from the chain each time, so that running a rotation again goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.edges.chain.client import Call, Chain
from orchestrator.edges.chain.ethereum import LocalAccount
from orchestrator.edges.chain.plan import Role, checksum
from orchestrator.errors import Halt
from orchestrator.operations.keys import STAND_INS, HeldKey
from orchestrator.operations.role_calls import MANAGER, CallState, RoleCall, RoleCalls

_GRANT = "grantRole"
# held key -> the roles of its address at the access manager, in the order in which it gives them up
_ROLES = {
    HeldKey.MINTER: (Role.MINTER,),
    HeldKey.REGISTRAR: (Role.REGISTRAR,),
    HeldKey.WARDEN: (Role.WARDEN,),
    HeldKey.GUARDIAN: (Role.GUARDIAN,),
    HeldKey.STEWARD: (Role.ADMIN, Role.STEWARD),
}


def rotation_steps(role: HeldKey, *, made_here: bool) -> tuple[str, ...]:
    """Return what a rotation does, in order, for people.

    Args:
        role: Whose address is replaced.
        made_here: Whether its key is made in this home; else it is kept elsewhere.
    """
    ends = (
        "the former steward gives its roles up, once the new one has them"
        if role is HeldKey.STEWARD
        else "the steward takes the role from the former address, once the new one has it"
    )
    restart = ("`proofrail restart orchestrator` at once: it then signs with the new key",)
    return (
        *((f"make a key, {role}.next.json in keys/",) if made_here else ()),
        "the steward gives it the role; where the steward has a delay, this command schedules it, "
        "and makes it when it is run again after that",
        ends,
        *((f"put the key in the place of {role}.json; the former one stays",) if made_here else ()),
        *(restart if role in STAND_INS else ()),
    )


class RoleRotation:
    """The calls that give a role to another address.

    Args:
        calls: The calls of roles on this rail's chain.
        chain: The checked node.
        role: Whose address is replaced.
        steward: The address that makes the calls.
    """

    def __init__(self, calls: RoleCalls, chain: Chain, role: HeldKey, steward: str) -> None:
        self._calls, self._chain, self._steward = calls, chain, steward
        self._is_steward, self._roles = role is HeldKey.STEWARD, _ROLES[role]
        self._name = str(role)

    def former(self, own: str | None, following: str | None, given: str | None) -> str | None:
        """Return the address that loses the role; None if no other address has it any more.

        Args:
            own: The address of the home's key of this role; None if there is no such key.
            following: The address that gets the role; None if its key is not made yet.
            given: The address that a person named; None: the home's, or the only other holder.

        Raises:
            Halt: The named address does not have the role; or several have it.
            Retry: The node does not answer.
        """
        others = self._holders() - {following}
        if self._is_steward:  # the former steward gives its roles up itself
            own = self._steward
        wanted = given or own
        if wanted is not None and checksum(wanted) in others:
            return checksum(wanted)
        if given is not None:
            raise Halt(
                f"{given} does not hold the role {self._name}. Nothing was sent. These hold it: "
                f"{', '.join(sorted(others)) or 'no address'}. Give one of them with --former."
            )
        if len(others) > 1 and not self._is_steward:
            raise Halt(
                f"Several addresses hold the role {self._name}: {', '.join(sorted(others))}. "
                "Nothing was sent. Say with --former which of them is replaced."
            )
        return None if self._is_steward else next(iter(others), None)

    def left(self, former: str | None, following: str) -> list[RoleCall]:
        """Return what is left to do on chain, in order, and where each call stands.

        Raises:
            Halt: The steward's key does not have the steward's role.
            Retry: The node does not answer.
        """
        calls = [call for call in self._all(former, following) if not self._is_done(call)]
        return [self._calls.look(call, Role.STEWARD, self._steward) for call in calls]

    def advance(self, former: str | None, following: str, account: LocalAccount) -> list[RoleCall]:
        """Schedule or make what can be now; return what is left.

        The former address loses the role only when the following one has it.

        Raises:
            Halt: A call failed on chain.
            Retry: A call would revert, or no block took it in time.
        """
        waiting: list[RoleCall] = []
        for role_call in self.left(former, following):
            takes_away = role_call.call.function != _GRANT
            if takes_away and waiting and role_call.state is not CallState.TO_SCHEDULE:
                waiting.append(role_call)
                continue
            self._calls.check(role_call)
            made = self._calls.make(role_call, self._calls.sender(account))
            if made.state is not CallState.DONE:
                waiting.append(made)
        return waiting

    def _all(self, former: str | None, following: str) -> Sequence[Call]:
        # who may use the steward's power waits for the delay, also where the role is new
        delay_s = self._chain.view(MANAGER, "delay") if self._is_steward else 0
        calls = [Call(MANAGER, _GRANT, (int(r), following, delay_s)) for r in self._roles]
        if former is not None:
            function = "renounceRole" if self._is_steward else "revokeRole"
            calls += [Call(MANAGER, function, (int(role), former)) for role in self._roles]
        return calls

    def _is_done(self, call: Call) -> bool:
        return self._holds(*call.args[:2]) is (call.function == _GRANT)

    def _holds(self, role: int, address: str) -> bool:
        is_member, _ = self._chain.view(MANAGER, "hasRole", role, address)
        return bool(is_member)

    def _holders(self) -> set[str]:
        granted = {
            (int(arguments["roleId"]), checksum(arguments["account"]))
            for _, arguments in self._calls.logs(MANAGER, ("RoleGranted",))
        }
        return {
            address
            for role, address in granted
            if role in self._roles and self._holds(role, address)
        }
