"""Carries agreements over to the present rail: adopts devices, closes, opens, reclaims, funds.

Each step is one that a person could make by another command; each is made once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from device_adapters.types import Message
from oracles.types import ClaimReason
from orchestrator.core.mandate import Mandate
from orchestrator.edges.chain.client import Call, Chain
from orchestrator.edges.chain.ethereum import LocalAccount, sign_document, signer_of
from orchestrator.edges.chain.sender import ChainCall, Sender, send_and_wait, send_in_turn
from orchestrator.edges.store import Store, agreements, moves
from orchestrator.errors import Halt
from orchestrator.operations import agreement_calls
from orchestrator.operations.agreement_move import (
    CLOSING,
    RAIL,
    AgreementMove,
    MoveOptions,
    MovePlanner,
    MoveStage,
)
from orchestrator.operations.consents import ConsentMissing, KeyOf
from orchestrator.steps.refund import PURPOSE as RECLAIM_PURPOSE
from orchestrator.steps.refund import times

REGISTRY = "DeviceRegistry"
_NO_OWNER = "0x" + "00" * 20
_SUSPENDED = 2  # IDeviceRegistry.Status
_ADOPTED_AT_ONCE = 20  # devices in one call: about 400,000 gas each, more where a key ends
_DONE_HERE = (MoveStage.CLOSE, MoveStage.OPEN, MoveStage.RECLAIM, MoveStage.FUND)


@dataclass(frozen=True)
class Adoption:
    """Devices that the present registry does not know yet.

    Attributes:
        ready: (name, id) of those that it can take over.
        waiting: Names of those that are suspended at the former registry.
    """

    ready: tuple[tuple[str, bytes], ...]
    waiting: tuple[str, ...]

    def calls(self) -> list[Call]:
        """Return the calls that take them over; anyone may make them."""
        ids = [identity for _, identity in self.ready]
        chunks = range(0, len(ids), _ADOPTED_AT_ONCE)
        return [Call(REGISTRY, "adoptMany", (ids[i : i + _ADOPTED_AT_ONCE],)) for i in chunks]


@dataclass(frozen=True)
class MoneyTotals:
    """Where all money of the rails and their parties is, in micro-euro.

    Attributes:
        redeemed: What the rails have paid out to bank accounts so far.
        owed: What payees owe to agreements: a memo, no money.
    """

    escrow: int
    pending: int
    withdrawable: int
    frozen: int
    wallets: int
    redeemed: int
    owed: int

    @property
    def all(self) -> int:
        """Return the sum that a move leaves as it is."""
        inside = self.escrow + self.pending + self.withdrawable + self.frozen
        return inside + self.wallets + self.redeemed


@dataclass(frozen=True)
class PayeeOnFormerRail:
    """A payee's money that stays on a former rail until it is paid out there, in micro-euro."""

    payee: str
    rail: str
    matured: int
    maturing: int
    last_at: int  # when the last of it matures, Unix seconds
    withdrawable: int
    owed: int


@dataclass(frozen=True)
class PayeeAccount:
    """A bank account that a payee named on a former rail, and not on the present one.

    Attributes:
        account: Hash of the account.
        is_here: Whether a keystore of this home holds the payee's key.
    """

    payee: str
    account: bytes
    is_here: bool

    @property
    def call(self) -> Call:
        """Return the payee's call that names it on the present rail."""
        return Call(RAIL, "setPayoutAccount", (self.account, 0))


