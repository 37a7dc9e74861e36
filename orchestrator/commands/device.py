"""`proofrail device`: enrols devices with proof of possession, lists them, retires them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.commands import home, output
from orchestrator.commands.output import Json, plain, table, when
from orchestrator.commands.party import address_of
from orchestrator.errors import Halt

if TYPE_CHECKING:
    from device_adapters.keys import PublicKey

app = typer.Typer(name="device", help="Enrol, list and retire devices.",
                  no_args_is_help=True, rich_markup_mode=None)  # fmt: skip
Owner = Annotated[str, typer.Option(help="The owner's address, or a party's name.")]
Name = Annotated[str, typer.Argument(help="The device's own name: its meter's serial number.")]


@app.command()
def challenge(context: typer.Context, name: Name, owner: Owner, as_json: Json = False) -> None:
    """Show the SHA-256 digest that the device signs to prove that it holds its key."""
    here = home.of(context)
    told = {"device": name, "sha256": _challenge(here, name, address_of(here, owner)).hex()}
    output.show(told, as_json, lambda console: (
        console.print(told["sha256"]),
        console.print(plain(f"next: proofrail device add {name} --key FILE --proof SIGNATURE "
                            f"--owner {owner}"), soft_wrap=True),
    ))  # fmt: skip


@app.command()
def add(
    context: typer.Context,
    name: Name,
    owner: Owner,
    key: Annotated[str | None, typer.Option(help="Public key: PEM, hex, base64, a file.")] = None,
    proof: Annotated[
        str | None, typer.Option(help="With --key: the signature of `device challenge`, hex.")
    ] = None,
    private_key: Annotated[
        Path | None, typer.Option(help="Instead: a PEM to sign with. For simulated devices.")
    ] = None,
    new_password: Annotated[
        bool, typer.Option("--new-password", help="Replace the broker password.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Enrol a device on chain and give it a broker password, which is shown this once."""
    from orchestrator.edges.broker import credentials
    from orchestrator.edges.broker.access import Role, name_is_sound
    from orchestrator.office import Enrolment

    here = home.of(context)
    if not name_is_sound(name):
        raise Halt(f"{name!r} cannot be a device's name on the broker: 1 to 64 of A-Z a-z 0-9 . _ "
                   "-, the first one a letter or a digit. Nothing was sent.")  # fmt: skip
    address = address_of(here, owner)
    public, (r, s) = _possession(here, name, address, key, proof, private_key)
    office = here.office()
    office.enrol([Enrolment(name, public.as_device_key(), address, r, s)])
    password = None
    if new_password or name not in credentials.load(here.settings.home):
        password = credentials.issue(here.settings.home, name, Role.DEVICE)
    told = {
        "device": name, "owner": address, "curve": public.curve, "key": public.fingerprint,
        "topic": f"proofrail/{name}/evidence/ocmf", "username": name, "password": password,
        "broker": here.town.get("broker"),
    }  # fmt: skip
    output.show(told, as_json, lambda console: _added(console, told))


def _added(console: Any, told: dict[str, Any]) -> None:
    console.print(plain(f"{told['device']} is enrolled with its {told['curve']} key {told['key']}"))
    console.print(plain(f"it publishes to {told['topic']} as user {told['username']}"))
    if told["password"]:
        console.print(plain(f"password (shown this once): {told['password']}"), soft_wrap=True)
    else:
        console.print("it keeps its password; --new-password replaces it")
    console.print(plain(f"next: proofrail agreement open --device {told['device']} ..."))


def _challenge(here: home.Home, name: str, owner: str) -> bytes:
    from orchestrator.office import challenge as digest_of

    deployment = here.deployment
    return digest_of(deployment.chain_id, deployment.addresses["DeviceRegistry"], name, owner)


def _possession(
    here: home.Home, name: str, owner: str, key: str | None, proof: str | None,
    private_key: Path | None,
) -> tuple[PublicKey, tuple[int, int]]:
    """The public key, and (r, s) over the challenge."""
    from device_adapters.keys import load_public_key

    if private_key is not None and key is None:
        return _signed_with(private_key, _challenge(here, name, owner))
    if key is None or proof is None or private_key is not None:
        raise Halt(
            "A device proves that it holds its key: give --key and --proof (what it signed over "
            "`proofrail device challenge`), or --private-key. Nothing was sent."
        )
    return load_public_key(home.text_or_file(key)), _signature(proof)


def _signature(proof: str) -> tuple[int, int]:
    from device_adapters.keys import raw_to_der, read_der

    text = home.text_or_file(proof).decode("ascii", "replace").strip().removeprefix("0x")
    try:
        data = bytes.fromhex(text)
    except ValueError as error:
        raise Halt("The proof is not hex. Give the signature as hex, DER or r and s.") from error
    return read_der(raw_to_der(data) if len(data) == 64 else data)


def _signed_with(path: Path, digest: bytes) -> tuple[PublicKey, tuple[int, int]]:
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

    from device_adapters.keys import load_public_key, read_der

    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise Halt(f"{path} holds no unencrypted PEM private key. Nothing was sent.") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise Halt(f"{path} is no elliptic curve key; devices sign with secp256r1.")
    der = key.sign(digest, ec.ECDSA(Prehashed(hashes.SHA256())))
    public = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return load_public_key(public), read_der(der)


@app.command("list")
def list_(context: typer.Context, as_json: Json = False) -> None:
    """List the enrolled devices, and how many agreements each has."""
    from collections import Counter

    from orchestrator.edges.store import agreements

    with home.of(context).store.read() as session:
        held = Counter(row.device_id for row in agreements.all_agreements(session))
        told = [
            {"name": d.name, "device_id": d.device_id, "status": d.status, "curve": d.curve,
             "owner": d.owner, "enrolled_at": d.enrolled_at, "agreements": held[d.device_id]}
            for d in agreements.devices(session)
        ]  # fmt: skip
    rows = [(d["name"], d["status"], d["curve"], d["agreements"], when(d["enrolled_at"]),
             d["device_id"]) for d in told]  # fmt: skip
    columns = ("device", "status", "curve", ">agreements", "enrolled (UTC)", "id")
    output.show(told, as_json, lambda console: console.print(
        table(f"{len(told)} devices", columns, rows)
    ))  # fmt: skip


@app.command()
def retire(context: typer.Context, name: Name, as_json: Json = False) -> None:
    """Revoke a device for ever: what it signs from now on is refused."""
    from orchestrator.edges.broker import credentials
    from orchestrator.edges.store import agreements

    here = home.of(context)
    with here.store.read() as session:
        known = agreements.device_by_name(session, name)
    if known is None:
        raise Halt(f"No device {name!r} is enrolled here. `proofrail device list` shows all.")
    here.office().retire(name)
    told = {"device": name, "status": "retired",
            "credential_revoked": credentials.revoke(here.settings.home, name)}  # fmt: skip
    output.show(told, as_json, lambda console: console.print(
        plain(f"{name} is retired; its broker password is revoked. What it signed before stands.")
    ))  # fmt: skip
