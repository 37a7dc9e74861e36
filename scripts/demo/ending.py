"""The end of the demonstration: tables, sums, one payment of each product, what to try next."""

from __future__ import annotations

from orchestrator.commands.trace import tree
from orchestrator.core.payment import Stage
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
    """Prints it all; returns what did not come out as it must."""
    answered = run.fleet.totals() + run.wearables.answers()
    with stack.store.read() as session:
        reconciliation = reconcile_store(session, stack.safeguarding["iban"])
        console.print()
        wrong = report.incidents(session, run)
        wrong += report.totals(session, answered, reconciliation)
        shown = examples(session)
        for product, payment in shown.items():
            title = f"One payment of {product}, from signature to statement line"
            console.print(f"\n[bold]{title}[/]\n")
            # ids are cut to the line here; the commands below show them whole
            told = tree(trace(session, payment)["life"])
            console.print(told, no_wrap=True, overflow="ellipsis")
    _next(stack, shown)
    lacking = [name for name in _ORDER if name not in shown]
    return wrong + [f"no payment of {name} came all the way" for name in lacking]


def examples(session: Session) -> dict[str, str]:
    """{product: its largest payment that came all the way}."""
    rows, found = by_product(session), {}
    for name in _ORDER:
        ended = [row for row in rows.get(name, []) if row.stage == Stage.RECONCILED]
        if ended:
            found[name] = max(ended, key=lambda row: row.amount_micro).payment_id
    return found


def _next(stack: Stack, shown: dict[str, str]) -> None:
    """Three commands to try."""
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
