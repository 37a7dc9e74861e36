"""Stages settlement, ledger and payout: what the chain decided, and that the books say the same."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from eth_abi import decode
from eth_abi.exceptions import DecodingError

from oracles.merkle import climbs
from oracles.types import Claim
from orchestrator.core import ledger as books
from orchestrator.core.outcome import NOBODY, OUTCOME_BYTES, ClaimOutcome, outcome_leaf, pack
from orchestrator.errors import Halt

from .blocks import Header, ReceiptLog, keccak, transaction_call, unproven
from .case import Case
from .consent import read_claims
from .logs import events
from .reading import signed, unhex, whole

_CLAIM = "(bytes32,uint32,uint40,uint40,bytes32,bytes)"
_SETTLE = (f"(address,{_CLAIM}[])", "bytes[]")
SETTLE_SELECTOR = keccak(f"settle({','.join(_SETTLE)})".encode())[:4]
# in the order of the journal
_KINDS = ("settled", "debt_recorded", "released", "redeemed", "payout_booked")
_PAYS_DEBTS = ("Released", "Repaid")


def settlement(case: Case) -> str:
    """The settlement carried exactly this batch, succeeded, and its root holds this outcome."""
    told, batch = case.bundle["settlement"], case.bundle["batch"]
    transaction = case.transaction(told, "the settlement")
    case.settlement_tx = "0x" + keccak(transaction).hex()
    if settle_call(transaction, case.address("rail")) != _signed_batch(case):
        raise unproven("the settlement's call is not the batch that the oracles signed")
    root, product, packed = _settled(case, told)
    if product != case.bundle["mandate"]["fields"]["product"]:
        raise unproven("the settlement is of another product")
    at = batch["position"] * OUTCOME_BYTES
    outcome = _outcome(told)
    if len(packed) != len(batch["claims"]) * OUTCOME_BYTES:
        raise unproven("the settlement has not one outcome for each claim")
    if packed[at : at + OUTCOME_BYTES] != pack(outcome):
        raise unproven("the amount or the refusal is not what the settlement says of this claim")
    path = [unhex(node, "settlement.path", 32) for node in told["path"]]
    if not climbs(_leaf(case), path, root):
        raise unproven("the outcome does not lead to the settlement's root")
    return f"{told['amount_micro']} micro-euro, refusal {told['refusal']}, in {case.settlement_tx}"


def ledger(case: Case) -> str:
    """Entries balance, hash, and say of this payment what the chain says."""
    entries = case.bundle["ledger"]
    for told in entries:
        _check_entry(told)
    kinds = [told["kind"] for told in entries]
    if kinds != [kind for kind in _KINDS if kind in kinds]:
        raise unproven(f"the ledger's entries are others, or in another order: {kinds}")
    settled = [_entry(told) for told in entries if told["kind"] in ("settled", "debt_recorded")]
    block, _ = case.receipt(case.bundle["settlement"], "the settlement")
    if not any(_are(settled, wanted, block) for wanted in _expected_settled(case)):
        raise unproven("the ledger does not hold the entry that the settlement's outcome asks for")
    return f"{len(entries)} entries"


def payout(case: Case) -> str:
    """The money was released to the payee and redeemed against a payout order, as booked."""
    told, payee = case.bundle["payout"], case.payee
    if case.bundle["settlement"]["amount_micro"] < 0:
        raise unproven("a credit is owed to the agreement and never paid out")
    released, after = _released(case, told, payee)
    order, case.account, case.cents = _redeemed(case, told, payee, after)
    block, _ = case.receipt(told, "the release")
    burned, _ = case.receipt(told["redeemed"] or told, "the redemption")
    if order != unhex(told["order"], "payout.order", 32):
        raise unproven("the rail redeemed that money against another payout order")
    if released - case.cents * books.MICRO_PER_CENT >= books.MICRO_PER_CENT:
        raise unproven("the payout order is for less than was released")
    _booked(case, "released", lambda ref: books.released(ref, payee, released), block)
    source = books.withdrawable(payee)
    _booked(case, "redeemed", lambda _: books.redeemed(told["order"], source, case.cents), burned)
    return f"{case.cents} cents ordered by {told['order']}"


def payout_entry(case: Case) -> None:
    """The ledger's entry for the bank's debit of this payout; raises Rejected."""
    order = case.bundle["payout"]["order"]
    _booked(case, "payout_booked", lambda ref: books.payout_booked(order, case.cents))


def settle_call(transaction: bytes, rail: bytes) -> tuple[str, list[Claim], list[bytes]]:
    """(product, claims, signatures) of a `settle` call on `rail`; raises Rejected for others."""
    called, data = transaction_call(transaction)
    if called != rail or data[:4] != SETTLE_SELECTOR:
        raise unproven("the transaction is not a settlement on the rail")
    try:
        (product, claims), signatures = decode(_SETTLE, data[4:])
    except (DecodingError, OverflowError) as error:
        raise unproven("the settlement's call cannot be decoded") from error
    return product, [Claim(*claim) for claim in claims], list(signatures)


def _outcome(told: dict[str, Any]) -> ClaimOutcome:
    return ClaimOutcome(
        signed(told["amount_micro"], 48, "settlement.amount_micro"),
        whole(told["refusal"], 8, "settlement.refusal"),
    )


def _signed_batch(case: Case) -> tuple[str, list[Claim], list[bytes]]:
    batch = case.bundle["batch"]
    signatures = [unhex(signature, "an oracle's signature") for signature in batch["signatures"]]
    return case.bundle["mandate"]["fields"]["product"], read_claims(case), signatures


def _settled(case: Case, told: dict[str, Any]) -> tuple[bytes, str, bytes]:
    """(root, product, packed outcomes) of the receipt's one Settled log."""
    found = [
        arguments
        for name, arguments in case.events_of(told, "rail", "the settlement")
        if name == "Settled"
    ]
    if len(found) != 1:
        raise unproven(f"the settlement's receipt holds {len(found)} Settled logs")
    _, root, product, _, packed = found[0]
    return root, product, packed


