"""`proofrail agreement consent`: the consent of a device's owner, printed to be signed, or kept."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.commands import output
from orchestrator.commands.agreement import agreement_of, product_of
from orchestrator.commands.home import Home, home_of
from orchestrator.commands.output import Json, plain
from orchestrator.commands.signature import parse_signature
from orchestrator.errors import Halt

if TYPE_CHECKING:
    from orchestrator.core.owner_consent import OwnerConsent
    from orchestrator.edges.store.agreements import AgreementRow

app = typer.Typer(rich_markup_mode=None)


@app.command()
def consent(
    context: typer.Context,
    agreement: Annotated[
        str | None, typer.Argument(help="An agreement that waits for it: its id, or the beginning.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="Without an agreement: the device's name.")
    ] = None,
    product: Annotated[
        str | None, typer.Option(help="Without an agreement: a product that shares its devices.")
    ] = None,
    signature: Annotated[
        str | None, typer.Option(help="The owner's, 65 bytes in hex. Default: its keystore signs.")
    ] = None,
    document: Annotated[
        bool, typer.Option("--document", help="Print the EIP-712 document to sign, nothing else.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check the signature; store and send nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Attach the consent of a device's owner. An agreement that waits for it is opened."""
    from orchestrator.core.agreement import Stage

    home = home_of(context)
    row = agreement_of(home, agreement) if agreement else None
    owner, wanted = _needed(home, row, device, product)
    if document:
        _print_document(home, wanted)
        return
    raw = _signed(home, owner, wanted, signature)
    waits = row is not None and row.stage == Stage.SIGNED
    if not dry_run:
        ops = home.agreement_ops()
        ops.save_consent(wanted, owner, raw)
        if row is not None and waits:
            ops.open_stored(row.agreement_id)
    view = {
        "stored": not dry_run,
        "opened": waits and not dry_run,
        "owner": owner,
        "device_id": "0x" + wanted.device.hex(),
        "product_address": wanted.product,
        "agreement_id": "0x" + wanted.agreement.hex() if any(wanted.agreement) else None,
        "number": wanted.number,
        "signature": "0x" + raw.hex(),
    }
    output.show(view, as_json, lambda console: _print_stored(console, view))


def _needed(
    home: Home, row: AgreementRow | None, device: str | None, product: str | None
) -> tuple[str, OwnerConsent]:
    from device_adapters.types import device_id
    from orchestrator.operations.consents import needed

    if row is not None:
        identities = (bytes.fromhex(text[2:]) for text in (row.device_id, row.agreement_id))
        owned, identity = identities
        return needed(home.chain, owned, row.product_address, identity)
    if device is None or product is None:
        raise Halt("Give an agreement, or --device with --product. Nothing was stored or sent.")
    contract = product_of(product).CONTRACT
    address = home.deployment.addresses[contract]
    owner, wanted = needed(home.chain, device_id(device), address, bytes(32))
    if not _shares(home, contract):
        raise Halt(
            f"A device serves one agreement of {product} at a time: its owner consents to each "
            "one. Nothing was stored or sent. Give the agreement's id."
        )
    return owner, wanted


def _shares(home: Home, contract: str) -> bool:
    from orchestrator.operations.consents import SHARED

    return bool(home.chain.view(contract, "traits") & SHARED)


def _print_document(home: Home, wanted: OwnerConsent) -> None:
    from orchestrator.operations import consents

    typer.echo(json.dumps(consents.document(wanted, home.deployment), indent=2))


def _signed(home: Home, owner: str, wanted: OwnerConsent, signature: str | None) -> bytes:
    from orchestrator.commands.party import keystore_of, party_of
    from orchestrator.operations import consents

    if signature is None:
        return consents.sign(wanted, home.deployment, keystore_of(home, party_of(home, owner)))
    raw = parse_signature(signature, "owner")
    consents.require_signed(home.chain, wanted, owner, raw)
    return raw


def _print_stored(console: Any, view: dict[str, Any]) -> None:
    about = (
        f"agreement {view['agreement_id']}"
        if view["agreement_id"]
        else f"all agreements of {view['product_address']}"
    )
    console.print(plain(f"{view['owner']} consents to {about}"), soft_wrap=True)
    if not view["stored"]:
        console.print("nothing was stored or sent (--dry-run)")
    elif view["opened"]:
        console.print("the agreement is open")
