"""Recomputes everything that the store says about money from raw material, and compares both.

Raw material: the node's blocks, logs and call data; the bytes of the bank's files; the bytes of the
devices' records; signed mandates and approvals. Nothing is written.
"""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.core.references import funding_reference
from orchestrator.edges.chain.client import Chain
from orchestrator.edges.chain.rails import rail_addresses
from orchestrator.edges.chain.reader import Registry
from orchestrator.edges.store import Session, Store, agreements, all_rows, blocks, ledger
from orchestrator.products import deployed, of_address, products
from orchestrator.rebuild import decided, journal
from orchestrator.rebuild.bank import check_rows
from orchestrator.rebuild.claims import check_claims
from orchestrator.rebuild.effects import check_effects
from orchestrator.rebuild.evidence import read_archive
from orchestrator.rebuild.findings import Difference, Differences, Progress
from orchestrator.rebuild.history import check_copies, read_history

__all__ = ["Difference", "Progress", "Rebuilt", "rebuild"]


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """The result of a rebuild: both sides as canonical lines (entries, then balances).

    Attributes:
        final: The newest final block; everything up to it is rebuilt.
        stored: The lines of the store.
        rebuilt: The lines made from raw material.
        differences: Every difference by name.
        read: What was read, and how much of it.
    """

    final: int
    stored: list[str]
    rebuilt: list[str]
    differences: list[Difference]
    read: dict[str, int]

    @property
    def same(self) -> bool:
        """Return whether both sides are equal."""
        return self.stored == self.rebuilt and not self.differences

    @property
    def hashes(self) -> tuple[str, str]:
        """Return the SHA-256 of the stored bytes and of the rebuilt ones."""
        return journal.digest(self.stored), journal.digest(self.rebuilt)

    @property
    def first(self) -> tuple[int, str, str] | None:
        """Return the first difference as (number from 1, stored line, rebuilt line).

        A line is "" where its side has ended; None if both sides are equal.
        """
        longest = max(len(self.stored), len(self.rebuilt))
        for at in range(longest):
            sides = [side[at] if at < len(side) else "" for side in (self.stored, self.rebuilt)]
            if sides[0] != sides[1]:
                return at + 1, sides[0], sides[1]
        return None


def rebuild(
    store: Store, chain: Chain, progress: Progress = lambda what, done, total: None
) -> Rebuilt:
    """Rebuild the journal from raw material and compare it with the stored one.

    It reads one snapshot of the store, so the orchestrator may run meanwhile.

    Args:
        store: The store to check.
        chain: The node's client.
        progress: Called with (what is read, how far, of how many).

    Raises:
        Retry: The node does not answer, or does not have the blocks.
    """
    findings = Differences(progress)
    addresses = chain.deployment.addresses
    registry = Registry(chain, deployed(addresses), contracts=addresses.values())
    registry.refresh()
    with store.read() as session:
        final = blocks.newest_final(session)
        history = read_history(chain, session, final, findings)
        check_copies(session, history, findings)
        archive = read_archive(session, registry, findings)
        check_claims(session, history, archive, registry, products(), findings)
        check_effects(session, chain.deployment, history, products(), findings)
        decided.check(session, chain.deployment.chain_id, findings)
        decided.check_holds(session, chain.deployment.chain_id, findings)
        stored = journal.stored_journal(session)
        fold = journal.Fold(
            session,
            history,
            rail_addresses(chain.deployment),
            {address: rules for address, (_, rules) in of_address(addresses).items()},
            _mandates(session, findings),
            findings,
        )
        fold.run(numbered.entry.source for numbered in stored)
        check_rows(session, fold.files, findings)
        stored_balances = ledger.balances(session)
    rebuilt = list(journal.chained(fold.journal.entries.values()))
    journal.compare(stored, rebuilt, findings)
    balances = journal.balances_of(rebuilt)
    _compare_balances(stored_balances, balances, findings)
    return Rebuilt(
        final,
        [numbered.text for numbered in stored] + journal.balance_lines(stored_balances),
        [numbered.text for numbered in rebuilt] + journal.balance_lines(balances),
        findings.differences,
        findings.read,
    )


def _mandates(session: Session, findings: Differences) -> dict[str, tuple[str, int]]:
    """Return {reference: (agreement, expiry)} of every mandate whose content has the id it is
    stored under: the payer signed that id."""
    mandates = {}
    for row in all_rows(session, agreements.AgreementRow):
        identity = agreements.mandate_of(row).agreement_id()
        if "0x" + identity.hex() != row.agreement_id:
            findings.add(
                "agreement",
                row.agreement_id,
                "its terms were changed: their id",
                row.agreement_id,
                "0x" + identity.hex(),
            )
            continue
        reference = funding_reference(identity)
        findings.compare("agreement", row.agreement_id, row, {"reference": reference})
        mandates[reference] = (row.agreement_id, row.expiry)
    findings.count("mandates", len(mandates))
    return mandates


def _compare_balances(
    stored: dict[tuple[str, str], int], rebuilt: dict[tuple[str, str], int], findings: Differences
) -> None:
    for account, asset in sorted({*stored, *rebuilt}):
        sides = [side.get((account, asset), 0) for side in (stored, rebuilt)]
        if sides[0] != sides[1]:
            findings.add("balance", account, asset, *sides)
