"""What a person of an oracle's trust domain decides disputes with (`proofrail-oracle ruling`).

The oracle's process serves what was signed, and the rail asks for it; the printed document may
also be sent to whoever ends the dispute (`proofrail payment rule`).
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from device_adapters.types import Rejected
from oracles.attest import address_of, sign
from oracles.memory import Memory
from oracles.rulings import Ruling, RulingMemory
from oracles.wire import ruling_to_json
from orchestrator.core.identity import payment_id
from orchestrator.edges.chain.client import Chain
from orchestrator.edges.chain.disputes import (
    DisputeContracts,
    DisputeState,
    contracts_of_rails,
    dispute_of,
    disputed_since,
)
from orchestrator.edges.chain.rails import RAIL
from orchestrator.edges.chain.reader import Registry
from orchestrator.errors import Halt
from orchestrator.products import product
from orchestrator.settings import read_settings
from services.oracle import connect, parser
from services.oracle_options import arguments_of
from services.processes import oracle_process

REREAD_BLOCKS = 8  # as the oracle's process reads settlements again
MIN_PREFIX = 6


@dataclass(frozen=True, slots=True)
class OpenDispute:
    """A dispute that an oracle can sign a ruling on.

    Attributes:
        payment: Id of the payment, 0x-hex.
        state: The dispute as its contract has it.
        contracts: What it goes through: those of the payment's own rail.
    """

    payment: str
    state: DisputeState
    contracts: DisputeContracts


class OracleDesk:
    """What a person needs to decide: the oracle's chain, evidence and rulings.

    Args:
        chain: A node of the rail's chain.
        registry: Agreements on it.
        home: The oracle's folder, with its database.
    """

    def __init__(self, chain: Chain, registry: Registry, home: Path) -> None:
        self.chain, self.registry = chain, registry
        self._database = home / "oracle.sqlite3"
        self.rulings = RulingMemory(self._database)

    @cached_property
    def memory(self) -> Memory:
        """Return the oracle's evidence; its process may use it at the same time."""
        return Memory(self._database)

    def open(self) -> list[OpenDispute]:
        """Return the open disputes on all rails, after reading the newest blocks.

        Raises:
            Retry: The node does not answer.
        """
        head, above = self.chain.head(), self.rulings.disputes_up_to() - REREAD_BLOCKS
        self.rulings.note_disputes(disputed_since(self.chain, above, head), head)
        rails = contracts_of_rails(self.chain)
        return [
            OpenDispute(payment, state, contracts)
            for payment in ("0x" + payment.hex() for payment in self.rulings.disputes())
            for contracts in rails
            if (state := dispute_of(self.chain, payment, contracts.disputes)) is not None
        ]

    def one(self, text: str) -> OpenDispute:
        """Return the only open dispute whose payment's id is or begins with a text.

        Raises:
            Halt: There is none, or several.
        """
        matches = [item for item in self.open() if item.payment.startswith(text.lower())]
        if len(text) < MIN_PREFIX or len(matches) != 1:
            raise Halt(
                f"{len(matches)} open disputes are about a payment {text!r}: give one id, or its "
                f"first {MIN_PREFIX} or more characters. Nothing was signed. Next: "
                "`proofrail-oracle ruling list`."
            )
        return matches[0]

    def view(self, dispute: OpenDispute) -> dict[str, Any]:
        """Return the JSON view of an open dispute with what this oracle has about it."""
        payment, state = dispute.payment, dispute.state
        amount, payer, payee = self._parties(payment)
        signed = next(
            (s for s in self.rulings.all() if s.ruling.payment.hex() == payment[2:]), None
        )
        return {
            "payment": payment,
            "rail": dispute.contracts.rail,
            "amount": {"amount": str(amount), "asset": "tEUR/6"},
            "payer": payer,
            "payee": payee,
            "challenger": state.challenger or payer,
            "bond": {"amount": str(state.bond_micro), "asset": "tEUR/6"},
            "deadline": state.deadline or None,
            "required_domain": state.required_domain,
            "signed": ruling_to_json(signed) if signed else None,
            "evidence": self._evidence(bytes.fromhex(payment[2:])),
        }

    def _parties(self, payment: str) -> tuple[int, str, str]:
        block = self.rulings.disputes()[bytes.fromhex(payment[2:])]
        logs = self.chain.logs_named({RAIL: ("PaymentDisputed",)}, block, block)
        args = next(log.args for log in logs if log.args["payment"] == payment)
        return args["amount"], args["payer"], args["payee"]

    def _evidence(self, payment: bytes) -> dict[str, Any] | None:
        """Return what this oracle has about the payment's claim; None if it never saw it."""
        claim = next(
            (row for row in self.memory.passed() if payment_id(row[0], row[1]) == payment), None
        )
        if claim is None:
            return None
        agreement, sequence, first, last = claim
        terms = self.registry.agreement(agreement)
        events = self.memory.events(terms.device_id, first, last) if terms else []
        attested = self.memory.attested(agreement, sequence)
        return {
            "agreement": "0x" + agreement.hex(),
            "sequence": sequence,
            "product": terms.product if terms else None,
            "first_counter": first,
            "last_counter": last,
            "attested_here": attested is not None,
            "facts": product(terms.product).format_facts(attested.facts)
            if attested and terms
            else None,
            "records": len(events),
            "devices": sorted({event.device for event in events}),
            "observed_from": events[0].observed_at_ms // 1000 if events else None,
            "observed_to": events[-1].observed_at_ms // 1000 if events else None,
            "evidence": ["0x" + event.evidence_hash.hex() for event in events],
        }


