"""Where an agreement of a former rail stands on its way to the present one, and what comes next.

An agreement is closed on the former rail. Once that rail takes no more claims for it, what it
charged is final: the new mandate goes on from its last counter, register and totals, with the same
parties and the same end. So everything here follows from the chain, and a command that stopped
goes on where it stopped. Amounts are micro-euro, times Unix seconds.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from device_adapters.types import Rejected
from orchestrator.core.mandate import Mandate, salt_of
from orchestrator.core.payment import HOLDABLE, STOPPING
from orchestrator.core.payment import Stage as PaymentStage
from orchestrator.edges.chain.artifacts import load_artifacts
from orchestrator.edges.chain.client import Chain
from orchestrator.edges.store import Store, agreements, blocks, moves, sends
from orchestrator.errors import Halt
from orchestrator.operations import consents
from orchestrator.operations.agreements import DEFAULT_BOND_MICRO, AgreementOps
from orchestrator.products import carrying, product
from orchestrator.products.carrying import Carried, NotCarried

CLOSING = "move close"  # purpose of the call: what the parties closed themselves stays closed
RAIL = "PaymentRail"
_NO_OWNER = "0x" + "00" * 20
_LIVE, _CLOSED = 1, 2  # IPaymentRail.Status
_LOOKBACK_S = 390 * 86_400  # Consents.sol takes starts of the last 400 days


class MoveStage(StrEnum):
    """What comes next for an agreement of a former rail."""

    STAYS = "stays"  # it ends on the former rail
    WAITS = "waits"  # something else has to happen first
    CLOSE = "close"  # payer or owner closes it there
    ENDING = "ending"  # it is closed; claims are still taken for a time
    OPEN = "open"  # payer and owner sign the new mandate, and it is opened
    RECLAIM = "reclaim"  # the rest of its escrow goes back to the payer
    FUND = "fund"  # the payer funds the new one
    MOVED = "moved"


@dataclass(frozen=True)
class AgreementMove:
    """An agreement of a former rail, as chain and store have it now.

    Attributes:
        rail: Name of the former rail.
        why: Why it waits or stays.
        ends_at: The last second in which the former rail takes claims for it.
        escrow_micro: What is left in its escrow there.
        back_micro: What came back to the payer out of it.
        last_counter: The last counter that was claimed there.
        disputed: Ids of its payments under dispute: they end on the former rail.
        mandate: What the payer signs; None before the former rail has ended it.
        row: The stored agreement.
        following: That of the agreement that takes its place.
        missing: Who has to sign elsewhere, since no keystore here holds the key: "payer", "owner".
    """

    row: agreements.AgreementRow
    rail: str
    stage: MoveStage
    why: str = ""
    ends_at: int = 0
    escrow_micro: int = 0
    back_micro: int = 0
    last_counter: int = 0
    disputed: tuple[str, ...] = ()
    mandate: Mandate | None = None
    following: agreements.AgreementRow | None = None
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class MoveOptions:
    """How agreements move.

    Attributes:
        named: Whether the person named the agreement: then one that its parties closed moves too.
        bond_micro: What a dispute costs at most in the new agreement.
        fund_micro: What the payer funds it with; None: what came back.
        signature: The payer's, over the new mandate, where its key is elsewhere.
    """

    named: bool = False
    bond_micro: int = DEFAULT_BOND_MICRO
    fund_micro: int | None = None
    signature: bytes | None = None


@dataclass(frozen=True)
class _Known:
    """What the former rail says of an agreement."""

    sequence: int
    last_counter: int
    escrow_micro: int
    spent_micro: int
    expiry: int
    status: int


@dataclass
class MovePlanner:
    """Looks at agreements of former rails.

    Args:
        store: The store.
        chain: The node's client.
        ops: Makes mandates, and knows which consents are needed.
        now: Returns Unix seconds.
        holds: Addresses (lower case) whose keys keystores of this home hold.
        depth: How deep a block is final: no claim of before may be undone by a reorganisation.
    """

    store: Store
    chain: Chain
    ops: AgreementOps
    now: Callable[[], int]
    holds: frozenset[str] = frozenset()
    depth: int = 0
    _links: dict[str, bool] = field(default_factory=dict)

    def on_former_rails(self) -> list[agreements.AgreementRow]:
        """Return the stored agreements that are on former rails, by device."""
        with self.store.read() as session:
            rows = agreements.all_agreements(session)
        return [row for row in rows if self.rail_of(row) != RAIL]

    def rail_of(self, row: agreements.AgreementRow) -> str:
        """Return the name of the rail that an agreement is on."""
        try:
            return self.chain.deployment.rail_of(row.product_address)
        except KeyError:
            raise Halt(
                f"Agreement {row.agreement_id} is about {row.product_address}, which is no "
                "contract of this deployment. Nothing was sent. Next: restore the deployment's "
                "file from a backup."
            ) from None

    def time(self) -> int:
        """Return the time that the next block will have at least."""
        return max(self.now(), self.chain.newest().timestamp)

    def _final_time(self) -> int:
        """Return the time of the newest final block."""
        number = max(0, self.chain.newest().number - self.depth)
        return self.chain.blocks([number])[0].timestamp

    def look(self, row: agreements.AgreementRow, options: MoveOptions) -> AgreementMove:
        """Return where an agreement stands.

        Raises:
            Halt: It is on the present rail.
            Retry: The node does not answer.
        """
        rail = self.rail_of(row)
        if rail == RAIL:
            raise Halt(
                f"Agreement {row.agreement_id} is on the present rail. Nothing was sent. "
                "`proofrail agreement list` shows which product each agreement has."
            )
        known = _Known(*self.chain.view(rail, "agreementState", _raw(row.agreement_id)))
        with self.store.read() as session:
            disputed = moves.payments_at(session, row.agreement_id, (PaymentStage.DISPUTED,))
            following = moves.with_salt(session, "0x" + salt_of(row.agreement_id).hex())
        base = {
            "row": row,
            "rail": rail,
            "ends_at": known.expiry,
            "escrow_micro": known.escrow_micro,
            "last_counter": known.last_counter,
            "disputed": tuple(disputed),
            "following": following,
        }
        if following is not None:
            return self._followed(base, known, following, options)
        return self._next(base, known, row, options)

    # --- before there is a new agreement

    def _next(
        self,
        base: dict[str, Any],
        known: _Known,
        row: agreements.AgreementRow,
        options: MoveOptions,
    ) -> AgreementMove:
        is_closed, is_over = known.expiry < row.expiry, self._final_time() > known.expiry
        if stays := self._stays(known, row, options, is_closed=is_closed):
            return AgreementMove(**base, stage=MoveStage.STAYS, why=stays)
        if is_closed and not is_over:
            return AgreementMove(**base, stage=MoveStage.ENDING)
        carried = self._carried(row)
        if isinstance(carried, NotCarried):
            stage = MoveStage.WAITS if carried.waits else MoveStage.STAYS
            return AgreementMove(**base, stage=stage, why=carried.why)
        if waits := self._waits(row, is_over=is_over):
            return AgreementMove(**base, stage=MoveStage.WAITS, why=waits)
        if not is_over:
            parties = {row.payer.lower(), self._owner(base["rail"], row).lower()}
            missing = () if parties & self.holds else ("payer or owner",)
            return AgreementMove(**base, stage=MoveStage.CLOSE, missing=missing)
        mandate = self._mandate(row, known, carried, options)
        missing = self._missing(mandate, options)
        return AgreementMove(**base, stage=MoveStage.OPEN, mandate=mandate, missing=missing)

    def _stays(
        self,
        known: _Known,
        row: agreements.AgreementRow,
        options: MoveOptions,
        *,
        is_closed: bool,
    ) -> str:
        """Return why an agreement ends on the former rail, "" if it does not."""
        if known.status != _LIVE and not is_closed:
            return "it has ended"
        if row.expiry <= self.time() + (0 if is_closed else row.window_s):
            return "it ends by itself before it could go on"
        if row.period_days == 0 and known.spent_micro >= row.cap_micro:
            return "its cap for its whole life is spent"
        if product(row.product).CONTRACT not in self.chain.deployment.addresses:
            return f"the present rail has no contract for {row.product}"
        with self.store.read() as session:
            stopped = moves.payments_at(session, row.agreement_id, STOPPING[:2])
            closed_here = sends.by_ref(session, CLOSING, row.agreement_id)
        if stopped:
            return (
                f"payment {stopped[0]} was refused: open a new agreement by `proofrail agreement "
                "open`, with --after behind its records"
            )
        if is_closed and closed_here is None and not options.named:
            return "its parties closed it; name it to move it all the same"
        return ""

    def _waits(self, row: agreements.AgreementRow, *, is_over: bool) -> str:
        """Return what has to happen first, "" if nothing."""
        stages = HOLDABLE if is_over else (PaymentStage.ATTESTED,)
        with self.store.read() as session:
            held = moves.payments_at(session, row.agreement_id, (PaymentStage.HELD,))
            unsettled = moves.payments_at(session, row.agreement_id, stages)
        if held:
            return f"payment {held[0]} is held: two officers decide (`proofrail payment decide`)"
        if unsettled and is_over:
            return f"the service has not ended payment {unsettled[0]}, which cannot settle any more"
        if unsettled:
            return f"payment {unsettled[0]} is attested and not settled yet"
        contract = product(row.product).CONTRACT
        if contract not in self._links:
            self._links[contract] = self._is_linked(contract, row.product_address)
        if not self._links[contract]:
            return (
                f"{contract} does not name {row.product_address} as the version before it: the "
                f"steward links them by `proofrail product add {contract}`"
            )
        return self._device_waits(row)

    def _is_linked(self, contract: str, former: str) -> bool:
        abi = load_artifacts()[contract].abi
        if not any(part.get("name") == "setPredecessor" for part in abi):
            return True
        return self.chain.view(contract, "predecessor").lower() == former.lower()

    def _device_waits(self, row: agreements.AgreementRow) -> str:
        device = _raw(row.device_id)
        if self.chain.view("DeviceRegistry", "isActive", device):
            return ""
        is_known = self.chain.view("DeviceRegistry", "ownerOf", device) != _NO_OWNER
        if not is_known and self.chain.view(self.registry_of(row), "isActive", device):
            return ""  # it is adopted first
        return f"its device {row.device} is not active: see `proofrail device list`"

    def registry_of(self, row: agreements.AgreementRow) -> str:
        """Return the name of the registry that a former rail asks about devices."""
        return self.rail_of(row).replace(RAIL, "DeviceRegistry")

    def _owner(self, rail: str, row: agreements.AgreementRow) -> str:
        return self.chain.view(rail.replace(RAIL, "DeviceRegistry"), "ownerOf", _raw(row.device_id))

    def _carried(self, row: agreements.AgreementRow) -> Carried | NotCarried:
        at = self.chain.deployment.addresses
        name = next(n for n, a in at.items() if a.lower() == row.product_address.lower())
        with self.store.read() as session:
            payees = moves.payees_of(session, row.agreement_id)
        ended = carrying.EndedAgreement(
            _raw(row.agreement_id),
            _raw(row.terms),
            row.opened_at,
            payees,
            lambda function, *arguments: self.chain.view(name, function, *arguments),
        )
        try:
            return carrying.carry(row.product, ended)
        except Rejected as error:
            return NotCarried(f"its terms cannot go on in the new contract: {error}")

    def _mandate(
        self,
        row: agreements.AgreementRow,
        known: _Known,
        carried: Carried,
        options: MoveOptions,
    ) -> Mandate:
        """Return the mandate of the agreement that follows: the same for the same end."""
        spent = known.spent_micro if row.period_days == 0 else 0
        return self.ops.mandate(
            row.device,
            row.payer,
            row.payee,
            product(row.product),
            cap_micro=row.cap_micro - spent,
            period_days=row.period_days,
            window_s=row.window_s,
            start=max(carried.start, known.expiry - _LOOKBACK_S) if carried.start else 0,
            expiry=row.expiry,
            first_counter=known.last_counter,
            required_domain=row.required_domain,
            bond_micro=options.bond_micro,
            salt=salt_of(row.agreement_id),
            terms=carried.terms,
        )

    def _missing(self, mandate: Mandate, options: MoveOptions) -> tuple[str, ...]:
        payer = mandate.payer.lower() not in self.holds and options.signature is None
        return (("payer",) if payer else ()) + self._missing_owner(mandate)

    def _missing_owner(self, mandate: Mandate) -> tuple[str, ...]:
        owner = self.chain.view("DeviceRegistry", "ownerOf", mandate.device)
        if owner == _NO_OWNER:  # before the adoption
            former = self.chain.deployment.named("DeviceRegistry")[1]
            owner = self.chain.view(former, "ownerOf", mandate.device)
        if owner.lower() in (mandate.payer.lower(), *self.holds):
            return ()
        if self.chain.view("DeviceRegistry", "ownerOf", mandate.device) == _NO_OWNER:
            return ("owner",)
        need = self.ops.consent_needed(mandate)
        if need is None:
            return ()
        with self.store.read() as session:
            return () if consents.stored(session, need[1], need[0]) else ("owner",)

    # --- once there is a new agreement

    def _followed(
        self,
        base: dict[str, Any],
        known: _Known,
        following: agreements.AgreementRow,
        options: MoveOptions,
    ) -> AgreementMove:
        identity = _raw(following.agreement_id)
        base = {**base, "mandate": agreements.mandate_of(following)}
        if not self.chain.view(RAIL, "agreementState", identity)[5]:
            missing = self._missing_owner(base["mandate"])
            return AgreementMove(**base, stage=MoveStage.OPEN, missing=missing)
        back = self._came_back(base["row"].agreement_id)
        base["back_micro"] = back
        if known.status != _CLOSED or known.escrow_micro:
            return AgreementMove(**base, stage=MoveStage.RECLAIM)
        wanted = back if options.fund_micro is None else options.fund_micro
        _, _, escrow, *_ = self.chain.view(RAIL, "agreementState", identity)
        *_, charged, _ = self.chain.view(RAIL, "agreementEnd", identity)
        if not wanted or escrow or charged:
            return AgreementMove(**base, stage=MoveStage.MOVED)
        wallet = self.chain.view("EuroToken", "balanceOf", following.payer)
        if wallet < wanted:
            why = "the payer's wallet holds less than came back: fund it by `agreement fund`"
            return AgreementMove(**base, stage=MoveStage.MOVED, why=why)
        missing = () if following.payer.lower() in self.holds else ("payer",)
        return AgreementMove(**base, stage=MoveStage.FUND, missing=missing)

    def _came_back(self, agreement: str) -> int:
        """Return what went from an agreement's escrow back to its payer, in all."""
        names = ("EscrowReclaimed",)
        with self.store.read() as session:
            newest = blocks.newest(session)
            stored = blocks.logs_about(session, names, agreement)
            amounts = [json.loads(row.args)["amount"] for row in stored]
        first = newest.number + 1 if newest else self.chain.deployment.block_number
        head = self.chain.newest().number
        logs = self.chain.logs_named({RAIL: names}, first, head) if first <= head else ()
        return sum(amounts) + sum(
            log.args["amount"] for log in logs if log.args["agreement"] == agreement
        )


def _raw(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))
