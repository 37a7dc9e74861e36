"""`proofrail device show | rotate | suspend | resume | retire`: a device after its enrolment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from orchestrator.commands import home, output, possession
from orchestrator.commands.device import (
    Chain,
    DryRun,
    Name,
    known,
    rotation_digest,
    told_of,
)
from orchestrator.commands.output import Json, plain, table, when
from orchestrator.errors import Halt

app = typer.Typer()
_BY = "registrar or warden: whose key says so."


@app.command()
def show(context: typer.Context, name: Name, as_json: Json = False) -> None:
    """Show one device: its key, who vouches for it, its agreements, and its clash with a clone."""
    from orchestrator.edges.store import agreements, conflicts
    from orchestrator.operations.trust import kept

    here = home.of(context)
    row = known(here, name)
    with here.store.read() as session:
        clashes = [one[1:] for one in conflicts.quarantined(session) if one[0] == row.device_id]
        held = [a for a in agreements.all_agreements(session) if a.device_id == row.device_id]
    told = told_of(here, row) | {
        "key": f"04{int(row.key_x, 16):064x}{int(row.key_y, 16):064x}",
        "chain": [_certificate(one) for one in kept(here.settings, row.endorsement)],
        "agreements": [
            {"agreement_id": a.agreement_id, "product": a.product, "stage": a.stage} for a in held
        ],
        "clashes": [
            {"reason": reason, "records": count, "first_found_at": at}
            for reason, count, at in clashes
        ],
    }
    output.show(told, as_json, lambda console: _render(console, told))


def _certificate(one: Any) -> dict[str, str]:
    from cryptography.hazmat.primitives import hashes

    return {
        "subject": one.subject.rfc4514_string(),
        "issuer": one.issuer.rfc4514_string(),
        "valid_until": one.not_valid_after_utc.isoformat(),
        "sha256": one.fingerprint(hashes.SHA256()).hex(),
    }


def _render(console: Any, told: dict[str, Any]) -> None:
    times = ("enrolled_at", "expires_at", "compromised_since")
    rows = [
        (field.replace("_", " "), when(value) if field in times else value or "-")
        for field, value in told.items()
        if not isinstance(value, list) and field != "name"
    ]
    console.print(table(told["name"], ("field", "value"), rows))
    chain = [(one["subject"], one["issuer"], one["valid_until"]) for one in told["chain"]]
    if chain:
        console.print(table("endorsement", ("certificate", "issued by", "valid until"), chain))
    held = [(a["agreement_id"], a["product"], a["stage"]) for a in told["agreements"]]
    console.print(table(f"{len(held)} agreements", ("agreement", "product", "stage"), held))
    found = [(c["reason"], c["records"], when(c["first_found_at"])) for c in told["clashes"]]
    if found:
        columns = ("its key is in two hands", ">records", "first found (UTC)")
        console.print(table("clashes", columns, found))


@app.command()
def rotate(
    context: typer.Context,
    name: Name,
    key: Annotated[str | None, typer.Option(help="The new public key.")] = None,
    old_proof: Annotated[
        str | None, typer.Option(help="`device digest --new-key`, signed by the old key, hex.")
    ] = None,
    new_proof: Annotated[
        str | None, typer.Option(help="The same digest, signed by the new key, hex.")
    ] = None,
    private_key: Annotated[
        Path | None, typer.Option(help="Instead: the old key's PEM. For simulated devices.")
    ] = None,
    new_private_key: Annotated[Path | None, typer.Option(help="And the new key's PEM.")] = None,
    endorsement: Chain = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Give a device a new key, signed for by the old one; what the old one signed stands.

    Without --endorsement the local chain's built-in CA vouches for the new key.
    """
    from orchestrator.operations.agreements import Rotation
    from orchestrator.operations.trust import keep

    here = home.of(context)
    known(here, name)
    keys, proofs = (private_key, new_private_key), (old_proof, new_proof)
    if all(keys) and key is None:
        old, new = map(possession.private_key, keys)
        public = possession.public_of(new)
        found = possession.endorsement(here, name, public, endorsement)
        digest = rotation_digest(here, name, public, found.expires_at)
        by_old, by_new = possession.sign(old, digest), possession.sign(new, digest)
    elif key is not None and all(proofs) and not any(keys):
        public = possession.public_key(key)
        found = possession.endorsement(here, name, public, endorsement)
        by_old, by_new = map(possession.signature, proofs)
    else:
        raise Halt(
            "A new key needs the old key's signature and its own over `proofrail device digest "
            f"{name} --new-key KEY`: give --key, --old-proof and --new-proof, or --private-key and "
            "--new-private-key. Nothing was sent."
        )
    if not dry_run:
        office = here.office()
        keep(here.settings, found)
        office.rotate(Rotation(name, public.as_device_key(), by_old, by_new, found))
    told = {
        "sent": not dry_run,
        "device": name,
        "key": public.fingerprint,
        "curve": public.curve,
        "endorsed_by": found.issuer,
        "endorsement": found.sha256.hex(),
        "expires_at": found.expires_at,
    }
    _say(
        told,
        as_json,
        f"{name} has the key {public.fingerprint}, endorsed by {found.issuer}; "
        "what the old key signed stands",
    )


@app.command()
def suspend(
    context: typer.Context,
    name: Name,
    by: Annotated[str, typer.Option(help=_BY)] = "registrar",
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Silence a device at once: what it signs until it is resumed is refused."""
    here = home.of(context)
    if by not in ("registrar", "warden"):
        raise Halt(f"A device is suspended by the registrar or the warden, not by {by!r}.")
    row = known(here, name)
    if not dry_run:
        if by == "warden":
            here.role(by)  # says where the key belongs, if it is not there
        here.office().suspend(name, by)
    told = {"sent": not dry_run, "device": name, "was": row.status, "status": "suspended"}
    _say(told, as_json, f"{name} is suspended; `proofrail device resume {name}` ends that")


@app.command()
def resume(
    context: typer.Context, name: Name, dry_run: DryRun = False, as_json: Json = False
) -> None:
    """Let a suspended device speak again; what it signed meanwhile stays refused."""
    here = home.of(context)
    row = known(here, name)
    if not dry_run:
        here.office().resume(name)
    told = {"sent": not dry_run, "device": name, "was": row.status, "status": "active"}
    _say(told, as_json, f"{name} is active again")


@app.command()
def retire(
    context: typer.Context, name: Name, dry_run: DryRun = False, as_json: Json = False
) -> None:
    """Revoke a device for ever: what it signs from now on is refused."""
    from orchestrator.edges.broker import credentials

    here = home.of(context)
    row, revoked = known(here, name), False
    if not dry_run:
        here.office().retire(name)
        revoked = credentials.revoke(here.settings.home, name)
    told = {
        "sent": not dry_run,
        "device": name,
        "was": row.status,
        "status": "retired",
        "credential_revoked": revoked,
    }
    _say(
        told,
        as_json,
        f"{name} is retired; its broker password is revoked. What it signed before stands.",
    )


def _say(told: dict[str, Any], as_json: bool, sentence: str) -> None:
    if not told["sent"]:
        sentence = f"would follow: {sentence}. Nothing was sent (--dry-run)."
    output.show(told, as_json, lambda console: console.print(plain(sentence), soft_wrap=True))
