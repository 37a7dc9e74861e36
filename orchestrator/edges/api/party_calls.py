"""Call routes: what a party signs and sends itself. Nothing is signed, sent or stored here."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path

from device_adapters.types import Rejected
from orchestrator.core.party_call import (
    ChallengeReason,
    DisputeReason,
    PayeeMoneyReason,
    SkipReason,
)
from orchestrator.core.registration import RegistrationReason
from orchestrator.edges.api.access import Anyone, Caller, Submitter
from orchestrator.edges.api.catalogue import ProblemCode
from orchestrator.edges.api.parts import ApiParts, Parts
from orchestrator.edges.api.party_calls_wire import (
    CallsView,
    ChallengeCallsView,
    ChallengeRequest,
    CloseRequest,
    FundRequest,
    RepayRequest,
    SkipRequest,
    WithdrawRequest,
)
from orchestrator.edges.api.reads import Id, not_found
from orchestrator.edges.api.schema import KEYED, problems_of
from orchestrator.edges.store import agreements

_FAILS = (
    *KEYED,
    ProblemCode.NOT_FOUND,
    ProblemCode.TRY_AGAIN_LATER,
    RegistrationReason.ADDRESS_MALFORMED,
    RegistrationReason.CONTRACT_REFUSES,
)
_AGREEMENT = problems_of(*_FAILS, RegistrationReason.HEX_MALFORMED, *SkipReason)
_PAYMENT = problems_of(*_FAILS, *DisputeReason)
_CHALLENGE = problems_of(
    *_FAILS,
    DisputeReason.WINDOW_OVER,
    DisputeReason.BOND_SHORT,
    DisputeReason.UNREADABLE,
    *ChallengeReason,
)
_PAYEE = problems_of(*_FAILS, *PayeeMoneyReason)

Payee = Annotated[str, Path(max_length=42, description="0x and 40 hex digits")]

router = APIRouter(tags=["calls"])


@router.post("/v1/agreements/{agreement_id}/calls/close", responses=_AGREEMENT, summary="Close")
def close(parts: Parts, caller: Submitter, agreement_id: Id, body: CloseRequest) -> CallsView:
    """Return the call that ends an agreement now; earlier records still settle for its grace."""
    _own(parts, caller, agreement_id)
    return CallsView(**parts.party_calls.close(agreement_id, body.by))


@router.post("/v1/agreements/{agreement_id}/calls/fund", responses=_AGREEMENT, summary="Fund")
def fund(parts: Parts, caller: Submitter, agreement_id: Id, body: FundRequest) -> CallsView:
    """Return the calls that pay tokens into an escrow. Money comes by bank transfer as well."""
    _own(parts, caller, agreement_id)
    return CallsView(**parts.party_calls.fund(agreement_id, body.amount_micro, body.by))


@router.post("/v1/agreements/{agreement_id}/calls/skip", responses=_AGREEMENT, summary="Skip")
def skip(parts: Parts, caller: Submitter, agreement_id: Id, body: SkipRequest) -> CallsView:
    """Return what payer and payee sign to pass over a claim; with both signatures, the call."""
    _own(parts, caller, agreement_id)
    signatures = {"payer": body.payer_signature, "payee": body.payee_signature}
    return CallsView(**parts.party_calls.skip(agreement_id, body.last_counter, signatures))


@router.post(
    "/v1/payments/{payment_id}/calls/challenge",
    responses=_CHALLENGE,
    summary="Prove a fault of a payment's record",
)
def challenge(
    parts: Parts, caller: Anyone, payment_id: Id, body: ChallengeRequest
) -> ChallengeCallsView:
    """Return the calls that prove on chain that a payment rests on a bad record.

    They are those of the first fault that the contract takes. A proved fault refunds the payer,
    returns the bond and bars the oracles that attested it.
    """
    for payment in filter(None, (payment_id, body.other)):
        _visible_payment(parts, caller, payment)
    answer = parts.party_calls.challenge(payment_id, body.fault, body.record, body.other, body.by)
    return ChallengeCallsView(**answer)


@router.post(
    "/v1/payments/{payment_id}/calls/{function}", responses=_PAYMENT, summary="Dispute a payment"
)
def of_payment(
    parts: Parts,
    caller: Submitter,
    payment_id: Id,
    function: Literal["dispute", "concede", "retract", "expire"],
) -> CallsView:
    """Return the calls that begin a dispute, with its bond, or that end one."""
    _visible_payment(parts, caller, payment_id)
    return CallsView(**parts.party_calls.of_payment(payment_id, function))


@router.post("/v1/parties/{payee}/calls/release", responses=_PAYEE, summary="Release")
def release(parts: Parts, caller: Submitter, payee: Payee) -> CallsView:
    """Return the payee's release of what has matured: it orders the payout."""
    _known(parts, caller, payee)
    return CallsView(**parts.party_calls.release(payee))


@router.post("/v1/parties/{payee}/calls/withdraw", responses=_PAYEE, summary="Withdraw")
def withdraw(parts: Parts, caller: Submitter, payee: Payee, body: WithdrawRequest) -> CallsView:
    """Return the withdrawal of released tokens to a wallet."""
    _known(parts, caller, payee)
    return CallsView(**parts.party_calls.withdraw(payee, body.amount_micro, body.to))


@router.post("/v1/parties/{payee}/calls/repay", responses=_PAYEE, summary="Repay")
def repay(parts: Parts, caller: Submitter, payee: Payee, body: RepayRequest) -> CallsView:
    """Return the calls that pay a payee's debts out of its wallet."""
    _known(parts, caller, payee)
    return CallsView(**parts.party_calls.repay(payee, body.amount_micro))


def _own(parts: ApiParts, caller: Caller, agreement: str) -> None:
    with parts.store.read() as session:
        row = agreements.get(session, agreement)
    _visible(caller, row, "agreement", agreement)


def _visible_payment(parts: ApiParts, caller: Caller, payment: str) -> None:
    with parts.store.read() as session:
        row = agreements.of_payment(session, payment)
    _visible(caller, row, "payment", payment)


def _visible(caller: Caller, row: agreements.AgreementRow | None, what: str, identity: str) -> None:
    if row is None or not caller.sees(row.device):
        raise not_found(what, identity)


def _known(parts: ApiParts, caller: Caller, payee: str) -> None:
    """A partner asks for payees of its own devices' agreements."""
    if caller.scope is None:
        return
    with parts.store.read() as session:
        devices = agreements.devices_paying(session, payee)
    if not any(map(caller.sees, devices)):
        raise Rejected(ProblemCode.NOT_FOUND, f"no agreement of your devices pays {payee}")
