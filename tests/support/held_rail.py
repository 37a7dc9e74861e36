"""A small rail whose payments are held: by its payer, and decided about by two officers."""

from __future__ import annotations

from functools import partial

from orchestrator import approvals as four_eyes
from orchestrator.assembly import office_of, read_officers
from orchestrator.core.approval import Office
from orchestrator.core.hold import HoldDecision, decision_document
from orchestrator.edges.chain.ethereum import sign_document
from orchestrator.edges.chain.sender import Sender, send_in_turn
from orchestrator.edges.store import agreements, holds, payments
from orchestrator.edges.store.tables import HoldRow
from orchestrator.operations import agreement_calls
from orchestrator.steps.attest import attest
from orchestrator.steps.collect import collect, verify
from tests.support.officers import seated_keys
from tests.support.open_rail import OpenRail

WHY = "the meter was opened"
_EARLY = ("received", "verified", "attested")


class HeldRail(OpenRail):
    """The open rail with holds."""

    def office(self) -> Office:
        """Return who may sign approvals now; the worker asks only where one waits."""
        officers = read_officers(self.chain)
        return office_of(self.chain.deployment, self.settings, officers, self.clock)

    def bring_to(self, name: str, stage: str) -> payments.PaymentRow:
        """Bring a payment of 1.50 EUR of a new device to a stage before its settlement."""
        self.join(name, 0 if stage == "waiting_for_funds" else 20_000)
        self.charge(name, "5")
        if stage == "waiting_for_funds":
            self.until(name, stage)
        else:
            for step in (collect, verify, attest)[: _EARLY.index(stage) + 1]:
                step(self.rail)
        assert self.payment(name).stage == stage
        return self.payment(name)

    def hold(self, name: str, reason: str = WHY) -> HoldRow:
        """Hold a device's newest payment as its payer, by an API key."""
        self.clock += 1
        with self.store.write() as session:
            row = session.get(payments.PaymentRow, self.payment(name).payment_id)
            holder = holds.PaymentHolder(self.payer.address, key_name="ada")
            return holds.place(session, row, holder, reason, self.clock)

    def decide(
        self, name: str, decision: HoldDecision, approve: bool = True, **changed: object
    ) -> str:
        """Let one officer propose and another approve; return the approval's id.

        changed: parts of what they sign that differ from the payment and its hold.
        """
        row, (first, second) = self.payment(name), seated_keys()[:2]
        with self.store.read() as session:
            standing = holds.of_payment(session, row.payment_id)[-1]
        given = {
            "claim_hash": row.claim_hash,
            "held_at": standing.held_at,
            "reason": "looked at it",
        }
        document = decision_document(
            row.payment_id, decision=decision, now=self.clock, **(given | changed)
        )
        identity = four_eyes.propose(self.store, self.office(), document, first)
        if approve:
            four_eyes.approve(self.store, self.office(), identity, second)
        return identity

    def skip(self, name: str) -> None:
        """Let payer and payee pass over the claim that the chain expects next."""
        with self.store.read() as session:
            agreement = agreements.get(session, self.agreements[name])
        skipped = agreement_calls.claim_to_skip(self.store, self.chain, agreement, None)
        document = agreement_calls.document(self.chain, skipped)
        keys = {"payer": self.payer, "payee": self.payee}
        signatures = {party: sign_document(document, key) for party, key in keys.items()}
        call = agreement_calls.skip_call(skipped, signatures)
        sender = Sender(self.store, self.chain, self.rail.sender.account)
        send_in_turn(sender, [call], self.clock, partial(self.mine, 1))