def _leaf(case: Case) -> bytes:
    told = case.bundle["settlement"]
    payee = NOBODY if told["refusal"] else case.payee
    release_at = whole(told["release_at"], 32, "settlement.release_at")
    payment = unhex(case.payment, "the payment id", 32)
    return outcome_leaf(payment, case.claim_hash, payee, _outcome(told), release_at)


def _check_entry(told: dict[str, Any]) -> None:
    entry = _entry(told)
    try:
        rebuilt = books.entry(
            entry.kind, entry.ref, [(p.account, p.asset, p.amount_minor) for p in entry.postings]
        )
    except Halt as error:
        raise unproven(f"the ledger's entry {told['kind']} does not balance") from error
    if replace(rebuilt, at=entry.at, source=entry.source) != entry:
        raise unproven(f"the ledger's entry {told['kind']} has another id")
    if books.chain_hash(told["previous"], entry) != told["hash"]:
        raise unproven(f"the ledger's entry {told['kind']} does not have its hash")


def _entry(told: dict[str, Any]) -> books.Entry:
    postings = tuple(books.Posting(**posting) for posting in told["postings"])
    at, source = told["at"], told["source"]
    return books.Entry(told["entry_id"], told["kind"], told["ref"], postings, at, source)


def _expected_settled(case: Case) -> list[list[books.Entry]]:
    """What the ledger may hold: nothing for a refusal, and nothing or nothing posted for zero."""
    told = case.bundle["settlement"]
    if told["refusal"]:
        return [[]]
    amount, parties = told["amount_micro"], ("0x" + case.claim.agreement.hex(), case.payee)
    if amount < 0:
        return [[books.debt_recorded(case.payment, *parties, -amount)]]
    wanted = [books.settled(case.payment, *parties, amount)]
    return [wanted] if amount else [wanted, []]


