"""A rail of release 0.5.0 on a real chain, with agreements and money, and the rail that follows it.

Its committee signs every claim of the test. Payments are in the store as the service leaves them
there.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from typer.testing import CliRunner
from web3 import Web3

from device_adapters.protocols import voucher as voucher_protocol
from device_adapters.protocols.voucher.typed import Domain, Voucher, digest_of, write_record
from oracles.types import Claim
from orchestrator import cli
from orchestrator.commands import agreement_move
from orchestrator.core.agreement import Stage
from orchestrator.core.mandate import Mandate
from orchestrator.core.payment import Stage as PaymentStage
from orchestrator.edges.chain import keystore
from orchestrator.edges.chain.artifacts import load_artifacts
from orchestrator.edges.chain.deployment import Deployment
from orchestrator.edges.chain.plan import Role
from orchestrator.edges.store import Store, agreements, payments
from orchestrator.products.metered_energy.abi import (
    EnergyFacts,
    EnergyTerms,
    encode_facts,
    encode_terms,
)
from orchestrator.products.wearable_voucher import product as vouchers
from orchestrator.settings import Settings
from services.bank import new_iban
from services.testnet import CHAIN_ID, Testnet
from tests.support.contracts.contract_rail import (
    DAY,
    DOMAINS,
    EURO,
    IMPORT,
    KWH,
    _address,
)
from tests.support.contracts.device_keys import DeviceSigner
from tests.support.contracts.onchain import Account, Node
from tests.support.contracts.settled import SettlementResult
from tests.support.former_contracts import RELEASE, former_artifacts
from tests.support.rail_of_release import PAYER, RailOfRelease

PRODUCTS = ("MeteredEnergy", "ProofOfDelivery", "WearableVoucher")
ROLES = {"steward": 1, "guardian": 2, "minter": 3, "registrar": 4, "warden": 8, "sender": 9}
PARTIES = {"Ada": PAYER, "Nord": 11, "Imbiss": 12, "Kiosk": 13}  # with keystores in the home
ELSEWHERE = 14  # a payer whose key is not in the home


def former(name: str) -> str:
    """Return the name that a contract of 0.5.0 has next to its successor."""
    return f"{name}@{RELEASE}"


class FormerRail:
    """The home of a rail of 0.5.0; `follow` deploys the contracts of today next to it.

    Attributes:
        addresses: Name -> address, names of 0.5.0 with their release.
        old, new: The two rails.
        agreements: Name of a device -> its row in the store.
    """

    def __init__(self, home: Path) -> None:
        self.home, self.settings = home, Settings(home=home)
        self.testnet = Testnet(accounts=40).start()
        self.node = Node(self.testnet.url)
        self.node.rpc("anvil_setBlockTimestampInterval", 1)
        self.artifacts = load_artifacts() | former_artifacts()
        self.addresses: dict[str, str] = {}
        self.blocks: dict[str, int] = {}
        self.agreements: dict[str, agreements.AgreementRow] = {}
        self.keys: dict[str, DeviceSigner] = {}
        self._credits = 0
        names = ("DeviceRegistry", "OracleCommittee", "PaymentRail", *PRODUCTS)
        self.old = RailOfRelease(self, {name: former(name) for name in names})
        self.new = RailOfRelease(self, {name: name for name in names})
        self._deploy_former()
        self._people()

    def stop(self) -> None:
        self.store.close()
        self.testnet.stop()

    # --- contracts

    def account(self, index: int) -> Account:
        return Account(keystore.development_account(index))

    def deploy(self, name: str, *arguments: Any) -> Any:
        contract = self.old.deploy(name, *arguments, sender=self.account(0))
        self.addresses[name] = contract.address
        self.blocks[name] = int(self.node.rpc("eth_blockNumber"), 16)
        return contract

    def _deploy_former(self) -> None:
        roles = {name: self.account(index) for name, index in ROLES.items()}
        members = [_address(key) for key in self.old.oracles]
        registry = self.deploy(former("DeviceRegistry"), roles["registrar"], roles["warden"])
        committee = self.deploy(former("OracleCommittee"), roles["steward"], members, DOMAINS, 2)
        self.token = self.deploy(former("EuroToken"), roles["minter"])
        parts = (self.token, committee, registry)
        rail = self.deploy(former("PaymentRail"), roles["steward"], roles["guardian"], *parts)
        for name in PRODUCTS:
            contract = self.deploy(former(name), rail, registry)
            rail.allowProduct(contract, True, sender=roles["steward"])
        self.addresses["EuroToken"] = self.addresses.pop(former("EuroToken"))
        self.blocks["EuroToken"] = self.blocks.pop(former("EuroToken"))
        self.old.connect()

    def follow(self) -> None:
        """Deploy the contracts of today, with the same token and oracles."""
        holders = [self.account(ROLES[n]) for n in ("steward", "guardian", "minter")]
        holders += [self.account(ROLES[n]) for n in ("registrar", "warden")]
        members = [_address(key) for key in self.old.oracles]
        steward = self.account(ROLES["steward"])
        access = self.deploy("RailAccess", self.account(0), 0, holders)
        access.renounceRole(Role.STEWARD, self.account(0), sender=self.account(0))
        committee = self.deploy("OracleCommittee", access, members, DOMAINS, 2)
        registry = self.deploy("DeviceRegistry", access, committee, self.old.registry)
        rail = self.deploy("PaymentRail", access, self.token, committee, registry)
        registry.watch(rail, sender=steward)
        for name in PRODUCTS:
            contract = self.deploy(name, rail, registry)
            rail.allowProduct(contract, sender=steward)
            if name != "MeteredEnergy":
                contract.setPredecessor(self.addresses[former(name)], sender=steward)
        self.deploy("OfficerRegistry", access, [])
        for name in ("Disputes", "Consents"):
            self.addresses[name] = getattr(rail, name.lower())()
            self.blocks[name] = self.blocks["PaymentRail"]
        self.new.connect()
        self.save_deployment()

    def save_deployment(self) -> None:
        """Write the deployment of both rails."""
        rail = former("PaymentRail")
        Deployment(
            CHAIN_ID,
            self.node.rpc("eth_getBlockByNumber", "0x0", False)["hash"],
            self.addresses,
            self.blocks,
            True,
            rails={former(name): rail for name in PRODUCTS},
        ).save(self.settings.deployment)

    # --- the home

    def _people(self) -> None:
        self.store = Store(self.settings.database)
        keys = self.settings.keys
        for name, index in ROLES.items():
            keystore.create(keys, name, keystore.development_account(index).key.hex())
        rows = []
        for name, index in PARTIES.items():
            key = keystore.development_account(index)
            keystore.create(keys / "parties", name.lower(), key.key.hex())
            rows.append(agreements.PartyRow(address=key.address, name=name, iban=new_iban(index)))
        with self.store.write() as session:
            session.add_all(rows)
        (self.home / "rail.json").write_text(json.dumps({"rpc_url": self.testnet.url}))

    def party(self, name: str) -> Account:
        return self.account(PARTIES[name])

    def run(self, *words: str, code: int = 0) -> Any:
        """Return the JSON of a command, or its text where it is to fail, by the chain's clock."""
        arguments = ["--home", str(self.home), *words, *(["--json"] if code == 0 else [])]
        with patch.object(agreement_move, "time", SimpleNamespace(time=lambda: self.now)):
            result = CliRunner().invoke(cli.app, arguments)
        assert result.exit_code == code, result.output
        return json.loads(result.stdout) if code == 0 else result.output

    def move(self, *words: str) -> dict[str, Any]:
        """Return what `agreement move` says of each device."""
        view = self.run("agreement", "move", *words, "--yes")
        return {entry["device"]: entry for entry in view.get("did", view["agreements"])}

    # --- time, devices, agreements

    @property
    def now(self) -> int:
        return self.node.timestamp()

    def wait(self, seconds: int) -> None:
        """Let time go by, until a block of then is final."""
        self.node.mine_at(self.now + seconds)
        self.node.rpc("anvil_mine", hex(self.settings.finality_blocks))

    def enrol(self, name: str, owner: str, secret: int) -> None:
        """Enrol a device at the registry of 0.5.0."""
        key, device, account = DeviceSigner.p256(secret), device_id(name), self.party(owner)
        proof = key.sign(key.enrolment(self.old.registry.address, device, account.address))
        call = [device, key.curve, key.x, key.y, account, bytes(32), 0, *proof]
        self.old.registry.enrol(*call, sender=self.account(ROLES["registrar"]))
        self.keys[name] = key
        row = agreements.DeviceRow(
            device_id="0x" + device.hex(),
            name=name,
            curve="secp256r1",
            key_x=key.x.hex(),
            key_y=key.y.hex(),
            owner=account.address,
            enrolled_at=self.now,
        )
        with self.store.write() as session:
            session.add(row)

    def agree(self, device: str, product: str, contract: str, terms: bytes, **changes: Any) -> None:
        """Open an agreement on the rail of 0.5.0, as the service stored it, with 100 euro."""
        plain = Mandate(
            payer=self.party("Ada").address,
            payee=self.party("Nord").address,
            device=device_id(device.partition("/")[0]),
            product=self.addresses[former(contract)],
            cap=500 * EURO,
            period_days=30,
            window=DAY,
            expiry=self.now + 365 * DAY,
            first_counter=0,
            required_domain=0,
            salt=bytes(Web3.keccak(text=device)),
            terms=terms,
            version=1,
        )
        payer = changes.pop("payer_index", PARTIES["Ada"])
        mandate = replace(plain, **changes)
        signature = self.old.signed(mandate, account=self.account(payer), rail=self.old.rail)
        self.old.rail.open(mandate.as_tuple(), signature, sender=self.account(20))
        row = agreements.row_of(device, product, mandate, signature)
        row.stage, row.opened_at, row.begins_at = Stage.LIVE, self.now, self.now
        with self.store.write() as session:
            session.add(row)
            session.flush()
            session.expunge(row)
        self.agreements[device] = row
        self._credits += 1
        credit = self._credits.to_bytes(32, "big")
        minter = self.account(ROLES["minter"])
        identity = mandate.agreement_id()
        self.token.mintToEscrow(credit, self.old.rail, identity, 100 * EURO, sender=minter)

    def identity(self, device: str) -> bytes:
        return bytes.fromhex(self.agreements[device].agreement_id[2:])

    # --- claims

    def energy(
        self,
        device: str,
        registers: tuple[float, float],
        times: tuple[int, int],
        kwh: float | None = None,
        kind: int = 0,
        version: int = 2,
    ) -> bytes:
        """Return facts of metered energy; registers in kWh."""
        start, end = (round(register * KWH) for register in registers)
        energy = end - start if kwh is None else round(kwh * KWH)
        return encode_facts(
            EnergyFacts(start, end, energy, *times, kind, register=IMPORT, version=version)
        )

    def voucher(self, device: str, payee: str, total: int, taps: int, counter: int) -> bytes:
        """Return the facts of a voucher that the card signed for the contract of 0.5.0."""
        event = voucher_protocol.decode(self.voucher_record(device, payee, total, taps, counter))
        return vouchers.derive(_bytes_of(self.agreements[device].terms), None, [event], {})

    def voucher_record(self, device: str, payee: str, total: int, taps: int, counter: int) -> bytes:
        """Return the record of such a voucher, signed now."""
        domain = Domain(CHAIN_ID, self.addresses[former("WearableVoucher")].lower())
        at = self.now
        to = self.party(payee).address.lower()
        voucher = Voucher(
            device_id(device), to, total, counter, taps, 5814, 1_000 * EURO, at, at + 300 * DAY
        )
        r, s = self.keys[device].sign(digest_of(domain, voucher))
        numbers = int.from_bytes(r, "big"), int.from_bytes(s, "big")
        return write_record(device, domain, voucher, *numbers)

    def claim(
        self, device: str, sequence: int, counters: tuple[int, int], facts: bytes, **changes: Any
    ) -> Claim:
        evidence = bytes(Web3.keccak(facts))
        plain = Claim(self.identity(device), sequence, *counters, evidence, facts)
        return replace(plain, **changes)

    def settle(
        self, device: str, contract: str, claim: Claim, payee: str = "Nord"
    ) -> SettlementResult:
        """Settle a claim on the rail of 0.5.0, and store its payment as the service does."""
        self.old.payee_of = lambda _: self.party(payee).address
        result = self.old.settle_claim(contract, claim)
        assert result.refusals == [0], result.named
        outcome = result.outcomes[0]
        row = payments.PaymentRow(
            payment_id="0x" + outcome[0].hex(),
            agreement_id=self.agreements[device].agreement_id,
            sequence=claim.sequence,
            stage=PaymentStage.POSTED,
            first_counter=claim.first_counter,
            last_counter=claim.last_counter,
            amount_micro=outcome[3],
            payee=outcome[2],
            release_at=outcome[5],
            created_at=self.now,
        )
        with self.store.write() as session:
            session.add(row)
        return result

    # --- money

    def worth(self, releases: Sequence[tuple[str, int]]) -> dict[str, int]:
        """Return what each party has in wallets, rails and escrows, less what it owes; micro-euro.

        Args:
            releases: (address, release time) of all money that may be pending.
        """
        rails = [self.old.rail] + ([self.new.rail] if hasattr(self.new, "rail") else [])
        worth = {}
        for index in (*PARTIES.values(), ELSEWHERE):
            address = self.account(index).address
            total = self.token.balanceOf(address)
            for rail in rails:
                total += rail.withdrawable(address) - rail.owed(address)
                times = {time for payee, time in releases if payee == address}
                total += sum(rail.pending(address, time) for time in times)
            worth[address] = total
        with self.store.read() as session:
            rows = agreements.all_agreements(session)
        for row in rows:
            is_old = row.mandate_version == 1
            rail = self.old.rail if is_old else self.new.rail
            worth[row.payer] += rail.agreementState(_bytes_of(row.agreement_id)).escrow
        return worth


def device_id(name: str) -> bytes:
    """Return the id of a device by its name."""
    return bytes(Web3.keccak(text=name))


def meter_terms(continuous: bool = True) -> bytes:
    """Return terms of 0.5.0: 0.30 euro per kWh."""
    return encode_terms(EnergyTerms(300_000, 22_000, continuous, version=2))


def _bytes_of(text: str) -> bytes:
    return bytes.fromhex(text[2:])