class Mover:
    """Makes the steps of moves.

    Args:
        planner: Says what comes next.
        sender: Sends what anyone may send.
        key_of: Address -> its key, where this home holds it.
        wait: Called while a transaction waits for its block; may raise Retry.
        take: Takes messages in and returns their outcomes, as ingest.intake.Intake does.
    """

    def __init__(
        self,
        planner: MovePlanner,
        sender: Sender,
        key_of: KeyOf,
        wait: Callable[[], None],
        take: Callable[[Sequence[Message]], Iterable[Iterable[Any]]] = lambda messages: (),
    ) -> None:
        self.planner, self._sender, self._wait = planner, sender, wait
        self._key_of, self._take = key_of, take
        self._keys: dict[str, LocalAccount] = {}  # a keystore is slow to open by design

    @property
    def _store(self) -> Store:
        return self.planner.store

    @property
    def _chain(self) -> Chain:
        return self.planner.chain

    # --- devices

    def adoption(self) -> Adoption:
        """Return the stored devices that the registry before the present one knows alone."""
        names = self._chain.deployment.named(REGISTRY)
        if len(names) == 1:
            return Adoption((), ())
        with self._store.read() as session:
            rows = agreements.devices(session)
        ready, waiting = [], []
        for row in rows:
            identity = bytes.fromhex(row.device_id[2:])
            if self._chain.view(REGISTRY, "ownerOf", identity) != _NO_OWNER:
                continue
            if self._chain.view(names[1], "ownerOf", identity) == _NO_OWNER:
                continue
            status, *_ = self._chain.view(names[1], "keyAt", identity, self.planner.time())
            if status == _SUSPENDED:
                waiting.append(row.name)
            else:
                ready.append((row.name, identity))
        return Adoption(tuple(ready), tuple(waiting))

    def adopt(self, adoption: Adoption) -> list[str]:
        """Take devices over; return the hashes."""
        calls = [
            ChainCall("adopt", f"0x{call.args[0][0].hex()}:{len(call.args[0])}", call)
            for call in adoption.calls()
        ]
        return send_and_wait(self._sender, calls, self.planner.now(), self._wait)

    # --- agreements

    def calls(self, move: AgreementMove, options: MoveOptions) -> list[tuple[str, Call]]:
        """Return (who signs, call) of the next step; of an opening, only once all have signed."""
        row, identity = move.row, bytes.fromhex(move.row.agreement_id[2:])
        if move.stage is MoveStage.CLOSE:
            return [(self._closer(move), Call(move.rail, "close", (identity,)))]
        if move.stage is MoveStage.RECLAIM:
            return [(self._sender.account.address, Call(move.rail, "reclaim", (identity,)))]
        if move.stage is MoveStage.FUND and move.following is not None:
            micro = move.back_micro if options.fund_micro is None else options.fund_micro
            calls = agreement_calls.fund_calls(self._chain, move.following, micro)
            return [(row.payer, call) for call in calls]
        return []

    def _closer(self, move: AgreementMove) -> str:
        """Return who closes an agreement: its payer, or the device's owner if its key is here."""
        registry = self.planner.registry_of(move.row)
        owner = self._chain.view(registry, "ownerOf", bytes.fromhex(move.row.device_id[2:]))
        only_owner = move.row.payer.lower() not in self.planner.holds
        return owner if only_owner and owner.lower() in self.planner.holds else move.row.payer

    def document(self, move: AgreementMove) -> dict[str, Any] | None:
        """Return the EIP-712 document that the payer signs; None where nothing is to be signed."""
        if move.stage is not MoveStage.OPEN or move.mandate is None or move.following is not None:
            return None
        return self._document(move.mandate)

    def _document(self, mandate: Mandate) -> dict[str, Any]:
        """Return the document as JSON can hold it: bytes are 0x-hex."""
        deployment = self._chain.deployment
        document = mandate.typed_data(deployment.chain_id, deployment.addresses[RAIL])
        message = {
            name: "0x" + value.hex() if isinstance(value, bytes) else value
            for name, value in document["message"].items()
        }
        return document | {"message": message}

    def run(self, row: agreements.AgreementRow, options: MoveOptions) -> AgreementMove:
        """Make all steps that can be made now; return where the agreement stands then.

        Raises:
            Retry: A call would revert, or no block takes it in time.
            Halt: A call failed on chain, or a signature is of another key.
        """
        move = self.planner.look(row, options)
        while move.stage in _DONE_HERE and not move.missing:
            self._step(move, options)
            later = self.planner.look(row, options)
            if later.stage is move.stage:
                return later
            move = later
        if move.stage is MoveStage.OPEN and "payer" not in move.missing and not move.following:
            self._step(move, options)  # it is stored, and waits for the owner's consent
            move = self.planner.look(row, options)
        if move.following is not None:
            self._reroute(move)
        return move

    def _step(self, move: AgreementMove, options: MoveOptions) -> None:
        if move.stage is MoveStage.OPEN:
            self._open(move, options)
        elif move.stage is MoveStage.CLOSE:
            ((signer, call),) = self.calls(move, options)
            self._send(self._key(signer), CLOSING, move.row.agreement_id, call)
        elif move.stage is MoveStage.RECLAIM:
            with self._store.read() as session:  # the worker's call has the same reference
                ref = f"{move.row.agreement_id}:{times(session, move.row.agreement_id)}"
            ((_, call),) = self.calls(move, options)
            send = [ChainCall(RECLAIM_PURPOSE, ref, call)]
            send_and_wait(self._sender, send, self.planner.now(), self._wait)
        else:
            calls = self.calls(move, options)
            account = self._key(calls[0][0])
            sender = Sender(self._store, self._chain, account)
            send_in_turn(sender, [call for _, call in calls], self.planner.now(), self._wait)

    def _open(self, move: AgreementMove, options: MoveOptions) -> None:
        ops, row = self.planner.ops, move.row
        try:
            if move.following is not None:
                ops.open_stored(move.following.agreement_id)
            elif move.mandate is not None:
                signature = self._signature(move.mandate, options)
                ops.open([(row.device, row.product, move.mandate, signature)])
        except ConsentMissing:
            return  # the mandate is stored: `agreement consent` opens it

    def _signature(self, mandate: Mandate, options: MoveOptions) -> bytes:
        document = self._document(mandate)
        if options.signature is None:
            return sign_document(document, self._key(mandate.payer))
        is_contract = self._chain.rpc("eth_getCode", [mandate.payer, "latest"]) != "0x"
        signer = signer_of(document, options.signature)
        if not is_contract and signer.lower() != mandate.payer.lower():
            raise Halt(
                f"This signature is of {signer or 'no key'}, and the payer is {mandate.payer}. "
                "Nothing was stored or sent. Sign the document of `proofrail agreement move "
                "--document` with the payer's key."
            )
        return options.signature

    def _reroute(self, move: AgreementMove) -> None:
        """Let the new agreement claim the records that the former one left."""
        with self._store.write() as session:
            moves.reroute(
                session,
                move.row.agreement_id,
                move.following.agreement_id,
                move.last_counter,
            )

    def retake(self, moved: Sequence[AgreementMove]) -> int:
        """Take in again what was refused between an agreement's end and the next one's opening.

        Returns:
            How many records were accepted now.
        """
        names = {move.row.device for move in moved}
        names |= self._gateways(moved)
        since = min((move.ends_at for move in moved), default=0)
        with self._store.read() as session:
            rows = moves.refused(session, names, ClaimReason.AGREEMENT_NOT_LIVE, since)
            messages = [Message(r.protocol, r.device, r.body, source=r.source) for r in rows]
        if not (moved and messages):
            return 0
        outcomes = [outcome for answers in self._take(messages) for outcome in answers]
        return sum(outcome.outcome == "accepted" for outcome in outcomes)

    def _gateways(self, moved: Sequence[AgreementMove]) -> set[str]:
        """Return the names of the gateways that sign for these devices."""
        ids = {
            "0x" + self._chain.view(REGISTRY, "gatewayAt", device, self.planner.time()).hex()
            for device in {bytes.fromhex(move.row.device_id[2:]) for move in moved}
        }
        with self._store.read() as session:
            return {row.name for row in agreements.devices(session) if row.device_id in ids}

    def _send(self, account: LocalAccount, purpose: str, ref: str, call: Call) -> None:
        sender = Sender(self._store, self._chain, account)
        send_and_wait(sender, [ChainCall(purpose, ref, call)], self.planner.now(), self._wait)

    def _key(self, address: str) -> LocalAccount:
        if address not in self._keys:
            account = self._key_of(address)
            if account is None:
                raise Halt(
                    f"No keystore of this home holds the key of {address}. Nothing was sent."
                )
            self._keys[address] = account
        return self._keys[address]

    # --- money

    def accounts(self, rows: Sequence[agreements.AgreementRow]) -> list[PayeeAccount]:
        """Return the accounts that payees have to name on the present rail to be paid to them."""
        result: dict[str, PayeeAccount] = {}
        with self._store.read() as session:
            known = [party.address for party in agreements.parties(session)]
        for rail in sorted({self.planner.rail_of(row) for row in rows}):
            for payee in sorted({*known, *(row.payee for row in rows)} - {_NO_OWNER}):
                account = self._chain.view(rail, "payoutAccount", payee)
                if any(account) and not any(self._chain.view(RAIL, "payoutAccount", payee)):
                    is_here = payee.lower() in self.planner.holds
                    result[payee] = PayeeAccount(payee, account, is_here)
        return list(result.values())

    def name_accounts(self, accounts: Sequence[PayeeAccount]) -> None:
        """Name the accounts of those payees whose keys are here."""
        for account in accounts:
            if account.is_here:
                ref = f"{account.payee}:0x{account.account.hex()}"
                self._send(self._key(account.payee), "move payout account", ref, account.call)

    def totals(self, rows: Iterable[agreements.AgreementRow]) -> MoneyTotals:
        """Return where all money is, of all rails, and of the parties of the store."""
        with self._store.read() as session:
            parties = {party.address for party in agreements.parties(session)}
        parties |= {address for row in rows for address in (row.payer, row.payee)}
        names = self._chain.deployment.named(RAIL)
        sums = [
            sum(part) for part in zip(*(self._chain.view(n, "totals") for n in names), strict=True)
        ]
        escrow, pending, withdrawable, frozen, redeemed, owed = sums
        rails = {self._chain.deployment.addresses[name] for name in names}
        wallets = sum(
            self._chain.view("EuroToken", "balanceOf", party) for party in parties - rails
        )
        return MoneyTotals(escrow, pending, withdrawable, frozen, wallets, redeemed, owed)

    def payees(self, rows: Sequence[agreements.AgreementRow]) -> list[PayeeOnFormerRail]:
        """Return what payees have on former rails: it is paid out there."""
        by_rail: dict[str, set[str]] = {}
        for row in rows:
            by_rail.setdefault(self.planner.rail_of(row), set()).add(row.product_address)
        result = []
        for rail, products in sorted(by_rail.items()):
            with self._store.read() as session:
                pending = moves.pending_of(session, products, self.planner.time())
            named = {entry[0]: entry[1:] for entry in pending}
            payees = {row.payee for row in rows if self.planner.rail_of(row) == rail}
            for payee in sorted(payees - {_NO_OWNER} | set(named)):
                state = PayeeOnFormerRail(
                    payee,
                    rail,
                    *named.get(payee, (0, 0, 0)),
                    self._chain.view(rail, "withdrawable", payee),
                    self._chain.view(rail, "owed", payee),
                )
                if replace(state, last_at=0) != PayeeOnFormerRail(payee, rail, 0, 0, 0, 0, 0):
                    result.append(state)
        return result
