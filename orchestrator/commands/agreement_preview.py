"""`proofrail agreement preview`: what terms would cost, before anyone signs them."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from orchestrator.commands import output
from orchestrator.commands.agreement import product_of
from orchestrator.commands.agreement_open import term_values
from orchestrator.commands.output import Json, money, plain, table
from orchestrator.core.ledger import TEUR
from orchestrator.errors import Halt

app = typer.Typer(rich_markup_mode=None)


@app.command()
def preview(
    product: Annotated[str, typer.Argument(help="`agreement terms` lists the products.")],
    term: Annotated[
        list[str] | None, typer.Option(help="name=value or name=@FILE; see `agreement terms`.")
    ] = None,
    metric: Annotated[
        list[str] | None, typer.Option(help="name=number, held while the others move.")
    ] = None,
    coverage: Annotated[
        float, typer.Option(min=0, max=100, help="Percent of the period observed.")
    ] = 100,
    sources: Annotated[
        int | None, typer.Option(min=0, max=65_535, help="Default: as many as the terms ask for.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what terms would cost: amounts by metric, and what is refused. Nothing is sent."""
    rules = product_of(product)
    if not hasattr(rules, "preview"):
        raise Halt(f"{rules.NAME} has no preview: its amounts do not follow from one report.")
    terms = rules.parse_terms(term_values(term or []))
    metrics = term_values(metric or [], "--metric")
    held = {name: _number(name, text) for name, text in metrics.items()}
    shown = rules.preview(terms, held, round(coverage * 100), sources)
    view = {
        "product": rules.NAME,
        "terms": rules.format_terms(terms),
        "at": shown.point,
        "amount": _amount(shown.amount),
        "refusal": shown.refusal,
        "tables": {
            name: [{"value": row.value, "amount": _amount(row.amount)} for row in rows]
            for name, rows in shown.tables.items()
        },
        "refused": shown.refused,
    }
    output.show(view, as_json, lambda console: _print(console, view))


def _amount(micro: int) -> dict[str, str]:
    return {"amount": str(micro), "asset": TEUR}


def _number(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise Halt(f"--metric {name}={text!r} is not a whole number.") from None


def _print(console: Any, view: dict[str, Any]) -> None:
    console.print(table("terms", ("term", "value"), list(view["terms"].items())))
    held = ", ".join(f"{name} {value}" for name, value in view["at"].items())
    for name, rows in view["tables"].items():
        cells = [(f"{row['value']:,}", money(row["amount"])) for row in rows]
        console.print(table(f"by {name}", (f">{name}", ">amount"), cells))
    answer = view["refusal"] or money(view["amount"])
    console.print(plain(f"At {held}: {answer}"))
    console.print(plain("Never charged: " + "; ".join(view["refused"])), soft_wrap=True)
