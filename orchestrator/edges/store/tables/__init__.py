"""The tables of the store: ids are 0x-hex text, amounts are integers in minor units, times Unix."""

from __future__ import annotations

from sqlmodel import SQLModel

from orchestrator.edges.store.tables.access import (
    ApiKeyRow,
    ApprovalRow,
    BreakRow,
    IdempotencyRow,
    OfficerRow,
)
from orchestrator.edges.store.tables.agreements import (
    AgreementRow,
    DeviceRow,
    OwnerConsentRow,
    PartyRow,
)
from orchestrator.edges.store.tables.bank import (
    BankFileRow,
    BankLineRow,
    BankStatementRow,
    BookingRow,
    FundingRow,
    PayoutRow,
)
from orchestrator.edges.store.tables.chain import (
    BlockRow,
    ChainLogRow,
    ChainSendRow,
    FollowedContractRow,
    ProofRow,
)
from orchestrator.edges.store.tables.disputes import RulingRow
from orchestrator.edges.store.tables.effects import (
    EffectDeliveryRow,
    EffectRow,
    EffectTargetRow,
    UnlockNumberRow,
)
from orchestrator.edges.store.tables.evidence import (
    CitationRow,
    ConflictRow,
    EventRow,
    EvidenceRow,
    HeardRow,
    HoleRow,
    LogPositionRow,
    NameRow,
    RejectionRow,
)
from orchestrator.edges.store.tables.holds import HoldRow
from orchestrator.edges.store.tables.ledger import LedgerEntryRow, LedgerPostingRow, PendingEntryRow
from orchestrator.edges.store.tables.oracles import (
    EquivocationRow,
    OracleSignatureRow,
    SignedBatchRow,
    SignedClaimRow,
)
from orchestrator.edges.store.tables.outcomes import LaterOutcomeRow, OutcomeDeliveryRow
from orchestrator.edges.store.tables.payments import (
    AttestationRow,
    BatchClaimRow,
    DebtRow,
    PaymentFactRow,
    PaymentRow,
)

__all__ = [
    "AgreementRow",
    "ApiKeyRow",
    "ApprovalRow",
    "AttestationRow",
    "BankFileRow",
    "BankLineRow",
    "BankStatementRow",
    "BatchClaimRow",
    "BlockRow",
    "BookingRow",
    "BreakRow",
    "ChainLogRow",
    "ChainSendRow",
    "CitationRow",
    "ConflictRow",
    "DebtRow",
    "DeviceRow",
    "EffectDeliveryRow",
    "EffectRow",
    "EffectTargetRow",
    "EquivocationRow",
    "EventRow",
    "EvidenceRow",
    "FollowedContractRow",
    "FundingRow",
    "HeardRow",
    "HoldRow",
    "HoleRow",
    "IdempotencyRow",
    "LaterOutcomeRow",
    "LedgerEntryRow",
    "LedgerPostingRow",
    "LogPositionRow",
    "NameRow",
    "OfficerRow",
    "OracleSignatureRow",
    "OutcomeDeliveryRow",
    "OwnerConsentRow",
    "PartyRow",
    "PaymentFactRow",
    "PaymentRow",
    "PayoutRow",
    "PendingEntryRow",
    "ProofRow",
    "RejectionRow",
    "RulingRow",
    "SQLModel",
    "SignedBatchRow",
    "SignedClaimRow",
    "UnlockNumberRow",
]
