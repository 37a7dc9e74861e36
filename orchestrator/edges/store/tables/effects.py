"""Tables of effects: the outbox, what each target has taken of it, and the tokens of devices."""

from __future__ import annotations

from sqlalchemy import BigInteger, Index, text
from sqlmodel import Field, SQLModel

_WAITS = text("delivered_at IS NULL")


class EffectRow(SQLModel, table=True):
    """One effect of one final payment; rows are only added, in the order of finality."""

    __tablename__ = "effect"

    number: int | None = Field(default=None, primary_key=True)
    effect_id: str = Field(unique=True)  # core.effect.effect_id
    payment_id: str = Field(index=True)
    agreement_id: str = Field(index=True)
    name: str
    kind: str
    message: str  # JSON: what is delivered
    at: int = Field(sa_type=BigInteger)  # time of the block


class UnlockNumberRow(SQLModel, table=True):
    """The n-th token of a device: one for each effect, in the order of finality; only added."""

    __tablename__ = "unlocknumber"

    device: str = Field(primary_key=True)  # id, 0x-hex
    number: int = Field(primary_key=True)  # from 1
    effect_id: str = Field(unique=True)


class EffectTargetRow(SQLModel, table=True):
    """Where effects go. Its secret is in keys/effects of the home."""

    __tablename__ = "effecttarget"

    name: str = Field(primary_key=True)
    way: str  # core.effect_delivery.TargetKind
    place: str  # URL or folder
    kinds: str  # of effects, with commas between them; "" for all
    internal: bool = False  # whether a private address is meant
    added_at: int = Field(sa_type=BigInteger)
    failures: int = 0  # in a row
    due_at: int = Field(default=0, sa_type=BigInteger)  # nothing is sent before
    trouble: str = ""  # why the last try failed


class EffectDeliveryRow(SQLModel, table=True):
    """One effect on its way to one target."""

    __tablename__ = "effectdelivery"

    target: str = Field(primary_key=True)
    effect_id: str = Field(primary_key=True)
    since: int = Field(sa_type=BigInteger)
    due_at: int = Field(sa_type=BigInteger)
    attempts: int = 0
    delivered_at: int | None = Field(default=None, sa_type=BigInteger)
    trouble: str = ""
    __table_args__ = (
        Index(
            "effectdelivery_waits",
            "target",
            "due_at",
            sqlite_where=_WAITS,
            postgresql_where=_WAITS,
        ),
        Index("ix_effectdelivery_effect_id", "effect_id"),
    )
