"""Authenticates callers by API key and checks their role; a partner also has a scope."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from device_adapters.types import Rejected
from orchestrator.edges.api.catalogue import ProblemCode
from orchestrator.edges.api.parts import Parts
from orchestrator.edges.store.access import KeyRole, key_holder

_bearer = HTTPBearer(
    auto_error=False,
    scheme_name="ApiKey",
    description="An API key with a role: partner, auditor or operator.",
)


@dataclass(frozen=True, slots=True)
class Caller:
    """The holder of a key.

    Attributes:
        scope: The prefix of a partner's device names; None sees all.
        party: Address of the payer or payee that a partner stands for; "" for none.
    """

    name: str
    role: KeyRole
    scope: str | None
    party: str = ""

    def sees(self, device: str) -> bool:
        """Return whether the caller may see a device."""
        return self.scope is None or device.startswith(self.scope)


def _allow(*roles: KeyRole) -> Callable[..., Caller]:
    names = ", ".join(roles)

    def check(
        parts: Parts,
        credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
    ) -> Caller:
        caller = _caller(parts, credentials)
        if caller.role not in roles:
            raise Rejected(
                ProblemCode.ROLE_FORBIDDEN,
                f"the role {caller.role} may not do this; needed: {names}",
            )
        return caller

    return check


def _caller(parts: Parts, credentials: HTTPAuthorizationCredentials | None) -> Caller:
    if credentials is None or not credentials.credentials:
        raise Rejected(ProblemCode.KEY_MISSING, "no `Authorization: Bearer` header")
    with parts.store.read() as session:
        row = key_holder(session, credentials.credentials, int(parts.now()))
    if row is None:
        raise Rejected(ProblemCode.KEY_UNKNOWN, "no key has this value")
    role = KeyRole(row.role)
    if role is not KeyRole.PARTNER:
        return Caller(row.name, role, None)
    if not row.scope:  # an empty prefix would match every name
        raise Rejected(ProblemCode.ROLE_FORBIDDEN, "this partner's key has no scope")
    return Caller(row.name, role, row.scope, row.party)


Operator = Annotated[Caller, Depends(_allow(KeyRole.OPERATOR))]
Partner = Annotated[Caller, Depends(_allow(KeyRole.PARTNER))]
Submitter = Annotated[Caller, Depends(_allow(KeyRole.PARTNER, KeyRole.OPERATOR))]
Reader = Annotated[Caller, Depends(_allow(KeyRole.AUDITOR, KeyRole.OPERATOR))]
Anyone = Annotated[Caller, Depends(_allow(KeyRole.PARTNER, KeyRole.AUDITOR, KeyRole.OPERATOR))]
