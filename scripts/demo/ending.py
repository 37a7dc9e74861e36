"""Show the end of the demonstration: tables, totals, one payment of each product, next steps."""

from __future__ import annotations

from functools import partial

from orchestrator.commands.trace import tree
from orchestrator.core.payment import Stage
from orchestrator.edges.chain.totals import contract_totals
from orchestrator.edges.store import Session
from orchestrator.steps.reconcile import reconcile_store
from orchestrator.views.trace import trace
from scripts.demo import report
from scripts.demo.checklist import console
from scripts.demo.scenario import DemoRun
from scripts.demo.tally import by_product
from scripts.stack import Stack

_ORDER = ("metered_energy", "proof_of_delivery", "wearable_voucher")


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
        for product, payment in shown.items():
            title = f"One payment of {product}, from signature to statement line"
            console.print(f"\n[bold]{title}[/]\n")
            # long ids are cut to the line; the commands below show them in full
            trace_tree = tree(trace(session, payment)["life"])
            console.print(trace_tree, no_wrap=True, overflow="ellipsis")
    _print_next_steps(stack, shown)
    missing = [name for name in _ORDER if name not in shown]
    return wrong + [f"no payment of {name} is reconciled" for name in missing]


def examples(session: Session) -> dict[str, str]:
    """Return {product: the id of its largest reconciled payment}."""
    rows, largest = by_product(session), {}
    for name in _ORDER:
        reconciled = [row for row in rows.get(name, []) if row.stage == Stage.RECONCILED]
        if reconciled:
            largest[name] = max(reconciled, key=lambda row: row.amount_micro).payment_id
    return largest


def _print_next_steps(stack: Stack, shown: dict[str, str]) -> None:
    """Print three commands to try."""
    command = f"PROOFRAIL_HOME={stack.home} .venv/bin/proofrail"
    console.print("\n[bold]Try next[/]")
    if shown:
        delivery, voucher = (shown.get(name, next(iter(shown.values()))) for name in _ORDER[1:])
        for line in (
            f"trace {delivery}",
            f"audit export {voucher} -o bundle.json",
            "audit verify bundle.json",
        ):
            console.print(f"  {command} {line}", soft_wrap=True)
