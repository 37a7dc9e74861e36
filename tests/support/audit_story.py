"""One payment's whole story on a real node, and the parts of the bundles about it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from orchestrator.core import debt_entries
from orchestrator.core import ledger as books
from orchestrator.core.audit import Anchors, AuditStage, Parts, verify
from orchestrator.core.audit.bundle import sealed
from orchestrator.core.identity import payment_id
from orchestrator.core.outcome import Window
from orchestrator.edges.chain.proof import proofs
from orchestrator.products.metered_energy import product as energy
from tests.support.audit_files import LINE, booked_by, chained, order_file, statement
from tests.support.audit_node import AuditNode
from tests.support.audit_rail import (
    ORACLES,
    PRICE,
    START,
    WINDOW,
    AuditAgreement,
    AuditMeter,
    AuditRail,
    claim_of,
    event_of,
)
from tests.support.real_chain import reader_of

PRODUCTS = {"metered_energy": energy}


@dataclass
class AuditStory:
    """What `build_story` returns: the parts of bundles, and what the tests falsify them with.

    paid: a paid payment. refused: one refused for want of escrow. unwanted: one refused since no
    signer was of the trust domain that its mandate requires. astray: the paid one, with the books
    and files of another payout to the same payee. late: a payment below a cent, which was released
    alone and redeemed with the next one. foreign: the same, with the books and files of a later
    redemption for the payee that is not the rail's: a holder's of its own tokens.
    debt: an estimate that was too high. netted: the next payment, whose release paid
    that debt first.
    meter, before: the device with its key after and before the rotation. key_at: what the registry
    itself answers, by time: (status, x, y).
    """

    paid: Parts
    refused: Parts
    unwanted: Parts
    astray: Parts
    late: Parts
    foreign: Parts
    debt: Parts
    netted: Parts
    meter: AuditMeter
    before: AuditMeter
    key_at: dict[int, tuple[int, bytes, bytes]]


@lru_cache(maxsize=1)
def story() -> AuditStory:
    """The story, built once for all tests; the node is stopped again."""
    node = AuditNode("--timestamp", str(START))
    try:
        return build_story(node.ready())
    finally:
        node.stop()


def failure(bundle: dict, anchors: Anchors | None = None) -> tuple[AuditStage, str]:
    """(stage, detail) of what fails in a bundle whose digest is made right again."""
    failed = verify(sealed(bundle), PRODUCTS, anchors).failed
    assert failed is not None
    return failed.stage, failed.detail


def build_story(node: AuditNode) -> AuditStory:
    """Two settlements of a meter whose key is rotated in between, then release and payout.

    The second settlement holds three claims; the middle one is ours, the last one is refused for
    want of escrow.
    """
    rail = AuditRail(node)
    devices = [AuditMeter(f"HM-000{n}") for n in (1, 2, 3)]
    main, guessed = devices[0], AuditMeter("HM-0004")
    others = [*devices[1:], guessed]
    enrolments = [rail.enrol(main, START + 10_500), *map(rail.enrol, others)]
    rail.mine(START + 1_000)
    deals = [*_sorted_with_main_in_the_middle(rail, devices), rail.deal(guessed, 0)]
    first, middle, last, estimated = deals
    opened = {deal.id: rail.open(deal) for deal in deals}
    seats = [rail.committee_tx, *_open_for_business(rail, (first, middle, estimated))]
    before = AuditMeter(main.name, main.key)
    life, early = _early_life(rail, middle)
    settled, released = _settle_three(rail, deals[:3], early)
    unwanted, other_release = _settle_later(rail, first)
    small = (*_settle_below_a_cent(rail, first), rail.redeem_own(3_000_000))
    back = _settle_a_debt(rail, estimated)
    of_device = {main.id: [enrolments[0], *life]}
    of_device |= {d.id: [tx] for d, tx in zip(others, enrolments[1:], strict=True)}
    wanted = [*seats, *opened.values(), *(tx for sent in of_device.values() for tx in sent)]
    proven = proofs(
        reader_of(node.url), [*wanted, settled, released, unwanted, other_release, *small, *back]
    )

    chapter = _Chapter(rail, proven, seats, opened, of_device, deals)
    parts = chapter.parts
    unpaid = parts(middle, 1, settled, 2)
    entry = booked_by(proven[settled], _settled(rail, middle, 2, _amount(middle)))
    below = parts(first, 3, small[0], 3)
    tiny = booked_by(proven[small[0]], _settled(rail, first, 3, PRICE // 100))
    debt, netted = parts(estimated, 2, back[0], 3, 3), parts(estimated, 3, back[1], 4)
    owed = booked_by(
        proven[back[0]], debt_entries.debt_recorded(*_party(rail, estimated, 3), 5 * PRICE)
    )
    more = booked_by(proven[back[1]], _settled(rail, estimated, 4, 25 * PRICE))
    return AuditStory(
        paid=replace(unpaid, **_money(rail, node, entry, proven, released, released)),
        astray=replace(unpaid, **_money(rail, node, entry, proven, other_release, other_release)),
        late=replace(below, **_money(rail, node, tiny, proven, small[1], small[2])),
        foreign=replace(below, **_money(rail, node, tiny, proven, small[1], small[3])),
        debt=replace(debt, ledger=chained([owed])),
        netted=replace(netted, **_money(rail, node, more, proven, back[2], back[2], 5 * PRICE)),
        refused=parts(last, 0, settled, 1),
        unwanted=parts(first, 2, unwanted, 2, 3),
        meter=main,
        before=before,
        key_at={at: rail.key_at(main, at) for at in range(START, START + 16_000, 250)},
    )


@dataclass(frozen=True)
class _Chapter:
    """What the bundles of all agreements are made from.

    proven: transaction -> its proof. seats: transactions of the committee. opened: agreement -> the
    transaction that opened it. of_device: device -> its transactions.
    """

    rail: AuditRail
    proven: dict[str, dict]
    seats: list[str]
    opened: dict[bytes, str]
    of_device: dict[bytes, list[str]]
    deals: list[AuditAgreement]

    def parts(
        self, deal: AuditAgreement, skip: int, settlement: str, sequence: int, upto: int = 4
    ) -> Parts:
        """The bundle of a deal's records from `skip`, before which the anchor is, to `upto`."""
        device = deal.device.id
        return Parts(
            chain_id=31337,
            rail=self.rail.rail,
            registry=self.rail.registry,
            committee=self.rail.committee,
            committee_proofs=[self.proven[tx] for tx in self.seats],
            product="metered_energy",
            parties={deal.id: (self.rail.payee, Window(WINDOW)) for deal in self.deals},
            devices=[(device, [self.proven[tx] for tx in self.of_device[device]])],
            supporting=[],
            evidence=[("ocmf", record) for record in deal.records[skip:upto]],
            anchor=("ocmf", deal.records[skip - 1]) if skip else None,
            mandate_version=2,
            mandate=deal.mandate,
            mandate_signature=deal.signature,
            opened=self.proven[self.opened[deal.id]],
            settlement=self.proven[settlement],
            agreement=deal.id,
            sequence=sequence,
            ledger=[],
        )


