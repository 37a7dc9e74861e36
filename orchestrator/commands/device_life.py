"""`proofrail device show | rotate | suspend | resume | retire`: manages an enrolled device."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from orchestrator.commands import output, possession
from orchestrator.commands.device import (
    Chain,
    DryRun,
    Name,
    device_view,
    enrolled_device,
    rotation_digest,
)
from orchestrator.commands.home import home_of
from orchestrator.commands.output import Json, plain, table, when
from orchestrator.errors import Halt

app = typer.Typer()
_BY = "The role that signs: registrar or warden."


@app.command()
def show(context: typer.Context, name: Name, as_json: Json = False) -> None:
    """Show one device. Lists its key, endorsement, agreements and signs of a cloned key."""
    from orchestrator.edges.store import agreements, conflicts
    from orchestrator.operations.trust import load_endorsement

    home = home_of(context)
    row = enrolled_device(home, name)
    with home.store.read() as session:
        clashes = [
            clash[1:] for clash in conflicts.quarantined(session) if clash[0] == row.device_id
        ]
        gateways = _gateways(session, row.device_id)
        device_agreements = [
            a for a in agreements.all_agreements(session) if a.device_id == row.device_id
        ]
    view = device_view(home, row) | {
        "key": f"04{int(row.key_x, 16):064x}{int(row.key_y, 16):064x}" if row.key_x else None,
        "chain": [
            _certificate(certificate)
            for certificate in load_endorsement(home.settings, row.endorsement)
        ],
        "gateways": gateways,
        "agreements": [
            {"agreement_id": a.agreement_id, "product": a.product, "stage": a.stage}
            for a in device_agreements
        ],
        "clashes": [
            {"reason": reason, "records": count, "first_found_at": at}
            for reason, count, at in clashes
        ],
    }
    output.show(view, as_json, lambda console: _render(console, view))


def _gateways(session: Any, device: str) -> list[dict[str, Any]]:
    """Return the assignments of a device over time, oldest first, as the chain has them."""
    from orchestrator.edges.store import agreements, blocks

    rows = []
    for log in blocks.logs_about(session, ("GatewayAssigned",), device):
        args = json.loads(log.args)
        if args["device"] != device:  # it is the gateway here
            continue
        gateway = agreements.device(session, args["gateway"])
        none = not int(args["gateway"], 16)
        rows.append(
            {
                "gateway": None if none else gateway.name if gateway else args["gateway"],
                "from": args["since"],
                "until": args["until"] or None,
                "assigned_at": args["at"],
            }
        )
    return rows


def _certificate(certificate: Any) -> dict[str, str]:
    from cryptography.hazmat.primitives import hashes

    return {
        "subject": certificate.subject.rfc4514_string(),
        "issuer": certificate.issuer.rfc4514_string(),
        "valid_until": certificate.not_valid_after_utc.isoformat(),
        "sha256": certificate.fingerprint(hashes.SHA256()).hex(),
    }


def _render(console: Any, view: dict[str, Any]) -> None:
    times = ("enrolled_at", "expires_at", "compromised_since")
    rows = [
        (field.replace("_", " "), when(value) if field in times else value or "-")
        for field, value in view.items()
        if not isinstance(value, list) and field != "name"
    ]
    console.print(table(view["name"], ("field", "value"), rows))
    chain = [
        (certificate["subject"], certificate["issuer"], certificate["valid_until"])
        for certificate in view["chain"]
    ]
    if chain:
        console.print(table("endorsement", ("certificate", "issued by", "valid until"), chain))
    gateways = [
        (g["gateway"] or "none", when(g["from"]), when(g["until"]), when(g["assigned_at"]))
        for g in view["gateways"]
    ]
    if gateways:
        columns = ("gateway", "from (UTC)", "until (UTC)", "assigned (UTC)")
        console.print(table("gateways", columns, gateways))
    agreements = [(a["agreement_id"], a["product"], a["stage"]) for a in view["agreements"]]
    console.print(
        table(f"{len(agreements)} agreements", ("agreement", "product", "stage"), agreements)
    )
    clashes = [(c["reason"], c["records"], when(c["first_found_at"])) for c in view["clashes"]]
    if clashes:
        columns = ("sign of a cloned key", ">records", "first found (UTC)")
        console.print(table("clashes", columns, clashes))


@app.command()
def rotate(
    context: typer.Context,
    name: Name,
    key: Annotated[
        str | None, typer.Option(help="The new public key: PEM, hex, base64, a file.")
    ] = None,
    old_proof: Annotated[
        str | None, typer.Option(help="The old key's signature of `device digest --new-key`, hex.")
    ] = None,
    new_proof: Annotated[
        str | None, typer.Option(help="The new key's signature of the same digest, hex.")
    ] = None,
    private_key: Annotated[
        Path | None,
        typer.Option(help="Instead of --key: a simulated device's old private key, PEM."),
    ] = None,
    new_private_key: Annotated[
        Path | None, typer.Option(help="With --private-key: its new private key, PEM.")
    ] = None,
    endorsement: Chain = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Give a device a new key. The old key signs for it, and its records stay valid.

    Without --endorsement, the built-in CA endorses the new key (local chain only).
    """
    from orchestrator.operations.agreements import Rotation
    from orchestrator.operations.trust import save_endorsement

    home = home_of(context)
    enrolled_device(home, name)
    keys, proofs = (private_key, new_private_key), (old_proof, new_proof)
    if all(keys) and key is None:
        old, new = map(possession.private_key, keys)
        public = possession.public_of(new)
        endorsed = possession.endorsement(home, name, public, endorsement)
        digest = rotation_digest(home, name, public, endorsed.expires_at)
        by_old, by_new = possession.sign(old, digest), possession.sign(new, digest)
    elif key is not None and all(proofs) and not any(keys):
        public = possession.public_key(key)
        endorsed = possession.endorsement(home, name, public, endorsement)
        by_old, by_new = map(possession.signature, proofs)
    else:
        raise Halt(
            "A new key needs signatures of the old and the new key over `proofrail device digest "
            f"{name} --new-key KEY`: give --key, --old-proof and --new-proof, or --private-key and "
            "--new-private-key. Nothing was sent."
        )
    if not dry_run:
        devices = home.agreement_ops()
        save_endorsement(home.settings, endorsed)
        devices.rotate(Rotation(name, public.as_device_key(), by_old, by_new, endorsed))
    view = {
        "sent": not dry_run,
        "device": name,
        "key": public.fingerprint,
        "curve": public.curve,
        "endorsed_by": endorsed.issuer,
        "endorsement": endorsed.sha256.hex(),
        "expires_at": endorsed.expires_at,
    }
    _print_outcome(
        view,
        as_json,
        f"{name} has the key {public.fingerprint}, endorsed by {endorsed.issuer}; "
        "the old key's records stay valid",
    )


