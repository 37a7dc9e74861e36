"""The invariants after any fault, checked against chain, bank books and devices."""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from typing import Any

from device_adapters.types import STREAM_BIT
from orchestrator.core import ledger
from orchestrator.core.batch_bytes import called_claims
from orchestrator.core.references import end_to_end_id
from orchestrator.edges.chain.client import DecodedLog
from orchestrator.edges.store import blocks, evidence
from orchestrator.edges.store import ledger as store_ledger
from orchestrator.steps.outcomes import read_outcomes
from tests.support.whole_rail import WholeRail


def assert_all(rail: WholeRail) -> None:
    """Check every invariant below on a rail whose payments are reconciled."""
    assert_nothing_lost(rail)
    assert_one_effect(rail)
    assert_paid_once(rail)
    assert_books_agree(rail)


def assert_nothing_lost(rail: WholeRail) -> None:
    """Every record with a receipt is in the store, byte for byte (invariant 3)."""
    for device in rail.fleet.devices.values():
        with rail.store.read() as session:
            for digest, outcome in device.outcomes.items():
                kept = evidence.evidence_of(session, digest) is not None
                # a duplicate's first receipt may have been lost with its sender
                assert kept or outcome not in ("accepted", "duplicate"), (device.name, digest)


def assert_one_effect(rail: WholeRail) -> None:
    """Each sequence is settled once, each counter is in at most one claim (invariant 2)."""
    applied = applied_claims(rail)
    repeated = [payment for payment, claims in applied.items() if len(claims) > 1]
    assert not repeated, f"settled more than once: {repeated}"
    claimed: dict[bytes, Counter[int]] = defaultdict(Counter)
    for (claim,) in applied.values():
        counters = range(claim["firstCounter"], claim["lastCounter"] + 1)
        claimed[claim["agreement"]].update(counters)
    for agreement, counters in claimed.items():
        assert max(counters.values()) == 1, f"a counter settled twice in {agreement.hex()}"


def applied_claims(rail: WholeRail) -> dict[str, list[dict[str, Any]]]:
    """Return {payment id: the claims that settlements applied for it}, from the chain's logs."""
    applied: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for log in chain_logs(rail, "PaymentRail", "Settled"):
        _, arguments = rail.stack.chain.call_input(log.tx_hash, "PaymentRail")
        claims = called_claims(arguments)
        for claim, outcome in zip(claims, read_outcomes(claims, log.args["outcomes"]), strict=True):
            if outcome.refusal == "none":
                applied[outcome.payment_id].append(claim | {"amount": outcome.amount_micro})
    return applied


def chain_logs(rail: WholeRail, contract: str, name: str) -> list[DecodedLog]:
    """Return the logs of one name from genesis to the newest block."""
    chain = rail.stack.chain
    return [log for log in chain.logs_between(contract, 0, chain.head()) if log.name == name]


def assert_paid_once(rail: WholeRail) -> None:
    """The bank has booked one order for each redemption on chain, with its amount."""
    redeemed = {
        end_to_end_id(bytes.fromhex(log.args["order"][2:])): log.args["cents"]
        for log in chain_logs(rail, "EuroToken", "Redeemed")
    }
    orders = bank_rows(rail, "SELECT end_to_end_id, cents, state FROM orders")
    assert {row["end_to_end_id"]: row["cents"] for row in orders} == redeemed
    assert {row["state"] for row in orders} <= {"booked"}
    lines = bank_rows(
        rail,
        "SELECT end_to_end_id, cents FROM lines WHERE account = ? AND cents < 0",
        rail.stack.settings.safeguarding.iban,
    )
    booked = [(row["end_to_end_id"], -row["cents"]) for row in lines]
    assert sorted(booked) == sorted(redeemed.items())


def bank_rows(rail: WholeRail, query: str, *values: object) -> list[sqlite3.Row]:
    """Return rows of the bank's own books."""
    path = rail.stack.home / "bank" / "books.sqlite3"
    base = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    base.row_factory = sqlite3.Row
    try:
        return base.execute(query, values).fetchall()
    finally:
        base.close()


def assert_books_agree(rail: WholeRail) -> None:
    """The ledger equals the chain at the newest final block, supply the bank (invariants 1, 6)."""
    with rail.store.read() as session:
        final, held = blocks.newest_final(session), store_ledger.balances(session)
        assert store_ledger.first_broken_link(session) is None
    sums: Counter[str] = Counter()
    for (account, asset), amount in held.items():
        if asset == ledger.TEUR:
            sums[account.split(":")[0]] -= amount
    names = ("escrow", "pending", "withdrawable", "frozen", "redeemed", "owed")
    chain = dict(zip(names, view(rail, final, "PaymentRail", "totals"), strict=True))
    for name in names[:4]:
        assert sums[name] == chain[name], name
    assert -sums["token"] == view(rail, final, "EuroToken", "totalSupply")
    address = rail.stack.chain.deployment.addresses["PaymentRail"]
    balance = view(rail, final, "EuroToken", "balanceOf", address)
    assert sum(chain[name] for name in names[:4]) == balance
    assert not any(by_asset(held).values())
    for name in rail.enrolled:
        identity = rail.agreement(name).agreement_id
        state = view(rail, final, "PaymentRail", "agreementState", bytes.fromhex(identity[2:]))
        escrow = -held.get((ledger.escrow(identity), ledger.TEUR), 0)
        assert escrow == state[2], f"escrow of {name}"


def by_asset(held: dict[tuple[str, str], int]) -> Counter[str]:
    """Return debits less credits per asset: all zero in double entry."""
    sums: Counter[str] = Counter()
    for (_, asset), amount in held.items():
        sums[asset] += amount
    return sums


def view(rail: WholeRail, block: int, contract: str, function: str, *args: Any) -> Any:
    """Return the result of a view function at one block."""
    chain = rail.stack.chain
    target = chain.web3.eth.contract(
        address=chain.deployment.addresses[contract], abi=rail.stack.artifacts[contract].abi
    )
    return target.functions[function](*args).call(block_identifier=block)


def escrow_now(rail: WholeRail, device: str) -> int:
    """Return an agreement's escrow at the newest block, in micro-euro."""
    identity = bytes.fromhex(rail.agreement(device).agreement_id[2:])
    return rail.stack.chain.view("PaymentRail", "agreementState", identity)[2]


def fiscal(name: str) -> int:
    """Return where a device's counters begin: meters count in the fiscal stream."""
    return 1 << STREAM_BIT if name.startswith("meter") else 0
