"""What a person of an oracle's trust domain decides disputes with (`proofrail-oracle ruling`).

The oracle's process serves what was signed, and the rail asks for it; the printed document may
also be sent to whoever ends the dispute (`proofrail payment rule`).
"""

from __future__ import annotations

import argparse
import re
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
from orchestrator.edges.chain.disputes import DisputeState, dispute_of, disputed_since, has_disputes
from orchestrator.edges.chain.rails import former_rails
from orchestrator.edges.chain.reader import Registry
from orchestrator.errors import Halt
from orchestrator.products import product
from orchestrator.settings import read_settings
from services.oracle import connect, parser
from services.oracle_options import arguments_of
from services.processes import oracle_process

REREAD_BLOCKS = 8  # as the oracle's process reads settlements again
MIN_PREFIX = 6
FORMER_ENDS = (
    "its payee gives the money back (`proofrail payment concede`), or its payer gives the dispute "
    "up (`proofrail payment retract`)"
)
_PAYMENT = re.compile("0x[0-9a-f]{64}")


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

    @property
    def rail(self) -> str:
        """Return the address of the rail that this oracle attests for."""
        return self.chain.deployment.addresses["PaymentRail"]

    @cached_property
    def memory(self) -> Memory:
        """Return the oracle's evidence; its process may use it at the same time."""
        return Memory(self._database)

    def open(self) -> dict[str, DisputeState]:
        """Return payment (0x-hex) -> state of each open dispute, after reading the newest blocks.

        Raises:
            Halt: This deployment has no contract for disputes.
            Retry: The node does not answer.
        """
        if not has_disputes(self.chain):
            raise Halt(
                "This deployment has no contract Disputes: it is of an earlier release. Nothing "
                "was signed. Next: ask the rail for the deployment.json of its new contracts."
            )
        head, above = self.chain.head(), self.rulings.disputes_up_to() - REREAD_BLOCKS
        self.rulings.note_disputes(disputed_since(self.chain, above, head), head)
        states = {
            "0x" + payment.hex(): dispute_of(self.chain, "0x" + payment.hex())
            for payment in self.rulings.disputes()
        }
        return {payment: state for payment, state in states.items() if state is not None}

    def one(self, text: str) -> tuple[str, DisputeState]:
        """Return the only open dispute whose payment's id is or begins with a text.

        Raises:
            Halt: There is none, or several.
        """
        matches = [item for item in self.open().items() if item[0].startswith(text.lower())]
        if len(text) < MIN_PREFIX or len(matches) != 1:
            if not matches and len(text) >= MIN_PREFIX:
                self._refuse_former(text.lower())
            raise Halt(
                f"{len(matches)} open disputes are about a payment {text!r}: give one id, or its "
                f"first {MIN_PREFIX} or more characters. Nothing was signed. Next: "
                "`proofrail-oracle ruling list`."
            )
        return matches[0]

    def _refuse_former(self, text: str) -> None:
        """Raise Halt if a text begins the id of a payment that is disputed on a former rail."""
        ids = ("0x" + payment_id(row[0], row[1]).hex() for row in self.memory.passed())
        matches = {payment for payment in ids if payment.startswith(text)}
        matches |= {text} if _PAYMENT.fullmatch(text) else set()
        for rail in former_rails(self.chain.deployment):
            for payment in sorted(matches):
                if dispute_of(self.chain, payment, rail) is not None:
                    raise Halt(
                        f"Payment {payment} is disputed on the former {rail}, where a dispute has "
                        "no deadline, and oracles of this release sign no rulings for it. Nothing "
                        f"was signed. Next: {FORMER_ENDS}."
                    )

    def view(self, payment: str, state: DisputeState) -> dict[str, Any]:
        """Return the JSON view of an open dispute with what this oracle has about it."""
        amount, payer, payee = self._parties(payment)
        signed = next(
            (s for s in self.rulings.all(self.rail) if s.ruling.payment.hex() == payment[2:]), None
        )
        return {
            "payment": payment,
            "amount": {"amount": str(amount), "asset": "tEUR/6"},
            "payer": payer,
            "payee": payee,
            "challenger": state.challenger,
            "bond": {"amount": str(state.bond_micro), "asset": "tEUR/6"},
            "deadline": state.deadline,
            "required_domain": state.required_domain,
            "signed": ruling_to_json(signed) if signed else None,
            "evidence": self._evidence(bytes.fromhex(payment[2:])),
        }

    def _parties(self, payment: str) -> tuple[int, str, str]:
        block = self.rulings.disputes()[bytes.fromhex(payment[2:])]
        logs = self.chain.logs_named({"PaymentRail": ("PaymentDisputed",)}, block, block)
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
    ruling: Ruling,
    decided_by: str,
    reason: str,
    now: int,
) -> dict[str, Any]:
    """Store a decision, sign it, and return the signed document (oracles.wire.ruling_to_json).

    Args:
        desk: The oracle's desk.
        key: Its private key, 32 bytes.
        ruling: What was decided.
        decided_by: The name of the person.
        reason: Why.
        now: Unix seconds.

    Raises:
        Halt: This oracle signed the other answer before.
    """
    deployment = desk.chain.deployment
    committee = deployment.addresses["OracleCommittee"]

    def make(decided: Ruling) -> bytes:
        return sign(decided.digest(deployment.chain_id, committee), key)

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
