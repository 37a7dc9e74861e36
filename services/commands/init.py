"""`proofrail init`: makes the home of a rail, and deploys or attaches its contracts on a node."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.commands import output
from orchestrator.commands.home import Home, home_of
from orchestrator.commands.output import Json, plain, table
from orchestrator.errors import Halt

if TYPE_CHECKING:
    from orchestrator.settings import Settings
    from services.node_plan import NodePlan

_PROFILES = ("dev", "server")
_OF_OTHERS = ("steward", "guardian")  # roles whose holders are not who runs the rail
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_ORACLE = re.compile(
    r"(?P<name>[a-z0-9][a-z0-9-]*):(?P<domain>[0-9]{1,3}):(?P<address>0x[0-9a-fA-F]{40}):"
    r"(?P<url>https?://.+)"
)
# flag -> the question for it
_ACCOUNT = {
    "name": "Name of the safeguarding account's holder",
    "iban": "IBAN of the safeguarding account",
    "street": "Street of the holder",
    "building": "Building number",
    "post_code": "Post code",
    "town": "Town",
    "country": "Country (ISO 3166, such as DE)",
}


_Profile = Annotated[
    str | None,
    typer.Option(help="dev: all on this machine; server: node, oracles, bank elsewhere."),
]
_Yes = Annotated[bool, typer.Option("--yes", help="Ask nothing; deploy without asking.")]
_Rpc = Annotated[
    str | None, typer.Option(help="URL of a node of your own: deploy the contracts there now.")
]
_Attach = Annotated[
    Path | None, typer.Option(help="Use deployed contracts: their deployment.json.")
]
_Oracles = Annotated[
    list[str] | None,
    typer.Option(help="name:domain:address:url of an oracle elsewhere; once for each."),
]
_Officers = Annotated[
    list[str] | None,
    typer.Option(help="Address of an officer, who approves large payouts; once for each."),
]
_Delay = Annotated[
    int, typer.Option(help="Hours that each of the steward's actions waits; at least 24.")
]
_Channel = Annotated[
    str, typer.Option(help="sftp://user@host/out?in=/in; left out: a pair of folders.")
]
_Name = Annotated[str | None, typer.Option(help="Holder of the safeguarding account.")]
_Iban = Annotated[str | None, typer.Option(help="IBAN of the safeguarding account.")]
_Bic = Annotated[str, typer.Option(help="BIC of its bank, if the bank asks for it.")]
_Address = Annotated[str | None, typer.Option(help="Address of the holder.")]
_Country = Annotated[str | None, typer.Option(help="ISO 3166, such as DE.")]


def init(
    context: typer.Context,
    profile: _Profile = None,
    yes: _Yes = False,
    rpc: _Rpc = None,
    attach: _Attach = None,
    oracle: _Oracles = None,
    officer: _Officers = None,
    delay_hours: _Delay = 48,
    bank_channel: _Channel = "",
    name: _Name = None,
    iban: _Iban = None,
    bic: _Bic = "",
    street: _Address = None,
    building: _Address = None,
    post_code: _Address = None,
    town: _Address = None,
    country: _Country = None,
    as_json: Json = False,
) -> None:
    """Make the home of a new rail: configuration, keys, secrets. Nothing is ever overwritten.

    With --rpc the contracts are deployed on that node (or found there), after a plan.
    """
    from services import new_home

    home = home_of(context)
    folder = home.settings.home
    is_new = not new_home.exists(folder)
    notes: list[str] = []
    if is_new:
        profile = _profile(profile, yes)
        if profile == "dev":
            _check_node_of_development(rpc)
            plan = new_home.development_home(folder, rpc or "")
        else:
            account = {"name": name, "iban": iban, "street": street, "building": building}
            account |= {"post_code": post_code, "town": town, "country": country}
            plan = new_home.server_home(
                folder,
                _given(rpc, "rpc", "URL of the Ethereum node", yes),
                [_oracle(text) for text in oracle or _ask_oracles(yes)],
                {**_account(account, yes), "bic": bic},
                bank_channel,
                officers=[_officer(text) for text in officer or ()],
                delay_hours=delay_hours,
            )
        notes = plan.notes
        settings = new_home.make(plan)
    else:
        settings = Home(folder).settings
        _refuse_changes(settings, profile, rpc)
    view: dict[str, Any] = {
        "home": str(folder),
        "new": is_new,
        "profile": settings.profile,
        "notes": notes,
        "contracts": None,
    }
    if not as_json:
        _print_home(settings, view)
    if not settings.chain_embedded:
        view["contracts"] = _contracts(settings, attach, yes, as_json)
    next_step = _next_step(settings)
    output.show({**view, "next": next_step}, as_json, lambda console: console.print(next_step))


def _profile(profile: str | None, yes: bool) -> str:
    chosen = profile or ("" if yes else typer.prompt("Profile (dev or server)", default="dev"))
    if chosen not in _PROFILES:
        raise Halt(
            f"{chosen!r} is no profile. Nothing was written. Give --profile dev (everything on "
            "this machine) or --profile server."
        )
    return chosen


def _check_node_of_development(rpc: str | None) -> None:
    if rpc is not None:
        from services.node_plan import node_identity, refuse_development_profile

        refuse_development_profile(rpc, node_identity(rpc)[0])
        return
    from services.anvil import anvil_binary

    anvil_binary()  # fetched now, while somebody watches, if this machine has none


def _given(value: str | None, flag: str, question: str, yes: bool) -> str:
    if value is None and yes:
        raise Halt(f"--{flag.replace('_', '-')} is missing. Nothing was written. Give it.")
    return value if value is not None else typer.prompt(question)


def _account(values: dict[str, str | None], yes: bool) -> dict[str, str]:
    return {flag: _given(values[flag], flag, question, yes) for flag, question in _ACCOUNT.items()}


def _ask_oracles(yes: bool) -> list[str]:
    if yes:
        raise Halt(
            "--oracle is missing. Nothing was written. Give name:domain:address:url once for each "
            "oracle of the committee."
        )
    answers = []
    while answer := typer.prompt(
        "Oracle name:domain:address:url (empty: no more)", default="", show_default=False
    ):
        answers.append(answer)
    return answers


def _oracle(text: str) -> dict[str, Any]:
    match = _ORACLE.fullmatch(text)
    if match is None or not 1 <= int(match["domain"]) <= 255:
        raise Halt(
            f"{text!r} is not name:domain:address:url, such as "
            "auditor:3:0x0000000000000000000000000000000000000001:https://oracle.example. Nothing "
            "was written. Correct it."
        )
    return {**match.groupdict(), "domain": int(match["domain"])}


def _officer(text: str) -> str:
    if not _ADDRESS.fullmatch(text):
        raise Halt(
            f"{text!r} is no address, such as 0x0000000000000000000000000000000000000001. Nothing "
            "was written. Correct it."
        )
    return text


def _refuse_changes(settings: Settings, profile: str | None, rpc: str | None) -> None:
    """Refuse flags that differ from the home's configuration: nothing is ever overwritten."""
    given = {"profile": profile, "rpc_url": rpc}
    for name, value in given.items():
        if value is not None and value != getattr(settings, name):
            raise Halt(
                f"{settings.home} is a home already, with {name} = {getattr(settings, name)!r}, "
                f"not {value!r}. Nothing was changed. Edit its proofrail.toml, or give another "
                "folder with --home."
            )


