"""A hostile quorum settles a record that the device never signed; a command wins the money back.

The processes are a rail's own: chain, broker, orchestrator, bank and the one honest oracle. Three
oracles are replaced by servers that sign all that they are asked, and the rail's inlet by one that
takes the forger's key for the device's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from device_adapters.types import Curve, DeviceKey, Message
from oracles.attest import batch_digest, sign
from oracles.server import Listen, OracleServer
from oracles.types import Batch
from oracles.wire import OracleAnswer, Request
from orchestrator.core import ledger
from orchestrator.edges.chain import keystore
from orchestrator.edges.chain.reader import Registry
from orchestrator.edges.store import evidence
from orchestrator.edges.store import ledger as store_ledger
from orchestrator.ingest.intake import Intake
from orchestrator.products import deployed, products
from scripts.demo import parties
from services.simulated_devices.device import derived_key
from services.simulated_devices.record import Point, units_of
from tests.support import invariants
from tests.support.whole_rail import FUNDED_CENTS, WholeRail

DEVICE, HOSTILE = "cp-forged", ("utility-a", "utility-b", "bank")
BOND, WINDOW_S = 10_000, 86_400
SESSION_S = 12  # 50 Wh in it are below what the agreement's fuse lets through
NOT_SIGNED = {
    "stage": "evidence",
    "detail": f"record 0: signature_forged: device {DEVICE}, counter 1",
}
FORGER = derived_key("forger", 0)


class SigningAll:
    """An oracle that signs every claim."""

    def __init__(self, rail: WholeRail, name: str) -> None:
        self._chain = rail.stack.chain
        [oracle] = [item for item in rail.stack.settings.oracles if item.name == name]
        home = rail.stack.settings.home / "oracles" / name
        self._account = keystore.load(home, "key")
        port = int(oracle.url.rpartition(":")[2])
        self.server = OracleServer(self, (home / "token").read_text(), Listen(port=port))

    def attest(self, request: Request) -> OracleAnswer:
        at, chain_id = self._chain.deployment.addresses, self._chain.deployment.chain_id
        batch = Batch(at["PaymentRail"], at["MeteredEnergy"], request.claims)
        digest = batch_digest(batch, chain_id, at["OracleCommittee"])
        return OracleAnswer(self._account.address, sign(digest, bytes(self._account.key)))

    def health(self) -> dict[str, Any]:
        return {"ok": True}

    def rulings(self) -> list:
        return []


class ForgersRegistry(Registry):
    """A registry that takes the forger's key for that of every device."""

    def key_at(self, device: bytes, at_seconds: int) -> DeviceKey:
        numbers = FORGER.public_key().public_numbers()
        return DeviceKey(Curve.SECP256R1, numbers.x, numbers.y)


@contextmanager
def hostile_quorum(rail: WholeRail) -> Iterator[None]:
    """Have a quorum sign everything within the block; afterwards it is silent."""
    for name in HOSTILE:
        rail.stack.stop(f"oracle-{name}")
    servers = [SigningAll(rail, name).server for name in HOSTILE]
    for server in servers:
        server.start()
    try:
        yield
    finally:
        for server in servers:
            server.stop()


def agree(rail: WholeRail) -> str:
    """Enrol a device, open and fund its agreement; return the agreement."""
    stack, fleet = rail.stack, rail.fleet
    fleet.add(DEVICE)
    parties.enrol(stack, fleet, [DEVICE])
    mandate = parties.meter_mandate(stack, fleet[DEVICE], window_s=WINDOW_S, bond_micro=BOND)
    [reference] = parties.open_all(stack, [mandate])
    rail.references[DEVICE] = reference
    parties.fund(stack, fleet, [DEVICE], [reference], FUNDED_CENTS)
    rail.until(lambda: invariants.escrow_now(rail, DEVICE), "funding")
    return rail.agreement(DEVICE).agreement_id


def give_tokens(rail: WholeRail) -> str:
    """Have a payee without a bank account give its money to the payer; return its payment."""
    name = rail.apart[0]
    payee = rail.agreement(name).payee
    assert command(rail, "party", "payout-account", name, "--none")["sent"]
    rail.measure(1, [name])

    def released() -> int:
        return rail.stack.chain.view("PaymentRail", "withdrawable", payee)

    rail.until(released, "tokens of the payee")
    to = parties.FLEET_OPERATOR.name
    assert command(rail, "party", "withdraw", name, "--to", to)["sent"]
    identity = rail.agreement(name).agreement_id
    [payment] = [row.payment_id for row in rail.all_payments() if row.agreement_id == identity]
    return payment


