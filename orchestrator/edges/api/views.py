"""Response models: events, payments, agreements, devices, rejections, balances and status."""

from __future__ import annotations

from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, Field

from orchestrator.core.health import Severity
from orchestrator.core.later_outcome import MAX_IDS
from orchestrator.core.ledger import TEUR
from orchestrator.core.payment import Stage
from orchestrator.edges.api.holds_wire import HoldView
from orchestrator.edges.api.wire import (
    SOME_ID,
    SOME_SHA,
    Amount,
    Id,
    Seconds,
    Sha,
    WaitingEffects,
    example,
)

View = TypeVar("View", bound=BaseModel)


class Page(BaseModel, Generic[View]):
    """One page of a listing."""

    items: list[View]
    next: str | None = Field(description="pass it as `after` for the next page; null: last page")


class EventView(BaseModel):
    """An event, decoded from one piece of evidence."""

    model_config = example(
        event_id=SOME_ID,
        device="cp-0001",
        device_id=SOME_ID,
        counter=17,
        observed_at_ms=1_790_000_000_000,
        received_at=1_790_000_005,
        evidence=SOME_SHA,
        agreement_id=SOME_ID,
        role="stream",
        payment_id=None,
        reason=None,
    )
    event_id: Id
    device: str
    device_id: Id
    counter: int
    observed_at_ms: int = Field(description="Unix milliseconds")
    received_at: Seconds
    evidence: Sha
    agreement_id: Id
    role: str = Field(description="stream: may be claimed; supporting: may be cited")
    payment_id: Id | None = Field(description="null until a claim contains it")
    reason: str | None = Field(description="why no claim can contain it")


class PaymentView(BaseModel):
    """A payment and its stage."""

    model_config = example(
        payment_id=SOME_ID,
        agreement_id=SOME_ID,
        sequence=1,
        stage="settled",
        amount={"amount_minor": "2940000", "asset": TEUR},
        payee="0x" + "22" * 20,
        first_counter=1,
        last_counter=4,
        evidence_root=SOME_ID,
        settlement=SOME_ID,
        release_at=1_790_000_600,
        payout_id=None,
        reason=None,
        attempts=0,
        created_at=1_790_000_010,
    )
    payment_id: Id
    agreement_id: Id
    sequence: int
    stage: Stage
    amount: Amount = Field(
        description="0 until settled; negative: a debt of the payee to the agreement"
    )
    payee: str = Field(description="address of the payee; empty until the claim is derived")
    first_counter: int
    last_counter: int
    evidence_root: str
    settlement: str | None = Field(description="transaction hash")
    release_at: Seconds
    payout_id: str | None
    reason: str | None
    attempts: int
    created_at: Seconds


class FactView(BaseModel):
    """A fact about a payment."""

    fact: str
    detail: str
    at: Seconds


class PaymentDetails(PaymentView):
    """A payment with its events and its facts, in order."""

    model_config = example(
        **PaymentView.model_config["json_schema_extra"]["examples"][0],
        events=[SOME_ID],
        facts=[{"fact": "derived", "detail": "", "at": 1_790_000_010}],
        holds=[],
    )
    events: list[Id]
    facts: list[FactView]
    holds: list[HoldView] = Field(description="who stopped it before its settlement, and why")


class AgreementView(BaseModel):
    """Payer, payee, device, product and cap, as signed and opened on chain."""

    model_config = example(
        agreement_id=SOME_ID,
        device="cp-0001",
        product="metered_energy",
        payer="0x" + "11" * 20,
        payee="0x" + "22" * 20,
        cap={"amount_minor": "500000000", "asset": TEUR},
        period_days=30,
        window_s=60,
        expiry=1_830_000_000,
        first_counter=0,
        reference="RF59PR" + "0" * 19,
        stage="live",
        opened_at=1_780_000_000,
        sequence=1,
        last_counter=4,
    )
    agreement_id: Id
    device: str
    product: str
    payer: str
    payee: str
    cap: Amount = Field(description="the most to pay per period")
    period_days: int
    window_s: int = Field(description="dispute window in seconds")
    expiry: Seconds
    first_counter: int
    reference: str = Field(description="ISO 11649 reference for funding by bank transfer")
    stage: str
    opened_at: Seconds
    sequence: int
    last_counter: int


class DeviceView(BaseModel):
    """An enrolled device."""

    model_config = example(
        device_id=SOME_ID,
        name="cp-0001",
        curve="secp256r1",
        owner="0x" + "33" * 20,
        status="active",
        enrolled_at=1_780_000_000,
        expires_at=0,
        endorsement=SOME_SHA,
        compromised_since=None,
    )
    device_id: Id
    name: str
    curve: str
    owner: str
    status: str
    enrolled_at: Seconds
    expires_at: Seconds = Field(description="end of its newest key; 0: never")
    endorsement: str = Field(description="SHA-256 of its endorsement certificate, or empty")
    compromised_since: Seconds | None


