"""Who gets which role in a deployment, and which products there are."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.edges.chain.ethereum import LocalAccount


@dataclass(frozen=True, slots=True)
class DeploymentPlan:
    """Who has which role. The deployer pays and has no role later; the steward lists the products.

    Attributes:
        guardian: Its address.
        minter: Its address.
        registrar: Its address.
        warden: Its address.
        members: (oracle address, trust domain from 1 to 255).
        products: Names of contracts, each created with (rail, registry); see
            `artifacts.product_contracts`.
    """

    deployer: LocalAccount
    steward: LocalAccount
    guardian: str
    minter: str
    registrar: str
    warden: str
    members: tuple[tuple[str, int], ...]
    products: tuple[str, ...]
    min_domains: int = 2

    def addresses(self) -> list[str]:
        """Return every address that gets a role or pays."""
        signers = [self.deployer.address, self.steward.address]
        others = [self.guardian, self.minter, self.registrar, self.warden]
        return signers + others + [member for member, _ in self.members]
