"""Read routes: events, payments, agreements, devices, rejections, balances and traces."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from contextlib import suppress
from hashlib import sha256
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Path, Query

from device_adapters.types import Rejected
from orchestrator.core.ledger import TEUR
from orchestrator.core.payment import Stage
from orchestrator.edges.api.access import Anyone, Reader
from orchestrator.edges.api.catalogue import ProblemCode, entry_of
from orchestrator.edges.api.holds_wire import hold_fields
from orchestrator.edges.api.parts import Parts
from orchestrator.edges.api.schema import KEYED, problems_of
from orchestrator.edges.api.views import (
    AgreementView,
    BalancesView,
    BalanceView,
    DeviceView,
    EventView,
    Page,
    PaymentDetails,
    PaymentView,
    RejectionDetails,
    RejectionView,
)
from orchestrator.edges.api.wire import HEX32, Amount
from orchestrator.edges.store import (
    agreements,
    evidence,
    holds,
    ledger,
    payments,
    rejections,
    tables,
)
from orchestrator.views.partner_trace import partner_trace

Row = TypeVar("Row")
_ONE = problems_of(*KEYED, ProblemCode.NOT_FOUND)
_LIST = problems_of(*KEYED, ProblemCode.CURSOR_UNKNOWN)
MAX_PAGE = 500

Id = Annotated[str, Path(pattern=HEX32, description="0x and 64 lower case hex digits")]
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE, description="rows on one page")]
After = Annotated[str | None, Query(max_length=400, description="`next` of the previous page")]

router = APIRouter()


@router.get("/v1/events/{event_id}", tags=["evidence"], responses=_ONE, summary="One event")
def get_event(parts: Parts, caller: Anyone, event_id: Id) -> EventView:
    """Return an event. A partner sees only events of its own devices; others are not found."""
    with parts.store.read() as session:
        match = evidence.event_with_device(session, event_id)
    if match is None or not caller.sees(match[1]):
        raise not_found("event", event_id)
    event, device = match
    return EventView(**_columns(event, EventView, device=device, evidence=event.evidence_hash))


@router.get("/v1/payments/{payment_id}", tags=["money"], responses=_ONE, summary="One payment")
def get_payment(parts: Parts, caller: Anyone, payment_id: Id) -> PaymentDetails:
    """Return a payment with its events and facts, in order. A partner sees its devices' only."""
    with parts.store.read() as session:
        row = session.get(tables.PaymentRow, payment_id)
        agreement = agreements.of_payment(session, payment_id)
        if row is None or not caller.sees(agreement.device):
            raise not_found("payment", payment_id)
        facts = [
            {"fact": fact.fact, "detail": fact.detail, "at": fact.at}
            for fact in payments.facts_of(session, payment_id)
        ]
        events = evidence.event_ids(session, payment_id)
        stops = [hold_fields(hold) for hold in holds.of_payment(session, payment_id)]
    return PaymentDetails(**_payment(row), events=events, facts=facts, holds=stops)


@router.get("/v1/payments", tags=["money"], responses=_LIST, summary="Payments, oldest first")
def list_payments(
    parts: Parts,
    caller: Anyone,
    stage: Stage | None = None,
    agreement: Annotated[str | None, Query(pattern=HEX32)] = None,
    limit: Limit = 100,
    after: After = None,
) -> Page[PaymentView]:
    """List payments, optionally of one stage or agreement. A partner sees its devices' only."""
    with parts.store.read() as session:
        last = cursor_of(after, _time_and_id)
        rows = payments.page(session, stage, agreement, last, limit + 1, caller.scope)
    shown = rows[:limit]
    views = [PaymentView(**_payment(row)) for row in shown]
    return Page[PaymentView](
        items=views, next=next_of(rows, limit, lambda row: f"{row.created_at}|{row.payment_id}")
    )


@router.get("/v1/agreements", tags=["money"], responses=_LIST, summary="Agreements by id")
def list_agreements(
    parts: Parts, caller: Anyone, limit: Limit = 100, after: After = None
) -> Page[AgreementView]:
    """List agreements with their payment terms and progress. A partner sees its devices' only."""
    with parts.store.read() as session:
        rows = agreements.page(session, cursor_of(after, str) or "", limit + 1, caller.scope)
    views = [
        AgreementView(**_columns(row, AgreementView, cap=_amount(row.cap_micro)))
        for row in rows[:limit]
    ]
    return Page[AgreementView](items=views, next=next_of(rows, limit, lambda row: row.agreement_id))


@router.get("/v1/devices", tags=["evidence"], responses=_LIST, summary="Devices by name")
def list_devices(
    parts: Parts, caller: Anyone, limit: Limit = 100, after: After = None
) -> Page[DeviceView]:
    """List enrolled devices, in any status. A partner sees its own only."""
    with parts.store.read() as session:
        last = cursor_of(after, str) or ""
        rows = agreements.page_of_devices(session, last, limit + 1, caller.scope)
    views = [DeviceView(**_columns(row, DeviceView)) for row in rows[:limit]]
    return Page[DeviceView](items=views, next=next_of(rows, limit, lambda row: row.name))