def forge(rail: WholeRail) -> str:
    """Have a record of the forger's own paid; return the payment."""
    stack, device = rail.stack, rail.fleet[DEVICE]
    begin, deployment = stack.now(), stack.chain.deployment.addresses
    points = [
        Point("B", begin, device.register),
        Point("E", begin + SESSION_S, device.register + units_of("0.05")),
    ]
    rail.until(lambda: stack.now() > begin + SESSION_S, "the end of the session")
    record = device.forge(points, device.counter + 1, FORGER)
    registry = ForgersRegistry(stack.chain, deployed(deployment), contracts=deployment.values())
    registry.refresh()
    intake = Intake(rail.store, registry, products(), stack.now)
    [[answer]] = intake.take([Message("ocmf", "", record, source="file")])
    assert answer.outcome == "accepted", answer

    def payment() -> str | None:
        with rail.store.read() as session:
            return evidence.event(session, answer.event_id).payment_id

    return rail.until(payment, "a payment for the forged record")


def tokens(rail: WholeRail, holder: str) -> int:
    return rail.stack.chain.view("EuroToken", "balanceOf", holder)


def exported(rail: WholeRail, payment: str, bundle: str) -> dict[str, Any]:
    """Write the audit bundle of a payment; return what is missing of it, and what fails."""
    view = command(rail, "audit", "export", payment, "--output", bundle)
    checked = command(rail, "audit", "verify", bundle)
    assert checked.get("failed") == view.get("failed") and checked["ok"] == view["verified"]
    return view


def row_of(rail: WholeRail, payment: str) -> Any:
    return next(row for row in rail.all_payments() if row.payment_id == payment)


def command(rail: WholeRail, *words: str) -> dict[str, Any]:
    [result] = rail.commands([*words, "--json"])
    return {"code": result.returncode, **json.loads(result.stdout)}


def barred(rail: WholeRail) -> set[str]:
    """Return the names of the oracles that lost their seat for ever."""
    chain, oracles = rail.stack.chain, rail.stack.settings.oracles
    return {o.name for o in oracles if chain.view("OracleCommittee", "memberOf", o.address)[2]}


def test_challenge__of_a_forged_record_that_was_settled__refunds_the_payer_and_the_books_agree(
    own_rail, tmp_path
):
    """Attack: three of four oracles sign for a record of a device that another key made."""
    rail, bundle = own_rail, str(tmp_path / "bundle.json")
    honest = give_tokens(rail)
    agreement, payer = agree(rail), rail.stack.party(parties.FLEET_OPERATOR.index).address
    funded, purse = invariants.escrow_now(rail, DEVICE), tokens(rail, payer)
    assert purse >= BOND
    with hostile_quorum(rail):
        payment = forge(rail)
        rail.until(lambda: row_of(rail, payment).stage == "posted", "settlement")
    taken = row_of(rail, payment).amount_micro
    assert taken > BOND and invariants.escrow_now(rail, DEVICE) == funded - taken
    assert exported(rail, payment, bundle)["failed"] == NOT_SIGNED
    plan = command(rail, "payment", "challenge", "--bundle", bundle, "--dry-run")
    assert (plan["code"], plan["proven"], plan["sent"]) == (0, "signature", False)
    assert barred(rail) == set() and invariants.escrow_now(rail, DEVICE) == funded - taken
    sent = command(rail, "payment", "challenge", payment)
    assert (sent["code"], sent["sent"], sent["barred"]) == (0, True, len(HOSTILE))
    assert barred(rail) == set(HOSTILE)
    rail.until(lambda: row_of(rail, payment).stage == "refunded", "the refund")
    assert invariants.escrow_now(rail, DEVICE) == funded and tokens(rail, payer) == purse
    with rail.store.read() as session:
        booked = store_ledger.balances(session)
    assert booked[ledger.escrow(agreement), ledger.TEUR] == -funded
    invariants.assert_books_agree(rail)
    reconciled = command(rail, "reconcile")
    assert (reconciled["code"], reconciled["breaks"], reconciled["difference_micro"]) == (0, [], 0)
    assert rail.halted() == {}
    [proof] = command(rail, "trace", payment)["life"]["challenges"]
    assert (proof["fault"], proof["verdict"]) == ("signature", "proven")
    refunded = exported(rail, payment, bundle)
    assert refunded["failed"] == NOT_SIGNED and "'refunded'" in refunded["missing"][0]
    assert exported(rail, honest, bundle)["verified"]