class LaterOutcomeView(BaseModel):
    """What became of a record after its receipt."""

    model_config = example(
        id=SOME_SHA,
        device="cp-0001",
        evidence=SOME_SHA,
        event_id=SOME_ID,
        counter=17,
        outcome="implausible_reading",
        detail="500000.000 kWh in 60 s, at most 0.367 kWh fit 22 kW",
        next_step="Read the meter and compare it with the record.",
        payment_id=None,
        at=1_790_000_000,
        acknowledged_at=None,
    )
    id: Sha
    device: str = Field(description="the device that the record is about")
    evidence: Sha
    event_id: Id
    counter: int
    outcome: str = Field(
        description="why no claim can contain it; payment_ and a stage: its payment ended there; "
        "accepted: that payment goes on after all. The newest one counts"
    )
    detail: str
    next_step: str
    payment_id: Id | None
    at: Seconds
    acknowledged_at: Seconds | None


class LaterOutcomes(BaseModel):
    """A page of outcomes, in order, and the same ones signed by the rail as over MQTT."""

    model_config = example(
        items=[LaterOutcomeView.model_config["json_schema_extra"]["examples"][0]],
        next=None,
        signed=["eyJhbGciOiJFUzI1NiJ9.e30.c2lnbmF0dXJl"],
    )
    items: list[LaterOutcomeView]
    next: str | None = Field(description="pass it as `after` for the next page; null: last page")
    signed: list[str] = Field(description="compact JWS of the rail's receipt key")


class OutcomeIds(BaseModel):
    """Outcomes that a device has stored."""

    model_config = example(version=1, ids=[SOME_SHA])
    version: Literal[1] = 1
    ids: list[Sha] = Field(max_length=MAX_IDS)


class Acknowledged(BaseModel):
    """How many of the outcomes were not acknowledged before."""

    model_config = example(acknowledged=1)
    acknowledged: int


class RejectionView(BaseModel):
    """Refused input with its reason."""

    model_config = example(
        number=3,
        received_at=1_790_000_000,
        source="mqtt",
        device="cp-0001",
        protocol="ocmf",
        reason="signature_forged",
        detail="device cp-0001, counter 9",
        next_step="Compare keys.",
        evidence=SOME_SHA,
        size_bytes=412,
    )
    number: int
    received_at: Seconds
    source: str
    device: str
    protocol: str
    reason: str
    detail: str
    next_step: str
    evidence: Sha
    size_bytes: int


class RejectionDetails(RejectionView):
    """A rejection with the original bytes."""

    model_config = example(
        **RejectionView.model_config["json_schema_extra"]["examples"][0], body_base64="T0NNRg=="
    )
    body_base64: str


class BalanceView(BaseModel):
    """The balance of a ledger account; debits are positive, credits negative."""

    model_config = example(
        account="withdrawable:0x" + "22" * 20,
        balance={"amount_minor": "-2940000", "asset": TEUR},
    )
    account: str
    balance: Amount


class BalancesView(BaseModel):
    """All ledger accounts; each asset adds up to zero."""

    model_config = example(balances=[BalanceView.model_config["json_schema_extra"]["examples"][0]])
    balances: list[BalanceView]


class BlockView(BaseModel):
    """A block that the rail has read."""

    number: int
    hash: str


class HealthProblemView(BaseModel):
    """One thing that is wrong with the rail."""

    model_config = example(
        name="oracle_down",
        subject="auditor",
        what="The oracle auditor (domain 3) does not answer: ConnectionError",
        next_step="Start it, or ask its operator to. Records wait; nothing is lost.",
        severity="warning",
        since=1_750_000_000,
    )
    name: str = Field(description="what kind of problem; stable")
    subject: str = Field(description="what it concerns; empty: the whole rail")
    what: str
    next_step: str
    severity: Severity = Field(description="error: part of the rail's work has stopped")
    since: int


class StatusView(BaseModel):
    """Status of the rail: worker, payments by stage, rejections, blocks."""

    model_config = example(
        worker={"turns": {"collect": 4}, "halted": {}},
        stages={"settled": 3},
        rejections={"signature_forged": 1},
        head={"number": 9, "hash": SOME_ID},
        final_block=6,
        effects=[],
        problems=[],
    )
    worker: dict[str, Any] = Field(description="turns: work done by step; halted: reason by step")
    stages: dict[str, int] = Field(description="payments by stage")
    rejections: dict[str, int] = Field(description="rejections and dropped events by reason")
    head: BlockView | None
    final_block: int = Field(description="0: none yet")
    effects: list[WaitingEffects] = Field(description="what waits for each target of effects")
    problems: list[HealthProblemView] = Field(description="what is wrong, errors first")


class KeySet(BaseModel):
    """A JWK Set (RFC 7517) of P-256 keys."""

    model_config = example(
        keys=[
            {
                "kty": "EC",
                "crv": "P-256",
                "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
                "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
                "kid": "cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s",
                "use": "sig",
                "alg": "ES256",
            }
        ]
    )
    keys: list[dict[str, str]]


class Health(BaseModel):
    """Liveness of the process."""

    model_config = example(status="ok")
    status: str


class Ready(BaseModel):
    """Whether the rail does its work, with the names of its problems."""

    model_config = example(ready=True, problems=["oracle_down"])
    ready: bool
    problems: list[str] = Field(description="names; a key at /v1/status shows the rest")