@router.get("/v1/rejected", tags=["evidence"], responses=_LIST, summary="Rejections, newest first")
def list_rejected(
    parts: Parts,
    caller: Anyone,
    reason: Annotated[str | None, Query(max_length=60)] = None,
    device: Annotated[str | None, Query(max_length=200)] = None,
    limit: Limit = 100,
    after: After = None,
) -> Page[RejectionView]:
    """List refused input. A partner sees only input of its own devices."""
    before = cursor_of(after, number_in)
    with parts.store.read() as session:
        rows = rejections.page(session, reason, device, caller.scope, before, limit + 1)
    views = [RejectionView(**_rejection(row)) for row in rows[:limit]]
    return Page[RejectionView](items=views, next=next_of(rows, limit, lambda row: str(row.id)))


@router.get("/v1/rejected/{number}", tags=["evidence"], responses=_ONE, summary="One rejection")
def get_rejected(
    parts: Parts, caller: Anyone, number: Annotated[int, Path(ge=1, lt=2**63)]
) -> RejectionDetails:
    """Return a rejection with the original bytes."""
    with parts.store.read() as session:
        row = rejections.get(session, number)
    if row is None or not caller.sees(row.device):
        raise not_found("rejection", str(number))
    return RejectionDetails(**_rejection(row), body_base64=base64.b64encode(row.body).decode())


@router.get(
    "/v1/ledger/balances", tags=["money"], responses=problems_of(*KEYED), summary="All balances"
)
def get_balances(parts: Parts, caller: Reader) -> BalancesView:
    """Return the balance of each ledger account and asset."""
    with parts.store.read() as session:
        balances = ledger.balances(session)
    return BalancesView(
        balances=[
            BalanceView(account=account, balance=_amount(total, asset))
            for (account, asset), total in balances.items()
        ]
    )


traces = APIRouter()


@traces.get(
    "/v1/trace/{any_id}",
    tags=["money"],
    responses=problems_of(*KEYED, ProblemCode.NOT_FOUND, ProblemCode.AMBIGUOUS),
    summary="Follow any id",
)
def get_trace(
    parts: Parts, caller: Anyone, any_id: Annotated[str, Path(max_length=200)]
) -> dict[str, Any]:
    """Return an event, payment, settlement, payout, EndToEndId or device with its payments.

    A partner follows the ids of its own devices, and sees nothing that belongs to others: the
    answer about an id of others is that about an unknown one. It gives complete ids.
    """
    if caller.scope is None:
        with parts.store.read() as session:
            return dict(parts.trace(session, any_id))
    own = None
    with suppress(Rejected), parts.store.read() as session:  # its detail may name others' ids
        own = partner_trace(parts.trace(session, any_id), caller.sees)
    if own is None:
        raise not_found("object of your devices with the id", any_id)
    return own


def not_found(what: str, name: str) -> Rejected:
    return Rejected(ProblemCode.NOT_FOUND, f"no {what} {name}")


def _columns(row: Any, view: type, **given: Any) -> dict[str, Any]:
    """Return the view's fields from the row's columns of the same names, overridden by `given`."""
    names = [name for name in view.model_fields if name not in given]
    return {name: getattr(row, name) for name in names} | given


def _amount(minor: int, asset: str = TEUR) -> Amount:
    return Amount(amount_minor=str(minor), asset=asset)


def _payment(row: tables.PaymentRow) -> dict[str, Any]:
    return _columns(
        row, PaymentView, amount=_amount(row.amount_micro), settlement=row.settlement_tx
    )


def _rejection(row: tables.RejectionRow) -> dict[str, Any]:
    return _columns(
        row,
        RejectionView,
        number=row.id,
        next_step=entry_of(row.reason).next_step,
        evidence=sha256(row.body).hexdigest(),
        size_bytes=len(row.body),
    )


def next_of(rows: Sequence[Row], limit: int, place: Callable[[Row], str]) -> str | None:
    """Return the cursor after the last row shown, None if there are no more rows."""
    if len(rows) <= limit:
        return None
    return base64.urlsafe_b64encode(place(rows[limit - 1]).encode()).decode()


def cursor_of(text: str | None, read: Callable[[str], Any]) -> Any:
    if text is None:
        return None
    try:
        return read(base64.b64decode(text.encode(), altchars=b"-_", validate=True).decode())
    except (ValueError, binascii.Error):
        raise Rejected(ProblemCode.CURSOR_UNKNOWN, f"{text[:60]!r} is not a cursor") from None


def number_in(text: str) -> int:
    number = int(text)
    if not 0 <= number < 2**63:  # the store's range
        raise ValueError(text)
    return number


def _time_and_id(text: str) -> tuple[int, str]:
    at, last = text.split("|")
    return number_in(at), last
