"""Register routes: devices, parties and agreements, for callers who keep their own keys."""

from __future__ import annotations

from fastapi import APIRouter

from device_adapters.types import Reason, Rejected
from orchestrator.core.endorsement import EndorsementReason
from orchestrator.core.registration import RegistrationReason
from orchestrator.edges.api.access import Caller, Operator, Submitter
from orchestrator.edges.api.catalogue import ProblemCode
from orchestrator.edges.api.parts import Parts
from orchestrator.edges.api.registration_wire import (
    AgreementAnswer,
    AgreementRequest,
    DeviceRequest,
    DigestRequest,
    DigestView,
    EnrolledDevice,
    MandateRequest,
    MandateView,
    PartyRequest,
    PartyView,
)
from orchestrator.edges.api.schema import KEYED, problems_of
from orchestrator.edges.bank.types import BankReason

_FAILS = (*KEYED, ProblemCode.TRY_AGAIN_LATER, *RegistrationReason)
_KEY = (
    Reason.KEY_MALFORMED,
    Reason.KEY_NOT_PUBLIC,
    Reason.KEY_OFF_CURVE,
    Reason.KEY_CURVE_UNKNOWN,
    Reason.SIGNATURE_MALFORMED,
)
_DEVICE = problems_of(*_FAILS, *EndorsementReason, *_KEY)
_OTHER = problems_of(*_FAILS, BankReason.IBAN_INVALID, BankReason.BIC_INVALID)

router = APIRouter(tags=["registration"])


@router.post("/v1/devices/digest", responses=_DEVICE, summary="What a device signs to be enrolled")
def digest(parts: Parts, caller: Submitter, body: DigestRequest) -> DigestView:
    """Return the digest. A partner may ask for names that begin with its scope."""
    _own(caller, body.device)
    return DigestView(**parts.registration.digest(body.device, body.owner))


@router.post("/v1/devices", responses=_DEVICE, summary="Enrol a device")
def enrol(parts: Parts, caller: Submitter, body: DeviceRequest) -> EnrolledDevice:
    """Enrol a device on chain; the same request again changes nothing.

    A partner may enrol names that begin with its scope.
    """
    _own(caller, body.device)
    return EnrolledDevice(**parts.registration.enrol(body.model_dump()))


@router.post("/v1/parties", responses=_OTHER, summary="Store a payer or payee")
def save_party(parts: Parts, caller: Operator, body: PartyRequest) -> PartyView:
    """Store a party; new values replace older ones. A payee sets its account on chain itself."""
    return PartyView(**parts.registration.save_party(body.model_dump()))


@router.post("/v1/agreements/mandate", responses=_OTHER, summary="A mandate to sign")
def mandate(parts: Parts, caller: Submitter, body: MandateRequest) -> MandateView:
    """Return the EIP-712 document of the terms. Nothing is stored or sent."""
    _own(caller, body.device)
    request = body.model_dump() | {
        name: int(getattr(body, name)) for name in ("cap_micro", "bond_micro")
    }
    return MandateView(**parts.registration.mandate(request))


@router.post("/v1/agreements", responses=_OTHER, summary="Open an agreement")
def open_agreement(parts: Parts, caller: Submitter, body: AgreementRequest) -> AgreementAnswer:
    """Open an agreement on chain from the payer's signature; repeating it changes nothing."""
    _own(caller, body.device)
    return AgreementAnswer(**parts.registration.open(body.model_dump()))


def _own(caller: Caller, device: str) -> None:
    if not caller.sees(device):
        detail = f"names of your devices begin with {caller.scope!r}"
        raise Rejected(ProblemCode.ROLE_FORBIDDEN, detail)
