"""Stages settlement, ledger and payout: what the chain decided, and that the ledger agrees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from eth_abi import decode
from eth_abi.exceptions import DecodingError

from oracles.merkle import climbs
from oracles.types import Claim
from orchestrator.core import debt_entries
from orchestrator.core import ledger as books
from orchestrator.core.batch_bytes import unpack_claims
from orchestrator.core.outcome import NOBODY, OUTCOME_BYTES, ClaimOutcome, outcome_leaf, pack
from orchestrator.errors import Halt

from .blocks import Header, ReceiptLog, keccak, transaction_call, unproven
from .case import Case
from .consent import read_claims
from .logs import events
from .reading import signed, unhex, whole

_CLAIM = "(bytes32,uint32,uint40,uint40,bytes32,bytes)"
_GROUP = "(address,uint48,uint16,uint32,uint8,uint256)"
_SETTLE = (f"(address,{_GROUP}[],bytes)", "bytes[]")
_SETTLE_BEFORE = (f"(address,{_CLAIM}[])", "bytes[]")  # rails of 0.5.0 and before
_TYPES = {
    keccak(f"settle({','.join(types)})".encode())[:4]: types for types in (_SETTLE, _SETTLE_BEFORE)
}
# in the order of the journal
_KINDS = ("settled", "debt_recorded", "released", "redeemed", "payout_booked")
_SIGNATURE_BYTES = 65
_PAYS_DEBTS = ("Released", "Repaid", "Withdrawn")


def settlement(case: Case) -> str:
    """Check that the settlement carried exactly this batch and that its root holds the outcome."""
    part, batch = case.bundle["settlement"], case.bundle["batch"]
    transaction = case.transaction(part, "the settlement")
    case.settlement_tx = "0x" + keccak(transaction).hex()
    if settle_call(transaction, case.address("rail")) != _signed_batch(case):
        raise unproven("the settlement's call is not the batch that the oracles signed")
    root, product, packed = _settled(case, part)
    if product != case.bundle["mandate"]["fields"]["product"]:
        raise unproven("the settlement is of another product")
    start = batch["position"] * OUTCOME_BYTES
    outcome = _outcome(part)
    if len(packed) != len(batch["claims"]) * OUTCOME_BYTES:
        raise unproven("the settlement has not one outcome for each claim")
    if packed[start : start + OUTCOME_BYTES] != pack(outcome):
        raise unproven("the amount or the refusal is not what the settlement says of this claim")
    path = [unhex(node, "settlement.path", 32) for node in part["path"]]
    if not climbs(_leaf(case), path, root):
        raise unproven("the outcome does not lead to the settlement's root")
    return f"{part['amount_micro']} micro-euro, refusal {part['refusal']}, in {case.settlement_tx}"


def ledger(case: Case) -> str:
    """Check that entries balance and hash, and agree with the chain about this payment."""
    entries = case.bundle["ledger"]
    for entry in entries:
        _check_entry(entry)
    kinds = [entry["kind"] for entry in entries]
    if kinds != [kind for kind in _KINDS if kind in kinds]:
        raise unproven(f"the ledger's entries are others, or in another order: {kinds}")
    settled = [_entry(entry) for entry in entries if entry["kind"] in ("settled", "debt_recorded")]
    block, _ = case.receipt(case.bundle["settlement"], "the settlement")
    if not any(_are(settled, wanted, block) for wanted in _expected_settled(case)):
        raise unproven("the ledger does not hold the entry that the settlement's outcome asks for")
    return f"{len(entries)} entries"


def payout(case: Case) -> str:
    """Check that the money was released to the payee and redeemed for a payout, as posted."""
    part, payee = case.bundle["payout"], case.payee
    if case.bundle["settlement"]["amount_micro"] < 0:
        raise unproven("a debt is owed to the agreement and never paid out")
    released, after = _released(case, part, payee)
    order, case.account, case.cents = _redeemed(case, part, payee, after)
    block, _ = case.receipt(part, "the release")
    burned, _ = case.receipt(part["redeemed"] or part, "the redemption")
    if order != unhex(part["order"], "payout.order", 32):
        raise unproven("the rail redeemed that money against another payout order")
    if released - case.cents * books.MICRO_PER_CENT >= books.MICRO_PER_CENT:
        raise unproven("the payout order is for less than was released")
    _booked(case, "released", lambda ref: books.released(ref, payee, released), block)
    source = books.withdrawable(payee)
    _booked(case, "redeemed", lambda _: books.redeemed(part["order"], source, case.cents), burned)
    return f"{case.cents} cents ordered by {part['order']}"


def payout_entry(case: Case) -> None:
    """Check the ledger's entry for the bank's debit of this payout, or raise Rejected."""
    order = case.bundle["payout"]["order"]
    _booked(case, "payout_booked", lambda ref: books.payout_booked(order, case.cents))


def settle_call(transaction: bytes, rail: bytes) -> tuple[str, list[Claim], list[bytes]]:
    """Return (product, claims, single signatures) of a `settle` call on `rail`.

    Raises:
        Rejected: It is another call, or cannot be decoded.
    """
    called, data = transaction_call(transaction)
    types = _TYPES.get(data[:4])
    if called != rail or types is None:
        raise unproven("the transaction is not a settlement on the rail")
    try:
        (product, *_, claims), elements = decode(types, data[4:])
        if types is _SETTLE:
            return product, unpack_claims(claims), _single(elements)
    except (DecodingError, OverflowError, Halt) as error:
        raise unproven("the settlement's call cannot be decoded") from error
    return product, [Claim(*claim) for claim in claims], _single(elements)


def _single(elements: Sequence[bytes]) -> list[bytes]:
    """Return each signature by itself: an element holds one or several, one after the other."""
    return [
        element[start : start + _SIGNATURE_BYTES]
        for element in elements
        for start in range(0, len(element), _SIGNATURE_BYTES)
    ]


def _outcome(part: dict[str, Any]) -> ClaimOutcome:
    return ClaimOutcome(
        signed(part["amount_micro"], 48, "settlement.amount_micro"),
        whole(part["refusal"], 8, "settlement.refusal"),
    )


def _signed_batch(case: Case) -> tuple[str, list[Claim], list[bytes]]:
    batch = case.bundle["batch"]
    signatures = [unhex(signature, "an oracle's signature") for signature in batch["signatures"]]
    return case.bundle["mandate"]["fields"]["product"], read_claims(case), signatures


def _settled(case: Case, part: dict[str, Any]) -> tuple[bytes, str, bytes]:
    """Return (root, product, packed outcomes) of the receipt's one Settled log."""
    logs = [
        arguments
        for name, arguments in case.events_of(part, "rail", "the settlement")
        if name == "Settled"
    ]
    if len(logs) != 1:
        raise unproven(f"the settlement's receipt holds {len(logs)} Settled logs")
    _, root, product, _, packed = logs[0]
    return root, product, packed