def _open_for_business(rail: AuditRail, funded: tuple[AuditAgreement, ...]) -> list[str]:
    """Funds agreements and lets a fifth oracle come and go: the transactions about seats."""
    for deal in funded:
        rail.fund(deal, 200_000_000)
    fifth = "0x" + "55" * 20
    seats = [
        rail.send(rail.committee, "seat(address,uint8)", [fifth, 3]),
        rail.send(rail.committee, "unseat(address)", [fifth]),
    ]
    rail.mine(START + 2_000)
    return seats


def _early_life(rail: AuditRail, deal: AuditAgreement) -> tuple[list[str], str]:
    """(rotation, suspension, resumption; the first settlement) of the main device."""
    deal.records.append(deal.device.record(1, START + 10_000, "100.0"))
    early = rail.settle([claim_of(deal, 1, None, deal.records)], ORACLES[:3])
    rail.mine(START + 11_000)
    life = [rail.rotate(deal.device)]
    rail.mine(START + 12_000)
    life.append(rail.send(rail.registry, "suspend(bytes32)", [deal.device.id]))
    rail.mine(START + 13_000)
    life.append(rail.send(rail.registry, "resume(bytes32)", [deal.device.id]))
    rail.mine(START + 14_000)
    return life, early


def _settle_three(rail: AuditRail, deals: list[AuditAgreement], early: str) -> tuple[str, str]:
    """(settlement of three claims, release of what it and the early one made pending)."""
    first, middle, last = deals
    middle.records += [
        middle.device.record(n, START + 20_000 + 3_600 * n, f"{100 + 4 * n}.25") for n in (2, 3, 4)
    ]
    for deal in (first, last):
        deal.records += [
            deal.device.record(1, START + 20_000, "50.0"),
            deal.device.record(2, START + 30_000, "62.0"),
        ]
    claims = [
        claim_of(first, 1, None, first.records),
        claim_of(middle, 2, middle.records[0], middle.records[1:]),
        claim_of(last, 1, None, last.records),
    ]
    settled = rail.settle(claims, ORACLES[1:])
    rail.mine(START + 40_000)
    due = [rail.release_at(tx) for tx in (early, settled)]
    released = rail.send(rail.rail, "release(address,uint32[])", [rail.payee, due], rail.payee)
    rail.mine(START + 50_000)
    return settled, released


def _settle_later(rail: AuditRail, first: AuditAgreement) -> tuple[str, str]:
    """(a settlement that lacks the domain the mandate requires, the release of a good one)."""
    first.records.append(first.device.record(3, START + 51_000, "90.0"))
    claim = claim_of(first, 2, first.records[1], first.records[2:])
    unwanted = rail.settle([claim], [ORACLES[n] for n in (0, 1, 3)])
    rail.mine(START + 52_000)
    good = rail.settle([claim], ORACLES)
    rail.mine(START + 53_000)
    due = [rail.release_at(good)]
    released = rail.send(rail.rail, "release(address,uint32[])", [rail.payee, due], rail.payee)
    rail.mine(START + 60_000)
    return unwanted, released