def _released(case: Case, told: dict[str, Any], payee: str) -> tuple[int, list[ReceiptLog]]:
    """(amount left for the payee, logs after it) of the Released log that this payment's release
    time is part of; its debts were paid first, each with a log before it."""
    outcome, rail = case.bundle["settlement"], case.address("rail")
    logs = case.receipt(told, "the release")[1]
    found, debts = [], 0
    for place, log in enumerate(logs):
        for name, arguments in events([log], rail):
            if name == "DebtPaid" and arguments[1] == payee:
                debts += arguments[2]
            if name not in _PAYS_DEBTS or arguments[0] != payee:
                continue
            if name == "Released" and _holds(arguments, outcome):
                found.append((arguments[1] - debts, logs[place + 1 :]))
            debts = 0
    if len(found) != 1:
        raise unproven("the rail did not release this payment in that transaction")
    return found[0]


def _holds(released: tuple[Any, ...], outcome: dict[str, Any]) -> bool:
    _, amount, times = released
    return outcome["release_at"] in times and amount >= outcome["amount_micro"]


def _redeemed(
    case: Case, told: dict[str, Any], payee: str, after: list[ReceiptLog]
) -> tuple[bytes, bytes, int]:
    """(order, account, cents) of the redemption that took the money of a release.

    The rail redeems whole cents of all that it released to a payee (PaymentRail.release), so that
    is the first one after the release: in its own transaction, or, where not a cent had come
    together, in a later one. `after`: the logs after the release in its own transaction.
    """
    token = unhex(told["token"], "payout.token", 20)
    if told["redeemed"] is None:
        found = _redemptions(case, after, token, payee)
    elif _redemptions(case, after, token, payee):
        raise unproven("the release was redeemed in its own transaction, not in a later one")
    else:
        found = _redemptions(case, _later_logs(case, told), token, payee)
    if not found:
        raise unproven("the token did not redeem the rail's money for the payee there")
    order, _, _, account, cents = found[0]
    return order, account, cents


def _redemptions(
    case: Case, logs: list[ReceiptLog], token: bytes, payee: str
) -> list[tuple[Any, ...]]:
    """The redemptions by the rail for the payee: anyone may redeem tokens of their own."""
    parties = (case.bundle["chain"]["rail"], payee)
    return [
        arguments
        for name, arguments in events(logs, token)
        if name == "Redeemed" and arguments[1:3] == parties
    ]


def _later_logs(case: Case, told: dict[str, Any]) -> list[ReceiptLog]:
    """The logs of the redeeming transaction, which must stand after the releasing one."""
    released, _ = case.receipt(told, "the release")
    redeemed, logs = case.receipt(told["redeemed"], "the redemption")
    before = (released.number, told["index"])
    if (redeemed.number, told["redeemed"]["index"]) <= before:
        raise unproven("the redemption does not come after the release")
    return logs


def _booked(case: Case, kind: str, expected: Any, block: Header | None = None) -> None:
    found = [_entry(told) for told in case.bundle["ledger"] if told["kind"] == kind]
    if len(found) != 1 or not _are(found, [expected(found[0].ref)], block):
        raise unproven(f"the ledger does not hold the entry {kind} that the payout asks for")


def _are(found: list[books.Entry], wanted: list[books.Entry], block: Header | None) -> bool:
    """Whether entries are those that this block asks for, dated by it and naming it as their input.

    block None: the bank's side, where one of several files told the line first. Entries from
    before inputs were told name none.
    """
    if len(found) != len(wanted):
        return False
    for one, other in zip(found, wanted, strict=True):
        at, source = one.at, one.source
        if block is not None and source:
            at, source = block.timestamp, f"block:0x{block.hash.hex()}"
        if one != replace(other, at=at, source=source):
            return False
    return True
