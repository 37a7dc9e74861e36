"""f hostile members of n >= 3f + 1 stop nothing: wrong, late, silent, or gone after they signed.

On 0.3.0 one member that was unseated or barred, or wanted to be, stopped every settlement for ever,
also after a restart: the rail read the committee once and chose the same lowest addresses.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from oracles.attest import batch_digest, recover
from oracles.quorum import quorum
from oracles.types import Batch, ClaimReason
from oracles.wire import OracleAnswer, Request
from orchestrator.core.batch_bytes import unpack_claims
from orchestrator.core.committee import Committee
from orchestrator.core.payment import Fact, Stage
from orchestrator.edges.chain.client import Quote
from orchestrator.edges.oracles import OracleCalls
from orchestrator.errors import Retry
from orchestrator.steps import WorkerMemory
from orchestrator.steps.attest import attest
from orchestrator.steps.outcomes import PaymentOutcome, _fact
from orchestrator.steps.settle import settle
from tests.support.bare_rail import (
    CHAIN_ID,
    COMMITTEE,
    RAIL,
    BareRail,
    StandInOracle,
    agreement_of,
)

SEVEN = (1, 1, 2, 2, 3, 3, 4)
A, B, C = "cp-0001", "cp-0002", "cp-0003"


@dataclass
class SenderStandIn:
    """The committee's contract, for `settle`: signatures that do not count are skipped."""

    bare: BareRail
    chain: Any = None  # as the rail's: settle asks its deployment for the product's rail
    gone: set[str] = field(default_factory=set)  # names that lost their seat
    before_quote: Callable[[], None] = lambda: None  # what happens between attest and send
    account: Any = None
    sent: list[list[str]] = field(default_factory=list)

    def quote(self, call: Any, _suffix: bytes = b"") -> Any:
        self.before_quote()
        (product, _, packed), (joined,) = call.args
        row = bytes.fromhex(joined[2:])
        signatures = [row[start : start + 65] for start in range(0, len(row), 65)]
        batch = Batch(RAIL, product, tuple(unpack_claims(packed)))
        digest = batch_digest(batch, CHAIN_ID, COMMITTEE)
        names = {o.address: o.name for o in self.bare.oracles}
        signers = [names[recover(digest, s)] for s in signatures]
        if len(set(signers) - self.gone) < quorum(len(names)):
            raise Retry("PaymentRail.settle would revert: QuorumMissing")
        self.sent.append(signers)
        return Quote(RAIL, "0x", 0, 0, 0, 0)

    def prepare(self, _session: Any, _purpose: str, ref: str, _quote: Any, _now: int) -> str:
        return ref

    def broadcast(self) -> None:
        """Nothing to do: what is prepared counts as sent."""


class UnderAttack:
    """A bare rail with n oracles, of which some are hostile; the committee's log lags or not."""

    def __init__(self, home: Any, domains: tuple[int, ...]) -> None:
        self.bare = BareRail(home, domains)
        self.bare.claims(A, B, C)
        self.sender = SenderStandIn(self.bare, self.bare.rail.chain)
        self.rail = replace(self.bare.rail, sender=self.sender, memory=self.memory())

    def memory(self) -> WorkerMemory:
        return WorkerMemory(calls=OracleCalls(round_s=60, grace_s=0.05))

    def restart(self) -> None:
        self.rail = replace(self.rail, memory=self.memory())

    def hostile(self, *numbers: int, **changes: Any) -> None:
        for number in numbers:
            self.bare.oracles[number - 1] = replace(self.bare.oracles[number - 1], **changes)

    def lose(self, *numbers: int, with_log: bool = True) -> None:
        """These members lost their seats or are barred; `with_log`: the rail has read it."""
        self.sender.gone |= {f"o{number}" for number in numbers}
        lost = {self.bare.oracles[number - 1].address for number in numbers}
        if with_log:
            members = {a: d for a, d in self.bare.committee.members.items() if a not in lost}
            self.bare.committee = Committee(members, len(self.bare.oracles), 2)

    def turns(self, count: int, *, restarting: bool = False) -> None:
        for _ in range(count):
            if restarting:
                self.restart()
            attest(self.rail)
            settle(self.rail)
            self.bare.place.clock += 61

    def settled(self) -> bool:
        return all(self.bare.payment(name).settlement_tx for name in (A, B, C))


@pytest.fixture(params=[(1, 1, 2, 3), SEVEN], ids=["n=4 f=1", "n=7 f=2"])
def attack(request, tmp_path):
    under_attack = UnderAttack(tmp_path, request.param)
    yield under_attack
    under_attack.bare.close()


def _combinations(attack: UnderAttack) -> list[tuple[int, ...]]:
    """The f lowest addresses first: 0.3.0 chose those each time; then the highest."""
    order = sorted(range(1, len(attack.bare.oracles) + 1), key=lambda n: _number(attack, n))
    f = attack.bare.committee.tolerated
    return [tuple(order[:f]), tuple(order[-f:])]