@app.command()
def suspend(
    context: typer.Context,
    name: Name,
    by: Annotated[str, typer.Option(help=_BY)] = "registrar",
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Suspend a device at once. Records that it signs while suspended are refused."""
    home = home_of(context)
    if by not in ("registrar", "warden"):
        raise Halt(f"A device is suspended by the registrar or the warden, not by {by!r}.")
    row = enrolled_device(home, name)
    if not dry_run:
        if by == "warden":
            home.role_account(by)  # raises with the expected path if the key is missing
        home.agreement_ops().suspend(name, by)
    view = {"sent": not dry_run, "device": name, "was": row.status, "status": "suspended"}
    _print_outcome(
        view, as_json, f"{name} is suspended; `proofrail device resume {name}` ends that"
    )


@app.command()
def resume(
    context: typer.Context, name: Name, dry_run: DryRun = False, as_json: Json = False
) -> None:
    """Resume a suspended device. Records signed while suspended stay refused."""
    home = home_of(context)
    row = enrolled_device(home, name)
    if not dry_run:
        home.agreement_ops().resume(name)
    view = {"sent": not dry_run, "device": name, "was": row.status, "status": "active"}
    _print_outcome(view, as_json, f"{name} is active again")


@app.command()
def retire(
    context: typer.Context, name: Name, dry_run: DryRun = False, as_json: Json = False
) -> None:
    """Retire a device for ever. Records that it signs from now on are refused."""
    from orchestrator.edges.broker import credentials

    home = home_of(context)
    row, revoked = enrolled_device(home, name), False
    if not dry_run:
        home.agreement_ops().retire(name)
        revoked = credentials.revoke(home.settings.home, name)
    view = {
        "sent": not dry_run,
        "device": name,
        "was": row.status,
        "status": "retired",
        "credential_revoked": revoked,
    }
    _print_outcome(
        view,
        as_json,
        f"{name} is retired; its broker password is revoked. Its earlier records stay valid.",
    )


def _print_outcome(view: dict[str, Any], as_json: bool, sentence: str) -> None:
    if not view["sent"]:
        sentence = f"Nothing was sent (--dry-run). The result would be: {sentence}"
    output.show(view, as_json, lambda console: console.print(plain(sentence), soft_wrap=True))
