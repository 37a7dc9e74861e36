"""Creates waterfalls, shows what they hold, and makes the calls by which holders take their part.

Anyone may create one, and it signs nothing itself: each function returns calls for the sender's
key. Amounts are micro-euro.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from device_adapters.types import Rejected
from orchestrator.core.ledger import MICRO_PER_CENT
from orchestrator.core.party_call import WaterfallReason
from orchestrator.core.waterfall import WaterfallTerms, terms_of_log
from orchestrator.edges.chain.client import Call, Chain
from orchestrator.edges.chain.plan import WATERFALLS
from orchestrator.edges.chain.rails import instance, rails
from orchestrator.edges.store import Session, Store, agreements, blocks
from orchestrator.operations.payee_money import euro, payee_money

KIND = "Waterfall"
_LABEL_BYTES = 32


@dataclass(frozen=True, slots=True)
class KnownWaterfall:
    """A waterfall that the chain has, as its creation said.

    Attributes:
        address: Where it is; it is a payee like any other.
        name: Its label as text.
        terms: Who gets what.
        block: The block that created it.
    """

    address: str
    name: str
    terms: WaterfallTerms
    block: int


@dataclass(frozen=True, slots=True)
class HolderMoney:
    """What one holder has in a waterfall.

    Attributes:
        address: The holder.
        share: Of the rest, in basis points; 0 for a senior that has no other part.
        is_senior: Whether it is served first.
        taken_micro: What it took so far.
        owed_micro: What it can take of the tokens that are in the waterfall.
        next_micro: What it could take once the rail's money is in as well.
        has_account: Whether it named a bank account at the rail.
    """

    address: str
    share: int
    is_senior: bool
    taken_micro: int
    owed_micro: int
    next_micro: int
    has_account: bool


@dataclass(frozen=True, slots=True)
class WaterfallMoney:
    """What a waterfall holds now.

    Attributes:
        received_micro: All that ever came in.
        taken_micro: What holders took of it.
        waiting_micro: What the rails have for it, released and beyond its debts.
        matured: Release times whose money is to be released, by rail.
        matured_micro: That money.
        owed_micro: Its debts to agreements, which come first.
        holders: The senior first, then by address.
    """

    received_micro: int
    taken_micro: int
    waiting_micro: int
    matured: tuple[tuple[str, tuple[int, ...]], ...]
    matured_micro: int
    owed_micro: int
    holders: tuple[HolderMoney, ...]


def label_of(name: str) -> bytes:
    """Return the label of a waterfall: its name in UTF-8.

    Raises:
        Rejected: It is empty, or longer than 32 bytes.
    """
    raw = name.encode()
    if not raw or len(raw) > _LABEL_BYTES or not name.isprintable():
        raise Rejected(
            WaterfallReason.NAME, f"a waterfall's name has 1 to {_LABEL_BYTES} bytes of plain text"
        )
    return raw.ljust(_LABEL_BYTES, b"\0")


def require_factory(store: Store, chain: Chain) -> None:
    """Require that the rail has the factory, and reads its logs.

    Raises:
        Rejected: It does not: with what to do.
    """
    address = chain.deployment.addresses.get(WATERFALLS)
    if address is None:
        raise Rejected(
            WaterfallReason.NO_CONTRACT,
            "this rail has no factory of waterfalls; nothing was sent. Next: `proofrail waterfall "
            "deploy`",
        )
    with store.read() as session:
        is_followed = address.lower() in blocks.followed(session)
    if not is_followed:
        raise Rejected(
            WaterfallReason.NOT_FOLLOWED,
            "the rail's service does not read the factory's logs yet, so the ledger would not know "
            "the waterfall; nothing was sent. Next: `proofrail down` and `proofrail up`",
        )


def create_calls(
    store: Store, chain: Chain, name: str, terms: WaterfallTerms
) -> tuple[str, list[Call]]:
    """Return (address of the waterfall, the call that creates it); no call where it is there.

    Raises:
        Rejected: Another party has the name: commands could name neither of them by it.
        Retry: The node does not answer.
    """
    address = chain.view(WATERFALLS, "addressOf", terms.as_tuple())
    with store.read() as session:
        others = [p for p in agreements.parties(session) if p.name == name and p.address != address]
    if others:
        raise Rejected(
            WaterfallReason.NAME_TAKEN,
            f"{name!r} is the name of the party {others[0].address}, and payees are named by it; "
            "nothing was sent. Next: give another name",
        )
    is_there = len(chain.rpc("eth_getCode", [address, "latest"])) > len("0x")
    return address, [] if is_there else [Call(WATERFALLS, "create", (terms.as_tuple(),))]


def save_party(store: Store, address: str, name: str) -> None:
    """Store a waterfall as a payee, so that agreements can name it."""
    with store.write() as session:
        if agreements.party(session, address) is None:
            session.add(agreements.PartyRow(address=address, name=name))


def known(store: Store) -> list[KnownWaterfall]:
    """Return the waterfalls of this rail, oldest first."""
    with store.read() as session:
        return list(_known(session))


def _known(session: Session) -> Iterator[KnownWaterfall]:
    for row in blocks.logs_named(session, ("WaterfallCreated",)):
        args = json.loads(row.args)
        terms = terms_of_log(args["terms"])
        name = terms.label.rstrip(b"\0").decode("utf-8", "backslashreplace")
        yield KnownWaterfall(args["waterfall"], name, terms, row.block_number)


def waterfall_of(store: Store, text: str) -> KnownWaterfall:
    """Return the waterfall with that name or address.

    Anyone can create one of any name, so one that was created here goes before others.

    Raises:
        Rejected: There is none, or several have the name.
    """
    matches = [item for item in known(store) if text.lower() in (item.name.lower(), _low(item))]
    if len(matches) > 1:
        with store.read() as session:
            own = [item for item in matches if agreements.party(session, item.address)]
        matches = own or matches
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise Rejected(
            WaterfallReason.UNKNOWN,
            f"several waterfalls are named {text!r}; give the address instead",
        )
    raise Rejected(
        WaterfallReason.UNKNOWN,
        f"the rail knows no waterfall {text!r}; `proofrail waterfall list` shows all. A new one is "
        "known once its block was read",
    )


def _low(item: KnownWaterfall) -> str:
    return item.address.lower()


def money_of(store: Store, chain: Chain, item: KnownWaterfall, now: int) -> WaterfallMoney:
    """Return what a waterfall holds now, as chain and store have it.

    Raises:
        Retry: The node does not answer.
    """
    name, terms = instance(KIND, item.address), item.terms
    money = payee_money(store, chain, item.address, now)
    received, free = chain.view(name, "received"), money.free_micro
    later = terms.earned(received + free)
    shares = dict(terms.holders)
    holders = []
    for person in terms.everyone:
        taken, _ = chain.view(name, "takenBy", person)
        holders.append(
            HolderMoney(
                person,
                shares.get(person, 0),
                person == terms.senior,
                taken,
                chain.view(name, "owedTo", person),
                later[person] - taken,
                any(chain.view("PaymentRail", "payoutAccount", person)),
            )
        )
    return WaterfallMoney(
        received,
        chain.view(name, "taken"),
        free,
        tuple((part.rail, part.matured) for part in money.rails if part.matured_micro),
        money.matured_micro,
        money.on_chain.owed_micro,
        tuple(holders),
    )


def take_calls(
    chain: Chain, item: KnownWaterfall, money: WaterfallMoney, holder: str, to_bank: bool
) -> list[Call]:
    """Return the calls that pay a holder its part: release what has matured, pull, take.

    Args:
        chain: The node's client.
        item: The waterfall.
        money: What it holds now.
        holder: Who takes.
        to_bank: To its bank account; else as tokens.

    Raises:
        Rejected: It has no part in it, nothing to take, or no bank account.
    """
    person = next((p for p in money.holders if p.address.lower() == holder.lower()), None)
    if person is None:
        raise Rejected(
            WaterfallReason.NO_HOLDER,
            f"{holder} is no holder of {item.name}; nothing was sent. `proofrail waterfall show` "
            "names them",
        )
    if to_bank and not person.has_account:
        raise Rejected(
            WaterfallReason.ACCOUNT_MISSING,
            f"{holder} named no bank account at the rail; nothing was sent. Next: `proofrail party "
            "payout-account`, or take tokens with --tokens",
        )
    least = MICRO_PER_CENT if to_bank else 1
    if person.next_micro < least and not money.matured:
        raise Rejected(
            WaterfallReason.NOTHING,
            f"{euro(person.next_micro)} is {holder}'s in {item.name}, too little to take; nothing "
            "was sent",
        )
    name = instance(KIND, item.address)
    calls = [Call(rail, "release", (item.address, times)) for rail, times in money.matured]
    calls += [
        Call(name, "pull", (chain.deployment.addresses[rail],))
        for rail in rails(chain.deployment)
        if not _is_own(chain, name, rail) and _has_money(chain, item, rail)
    ]
    return [*calls, Call(name, "payOut", (person.address,)) if to_bank else Call(name, "take", ())]


def _is_own(chain: Chain, name: str, rail: str) -> bool:
    """Return whether a waterfall takes in a rail's money by itself, with every take."""
    return chain.view(name, "rail") == chain.deployment.addresses[rail]


def _has_money(chain: Chain, item: KnownWaterfall, rail: str) -> bool:
    have = chain.view(rail, "withdrawable", item.address)
    return have > chain.view(rail, "owed", item.address)
