"""One of the two rails of a deployment that moved: that of 0.5.0, or the one that follows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oracles.attest import batch_digest, sign
from oracles.types import Batch, Claim
from orchestrator.core.batch_bytes import batch_argument, claim_fields
from orchestrator.edges.store import agreements
from orchestrator.steps.settle import group_of
from services.testnet import CHAIN_ID
from tests.support.contracts.contract_rail import ORACLE_KEYS, ContractRail, _address
from tests.support.contracts.onchain import errors_of, events_of
from tests.support.contracts.settled import SettlementResult

if TYPE_CHECKING:
    from tests.support.former_rail import FormerRail

PAYER = 10  # number of its account on the development chain


class RailOfRelease(ContractRail):
    """One of the two rails: its contracts, and what its committee signs."""

    def __init__(self, world: FormerRail, names: dict[str, str]) -> None:
        self.world, self.node, self.artifacts = world, world.node, world.artifacts
        self.errors, self.events = errors_of(self.artifacts), events_of(self.artifacts)
        self.stranger, self.payer = world.account(20), world.account(PAYER)
        self.oracles = sorted(ORACLE_KEYS[:4], key=lambda key: int(_address(key), 16))
        self.names, self._products = names, {}
        self.mandate_version = 1 if names["PaymentRail"].endswith("@0.5.0") else 2

    def connect(self) -> None:
        """Read the contracts at their addresses."""
        for attribute, name in (
            ("registry", "DeviceRegistry"),
            ("committee", "OracleCommittee"),
            ("rail", "PaymentRail"),
        ):
            setattr(self, attribute, self.contract(name))

    def contract(self, name: str) -> Any:
        """Return a contract of this rail by its first name."""
        full = self.names[name]
        return self.at(full, self.world.addresses[full])

    def attest(self, batch: Batch, keys: Any = None, **_: Any) -> list[bytes]:
        version = "1" if self is self.world.old else "2"  # of the committee's signing domain
        digest = batch_digest(batch, CHAIN_ID, self.committee.address, version)
        return [sign(digest, key) for key in self.oracles[:3]]

    def settle(
        self, *claims: Claim, keys: list[bytes] | None = None, product: Any = None
    ) -> SettlementResult:
        batch = self.batch(*claims, product=product)
        signatures = self.attest(batch, keys)
        receipt = self.rail.settle(self._argument(batch), signatures, sender=self.stranger)
        return SettlementResult(self, batch, receipt)

    def _argument(self, batch: Batch) -> tuple[Any, ...]:
        if self is self.world.old:  # takes a list of structs
            return batch.product, [claim_fields(claim) for claim in batch.claims]
        with self.world.store.read() as session:
            ids = ["0x" + claim.agreement.hex() for claim in batch.claims]
            rows = [agreements.get(session, agreement) for agreement in ids]
        return batch_argument(batch.product, batch.claims, [group_of(row) for row in rows])

    def settle_claim(self, product: str, claim: Claim) -> SettlementResult:
        """Settle one claim, as a quorum signed it."""
        return self.settle(claim, product=self.contract(product))
