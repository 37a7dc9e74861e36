"""Show the end of the demonstration: tables, totals, payments in full, next steps."""

from __future__ import annotations

from functools import partial

from orchestrator.commands.trace import tree
from orchestrator.core.payment import Stage
from orchestrator.edges.chain.totals import contract_totals
from orchestrator.edges.store import Session
from orchestrator.products import products
from orchestrator.steps.reconcile import reconcile_store
from orchestrator.views.trace import trace
from scripts.demo import report, revenue
from scripts.demo.checklist import console
from scripts.demo.scenario import DemoRun
from scripts.demo.tally import by_product
from scripts.stack import Stack

_IN_FULL = ("metered_energy", "proof_of_delivery", "wearable_voucher")


def conclude(stack: Stack, run: DemoRun) -> list[str]:
    """Print the results; return a sentence for every unexpected one."""
    answered = run.fleet.totals() + run.wearables.answers()
    with stack.store.read() as session:
        reconciliation = reconcile_store(
            session,
            stack.settings.safeguarding.iban,
            read_totals=partial(contract_totals, stack.chain),
        )
        console.print()
        wrong = report.incidents(session, run)
        wrong += report.totals(session, answered, reconciliation)
        shown = examples(session)
        for product in filter(shown.get, _IN_FULL):
            title = f"One payment of {product}, from signature to statement line"
            console.print(f"\n[bold]{title}[/]\n")
            # long ids are cut to the line; the commands below show them in full
            trace_tree = tree(trace(session, shown[product])["life"])
            console.print(trace_tree, no_wrap=True, overflow="ellipsis")
    _print_next_steps(stack, shown)
    missing = [name for name in products() if name not in shown]
    return wrong + [f"no payment of {name} is reconciled" for name in missing]


def examples(session: Session) -> dict[str, str]:
    """Return {product: the id of its largest reconciled payment}."""
    largest = {}
    for name, rows in by_product(session).items():
        reconciled = [row for row in rows if row.stage == Stage.RECONCILED]
        if reconciled:
            largest[name] = max(reconciled, key=lambda row: row.amount_micro).payment_id
    return largest


def _print_next_steps(stack: Stack, shown: dict[str, str]) -> None:
    """Print commands to try."""
    command = f"PROOFRAIL_HOME={stack.home} .venv/bin/proofrail"
    console.print("\n[bold]Try next[/]")
    for product, line in (
        ("proof_of_delivery", "trace {}"),
        ("payg_unlock", "unlock show {}"),
        ("payg_unlock", f"waterfall income {revenue.NAME}"),
        ("wearable_voucher", "audit export {} -o bundle.json"),
        ("wearable_voucher", "audit verify bundle.json"),
    ):
        if product in shown:
            console.print(f"  {command} {line.format(shown[product])}", soft_wrap=True)
