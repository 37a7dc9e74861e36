"""`proofrail unlock`: tokens that unlock devices, the same digits each time, and devices' keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.commands import output
from orchestrator.commands.home import Home, home_of, read_secret
from orchestrator.commands.output import Json, plain, table
from orchestrator.errors import Halt

if TYPE_CHECKING:
    from orchestrator.edges.unlock.keys import UnlockKeys

app = typer.Typer(
    name="unlock",
    help="Tokens that unlock devices, and the keys they are made with.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
device = typer.Typer(
    name="device", help="Keys of locked devices.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(device)


@app.callback()
def group() -> None:
    """Tokens that unlock devices, and the keys they are made with."""


@app.command()
def show(
    context: typer.Context,
    payment: Annotated[str, typer.Argument(help="The payment's id, or its beginning.")],
    as_json: Json = False,
) -> None:
    """Show the tokens of a final payment: the same digits each time."""
    from orchestrator.core.effect import EffectKind, unlock_terms
    from orchestrator.edges.store import effects

    home = home_of(context)
    wanted = payment.strip().lower()
    wanted = wanted if wanted.startswith("0x") else f"0x{wanted}"
    with home.store.read() as session:
        rows = effects.newest(session, EffectKind.UNLOCK_TOKEN, wanted, 100)[::-1]
        pairs = [(row, effects.unlock_number(session, row.effect_id)) for row in rows]
    tokens = [(row, number) for row, number in pairs if number is not None]
    if not tokens or len(wanted) < 8:
        raise Halt(
            f"No final payment that begins with {payment!r} has a token. Before its block is final "
            "a payment has none; `proofrail trace` shows where it stands."
        )
    if len({row.payment_id for row, _ in tokens}) > 1:
        raise Halt(f"Several payments begin with {payment!r}. Give more characters of the id.")
    refunded = any(number is None for _, number in pairs)
    view = []
    for row, number in tokens:
        mode, days = unlock_terms(row.message)
        match = _keys(home).key_of(number.device)
        token = _keys(home).token(number.device, number.number, mode, days)
        if match is None or token is None:
            raise Halt(
                f"The key of the device {number.device} is not in this home, so its token cannot "
                "be made. Next: `proofrail unlock device add`."
            )
        view.append(
            {
                "payment": row.payment_id,
                "effect": row.effect_id,
                "device": match[0],
                "number": number.number,
                "count": token.count,
                "mode": mode,
                "days": days,
                "digits": token.digits,
                "refunded": refunded,
            }
        )

    def render(console: Any) -> None:
        for token in view:
            digits = token["digits"]
            groups = " ".join(digits[at : at + 3] for at in range(0, len(digits), 3))
            what = f"{token['device']}: {groups}  ({token['mode']} {token['days']} days"
            note = ", later refunded" if refunded else ""
            line = f"{what}, token {token['number']} of the device, count {token['count']}{note})"
            console.print(plain(line), soft_wrap=True)

    output.show({"tokens": view}, as_json, render)


@device.command()
def add(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The device's name.")],
    key: Annotated[str, typer.Option(help="File that holds the key, or - for standard input.")],
    count: Annotated[int, typer.Option(help="The device's count now.")] = 1,
    starting_code: Annotated[
        int | None, typer.Option(help="Its starting code; made from the key if left out.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Keep the key of a locked device in the home; it is never replaced."""
    from device_adapters.types import device_id
    from orchestrator.edges.store import agreements

    home = home_of(context)
    with home.store.read() as session:
        row = agreements.device(session, "0x" + device_id(name).hex())
    if row is None:
        raise Halt(
            f"No device is named {name!r}. Nothing was stored. `proofrail device list` shows the "
            "names."
        )
    _keys(home).add(name, read_secret(key), count, starting_code)
    output.show(
        {"device": name, "count": count},
        as_json,
        lambda console: console.print(
            plain(f"The key of {name} is kept; its first token is the next one after {count}."),
            soft_wrap=True,
        ),
    )


@device.command("list")
def list_devices(context: typer.Context, as_json: Json = False) -> None:
    """List locked devices: whether their key is here, and how many tokens they were given."""
    from device_adapters.types import device_id
    from orchestrator.edges.store import agreements, effects

    home = home_of(context)
    names = {"0x" + device_id(name).hex(): name for name in _keys(home).names()}
    with home.store.read() as session:
        tokens = effects.tokens_by_device(session)
        rows = {identity: agreements.device(session, identity) for identity in tokens}
    view = [
        {
            "device": names.get(identity) or (rows[identity].name if rows.get(identity) else None),
            "id": identity,
            "key": identity in names,
            "tokens": tokens.get(identity, 0),
        }
        for identity in sorted({*names, *tokens})
    ]
    lines = [
        (d["device"] or "-", output.short(d["id"]), "yes" if d["key"] else "no", d["tokens"])
        for d in view
    ]
    output.show(
        {"devices": view},
        as_json,
        lambda console: console.print(
            table("locked devices", ("device", "id", "key here", ">tokens"), lines)
            if lines
            else "There are no locked devices."
        ),
    )


def _keys(home: Home) -> UnlockKeys:
    from orchestrator.edges.unlock.keys import UnlockKeys

    return UnlockKeys(home.settings.unlock_keys)
