"""A rail and its bank with the real store, steps, files and channel, but without a chain."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256

from orchestrator.core import ledger
from orchestrator.core.identity import payout_account
from orchestrator.core.references import end_to_end_id
from orchestrator.edges.bank.channel import Folder
from orchestrator.edges.store import agreements, bank_files, payouts, rejections
from orchestrator.edges.store import fundings as store_fundings
from orchestrator.edges.store import ledger as store_ledger
from orchestrator.steps.bank_files import read_bank
from services.bank import new_iban
from services.simulated_bank.bank import SimulatedBank, write_file
from tests.support.bare_rail import BareRail
from tests.support.store_queries import bank_files_of

OURS, NORD, ADA, CLOSED = (new_iban(n) for n in (1, 2, 3, 4))
ADDRESS = {"street": "Am Kanal", "building": "1", "post_code": "14467", "town": "Potsdam"}
PAYEE = "0x" + "44" * 20  # the payee in the agreements of small_intake


class RailWithBank:
    """A rail and its bank; payouts are written to the store as a final block would write them."""

    def __init__(self, home) -> None:
        self.bare = BareRail(home)
        self.store, self.home = self.bare.place.store, home
        self.bare.place.clock = 1_760_000_000
        account = lambda iban, name, kind, cents: {  # noqa: E731
            "iban": iban,
            "name": name,
            "kind": kind,
            "balance_cents": cents,
        }
        self.bank = SimulatedBank(
            home / "bank",
            {
                "business_date": "2025-10-09",
                "accounts": [
                    account(OURS, "proofrail", "safeguarding", 1_000_000),
                    account(NORD, "Nord eG", "customer", 0),
                    account(ADA, "Ada", "customer", 1_000_000),
                    account(CLOSED, "Gone", "customer", 0) | {"closed": True},
                ],
            },
        )
        self.context = self.with_folder(home / "bank" / "to_bank")
        self.party(PAYEE, "Nord eG", NORD)

    def with_folder(self, outbox):
        return self.with_channel(Folder(outbox, self.home / "bank" / "from_bank"))

    def with_channel(self, channel):
        safeguarding = {"name": "proofrail", "iban": OURS, "address": {**ADDRESS, "country": "DE"}}
        return replace(self.bare.rail, bank=channel, safeguarding=safeguarding)

    def party(self, address: str, name: str, iban: str) -> None:
        with self.store.write() as session:
            session.merge(
                agreements.PartyRow(
                    address=address,
                    name=name,
                    iban=iban,
                    country="DE",
                    account="0x" + payout_account(iban).hex(),
                    **ADDRESS,
                )
            )

    def payout(self, number: int, cents: int = 1_234, payee: str = PAYEE, iban: str = NORD) -> str:
        identity = sha256(bytes([number])).digest()
        with self.store.write() as session:
            session.add(
                payouts.PayoutRow(
                    payout_id="0x" + identity.hex(),
                    payee=payee,
                    cents=cents,
                    tx_hash="0x",
                    account="0x" + payout_account(iban).hex(),
                    ordered_at=0,
                    end_to_end_id=end_to_end_id(identity),
                )
            )
            store_ledger.post(
                session,
                [ledger.redeemed("0x" + identity.hex(), ledger.withdrawable(payee), cents)],
                0,
            )
        return "0x" + identity.hex()

    def stage(self, payout: str) -> tuple[str, str | None]:
        with self.store.read() as session:
            row = payouts.get(session, payout)
        return row.stage, row.reason

    def instruct(self, **instruction: object) -> None:
        name = f"{len(list(self.bank.instructions.rglob('*'))):05}.json"
        write_file(self.bank.instructions / name, json.dumps(instruction).encode())
        self.bank.step()

    def credit(self, cents: int, reference: str) -> None:
        self.instruct(
            kind="pay", to="", text="", amount_cents=cents, reference=reference, **{"from": ADA}
        )

    def deliver(self, name: str, body: bytes) -> int:
        write_file(self.bank.from_bank / name, body)
        return read_bank(self.context)

    def balances(self) -> dict[str, int]:
        with self.store.read() as session:
            return {
                account: cents
                for (account, asset), cents in store_ledger.balances(session).items()
                if asset == ledger.EUR and cents
            }

    def fundings(self) -> list[tuple[str | None, int, str]]:
        with self.store.read() as session:
            return [
                (f.agreement_id, f.cents, f.stage) for f in store_fundings.all_fundings(session)
            ]

    def outgoing(self) -> list[bank_files.BankFileRow]:
        with self.store.read() as session:
            return list(bank_files_of(session, "out"))

    def rejected(self) -> list[str]:
        with self.store.read() as session:
            return [row.reason for row in rejections.newest(session, None, None, 9)]
