"""Gas of a batch of vouchers, each of another wearable and merchant, through the whole rail.

settle
├── on a chain with the P-256 precompile
│   └── a batch of 100 should fit 16,777,216 gas (EIP-7825)
└── on a chain without it
    └── each voucher costs the fallback's price: so should a batch of 32
"""

from __future__ import annotations

from web3 import Web3

from device_adapters.protocols import voucher as protocol
from device_adapters.protocols.voucher.typed import Domain, Voucher, digest_of, write_record
from oracles.attest import batch_digest, sign
from oracles.types import Batch, Claim
from orchestrator.core.mandate import Mandate
from orchestrator.edges.chain.ethereum import Account
from orchestrator.edges.chain.keystore import development_account
from orchestrator.products.wearable_voucher import product
from orchestrator.products.wearable_voucher.abi import VoucherTerms
from services.testnet import CHAIN_ID, TX_GAS_LIMIT
from tests.support.contracts.device_keys import DeviceSigner
from tests.support.contracts.forks import Fork, outcomes
from tests.support.contracts.settled import arguments, known

EURO, DAY = 1_000_000, 86_400
SIZES = {"osaka": 100, "prague": 32}  # wearables and merchants all different
# gas per voucher in a full batch, the first of a day and later ones: measured plus slack
LIMITS = {"osaka": (129_000, 111_000), "prague": (480_000, 460_000)}


class WearableRail:
    """Funded agreements of many wearables on one fork."""

    def __init__(self, fork: Fork, count: int) -> None:
        self.fork, self.payer = fork, development_account(10)
        self.contract = fork.at["WearableVoucher"].address
        self.domain = Domain(CHAIN_ID, self.contract.lower())
        self.start = fork.now
        self.oracles = sorted(
            (bytes(development_account(index).key) for index in (5, 6, 7, 8)),
            key=lambda key: int(Account.from_key(key).address, 16),
        )
        self.terms = product.encode_terms(
            VoucherTerms(
                CHAIN_ID, self.contract, 25 * EURO, 100 * EURO, (5814,), 30, 5, 50 * EURO, 3 * DAY
            )
        )
        self.agreements = sorted(self._add(index) for index in range(count))
        fork.chain.mine(seconds=60)  # vouchers are signed after the enrolment
        self.taps = 0

    def _add(self, index: int) -> tuple[bytes, str, DeviceSigner]:
        name, key = f"W-{index}", DeviceSigner.p256(9_000 + index)
        device, payer = bytes(Web3.keccak(text=name)), self.payer.address
        self.fork.enrol(device, key, payer)
        plain = Mandate(
            payer=payer,
            payee="0x" + "00" * 20,
            device=device,
            product=self.contract,
            cap=200 * EURO,
            period_days=30,
            window=DAY,
            expiry=self.start + 90 * DAY,
            first_counter=0,
            required_domain=0,
            bond=EURO,
            salt=device,
            terms=self.terms,
        )
        mandate = known(plain)
        document = mandate.typed_data(CHAIN_ID, self.fork.at["PaymentRail"].address)
        consent = Account.sign_typed_data(self.payer.key, full_message=document).signature
        agreement = mandate.agreement_id()
        opening = mandate.as_tuple(), consent, b""  # the payer owns the wearable
        self.fork.send("PaymentRail", "open", *opening, sender=payer)
        self.fork.send(
            "EuroToken",
            "mintToEscrow",
            device,
            self.fork.at["PaymentRail"].address,
            agreement,
            100 * EURO,
            sender=self.fork.plan.minter,
        )
        return agreement, name, key

    def settle(self, count: int) -> int:
        """Gas per voucher of one batch of `count`, every one paid in full."""
        self.taps += 1
        self.fork.chain.mine(seconds=120)
        rail = self.fork.at["PaymentRail"]
        claims = tuple(self._claim(*row) for row in self.agreements[:count])
        batch = Batch(rail.address, self.contract, claims)
        digest = batch_digest(batch, CHAIN_ID, self.fork.at["OracleCommittee"].address)
        signatures = [sign(digest, key) for key in self.oracles[:3]]
        sender = self.payer.address
        receipt = self.fork.send(rail, "settle", arguments(batch), signatures, sender=sender)
        (log,) = rail.events.Settled().process_receipt(receipt)
        assert outcomes(log) == [(3 * EURO, 0)] * count
        return receipt["gasUsed"] // count

    def _claim(self, agreement: bytes, name: str, key: DeviceSigner) -> Claim:
        taps, now = self.taps, self.fork.now - 30
        device = bytes(Web3.keccak(text=name))
        merchant = "0x" + Web3.keccak(text=f"merchant of {name}").hex()[-40:]
        voucher = Voucher(
            device, merchant, 3 * EURO * taps, taps, taps, 5814, 100 * EURO, now, now + DAY
        )
        r, s = (int.from_bytes(half, "big") for half in key.sign(digest_of(self.domain, voucher)))
        event = protocol.decode(write_record(name, self.domain, voucher, r, s))
        facts = product.derive(self.terms, None, [event], {})
        return Claim(agreement, taps, taps, taps, event.evidence_hash, facts)


def test_settle__a_full_batch_of_vouchers__fits_with_and_without_the_precompile(fork):
    size = SIZES[fork.hardfork]
    rail = WearableRail(fork, size)
    measured = rail.settle(size), rail.settle(size)
    print(f"\ngas per voucher, {fork.hardfork}, {size} at once, first and later: {measured}")
    for gas, limit in zip(measured, LIMITS[fork.hardfork], strict=True):
        assert gas <= limit and gas * size < TX_GAS_LIMIT