def _number(attack: UnderAttack, number: int) -> int:
    return int(attack.bare.oracles[number - 1].address, 16)


@pytest.mark.parametrize("which", [0, 1], ids=["lowest", "highest"])
@pytest.mark.parametrize("how", ["down", "lies", "refuses", "hangs"])
def test_settlement__with_f_members_that_sign_nothing__needs_one_turn(attack, how, which):
    hostile, release = _combinations(attack)[which], threading.Event()
    if how == "hangs":
        for number in hostile:
            attack.bare.oracles[number - 1] = _Hanging(attack.bare.oracles[number - 1], release)
    elif how == "refuses":
        says = {agreement_of(name): ClaimReason.CLAIM_DIFFERS for name in (A, B, C)}
        attack.hostile(*hostile, says=says)
    else:
        attack.hostile(*hostile, how=how)
    attack.turns(1)
    release.set()
    assert attack.settled() and len(attack.sender.sent) == 1


@dataclass(frozen=True)
class _Hanging:
    """An oracle that never ends its answer."""

    oracle: StandInOracle
    release: threading.Event

    def __getattr__(self, name: str) -> Any:
        return getattr(self.oracle, name)

    def ask(self, _request: Request) -> OracleAnswer:
        self.release.wait(60)
        raise Retry("it was let go")


@pytest.mark.parametrize("which", [0, 1], ids=["lowest", "highest"])
@pytest.mark.parametrize("restarting", [False, True])
def test_settlement__with_f_signers_gone_since_they_signed__is_prepared_again_with_others(
    attack, which, restarting
):
    """They go between attestation and sending, as a member does that wants to be barred."""
    hostile = _combinations(attack)[which]

    def leave() -> None:
        attack.lose(*hostile)

    attack.sender.before_quote = leave
    attack.turns(2, restarting=restarting)
    assert attack.settled()


@pytest.mark.parametrize("which", [0, 1], ids=["lowest", "highest"])
def test_settlement__while_the_rail_has_not_read_the_log_yet__keeps_spare_signatures(attack, which):
    """The rail does not know who is gone: it sends all that it has, and the contract skips."""
    attack.lose(*_combinations(attack)[which], with_log=False)
    attack.turns(2)
    assert attack.settled()


def test_settlement__with_signers_that_leave_one_after_the_other__goes_on(attack):
    """Each of the f hostile members leaves only when its signature is in a prepared settlement."""
    order = list(_combinations(attack)[0])

    def leave_next() -> None:
        if order:
            attack.lose(order.pop(0), with_log=False)

    attack.sender.before_quote = leave_next
    attack.turns(3)
    assert attack.settled()


def test_claim__refused_by_f_members_and_by_members_without_a_seat__is_never_rejected(attack):
    f = attack.bare.committee.tolerated
    says = {agreement_of(A): ClaimReason.CLAIM_DIFFERS}
    attack.hostile(*range(1, f + 2), says=says)
    attack.lose(f + 1)  # one of them has no seat any more: its refusal counts no longer
    attack.turns(1)
    assert attack.bare.payment(A).stage in (Stage.VERIFIED, Stage.ATTESTED)
    assert attack.bare.payment(B).settlement_tx and attack.bare.payment(C).settlement_tx


def test_claim__without_any_member_that_can_sign__waits(attack):
    attack.lose(*range(1, len(attack.bare.oracles) + 1))
    attack.turns(2)
    assert attack.bare.stages(A, B, C) == [Stage.VERIFIED] * 3


def test_claim__that_most_members_refuse__leaves_one_batch_of_the_others(attack):
    """One hostile member that refuses everything does not make batches of one."""
    hostile = _combinations(attack)[0]
    attack.hostile(
        *hostile, says={agreement_of(name): ClaimReason.CLAIM_DIFFERS for name in (A, B, C)}
    )
    honest = [n for n in range(1, len(attack.bare.oracles) + 1) if n not in hostile]
    attack.hostile(*honest, says={agreement_of(B): ClaimReason.REGISTER_BACKWARDS})
    attack.turns(1)
    assert len(attack.sender.sent) == 1
    assert attack.bare.payment(B).stage == Stage.REJECTED


def test_refusal__of_a_domain_that_is_gone__is_attested_again_and_ends_nothing(attack):
    """The contract refused the claim, since its required signer had lost its seat on the way."""
    attack.turns(1)
    payment = attack.bare.payment(A)
    outcome = PaymentOutcome(payment.payment_id, payment.agreement_id, 0, "domain_missing")
    log: Any = type("Log", (), {"tx_hash": "0xaa", "args": {"settledAt": 0}})
    fact = _fact(log, outcome, "block:1", 0, attack.bare.place.clock)
    assert fact.fact is Fact.STALE
    attack.bare.record(A, fact.fact, "block:1")
    assert attack.bare.payment(A).stage == Stage.VERIFIED