def _contracts(settings: Settings, attach: Path | None, yes: bool, as_json: bool) -> Any:
    """Show the plan, ask, and deploy or attach; return {contract: address}."""
    from orchestrator.edges.chain.deployment import finished
    from services import node_plan
    from services.set_up import plan_of_home

    if attach is not None:
        return node_plan.attach(settings, attach).addresses
    chain_id = node_plan.node_identity(settings.rpc_url)[0]
    if settings.profile == "dev":
        node_plan.refuse_development_profile(settings.rpc_url, chain_id)
    if finished(settings.deployment):  # the keys of its plan may have left this machine
        node = node_plan.deployed(settings)
        if not as_json:
            _print_plan(node)
            output.console().print("The contracts are there already; nothing was sent.")
        return node.contracts
    plan = plan_of_home(settings)
    node = node_plan.plan_deployment(settings, plan)
    if not as_json:
        _print_plan(node)
        for line in plan.lines():
            output.console().print(plain(line), soft_wrap=True)
    if not (yes or as_json):
        typer.confirm("Deploy them now?", abort=True)
    elif not yes:
        raise Halt("With --json nothing is asked. Nothing was sent. Add --yes to deploy.")

    def say(event: str) -> None:
        if not as_json and event.startswith("done "):
            output.console().print(plain(f"  {event.removeprefix('done ')}"))

    return node_plan.carry_out(settings, plan, node, say).addresses


def _print_home(settings: Settings, view: dict[str, Any]) -> None:
    console = output.console()
    what = "was made" if view["new"] else "is there already; nothing was changed"
    console.print(plain(f"The home {view['home']} (profile {settings.profile}) {what}."))
    for note in view["notes"]:
        console.print(plain(note))
    parts = [
        ("proofrail.toml", "every setting, with a comment"),
        ("keys/", "keys and secrets, for their owner only"),
        ("API", f"http://{settings.api_host}:{settings.api_port}"),
        ("broker", f"{settings.broker_host}:{settings.broker_port}"),
        ("node", settings.rpc_url),
        *(("oracle " + oracle.name, oracle.url) for oracle in settings.oracles),
    ]
    console.print(table("", ("part", "where"), parts))


def _print_plan(node: NodePlan) -> None:
    from services.node_plan import ether

    console = output.console()
    console.print(plain(f"Chain {node.chain_id} at {node.url}, genesis {node.genesis}"))
    rows = [(name, address or "to be deployed") for name, address in node.contracts.items()]
    console.print(table("contracts", ("contract", "address"), rows))
    if node.signers:
        signers = [
            (role, address, ether(needs), ether(has))
            for role, (address, needs, has) in node.signers.items()
        ]
        columns = ("role", "address", ">needs at most", ">has")
        console.print(table(f"gas: at most {node.gas:,}", columns, signers))


def _next_step(settings: Settings) -> str:
    home = "" if settings.home == Path(".proofrail") else f" --home {settings.home}"
    if settings.profile == "dev":
        return f"Next: proofrail up --detach{home}, then proofrail sandbox record{home}"
    return (
        f"Next: give each oracle's operator the files in {settings.keys}/for-oracles/NAME over a "
        "safe channel and delete them here; put the roots that may vouch for devices into "
        f"{settings.trust}; send gas to the keys in {settings.keys};{_leaving(settings)} then "
        f"proofrail up{home}"
    )


def _leaving(settings: Settings) -> str:
    """Return which keystores should leave this machine; "" where they have left it."""
    from orchestrator.edges.chain import keystore

    folders = [
        str(settings.keys / role) for role in _OF_OTHERS if keystore.address(settings.keys, role)
    ]
    if not folders:
        return ""
    return (
        f" move {' and '.join(folders)} (keystore and password) to machines of their holders and "
        "delete them here, because no process of the rail needs them and whoever takes over this "
        "machine could change every role with them;"
    )
