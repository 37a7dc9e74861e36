"""WearableVoucher with a test double as its rail, and wearables that sign vouchers.

Each voucher passes protocol, product and contract, at the time that the test chooses.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import count
from typing import Any, NamedTuple

from web3 import Web3

from device_adapters.protocols import voucher as protocol
from device_adapters.protocols.voucher.typed import Domain, Voucher, digest_of, write_record
from orchestrator.edges.chain.keystore import development_account
from orchestrator.products.wearable_voucher import product
from orchestrator.products.wearable_voucher.abi import VoucherTerms
from services.testnet import CHAIN_ID
from tests.support.contracts.device_keys import DeviceSigner
from tests.support.contracts.forks import Fork

EURO, DAY = 1_000_000, 86_400
MERCHANTS = {letter: "0x" + letter.lower() * 40 for letter in "ABCDEF12"}
LIMIT = 2**48 - 1
END = 2**40 - 1  # of an agreement without an end
SOURCES = (
    "contracts/products/WearableVoucher.sol",
    "tests/contracts/sources/Doubles.sol",
    "tests/contracts/sources/NextVoucher.sol",
)
CUTS = (
    "",
    "Superseded",
    "DeviceSilenced",
    "DoubleSpent",
    "Expired",
    "TooOld",
    "SignedAhead",
    "BeforeStart",
    "TimeFell",
    "PassedOn",
    "CoolOff",
    "CapSpent",
    "DaySpent",
    "OfflineAmount",
    "OfflineTaps",
)
_numbers = count(1)


class VoucherAnswer(NamedTuple):
    """amount in minor units; the refusal's and the cut's name, "" where there is none."""

    amount: int
    refusal: str = ""
    cut: str = ""
    payee: str = ""


class VoucherContract:
    """The contract, called by the test double that it takes for its rail."""

    def __init__(self, fork: Fork) -> None:
        self.fork = fork
        self.rail = fork.create("NotingRail", True)
        self.owner = development_account(11).address
        self.registry = fork.at["DeviceRegistry"]
        self.contract = fork.create("WearableVoucher", self.rail.address, self.registry.address)
        self.domain = Domain(CHAIN_ID, self.contract.address.lower())

    def wearable(self, **terms: Any) -> WearableAgreement:
        """Enrol one more wearable, with an agreement of its own.

        Its times count from the midnight (UTC) after next, where the agreement starts.
        """
        number = next(_numbers)
        name, key = f"BAND-{number}", DeviceSigner.p256(50_000 + number)
        device = bytes(Web3.keccak(text=name))
        self.fork.enrol(device, key, self.owner)
        base = (self.fork.now // DAY + 2) * DAY
        agreement = bytes(Web3.keccak(text=f"agreement of {name}"))
        band = WearableAgreement(self, name, key, device, agreement, self.terms(**terms), base)
        band.open(base)
        return band

    def terms(self, **changes: Any) -> VoucherTerms:
        plain = VoucherTerms(
            chain_id=CHAIN_ID,
            contract=self.contract.address,
            per_tap=25 * EURO,
            per_day=0,
            classes=(),
            cool_off=0,
            offline_taps=5,
            offline_amount=50 * EURO,
            max_age=3 * DAY,
        )
        return plain._replace(**changes)

    def ask(self, function: str, *arguments: Any) -> Any:
        """Return what the rail is answered when it calls the contract; send nothing."""
        return self.fork.ask(self.rail, function, self.contract.address, *arguments)

    def send(self, function: str, *arguments: Any) -> Any:
        """Let the rail call the contract for good; return the receipt."""
        call = self.rail, function, self.contract.address, *arguments
        return self.fork.send(*call, sender=self.owner)

    def refusal(self, function: str, *arguments: Any) -> str:
        """Return the custom error that a call of the rail ends in; send nothing."""
        call = self.rail, function, self.contract.address, *arguments
        return self.fork.refusal(*call, sender=self.owner)

    def link(self, function: str, contract: str) -> None:
        """Name predecessor or successor, as the steward."""
        self.fork.send(self.contract, function, contract, sender=self.fork.plan.steward)

    def at(self, time: int) -> None:
        """Mine a block of that time (Unix seconds), unless the chain is past it."""
        if time > self.fork.now:
            self.fork.chain.rpc("evm_setNextBlockTimestamp", time)
            self.fork.chain.rpc("anvil_mine", "0x1")


@dataclass(frozen=True)
class WearableAgreement:
    """A wearable with its agreement; its key signs what the test wants."""

    contract: VoucherContract
    name: str
    key: DeviceSigner
    device: bytes
    agreement: bytes
    terms: VoucherTerms
    base: int

    def open(self, start: int = 0) -> None:
        """Open the agreement on chain, from `start` (Unix seconds) or now on."""
        arguments = self.agreement, self.device, start or self.contract.fork.now
        self.contract.send("open", *arguments, product.encode_terms(self.terms))

    def renewed(self, start: int = 0, **terms: Any) -> WearableAgreement:
        """Return another agreement of the same wearable, opened now; the card stays as it is."""
        salt = next(_numbers).to_bytes(4, "big")
        agreement = bytes(Web3.keccak(self.agreement + salt))
        new = replace(self, agreement=agreement, terms=self.terms._replace(**terms))
        new.open(start)
        return new

    def voucher(
        self, to: str, total: int, taps: int, counter: int, signed: int, **changes: Any
    ) -> Voucher:
        """Return a voucher to merchant A, B or C, signed `signed` seconds after the base."""
        at = self.base + signed
        plain = Voucher(
            self.device, MERCHANTS[to], total, counter, taps, 5814, 1_000 * EURO, at, at + 30 * DAY
        )
        return plain._replace(**changes)

    def record(
        self,
        voucher: Voucher,
        *,
        high: bool | None = None,
        domain: Domain | None = None,
        key: DeviceSigner | None = None,
    ) -> bytes:
        where = domain or self.contract.domain
        r, s = (key or self.key).sign(digest_of(where, voucher), high)
        numbers = int.from_bytes(r, "big"), int.from_bytes(s, "big")
        return write_record(self.name, where, voucher, *numbers)

    def facts(self, voucher: Voucher, **how: Any) -> bytes:
        event = protocol.decode(self.record(voucher, **how))
        return product.derive(product.encode_terms(self.terms), None, [event], {})

    def pay(
        self, voucher: Voucher, at: int = 0, limit: int = LIMIT, until: int = END, **how: Any
    ) -> VoucherAnswer:
        """Settle one voucher `at` seconds after the base (or now); return the contract's answer."""
        if at:
            self.contract.at(self.base + at)
        return self.settle(self.facts(voucher, **how), limit, until)

    def quote(self, facts: bytes, limit: int = LIMIT, until: int = END) -> tuple[Any, ...]:
        """Return what the rail asks about facts; no product of vouchers reads the counters."""
        return self.agreement, self.device, limit, False, until, 0, 1, 1, facts

    def settle(self, facts: bytes, limit: int = LIMIT, until: int = END) -> VoucherAnswer:
        """Settle facts of any kind; return the contract's answer."""
        voucher_contract = self.contract
        quotes = [self.quote(facts, limit, until)]
        (answer,) = voucher_contract.ask("price", quotes)
        receipt = voucher_contract.send("price", quotes)
        logs = voucher_contract.contract.events.VoucherCut().process_receipt(receipt)
        cut = CUTS[logs[0]["args"]["why"]] if logs else ""
        amount, refusal, payee = answer
        return VoucherAnswer(amount, product.REFUSALS.get(refusal, ""), cut, payee)

    def paid(self, to: str) -> int:
        merchant = Web3.to_checksum_address(MERCHANTS[to])
        voucher_contract = self.contract
        return voucher_contract.fork.ask(
            voucher_contract.contract, "accountOf", self.device, merchant
        )[0]

    def report(self, first: Voucher, second: Voucher, **how: Any) -> str:
        """Report the two as a double spend; return the custom error, "" where there is none."""
        events = [protocol.decode(self.record(voucher, **how)) for voucher in (first, second)]
        proof = product.proof_of_conflict(self.agreement, *events)
        if proof is None:
            return "no proof"
        return self.call(proof[0], *proof[1])

    def call(self, function: str, *arguments: Any) -> str:
        voucher_contract = self.contract
        error = voucher_contract.fork.refusal(
            voucher_contract.contract, function, *arguments, sender=voucher_contract.owner
        )
        if not error:
            voucher_contract.fork.send(
                voucher_contract.contract, function, *arguments, sender=voucher_contract.owner
            )
        return error

    def registry(self, function: str, *arguments: Any) -> None:
        """Call the registry about this wearable, as its owner."""
        voucher_contract = self.contract
        voucher_contract.fork.send(
            "DeviceRegistry", function, self.device, *arguments, sender=voucher_contract.owner
        )

    def signed_by(self, key: DeviceSigner) -> WearableAgreement:
        return replace(self, key=key)