def _leaf(case: Case) -> bytes:
    part = case.bundle["settlement"]
    payee = NOBODY if part["refusal"] else case.payee
    release_at = whole(part["release_at"], 32, "settlement.release_at")
    payment = unhex(case.payment, "the payment id", 32)
    return outcome_leaf(payment, case.claim_hash, payee, _outcome(part), release_at)


def _check_entry(fields: dict[str, Any]) -> None:
    entry = _entry(fields)
    try:
        rebuilt = books.entry(
            entry.kind,
            entry.ref,
            [(posting.account, posting.asset, posting.amount_minor) for posting in entry.postings],
        )
    except Halt as error:
        raise unproven(f"the ledger's entry {fields['kind']} does not balance") from error
    if replace(rebuilt, at=entry.at, source=entry.source) != entry:
        raise unproven(f"the ledger's entry {fields['kind']} has another id")
    if books.chain_hash(fields["previous"], entry) != fields["hash"]:
        raise unproven(f"the ledger's entry {fields['kind']} does not have its hash")


def _entry(fields: dict[str, Any]) -> books.Entry:
    postings = tuple(books.Posting(**posting) for posting in fields["postings"])
    at, source = fields["at"], fields["source"]
    return books.Entry(fields["entry_id"], fields["kind"], fields["ref"], postings, at, source)


def _expected_settled(case: Case) -> list[list[books.Entry]]:
    """Return what the ledger may hold: no entry for a refusal; one or none for zero."""
    part = case.bundle["settlement"]
    if part["refusal"]:
        return [[]]
    amount, parties = part["amount_micro"], ("0x" + case.claim.agreement.hex(), case.payee)
    if amount < 0:
        return [[debt_entries.debt_recorded(case.payment, *parties, -amount)]]
    wanted = [books.settled(case.payment, *parties, amount)]
    return [wanted] if amount else [wanted, []]


