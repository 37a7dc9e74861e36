"""A rail whose settlements are measured."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from web3 import Web3
from web3.logs import DISCARD

from oracles.attest import batch_digest, sign
from oracles.types import Batch, Claim
from orchestrator.core.mandate import Mandate
from orchestrator.edges.chain.ethereum import Account
from orchestrator.edges.chain.keystore import development_account
from services.testnet import CHAIN_ID, TX_GAS_LIMIT, Testnet
from tests.support.contracts.contract_rail import DAY, EURO, HOUR, KWH, facts, terms
from tests.support.contracts.device_keys import DeviceSigner
from tests.support.contracts.forks import Fork, outcomes
from tests.support.contracts.settled import arguments, known, plain_facts


class GasRail(Fork):
    """A deployed rail with funded agreements, `count` of one payee and `lone` of their own.

    pace: seconds from batch to batch, and from reading to reading.
    product: what it settles where no amounts are given.
    """

    pace = HOUR
    product = "MeteredEnergy"

    def __init__(
        self, chain: Testnet, artifacts: dict[str, Any], journal: Path, count: int, lone: int
    ) -> None:
        super().__init__("osaka", chain, artifacts, journal)
        self.keys = sorted(
            (bytes(development_account(index).key) for index in (5, 6, 7, 8)),
            key=lambda key: int(Account.from_key(key).address, 16),
        )
        self.payer, self.payee = development_account(10), development_account(11)
        self.start = self.clock = self.now
        self.sequence: dict[bytes, int] = {}
        self.agreements = sorted(self.add(index, self.payee.address) for index in range(count))
        self.lone = sorted(self.add(count + index, stranger(index)) for index in range(lone))
        if count + lone:
            self.begin()

    def post(self, contract: str, function: str, *args: Any, sender: str) -> None:
        """Send and do not wait; `settle` waits for the last, so all are mined by then."""
        call = self._call(contract, function, args, sender)
        self.last = self.node.rpc("eth_sendTransaction", {**call, "gas": hex(TX_GAS_LIMIT)})

    def begin(self) -> None:
        """Let facts begin now: every device was enrolled, and every agreement opened, before."""
        while self.node.rpc("eth_getTransactionReceipt", self.last) is None:
            time.sleep(0.05)
        self.start = self.now
        quarter = DAY // 4  # of the window: the batches that follow share a release time
        self.clock = self.start + quarter - self.start % quarter

    def add(
        self, index: int, payee: str, product: str = "MeteredEnergy", cap: int = 50 * EURO
    ) -> bytes:
        device, key = Web3.keccak(index + 1), DeviceSigner.p256(index + 1)
        self.post(
            "DeviceRegistry",
            "enrol",
            *self.enrolment(device, key, self.payer.address),  # an owner that pays consents
            sender=self.plan.registrar,
        )
        mandate = Mandate(
            payer=self.payer.address,
            payee=payee,
            device=device,
            product=self.at[product].address,
            cap=cap,
            period_days=30,
            window=DAY,
            start=0,  # the opening: the device was active ever since
            expiry=self.start + 90 * DAY,
            first_counter=0,
            required_domain=0,
            bond=EURO,
            salt=device,
            terms=terms() if product == "MeteredEnergy" else b"",
        )
        known(mandate)
        rail = self.at["PaymentRail"].address
        document = mandate.typed_data(CHAIN_ID, rail)
        signed = Account.sign_typed_data(self.payer.key, full_message=document).signature
        opening = (mandate.as_tuple(), signed, b"")
        self.post("PaymentRail", "open", *opening, sender=self.payer.address)
        self.post(
            "EuroToken",
            "mintToEscrow",
            device,
            rail,
            mandate.agreement_id(),
            20 * EURO,
            sender=self.plan.minter,
        )
        self.sequence[mandate.agreement_id()] = 0
        return mandate.agreement_id()

    def settle(self, agreements: list[bytes], amount: int | None = None) -> int:
        """Settle one batch, every claim of which must be taken; return its gas.

        With `amount` (token minor units) the plain product prices it.
        """
        return self.settled(agreements, amount)["gasUsed"]

    def signature_more(self, agreements: list[bytes]) -> int:
        """Return what a fourth signature costs; its bytes as if none were 0, which cost less."""
        three, four = (self._beyond_bytes(agreements, signers) for signers in (3, 4))
        return 65 * 16 + four - three

    def _beyond_bytes(self, agreements: list[bytes], signers: int) -> int:
        receipt = self.settled(agreements, signers=signers)
        data = self.web3.eth.get_transaction(receipt["transactionHash"])["input"]
        return receipt["gasUsed"] - sum(16 if byte else 4 for byte in data)

    def settled(self, agreements: list[bytes], amount: int | None = None, signers: int = 3) -> Any:
        """Settle one batch, every claim of which must be taken; return its receipt.

        The oracles' signatures stand in one element, in ascending order of the signers.
        """
        name = self.product if amount is None else "PlainProduct"
        claims = tuple(self.claim(agreement, amount) for agreement in agreements)
        self.clock += self.pace
        return self.settled_claims(name, claims, signers)

    def settled_claims(self, product: str, claims: tuple[Claim, ...], signers: int = 3) -> Any:
        """Settle claims of a product by the name of its contract, as `settled` does."""
        batch = Batch(self.at["PaymentRail"].address, self.at[product].address, claims)
        digest = batch_digest(batch, CHAIN_ID, self.at["OracleCommittee"].address)
        signatures = [b"".join(sign(digest, key) for key in self.keys[:signers])]
        while self.node.rpc("eth_getTransactionReceipt", self.last) is None:
            time.sleep(0.05)
        self.chain.rpc("evm_setNextBlockTimestamp", self.clock)
        receipt = self.send(
            "PaymentRail", "settle", arguments(batch), signatures, sender=self.payer.address
        )
        (log,) = self.at["PaymentRail"].events.Settled().process_receipt(receipt, errors=DISCARD)
        assert {refusal for _, refusal in outcomes(log)} == {0}, "a claim was refused"
        return receipt

    def claim(self, agreement: bytes, amount: int | None) -> Claim:
        self.sequence[agreement] += 1
        n = self.sequence[agreement]
        begin = self.start + (n - 1) * self.pace  # no reading lies ahead of its block
        row = plain_facts(amount or 0)
        if amount is None:
            energy = KWH * self.pace // HOUR
            row = facts(n * energy, (n + 1) * energy, begin, begin + self.pace)
        return Claim(agreement, n, 2 * n, 2 * n + 1, Web3.keccak(text="evidence"), row)


def stranger(index: int) -> str:
    return Web3.to_checksum_address(Web3.keccak(index)[:20])
