"""Tables of the chain: what was sent to it, and its blocks, logs and proofs."""

from __future__ import annotations

from sqlalchemy import BigInteger, Index, UniqueConstraint
from sqlmodel import Field, SQLModel

from orchestrator.core.chain_send import Stage


class ChainSendRow(SQLModel, table=True):
    """A signed settlement (or other call): nonce and raw bytes are stored before broadcast."""

    __tablename__ = "chainsend"

    tx_hash: str = Field(primary_key=True)
    chain_id: int
    sender: str
    nonce: int
    purpose: str  # settle | open | mint | release | enrol ...
    ref: str = Field(index=True)  # batch digest, agreement id, credit id, payee
    raw: str
    stage: str = Field(default=Stage.SIGNED, index=True)
    verdict: str = ""  # what the node said last
    block_number: int | None = None
    gas_used: int = 0
    created_at: int = Field(sa_type=BigInteger)
    __table_args__ = (
        UniqueConstraint("chain_id", "sender", "nonce"),
        Index("chainsend_open", "chain_id", "sender", "stage", "nonce"),
        Index("chainsend_waiting", "chain_id", "stage"),
    )


class BlockRow(SQLModel, table=True):
    """(number, hash) of every block seen: the chain may rewind, and is then noticed."""

    __tablename__ = "block"

    number: int = Field(primary_key=True)
    hash: str
    parent: str
    timestamp: int = Field(sa_type=BigInteger)
    final: bool = False
    __table_args__ = (Index("block_open", "final", "number"),)


class ChainLogRow(SQLModel, table=True):
    """A log of our contracts, applied to the ledger once its block is final."""

    __tablename__ = "chainlog"

    block_hash: str = Field(primary_key=True)
    log_index: int = Field(primary_key=True)
    block_number: int = Field(index=True)
    tx_hash: str = Field(index=True)
    name: str = Field(index=True)
    args: str  # JSON
    address: str = ""  # the contract, lower case; "": stored before rails could move


class FollowedContractRow(SQLModel, table=True):
    """A contract whose logs are read with each block; those up to a block were read at once."""

    __tablename__ = "followedcontract"

    address: str = Field(primary_key=True)  # lower case
    since: int = 0  # the newest final block when the rail began to follow it; 0: from its first


class ProofRow(SQLModel, table=True):
    """Header, receipt and call of one of our chain sends, proven and archived at finality."""

    __tablename__ = "proof"

    tx_hash: str = Field(primary_key=True)
    body: str  # JSON
