"""`proofrail device`: enrols devices that somebody vouches for, and shows them."""

from __future__ import annotations

import time
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.commands import home, output, possession
from orchestrator.commands.output import Json, plain, table, when
from orchestrator.commands.party import address_of
from orchestrator.errors import Halt

if TYPE_CHECKING:
    from device_adapters.keys import PublicKey
    from orchestrator.edges.store.agreements import DeviceRow

app = typer.Typer(
    name="device",
    help="Enrol devices, renew their keys, stop them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
Owner = Annotated[str, typer.Option(help="The owner's address, or a party's name.")]
Name = Annotated[str, typer.Argument(help="The device's own name: its meter's serial number.")]
Chain = Annotated[
    Path | None,
    typer.Option("--endorsement", help="PEM chain over the key: its certificate, then issuers."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check and show it, send nothing.")]


@app.command()
def digest(
    context: typer.Context,
    name: Name,
    owner: Annotated[
        str | None, typer.Option(help="To enrol: the owner's address, or a party's name.")
    ] = None,
    new_key: Annotated[str | None, typer.Option(help="To rotate: the new public key.")] = None,
    endorsement: Chain = None,
    as_json: Json = False,
) -> None:
    """Show the SHA-256 digest that a device signs: to enrol, or to change its key."""
    here = home.of(context)
    if (owner is None) == (new_key is None):
        raise Halt("A digest is for enrolling (--owner) or for a new key (--new-key).")
    if owner is not None:
        to_sign = _enrolment_digest(here, name, address_of(here, owner))
        after = f"device add {name} --key FILE --proof SIGNATURE --owner {quote(owner)}"
    else:
        key = possession.public_key(new_key)
        found = possession.endorsement(here, name, key, endorsement)
        to_sign = rotation_digest(here, name, key, found.expires_at)
        after = f"device rotate {name} --key FILE --old-proof SIGNATURE --new-proof SIGNATURE"
    told = {"device": name, "sha256": to_sign.hex()}
    output.show(
        told,
        as_json,
        lambda console: (
            console.print(told["sha256"]),
            console.print(plain(f"next: proofrail {after}"), soft_wrap=True),
        ),
    )


@app.command()
def endorse(
    context: typer.Context,
    name: Name,
    key: Annotated[str, typer.Option(help="Public key: PEM, hex, base64, a file.")],
    days: Annotated[
        int, typer.Option(min=0, max=36_500, help="How long it is valid; 0: for ever.")
    ] = 0,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write the PEM there.")] = None,
    as_json: Json = False,
) -> None:
    """Have the built-in CA vouch for a device's key (local chain only); print the PEM chain."""
    from orchestrator.operations.trust import DevelopmentCa, endorsed

    here = home.of(context)
    here.local_only("The built-in CA")
    public, now = possession.public_key(key).as_device_key(), int(time.time())
    ends_at = now + days * 86_400 if days else 0
    pem = DevelopmentCa.load(here.settings).issue(name, public, ends_at)
    found = endorsed(here.settings, here.deployment.chain_id, pem, name, public, now)
    if out is not None:
        out.write_bytes(pem)
    told = {
        "device": name,
        "issuer": found.issuer,
        "expires_at": found.expires_at,
        "sha256": found.sha256.hex(),
        "chain": pem.decode(),
    }
    output.show(
        told,
        as_json,
        lambda console: console.print(
            plain(f"written to {out}" if out else told["chain"].rstrip()), soft_wrap=True
        ),
    )


@app.command()
def add(
    context: typer.Context,
    name: Name,
    owner: Owner,
    key: Annotated[str | None, typer.Option(help="Public key: PEM, hex, base64, a file.")] = None,
    proof: Annotated[
        str | None, typer.Option(help="With --key: the signature of `device digest`, hex.")
    ] = None,
    private_key: Annotated[
        Path | None, typer.Option(help="Instead: a PEM to sign with. For simulated devices.")
    ] = None,
    endorsement: Chain = None,
    new_password: Annotated[
        bool, typer.Option("--new-password", help="Replace the broker password.")
    ] = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Enrol a device on chain and give it a broker password, which is shown this once.

    Without --endorsement the local chain's built-in CA vouches for it.
    """
    from orchestrator.edges.broker.access import is_valid_name
    from orchestrator.operations.agreements import Enrolment
    from orchestrator.operations.trust import keep

    here = home.of(context)
    if not is_valid_name(name):
        raise Halt(
            f"{name!r} cannot be a device's name on the broker: 1 to 64 of A-Z a-z 0-9 . _ "
            "-, the first one a letter or a digit. Nothing was sent."
        )
    address = address_of(here, owner)
    public, (r, s) = _possession(here, name, address, key, proof, private_key)
    found = possession.endorsement(here, name, public, endorsement)
    password = None
    if not dry_run:
        office = here.office()
        keep(here.settings, found)
        office.enrol([Enrolment(name, public.as_device_key(), address, r, s, found)])
        password = _password(here, name, new_password)
    told = {
        "sent": not dry_run,
        "device": name,
        "owner": address,
        "curve": public.curve,
        "key": public.fingerprint,
        "endorsed_by": found.issuer,
        "endorsement": found.sha256.hex(),
        "expires_at": found.expires_at,
        "topic": f"proofrail/{name}/evidence/PROTOCOL",
        "username": name,
        "password": password,
        "broker": here.town.get("broker"),
    }
    output.show(told, as_json, lambda console: _added(console, told))


def _password(here: home.Home, name: str, fresh: bool) -> str | None:
    from orchestrator.edges.broker import credentials
    from orchestrator.edges.broker.access import CredentialRole

    if not fresh and name in credentials.load(here.settings.home):
        return None
    return credentials.issue(here.settings.home, name, CredentialRole.DEVICE)


def _added(console: Any, told: dict[str, Any]) -> None:
    expiry = f"until {when(told['expires_at'])}" if told["expires_at"] else "without expiry"
    verb = "is" if told["sent"] else "would be"
    console.print(
        plain(f"{told['device']} {verb} enrolled with its {told['curve']} key {told['key']}"),
        soft_wrap=True,
    )
    console.print(plain(f"endorsed by {told['endorsed_by']}, {expiry}"), soft_wrap=True)
    if not told["sent"]:
        console.print("nothing was sent (--dry-run)")
        return
    console.print(plain(f"it publishes to {told['topic']} as user {told['username']}"))
    if told["password"]:
        console.print(plain(f"password (shown this once): {told['password']}"), soft_wrap=True)
    else:
        console.print("it keeps its password; --new-password replaces it")
    console.print(plain(f"next: proofrail agreement open --device {told['device']} ..."))


def _enrolment_digest(here: home.Home, name: str, owner: str) -> bytes:
    from orchestrator.core.identity import enrolment_digest

    at = here.deployment
    return enrolment_digest(at.chain_id, at.addresses["DeviceRegistry"], name, owner)


def rotation_digest(here: home.Home, name: str, key: PublicKey, expires_at: int) -> bytes:
    """The digest that old and new key sign; the chain says how many keys there were."""
    from orchestrator.core.identity import device_id, rotation_digest

    count = here.chain.view("DeviceRegistry", "keyCount", device_id(name))
    at = here.deployment
    return rotation_digest(
        at.chain_id, at.addresses["DeviceRegistry"], name, key.as_device_key(), expires_at, count
    )


def _possession(
    here: home.Home,
    name: str,
    owner: str,
    key: str | None,
    proof: str | None,
    private_key: Path | None,
) -> tuple[PublicKey, possession.Proof]:
    """The public key, and (r, s) over the digest."""
    if private_key is not None and key is None:
        own = possession.private_key(private_key)
        return possession.public_of(own), possession.sign(own, _enrolment_digest(here, name, owner))
    if key is None or proof is None or private_key is not None:
        raise Halt(
            "A device proves that it holds its key: give --key and --proof (what it signed over "
            "`proofrail device digest`), or --private-key. Nothing was sent."
        )
    return possession.public_key(key), possession.signature(proof)


def known(here: home.Home, name: str) -> DeviceRow:
    """The store's row of an enrolled device."""
    from orchestrator.edges.store import agreements

    with here.store.read() as session:
        row = agreements.device_by_name(session, name)
    if row is None:
        raise Halt(f"No device {name!r} is enrolled here. `proofrail device list` shows all.")
    return row


def told_of(here: home.Home, row: DeviceRow) -> dict[str, Any]:
    """What the rail knows of a device; status and expiry as of now."""
    from orchestrator.operations.trust import kept

    chain = kept(here.settings, row.endorsement)
    expired = row.status == "active" and 0 < row.expires_at <= time.time()
    return {
        "name": row.name,
        "device_id": row.device_id,
        "curve": row.curve,
        "owner": row.owner,
        "status": "expired" if expired else row.status,
        "enrolled_at": row.enrolled_at,
        "expires_at": row.expires_at,
        "endorsement": row.endorsement,
        "endorsed_by": chain[0].issuer.rfc4514_string() if chain else None,
        "compromised_since": row.compromised_since,
    }


@app.command("list")
def list_(context: typer.Context, as_json: Json = False) -> None:
    """List the enrolled devices: status, expiry, who vouches, and how many agreements each has."""
    from collections import Counter

    from orchestrator.edges.store import agreements

    here = home.of(context)
    with here.store.read() as session:
        held = Counter(row.device_id for row in agreements.all_agreements(session))
        rows = agreements.devices(session)
    told = [told_of(here, row) | {"agreements": held[row.device_id]} for row in rows]
    lines = [
        (
            d["name"],
            d["status"],
            d["agreements"],
            when(d["expires_at"]),
            d["endorsed_by"] or "nobody",
            when(d["enrolled_at"]),
            output.short(d["device_id"]),
        )
        for d in told
    ]
    columns = (
        "device",
        "status",
        ">agreements",
        "key until (UTC)",
        "endorsed by",
        "enrolled (UTC)",
        "id",
    )
    output.show(
        told, as_json, lambda console: console.print(table(f"{len(told)} devices", columns, lines))
    )
