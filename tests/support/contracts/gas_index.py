"""A rail whose settlements of Index claims are measured."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

from web3 import Web3

from oracles.types import Claim
from orchestrator.core.mandate import Mandate
from orchestrator.edges.chain.ethereum import Account
from orchestrator.products.index.seal import sealed_content
from orchestrator.products.index.tariff import (
    IndexFacts,
    IndexTerms,
    Metric,
    ReportSeal,
    TariffCurve,
    encode_facts,
    encode_terms,
)
from services.testnet import CHAIN_ID, Testnet
from tests.support.contracts.contract_rail import DAY, EURO
from tests.support.contracts.device_keys import DeviceSigner
from tests.support.contracts.gas_rail import GasRail, stranger
from tests.support.contracts.settled import known

CLAIMS, PAYEES = 100, 20
_METRICS = (
    Metric("Vehicle.TraveledDistance", 0, 20_000_000),
    Metric("NightShare", 0, 10_000),
    Metric("HarshEventsPer1000km", 0, 1_000),
)
_CURVES = (
    TariffCurve(0, ((0, 0), (1_000_000, 35 * EURO), (3_000_000, 75 * EURO)), rises=True),
    TariffCurve(1, ((0, 10_000), (2_000, 11_000), (5_000, 13_000)), factor=True, rises=True),
    TariffCurve(2, ((0, 8_500), (5, 10_000), (20, 12_500)), factor=True, rises=True),
)


class IndexGasRail(GasRail):
    """A hundred cars; each has an agreement of each kind, since Index shares devices."""

    pace, product = 60, "UsagePremium"

    def __init__(self, chain: Testnet, artifacts: dict[str, Any], journal: Path) -> None:
        super().__init__(chain, artifacts, journal, 0, 0)
        self.signing: dict[bytes, tuple[IndexTerms, DeviceSigner]] = {}
        for index in range(CLAIMS):
            key, device = DeviceSigner.p256(index + 1), bytes(Web3.keccak(text=f"car-{index}"))
            enrolment = self.enrolment(device, key, self.payer.address)
            self.post("DeviceRegistry", "enrol", *enrolment, sender=self.plan.registrar)
        cars = range(CLAIMS)
        self.shared = sorted(self.agree(index) for index in cars)
        self.own = sorted(self.agree(index, base=12 * EURO + index) for index in cars)
        self.signed = sorted(self.agree(index, signer=f"car-{index}") for index in cars)
        self.begin()

    def agree(self, index: int, base: int = 12 * EURO, signer: str = "") -> bytes:
        """Open an agreement about a car, in the tariff of the worked example."""
        about = f"policy:{index}/{base}/{signer}"
        terms = IndexTerms(about, _METRICS, _CURVES, 120 * EURO, 60, 60, base, signer=signer)
        mandate = Mandate(
            payer=self.payer.address,
            payee=stranger(index % PAYEES),
            device=bytes(Web3.keccak(text=f"car-{index}")),
            product=self.at[self.product].address,
            cap=1_000 * EURO,
            period_days=30,
            window=DAY,
            start=0,
            expiry=self.start + 90 * DAY,
            first_counter=0,
            required_domain=0,
            bond=EURO,
            salt=bytes(32),
            terms=encode_terms(terms),
        )
        agreement, rail = known(mandate, "usage_premium").agreement_id(), self.at["PaymentRail"]
        document = mandate.typed_data(CHAIN_ID, rail.address)
        signed = Account.sign_typed_data(self.payer.key, full_message=document).signature
        opening = (mandate.as_tuple(), signed, b"")
        self.post("PaymentRail", "open", *opening, sender=self.payer.address)
        paid = (agreement, rail.address, agreement, 200 * EURO)
        self.post("EuroToken", "mintToEscrow", *paid, sender=self.plan.minter)
        self.sequence[agreement] = 0
        if signer:
            self.signing[agreement] = terms, DeviceSigner.p256(index + 1)
        return agreement

    def claim(self, agreement: bytes, amount: int | None) -> Claim:
        self.sequence[agreement] += 1
        n = self.sequence[agreement]
        begin = self.start + (n - 1) * self.pace
        facts = IndexFacts(begin, begin + self.pace, 9_800, 1, (40_000 + n, 1_200, 3))
        if agreement in self.signing:
            facts = self._sealed(facts, n, *self.signing[agreement])
        row = encode_facts(facts)
        return Claim(agreement, n, n, n, Web3.keccak(text="evidence"), row)

    @staticmethod
    def _sealed(facts: IndexFacts, n: int, terms: IndexTerms, key: DeviceSigner) -> IndexFacts:
        commitment = bytes(Web3.keccak(text=f"trips {n}"))
        facts = facts._replace(seal=ReportSeal(n, facts.end, commitment, bytes(64)))
        signature = b"".join(key.sign(sha256(sealed_content(terms, facts, n)).digest()))
        return facts._replace(seal=facts.seal._replace(signature=signature))


def measured(rail: IndexGasRail) -> dict[str, float]:
    """Return the gas of a later claim in a batch of a hundred, by what is agreed."""
    kinds = {
        "one tariff": rail.shared,
        "tariffs of their own": rail.own,
        "signed by the device": rail.signed,
    }
    for agreements in kinds.values():
        rail.settle(agreements)
    return {name: rail.settle(agreements) / CLAIMS for name, agreements in kinds.items()}
