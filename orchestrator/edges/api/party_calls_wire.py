"""Models of the call routes: requests and answers."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field

from orchestrator.core.challenge import RecordFault
from orchestrator.edges.api.registration_wire import Address
from orchestrator.edges.api.wire import SOME_ID, example
from orchestrator.edges.api.wire import Id as PaymentId

_ADDRESS = "0x" + "3b" * 20
Micro = Annotated[int, Field(gt=0, lt=2**48, description="micro-euro")]


class CallView(BaseModel):
    """A call to a contract: `data` is what is signed, the rest is decoded from it."""

    model_config = example(
        **{"from": _ADDRESS},
        to="0x" + "5f" * 20,
        contract="PaymentRail",
        function="close",
        arguments={"agreement": SOME_ID},
        data="0x39c79e0c",
    )
    sender: str = Field(alias="from")
    to: str
    contract: str
    function: str
    arguments: dict[str, Any]
    data: str


class CallsView(BaseModel):
    """Calls in the order to send them, and what has to be signed before there are any."""

    model_config = example(
        chain_id=1,
        calls=[CallView.model_config["json_schema_extra"]["examples"][0]],
        document=None,
        signers=None,
    )
    chain_id: int
    calls: list[CallView]
    document: dict[str, Any] | None = Field(None, description="EIP-712, of a skip")
    signers: dict[str, str] | None = Field(None, description="who signs the document")


class ChallengeCallsView(CallsView):
    """The calls of a challenge, and what they prove."""

    model_config = example(
        **CallsView.model_config["json_schema_extra"]["examples"][0],
        fault=RecordFault.SIGNATURE,
        record=1,
        barred=3,
    )
    fault: RecordFault
    record: int = Field(description="its position in the payment, from 1")
    barred: int = Field(description="how many oracles lose their seat for ever")


class CloseRequest(BaseModel):
    """Who closes: the payer, or the device's owner."""

    model_config = example(by=None)
    by: Address | None = None


class FundRequest(BaseModel):
    """What a wallet pays into the escrow."""

    model_config = example(amount_micro=50_000_000, by=None)
    amount_micro: Micro
    by: Address | None = Field(None, description="whose tokens; null: the payer's")


class SkipRequest(BaseModel):
    """The claim to pass over, and the signatures that are there."""

    model_config = example(last_counter=None, payer_signature=None, payee_signature=None)
    last_counter: int | None = Field(None, ge=0, lt=2**40, description="null: the payment's")
    payer_signature: str | None = Field(None, max_length=132)
    payee_signature: str | None = Field(None, max_length=132)


class ChallengeRequest(BaseModel):
    """What may be wrong with the payment's records, and who proves it."""

    model_config = example(fault=None, record=None, other=None, by=None)
    fault: RecordFault | None = Field(None, description="null: every fault is looked for")
    record: int | None = Field(None, ge=1, lt=2**31, description="its position; null: all")
    other: PaymentId | None = Field(None, description="another payment for the same counter")
    by: Address | None = Field(None, description="whose tokens are the bond; null: the payer's")


class WithdrawRequest(BaseModel):
    """What leaves the rail, and where to."""

    model_config = example(amount_micro=50_000_000, to=_ADDRESS)
    amount_micro: Micro
    to: Address


class RepayRequest(BaseModel):
    """What pays debts."""

    model_config = example(amount_micro=None)
    amount_micro: Micro | None = Field(None, description="null: all that is owed")