def _settle_below_a_cent(rail: AuditRail, first: AuditAgreement) -> tuple[str, str, str]:
    """(settlement of 0.01 kWh, its release, the release of the next payment, which redeems both)"""
    sent = []
    for sequence, at, kwh in ((3, 61_000, "90.01"), (4, 71_000, "100.01")):
        first.records.append(first.device.record(sequence + 1, START + at, kwh))
        claim = claim_of(first, sequence, first.records[-2], first.records[-1:])
        sent.append(rail.settle([claim], ORACLES[1:]))
        rail.mine(START + at + 1_000)
        due = [rail.release_at(sent[-1])]
        sent.append(
            rail.send(rail.rail, "release(address,uint32[])", [rail.payee, due], rail.payee)
        )
        rail.mine(START + at + 9_000)
    return sent[0], sent[1], sent[3]


def _settle_a_debt(rail: AuditRail, deal: AuditAgreement) -> tuple[str, str, str]:
    """(an estimate corrected downwards, the next settlement, the release of all that matured)"""
    base, registers = (START + 100_000, "100.0", "G"), ("100.0", "120.0", "115.0", "140.0")
    sent = []
    for number, kwh in enumerate(registers, 1):
        at = 90_000 + 10_000 * number
        guess = (base, (START + at, kwh, "S"))  # builds on the last actual reading
        values = guess if number == 2 else ((START + at, kwh, "G"),)
        deal.records.append(deal.device.record(number, *values))
        anchor = deal.records[-2] if number > 1 else None
        sent.append(rail.settle([claim_of(deal, number, anchor, deal.records[-1:])], ORACLES[1:]))
        rail.mine(START + at + 1_000)
    rail.mine(START + 140_000)
    due = [rail.release_at(sent[n]) for n in (1, 3)]
    released = rail.send(rail.rail, "release(address,uint32[])", [rail.payee, due], rail.payee)
    rail.mine(START + 150_000)
    return sent[2], sent[3], released


def _sorted_with_main_in_the_middle(
    rail: AuditRail, devices: list[AuditMeter]
) -> list[AuditAgreement]:
    for salt in range(200):
        deals = [rail.deal(device, salt) for device in devices]
        ordered = sorted(deals, key=lambda deal: deal.id)
        if ordered[1].device is devices[0]:
            return ordered
    raise AssertionError("no salt puts the main agreement into the middle")


def _settled(rail: AuditRail, deal: AuditAgreement, sequence: int, amount: int) -> books.Entry:
    return books.settled(*_party(rail, deal, sequence), amount)


def _party(rail: AuditRail, deal: AuditAgreement, sequence: int) -> tuple[str, str, str]:
    """(payment, agreement, payee) of a claim, as the ledger names them."""
    payment = "0x" + payment_id(deal.id, sequence).hex()
    return payment, "0x" + deal.id.hex(), rail.payee


def _logs(node: AuditNode, transaction: str) -> list[dict]:
    receipt = node.call("eth_getTransactionReceipt", transaction)
    assert receipt["status"] == "0x1", "the release reverted"
    return receipt["logs"]


def _money(
    rail: AuditRail,
    node: AuditNode,
    settled: books.Entry,
    proof_by_transaction: dict,
    released: str,
    redeemed: str,
    debts: int = 0,
) -> dict:
    """Ledger, payout and bank files of a payment, as the orchestrator would have made them."""
    [total] = [
        int(log["data"][2:66], 16)
        for log in _logs(node, released)
        if log["address"] == rail.rail and len(log["topics"]) == 2
    ]
    [(order, cents)] = [
        (bytes.fromhex(log["topics"][1][2:]), int(log["data"][66:], 16))
        for log in _logs(node, redeemed)
        if log["address"] == rail.token and len(log["topics"]) == 4 and len(log["data"]) == 130
    ]
    payee, order_id = rail.payee, "0x" + order.hex()
    entries = [
        settled,
        booked_by(
            proof_by_transaction[released], books.released(f"{released}:0", payee, total - debts)
        ),
        booked_by(
            proof_by_transaction[redeemed],
            books.redeemed(order_id, books.withdrawable(payee), cents),
        ),
        books.payout_booked(order_id, cents).dated(START, "file:" + "0" * 64),
    ]
    return {
        "ledger": chained(entries),
        "token": rail.token,
        "order": order,
        "payout": proof_by_transaction[released],
        "redemption": proof_by_transaction[redeemed] if redeemed != released else None,
        "bank_file": order_file(order, cents),
        "bank_line": (statement(order, cents), LINE),
    }


def _amount(deal: AuditAgreement) -> int:
    """What MeteredEnergy charges for records 2 to 4 after record 1: each register rounded down."""
    registers = [event_of(record).facts["readings"][-1]["register"] for record in deal.records[:4]]
    return registers[-1] * PRICE // 1_000_000 - registers[0] * PRICE // 1_000_000
