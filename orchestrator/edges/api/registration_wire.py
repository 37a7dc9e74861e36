"""Models of the register routes: requests and answers."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field

from orchestrator.edges.api.wire import SOME_ID, Id, Sha, example

_ADDRESS = "0x" + "3b" * 20
Name = Annotated[str, Field(max_length=64, description="letters, digits, `.`, `_`, `-`")]
Address = Annotated[str, Field(max_length=42, description="0x and 40 hex digits")]
Text = Annotated[str, Field(max_length=140)]


class DigestRequest(BaseModel):
    """A device that is to be enrolled for an owner."""

    model_config = example(device="cp-0001", owner=_ADDRESS)
    device: Name
    owner: Address


class DigestView(BaseModel):
    """The SHA-256 digest that the device signs, as proof that it holds its key."""

    model_config = example(device="cp-0001", owner=_ADDRESS, sha256="9f" * 32)
    device: str
    owner: str
    sha256: Sha


class DeviceRequest(BaseModel):
    """A device with the proof that it holds its key, and its maker's certificates."""

    model_config = example(
        device="cp-0001",
        owner=_ADDRESS,
        key="-----BEGIN PUBLIC KEY-----...",
        proof="3045022100...",
        endorsement=None,
        new_password=False,
    )
    device: Name
    owner: Address
    key: str = Field(max_length=4_000, description="public key: PEM, hex or base64")
    proof: str = Field(max_length=200, description="signature of the digest, hex: DER or r and s")
    endorsement: str | None = Field(
        None, max_length=40_000, description="PEM chain; null: the built-in CA of a local chain"
    )
    new_password: bool = Field(False, description="replace the broker password")


class EnrolledDevice(BaseModel):
    """An enrolled device. The password is shown once; null if the device has one already."""

    model_config = example(
        device="cp-0001",
        device_id=SOME_ID,
        owner=_ADDRESS,
        username="cp-0001",
        password="3a8Tq...",
        topic="proofrail/cp-0001/evidence/PROTOCOL",
        endorsed_by="CN=maker",
        expires_at=0,
    )
    device: str
    device_id: Id
    owner: str
    username: str
    password: str | None
    topic: str
    endorsed_by: str
    expires_at: int = Field(description="Unix seconds; 0: no end")


class PartyRequest(BaseModel):
    """A payer or payee: its address on chain, and its bank account."""

    model_config = example(
        name="Nord eG",
        address=_ADDRESS,
        iban="DE89370400440532013000",
        bic=None,
        street="Am Kanal",
        building="1",
        post_code="14467",
        town="Potsdam",
        country="DE",
    )
    name: Text
    address: Address
    iban: str = Field(max_length=42)
    bic: str | None = Field(None, max_length=11)
    street: Text
    building: Text
    post_code: Text
    town: Text
    country: str = Field("DE", pattern="^[A-Za-z]{2}$", description="ISO 3166 alpha-2")


class PartyView(BaseModel):
    """A stored party."""

    model_config = example(name="Nord eG", address=_ADDRESS, iban="DE89370400440532013000")
    name: str
    address: str
    iban: str


class MandateRequest(BaseModel):
    """The terms of an agreement, before its payer signs them."""

    model_config = example(
        device="cp-0001",
        product="metered_energy",
        payer=_ADDRESS,
        payee=_ADDRESS,
        terms={"price": "0.30", "fuse": "22000"},
        cap_micro="500000000",
        expiry=1_900_000_000,
        period_days=30,
        window_s=86_400,
        first_counter=0,
        required_domain=0,
        start=0,
        bond_micro="10000000",
        settle_after="records=10,minutes=60",
    )
    device: Name
    product: Name
    payer: Address
    payee: Address | None = None
    terms: dict[str, str] = Field(description="name and value of each term of the product")
    cap_micro: str = Field(pattern="^[1-9][0-9]{0,17}$", description="micro-euro in a period")
    expiry: int = Field(ge=1, lt=2**40, description="Unix seconds")
    period_days: int = Field(30, ge=1, le=65_535)
    window_s: int = Field(86_400, ge=0, lt=2**32, description="dispute window, seconds")
    first_counter: int = Field(0, ge=0, lt=2**40, description="of the last record before it")
    required_domain: int = Field(0, ge=0, le=255, description="a domain that must sign; 0: any")
    start: int = Field(0, ge=0, lt=2**32, description="Unix seconds; 0: the opening")
    bond_micro: str = Field(
        "10000000", pattern="^[1-9][0-9]{0,8}$", description="what a dispute costs, micro-euro"
    )
    settle_after: str = Field(
        "", max_length=100, description="records=N,minutes=N,amount=EURO,session,day; else at once"
    )


class AgreementAnswer(BaseModel):
    """An agreement's id, and where its payer pays to."""

    model_config = example(
        agreement_id=SOME_ID,
        funding_reference="RF18539007547034",
        pay_to="DE89370400440532013000",
    )
    agreement_id: Id
    funding_reference: str
    pay_to: str = Field(description="IBAN; pay with the funding reference")


class OwnerConsentView(BaseModel):
    """The consent of a device's owner, as the EIP-712 document that its wallet shows and signs."""

    model_config = example(owner=_ADDRESS, typed_data={"primaryType": "Consent", "message": {}})
    owner: str
    typed_data: dict[str, Any]


class MandateView(AgreementAnswer):
    """A mandate as the EIP-712 document that the payer's wallet shows and signs."""

    model_config = example(
        agreement_id=SOME_ID,
        funding_reference="RF18539007547034",
        pay_to="DE89370400440532013000",
        typed_data={"primaryType": "Mandate", "message": {}},
        consent={"owner": _ADDRESS, "typed_data": {"primaryType": "Consent", "message": {}}},
    )
    typed_data: dict[str, Any]
    consent: OwnerConsentView | None = Field(
        description="what the device's owner signs; null where no consent is needed"
    )


class AgreementRequest(BaseModel):
    """A signed mandate: `message` of the typed data, and the payer's signature."""

    model_config = example(
        device="cp-0001",
        product="metered_energy",
        mandate={"payer": _ADDRESS},
        signature="0x1b",
        consent="0x1b",
    )
    device: Name
    product: Name
    mandate: dict[str, str | int]
    signature: str = Field(max_length=2_000, description="65 bytes, hex; ERC-1271 may be longer")
    consent: str = Field("", max_length=2_000, description="the device owner's signature, hex")
