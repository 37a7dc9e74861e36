"""`proofrail device`: enrols endorsed devices and lists them."""

from __future__ import annotations

import time
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.commands import output, possession
from orchestrator.commands.home import Home, home_of
from orchestrator.commands.output import Json, plain, table, when
from orchestrator.commands.party import address_of
from orchestrator.errors import Halt

if TYPE_CHECKING:
    from device_adapters.keys import PublicKey
    from orchestrator.edges.store.agreements import DeviceRow

app = typer.Typer(
    name="device",
    help="Enrol, show, rotate, suspend and retire devices.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
Owner = Annotated[str, typer.Option(help="The owner's address, or a party's name.")]
Name = Annotated[
    str, typer.Argument(help="The device's name, usually the serial number of its meter.")
]
Chain = Annotated[
    Path | None,
    typer.Option("--endorsement", help="PEM file: the key's certificate, then its issuers."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check and show the result, send nothing.")]


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
    """Show what a device signs. It signs this SHA-256 digest to enrol or to rotate its key."""
    home = home_of(context)
    if (owner is None) == (new_key is None):
        raise Halt("Give --owner for the digest to enrol, or --new-key for the digest to rotate.")
    if owner is not None:
        to_sign = _enrolment_digest(home, name, address_of(home, owner))
        next_command = f"device add {name} --key FILE --proof SIGNATURE --owner {quote(owner)}"
    else:
        key = possession.public_key(new_key)
        checked = possession.endorsement(home, name, key, endorsement)
        to_sign = rotation_digest(home, name, key, checked.expires_at)
        next_command = (
            f"device rotate {name} --key FILE --old-proof SIGNATURE --new-proof SIGNATURE"
        )
    view = {"device": name, "sha256": to_sign.hex()}
    output.show(
        view,
        as_json,
        lambda console: (
            console.print(view["sha256"]),
            console.print(plain(f"next: proofrail {next_command}"), soft_wrap=True),
        ),
    )


@app.command()
def endorse(
    context: typer.Context,
    name: Name,
    key: Annotated[str, typer.Option(help="Public key: PEM, hex, base64, a file.")],
    days: Annotated[int, typer.Option(min=0, max=36_500, help="Validity in days; 0: no end.")] = 0,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write the PEM to this file.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Endorse a key with the built-in CA. Prints the PEM chain; local chain only."""
    from orchestrator.operations.trust import DevelopmentCa, check_endorsement

    home = home_of(context)
    home.local_only("The built-in CA")
    public, now = possession.public_key(key).as_device_key(), int(time.time())
    ends_at = now + days * 86_400 if days else 0
    pem = DevelopmentCa.load(home.settings).issue(name, public, ends_at)
    endorsement = check_endorsement(home.settings, home.deployment.chain_id, pem, name, public, now)
    if out is not None:
        out.write_bytes(pem)
    view = {
        "device": name,
        "issuer": endorsement.issuer,
        "expires_at": endorsement.expires_at,
        "sha256": endorsement.sha256.hex(),
        "chain": pem.decode(),
    }
    output.show(
        view,
        as_json,
        lambda console: console.print(
            plain(f"written to {out}" if out else view["chain"].rstrip()), soft_wrap=True
        ),
    )


@app.command()
def add(
    context: typer.Context,
    name: Name,
    owner: Owner,
    key: Annotated[str | None, typer.Option(help="Public key: PEM, hex, base64, a file.")] = None,
    proof: Annotated[
        str | None, typer.Option(help="With --key: the device's signature of `device digest`, hex.")
    ] = None,
    private_key: Annotated[
        Path | None, typer.Option(help="Instead of --key: a simulated device's private key, PEM.")
    ] = None,
    endorsement: Chain = None,
    gateway: Annotated[
        str | None, typer.Option(help="Instead of a key: the enrolled gateway that signs for it.")
    ] = None,
    signature: Annotated[
        str | None,
        typer.Option(help="With --gateway: the owner's signature of --document, hex."),
    ] = None,
    document: Annotated[
        bool,
        typer.Option("--document", help="With --gateway: print what the owner's wallet signs."),
    ] = False,
    new_password: Annotated[
        bool, typer.Option("--new-password", help="Replace the broker password.")
    ] = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Enrol a device on chain. Its broker password is shown once.

    Without --endorsement, the built-in CA endorses it (local chain only). With --gateway the device
    has no key and no password: its owner signs that the gateway speaks for it.
    """
    from orchestrator.operations.agreements import Enrolment
    from orchestrator.operations.trust import save_endorsement

    home = home_of(context)
    _require_valid_name(name)
    address = address_of(home, owner)
    if gateway is not None:
        from orchestrator.commands.gateway_consent import enrol

        enrolled_device(home, gateway)
        _require_no_key(key, proof, private_key)
        enrol(home, name, address, gateway, signature, document, dry_run, as_json)
        return
    public, (r, s) = _possession(home, name, address, key, proof, private_key)
    checked = possession.endorsement(home, name, public, endorsement)
    password = None
    if not dry_run:
        devices = home.agreement_ops()
        save_endorsement(home.settings, checked)
        devices.enrol([Enrolment(name, public.as_device_key(), address, r, s, checked)])
        password = _password(home, name, new_password)
    view = {
        "sent": not dry_run,
        "device": name,
        "owner": address,
        "curve": public.curve,
        "key": public.fingerprint,
        "endorsed_by": checked.issuer,
        "endorsement": checked.sha256.hex(),
        "expires_at": checked.expires_at,
        **_topic_of(name),
        "password": password,
        "broker": home.rail_file.get("broker"),
    }
    output.show(view, as_json, lambda console: _print_added(console, view))


def _require_valid_name(name: str) -> None:
    from device_adapters.types import is_device_name

    if not is_device_name(name):
        raise Halt(
            f"{name!r} is not a valid device name: 1 to 64 printable characters in composed "
            "Unicode (NFC), without blanks around them. Nothing was sent."
        )


def _require_no_key(*given: object) -> None:
    if any(value is not None for value in given):
        raise Halt(
            "A device behind --gateway is enrolled without a key: leave --key, --proof and "
            "--private-key out. Nothing was sent. A device with a key gets a gateway with "
            "`proofrail device assign`."
        )


def _topic_of(name: str) -> dict[str, str | None]:
    """Return topic and user of a device; None for both where no topic can hold its name."""
    if not _has_a_topic(name):
        return {"topic": None, "username": None}
    return {"topic": f"proofrail/{name}/evidence/PROTOCOL", "username": name}


def _has_a_topic(name: str) -> bool:
    """Return whether a device's name can be a level of a topic and a user at the broker."""
    from orchestrator.edges.broker.access import is_valid_name

    return is_valid_name(name)


def _password(home: Home, name: str, fresh: bool) -> str | None:
    from orchestrator.edges.broker import credentials
    from orchestrator.edges.broker.access import CredentialRole

    if not _has_a_topic(name):
        return None
    if not fresh and name in credentials.load(home.settings.home):
        return None
    return credentials.issue(home.settings.home, name, CredentialRole.DEVICE)


def _print_added(console: Any, view: dict[str, Any]) -> None:
    expiry = f"until {when(view['expires_at'])}" if view["expires_at"] else "without expiry"
    verb = "is" if view["sent"] else "would be"
    console.print(
        plain(f"{view['device']} {verb} enrolled with its {view['curve']} key {view['key']}"),
        soft_wrap=True,
    )
    console.print(plain(f"endorsed by {view['endorsed_by']}, {expiry}"), soft_wrap=True)
    if not view["sent"]:
        console.print("nothing was sent (--dry-run)")
        return
    if not view["topic"]:
        text = "its name cannot be in a topic: send its records by HTTP, or through a gateway"
        console.print(text, soft_wrap=True)
        console.print(plain(f"next: proofrail agreement open --device {view['device']!r} ..."))
        return
    console.print(plain(f"the device publishes to {view['topic']} as user {view['username']}"))
    if view["password"]:
        console.print(plain(f"password (shown this once): {view['password']}"), soft_wrap=True)
    else:
        console.print("the device keeps its password; --new-password replaces it")
    console.print(plain(f"next: proofrail agreement open --device {view['device']} ..."))


def _enrolment_digest(home: Home, name: str, owner: str) -> bytes:
    from orchestrator.core.identity import enrolment_digest

    deployment = home.deployment
    return enrolment_digest(
        deployment.chain_id, deployment.addresses["DeviceRegistry"], name, owner
    )


def rotation_digest(home: Home, name: str, key: PublicKey, expires_at: int) -> bytes:
    """Return the digest that old and new key sign; the key count comes from the chain."""
    from orchestrator.core.identity import device_id, rotation_digest

    count = home.chain.view("DeviceRegistry", "keyCount", device_id(name))
    deployment = home.deployment
    return rotation_digest(
        deployment.chain_id,
        deployment.addresses["DeviceRegistry"],
        name,
        key.as_device_key(),
        expires_at,
        count,
    )


def _possession(
    home: Home,
    name: str,
    owner: str,
    key: str | None,
    proof: str | None,
    private_key: Path | None,
) -> tuple[PublicKey, possession.Proof]:
    """Return the public key, and the proof (r, s) over the enrolment digest."""
    if private_key is not None and key is None:
        device_key = possession.private_key(private_key)
        return possession.public_of(device_key), possession.sign(
            device_key, _enrolment_digest(home, name, owner)
        )
    if key is None or proof is None or private_key is not None:
        raise Halt(
            "A device must prove that it holds its key: give --key and --proof (its signature of "
            "`proofrail device digest`), or --private-key. Nothing was sent."
        )
    return possession.public_key(key), possession.signature(proof)


def enrolled_device(home: Home, name: str) -> DeviceRow:
    """Return the stored row of a device; raises Halt if it is not enrolled."""
    from orchestrator.edges.store import agreements

    with home.store.read() as session:
        row = agreements.device_by_name(session, name)
    if row is None:
        raise Halt(f"No device {name!r} is enrolled. `proofrail device list` shows all.")
    return row


def device_view(home: Home, row: DeviceRow) -> dict[str, Any]:
    """Return the JSON view of a device, with its status as of now."""
    from orchestrator.operations.trust import load_endorsement

    chain = load_endorsement(home.settings, row.endorsement)
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
    """List the enrolled devices. Shows status, expiry, endorser and number of agreements."""
    from collections import Counter

    from orchestrator.edges.store import agreements

    home = home_of(context)
    with home.store.read() as session:
        agreement_counts = Counter(row.device_id for row in agreements.all_agreements(session))
        rows = agreements.devices(session)
    device_views = [
        device_view(home, row) | {"agreements": agreement_counts[row.device_id]} for row in rows
    ]
    lines = [
        (
            d["name"],
            d["status"],
            d["agreements"],
            when(d["expires_at"]),
            d["endorsed_by"] or "-",
            when(d["enrolled_at"]),
            output.short(d["device_id"]),
        )
        for d in device_views
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
        device_views,
        as_json,
        lambda console: console.print(table(f"{len(device_views)} devices", columns, lines)),
    )