def sign_ruling(
    desk: OracleDesk,
    key: bytes,
    dispute: OpenDispute,
    refund: bool,
    decided_by: str,
    reason: str,
    now: int,
) -> dict[str, Any]:
    """Store a decision, sign it, and return the signed document (oracles.wire.ruling_to_json).

    It names the payment's own rail, and is for the committee of that rail.

    Args:
        desk: The oracle's desk.
        key: Its private key, 32 bytes.
        dispute: What was decided.
        refund: How: True, back to the payer's escrow; False, the payment stands.
        decided_by: The name of the person.
        reason: Why.
        now: Unix seconds.

    Raises:
        Halt: This oracle signed the other answer before.
    """
    deployment, contracts = desk.chain.deployment, dispute.contracts
    rail, committee = (deployment.addresses[name] for name in (contracts.rail, contracts.committee))
    ruling = Ruling(rail, bytes.fromhex(dispute.payment[2:]), refund)

    def make(decided: Ruling) -> bytes:
        return sign(decided.digest(deployment.chain_id, committee, contracts.version), key)

    try:
        signed = desk.rulings.sign(ruling, address_of(key), make, decided_by, reason, now)
    except Rejected as other:
        raise Halt(
            f"{other.detail} ({other.reason}). Two contradicting rulings of one oracle bar it for "
            "ever, so this one was not signed. Next: leave the earlier ruling; the committee's "
            "other members decide."
        ) from None
    return ruling_to_json(signed)


def open_desk(home: Path, name: str = "") -> tuple[OracleDesk, argparse.Namespace]:
    """Return an oracle's desk, and the options of its process.

    Args:
        home: The oracle's folder; with a name, the home of a rail that starts it on this machine.
        name: The name of such an oracle; "": the folder is the oracle's own.

    Raises:
        Halt: The folder is not set up, or the node is of another chain.
        Retry: The node does not answer.
    """
    words = _of_rail(home, name) if name else arguments_of(home)
    options = parser().parse_args(words)
    chain, registry = connect(options)
    return OracleDesk(chain, registry, options.home), options


def _of_rail(home: Path, name: str) -> list[str]:
    settings = read_settings(home)
    oracle = next((item for item in settings.oracles if item.name == name and item.embedded), None)
    if oracle is None:
        raise Halt(
            f"The rail in {home} starts no oracle {name!r} on this machine. Nothing was signed. "
            "Next: `proofrail oracle list`; an oracle of another organisation signs in its own "
            "folder."
        )
    return list(oracle_process(settings, oracle).arguments)
