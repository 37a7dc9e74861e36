"""Models of requests and answers: records, receipts, problems, amounts and waiting effects."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from orchestrator.core.ledger import TEUR

MAX_BATCH = 1_000
HEX32 = r"^0x[0-9a-f]{64}$"
SOME_ID, SOME_SHA = "0x" + "5a" * 32, "9f" * 32
Id = Annotated[str, Field(pattern=HEX32, examples=[SOME_ID])]
Sha = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256", examples=[SOME_SHA])]
Seconds = Annotated[int, Field(description="Unix seconds", examples=[1_790_000_000])]


def example(**members: Any) -> ConfigDict:
    """Return the configuration of a closed model with one example, which tests check."""
    return ConfigDict(extra="forbid", json_schema_extra={"examples": [members]})


class Amount(BaseModel):
    """Money in whole minor units of an asset, as text because many JSON readers round numbers."""

    model_config = example(amount_minor="123456", asset=TEUR)
    amount_minor: str = Field(pattern=r"^-?[0-9]+$")
    asset: str = Field(description="name and number of decimals: tEUR/6 or EUR/2")


class RecordEntry(BaseModel):
    """One record exactly as signed: as text, or in base64 if it is not UTF-8 text."""

    model_config = example(protocol="ocmf", record='OCMF|{"FV":"1.0"}|{"SD":"3045"}')
    protocol: str = Field("ocmf", max_length=60)
    record: str | None = None
    record_base64: str | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> RecordEntry:
        if (self.record is None) == (self.record_base64 is None):
            raise ValueError("give either record or record_base64")
        return self


class EvidenceBatch(BaseModel):
    """Records of one request; each is processed independently."""

    model_config = example(
        records=[{"protocol": "ocmf", "record": 'OCMF|{"FV":"1.0"}|{"SD":"3045"}'}]
    )
    records: list[RecordEntry] = Field(min_length=1, max_length=MAX_BATCH)


class RecordAnswer(BaseModel):
    """The answer for one record. With an event_id it is stored, even if not billable."""

    model_config = example(
        item=0,
        evidence=SOME_SHA,
        device="cp-0001",
        counter=17,
        outcome="accepted",
        event_id=SOME_ID,
        reason=None,
        detail="",
        next_step=None,
    )
    item: int = Field(description="index of its entry in the request, from 0")
    evidence: Sha
    device: str = Field(description='"" if unreadable')
    counter: int | None
    outcome: str = Field(description='"accepted" or the reason, as in the receipt')
    event_id: Id | None
    reason: str | None = Field(description="a code of the catalogue; null if accepted")
    detail: str
    next_step: str | None


class ReceiptOf(BaseModel):
    """The rail's signature (compact JWS, ES256) over the answers to one device's records."""

    model_config = example(device="cp-0001", receipt="eyJhbGciOiJFUzI1NiJ9.e30.c2lnbmF0dXJl")
    device: str
    receipt: str


class Answers(BaseModel):
    """Answers in the order of the records, given after they were committed."""

    model_config = example(
        records=[RecordAnswer.model_config["json_schema_extra"]["examples"][0]],
        receipts=[ReceiptOf.model_config["json_schema_extra"]["examples"][0]],
    )
    records: list[RecordAnswer]
    receipts: list[ReceiptOf]


class FieldError(BaseModel):
    """One field of a request that is not as documented."""

    field: str
    message: str


class ProblemDocument(BaseModel):
    """An RFC 9457 problem document. `code` is stable; `detail` is for people and may change."""

    model_config = ConfigDict(extra="forbid")
    type: str = Field(pattern="^urn:proofrail:problem:")
    title: str
    status: int
    detail: str = Field(description="the cause, in this case")
    code: str
    next_step: str
    instance: str = Field(description="the requested path")
    errors: list[FieldError] | None = Field(None, description="with request_invalid")
    records: list[RecordAnswer] | None = Field(None, description="with a rejected record")
    receipts: list[ReceiptOf] | None = Field(None, description="with a rejected record")


class CaptureJob(BaseModel):
    """The result of one captured document (EPCIS 2.0, section 12.6: EPCISCaptureJob).

    The document is one signed record, processed before the answer, so a job is always finished.
    `records` and `receipts` are proofrail's own members, as for /v1/evidence.
    """

    model_config = example(
        captureID="5f0c9a52c1de4f0b9c7a3d5e8b1f2a60",
        createdAt="2026-03-01T08:00:05Z",
        finishedAt="2026-03-01T08:00:05Z",
        running=False,
        success=True,
        captureErrorBehaviour="rollback",
        errors=[],
        records=[RecordAnswer.model_config["json_schema_extra"]["examples"][0]],
        receipts=[ReceiptOf.model_config["json_schema_extra"]["examples"][0]],
    )
    captureID: str
    createdAt: str
    finishedAt: str
    running: bool
    success: bool
    captureErrorBehaviour: str = Field(description="rollback or proceed")
    errors: list[ProblemDocument] = Field(description="why the document was refused")
    records: list[RecordAnswer]
    receipts: list[ReceiptOf]


class WaitingEffects(BaseModel):
    """What waits for one target of effects."""

    model_config = example(target="crm", waiting=2, oldest_age_s=40, trouble="it answered 503")
    target: str
    waiting: int = Field(description="effects that it has not taken")
    oldest_age_s: int = Field(description="seconds for which the oldest has waited; 0: none waits")
    trouble: str = Field(description="why the last try failed; empty if it did not")