def _released(case: Case, payout: dict[str, Any], payee: str) -> tuple[int, list[ReceiptLog]]:
    """Return (amount left for the payee, logs after it) of this payment's Released log.

    That is the log with this payment's release time. Debts of the payee are paid first, each with a
    log before it.
    """
    outcome, rail = case.bundle["settlement"], case.address("rail")
    logs = case.receipt(payout, "the release")[1]
    releases, debts = [], 0
    for place, log in enumerate(logs):
        for name, arguments in events([log], rail):
            if name == "DebtPaid" and arguments[1] == payee:
                debts += arguments[2]
            if name not in _PAYS_DEBTS or arguments[0] != payee:
                continue
            if name == "Released" and _holds(arguments, outcome):
                # debts beyond it were paid from what was withdrawable before
                releases.append((max(0, arguments[1] - debts), logs[place + 1 :]))
            debts = 0
    if len(releases) != 1:
        raise unproven("the rail did not release this payment in that transaction")
    return releases[0]


def _holds(released: tuple[Any, ...], outcome: dict[str, Any]) -> bool:
    _, amount, times = released
    return outcome["release_at"] in times and amount >= outcome["amount_micro"]


def _redeemed(
    case: Case, payout: dict[str, Any], payee: str, after: list[ReceiptLog]
) -> tuple[bytes, bytes, int]:
    """Return (order, account, cents) of the redemption that took the money of a release.

    The rail redeems whole cents of all that it released to a payee (PaymentRail.release), so it is
    the first one after the release: in the same transaction, or in a later one if the release did
    not reach a whole cent.

    Args:
        case: The bundle under verification.
        payout: The bundle's part "payout".
        payee: Lower-case 0x-hex.
        after: The logs after the release in its own transaction.
    """
    token = unhex(payout["token"], "payout.token", 20)
    if payout["redeemed"] is None:
        redemptions = _redemptions(case, after, token, payee)
    elif _redemptions(case, after, token, payee):
        raise unproven("the release was redeemed in its own transaction, not in a later one")
    else:
        redemptions = _redemptions(case, _later_logs(case, payout), token, payee)
    if not redemptions:
        raise unproven("the token did not redeem the rail's money for the payee there")
    order, _, _, account, cents = redemptions[0]
    return order, account, cents


def _redemptions(
    case: Case, logs: list[ReceiptLog], token: bytes, payee: str
) -> list[tuple[Any, ...]]:
    """Return the redemptions by the rail for the payee: anyone may redeem tokens of their own."""
    parties = (case.bundle["chain"]["rail"], payee)
    return [
        arguments
        for name, arguments in events(logs, token)
        if name == "Redeemed" and arguments[1:3] == parties
    ]


def _later_logs(case: Case, payout: dict[str, Any]) -> list[ReceiptLog]:
    """Return the logs of the redeeming transaction, which must come after the release."""
    released, _ = case.receipt(payout, "the release")
    redeemed, logs = case.receipt(payout["redeemed"], "the redemption")
    before = (released.number, payout["index"])
    if (redeemed.number, payout["redeemed"]["index"]) <= before:
        raise unproven("the redemption does not come after the release")
    return logs


def _booked(case: Case, kind: str, expected: Any, block: Header | None = None) -> None:
    entries = [_entry(fields) for fields in case.bundle["ledger"] if fields["kind"] == kind]
    if len(entries) != 1 or not _are(entries, [expected(entries[0].ref)], block):
        raise unproven(f"the ledger does not hold the entry {kind} that the payout asks for")


def _are(entries: list[books.Entry], wanted: list[books.Entry], block: Header | None) -> bool:
    """Return whether entries are the wanted ones, dated by the block and with it as their source.

    With block None they are from the bank, where any of several files may be the source. Entries of
    releases before 0.3.0 have no source.
    """
    if len(entries) != len(wanted):
        return False
    for entry, expected in zip(entries, wanted, strict=True):
        at, source = entry.at, entry.source
        if block is not None and source:
            at, source = block.timestamp, f"block:0x{block.hash.hex()}"
        if entry != replace(expected, at=at, source=source):
            return False
    return True
