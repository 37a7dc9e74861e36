"""Checks deployed contracts: code, roles, delay, wiring, seats, products and the precompile.

It asks the node and believes no journal: what a deployment says of itself proves nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import requests
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from web3 import Web3
from web3.contract import Contract
from web3.exceptions import ContractLogicError, Web3Exception

from orchestrator.edges.chain import ethereum  # noqa: F401 - web3 imports eth-account
from orchestrator.edges.chain.artifacts import Artifact
from orchestrator.edges.chain.plan import WATERFALLS, DeploymentPlan, Role
from orchestrator.errors import Halt, Retry

_PRECOMPILE = Web3.to_checksum_address("0x" + "100".zfill(40))  # EIP-7951
# contract -> its functions that name another contract -> that one; `authority`, where there is
# one, is always RailAccess
_WIRING = {
    "RailAccess": {},
    "OracleCommittee": {},
    "DeviceRegistry": {"committee": "OracleCommittee"},
    "EuroToken": {},
    "OfficerRegistry": {},
    "PaymentRail": {
        "token": "EuroToken",
        "committee": "OracleCommittee",
        "registry": "DeviceRegistry",
        "disputes": "Disputes",
        "consents": "Consents",
    },
    "Challenges": {
        "rail": "PaymentRail",
        "token": "EuroToken",
        "committee": "OracleCommittee",
        "registry": "DeviceRegistry",
        "disputes": "Disputes",
    },
    "Consents": {"rail": "PaymentRail", "registry": "DeviceRegistry"},
    WATERFALLS: {"rail": "PaymentRail"},
    "Disputes": {
        "access": "RailAccess",
        "rail": "PaymentRail",
        "token": "EuroToken",
        "committee": "OracleCommittee",
        "registry": "DeviceRegistry",
    },
}
_SHARED = "Waterfall"  # the contract whose code all waterfalls run
_PRODUCT = {"rail": "PaymentRail", "registry": "DeviceRegistry"}
_MOVED = "PaymentRail@0.5.0"  # a rail that moved from it kept its token
NO_ADDRESS = "0x" + "0" * 40


def with_kept_token(artifacts: Mapping[str, Artifact]) -> dict[str, Artifact]:
    """Return the contracts of this release with the token of 0.5.0, which a moved rail keeps."""
    return {**artifacts, "EuroToken": artifacts["EuroToken@0.5.0"]}


class DeployedContracts:
    """Contracts at their addresses on a node."""

    def __init__(
        self, web3: Web3, artifacts: Mapping[str, Artifact], addresses: Mapping[str, str]
    ) -> None:
        self.web3, self.artifacts, self.addresses = web3, artifacts, addresses
        self._contracts: dict[str, Contract] = {}

    def contract(self, name: str) -> Contract:
        """Return a contract by name."""
        if name not in self._contracts:
            address, abi = self.addresses[name], self.artifacts[name].abi
            self._contracts[name] = self.web3.eth.contract(address=address, abi=abi)
        return self._contracts[name]

    def view(self, name: str, function: str, *args: Any) -> Any:
        """Return what a view function answers now."""
        return self.contract(name).functions[function](*args).call()

    def has(self, name: str, function: str) -> bool:
        """Return whether a contract has a function of that name."""
        return any(item.get("name") == function for item in self.artifacts[name].abi)

    def logs(self, name: str, event: str, first_block: int) -> list[dict[str, Any]]:
        """Return the arguments of all logs of an event, in order."""
        logs = self.contract(name).events[event]().get_logs(from_block=first_block)
        return [dict(log["args"]) for log in logs]


def check_contracts(
    url: str, artifacts: Mapping[str, Artifact], addresses: Mapping[str, str]
) -> None:
    """Raise Halt unless contracts are those of this release, wired to each other and closed.

    Contracts of former releases (`NAME@RELEASE`) are not looked at: their money moves out.

    Args:
        url: The node.
        artifacts: The compiled contracts by name.
        addresses: Contract name -> address; version 2 of `Deployment`.

    Raises:
        Retry: The node does not answer.
    """
    present = {name: address for name, address in addresses.items() if "@" not in name}
    if _MOVED in addresses:
        artifacts = with_kept_token(artifacts)
    web3 = Web3(Web3.HTTPProvider(url, cache_allowed_requests=True))
    deployed = DeployedContracts(web3, artifacts, present)
    registry = addresses.get("DeviceRegistry@0.5.0", NO_ADDRESS)
    try:
        _halt(_contract_problems(deployed, registry))
    except (Web3Exception, requests.RequestException) as error:
        raise Retry(f"the node at {url} gave no usable answer: {error}") from error


def _contract_problems(deployed: DeployedContracts, registry: str) -> list[str]:
    """Return what is wrong, the code first: other code may answer anything.

    Args:
        deployed: The contracts.
        registry: The registry whose devices the present one takes over; NO_ADDRESS for none.
    """
    return [*_code(deployed)] or [
        *_wiring(deployed),
        *_predecessor(deployed, registry),
        *_challenges(deployed),
        *_waterfalls(deployed),
        *_watched(deployed),
        *_closed(deployed),
        *_precompile(deployed),
    ]


def check_deployment(
    web3: Web3,
    artifacts: Mapping[str, Artifact],
    addresses: Mapping[str, str],
    plan: DeploymentPlan,
    first_block: int,
) -> None:
    """Raise Halt unless the contracts are what the plan says, and nothing more.

    Args:
        addresses: Contract name -> address.
        first_block: The block of the first contract, where logs begin.
    """
    if plan.token:
        artifacts = with_kept_token(artifacts)
    deployed = DeployedContracts(web3, artifacts, addresses)
    _halt(_contract_problems(deployed, plan.registry or NO_ADDRESS))
    problems = [*_no_other_watcher(deployed), *_roles(deployed, plan, first_block)]
    problems += _seats(deployed, plan)
    _halt([*problems, *_products(deployed, plan, first_block)])


def _halt(problems: list[str]) -> None:
    if problems:
        raise Halt(
            f"The contracts are not what they should be: {'; '.join(problems)}. They are not used. "
            "Next: find out who changed them; deploy again with another journal and keys that "
            "nobody else has."
        )


def _code(deployed: DeployedContracts) -> Iterator[str]:
    for name, address in deployed.addresses.items():
        artifact = deployed.artifacts[name]
        if not artifact.code_hash:  # a kept token, which has held the money already
            continue
        if not artifact.is_code(bytes(deployed.web3.eth.get_code(address))):
            yield f"the code at {name} {address} is not that of this release"


def _wiring(deployed: DeployedContracts) -> Iterator[str]:
    for name in deployed.addresses:
        yield from _wired(deployed, name)


def _wired(deployed: DeployedContracts, name: str) -> Iterator[str]:
    parts = dict(_WIRING.get(name, _PRODUCT))
    if deployed.has(name, "authority"):
        parts["authority"] = "RailAccess"
    for function, other in parts.items():
        actual, wanted = deployed.view(name, function), deployed.addresses[other]
        if actual != wanted:
            yield f"{function} of {name} is {actual}, not {other} {wanted}"


def _predecessor(deployed: DeployedContracts, wanted: str) -> Iterator[str]:
    actual = deployed.view("DeviceRegistry", "predecessor")
    if actual != wanted:
        yield f"the registry takes devices over from {actual}, not {wanted}"


def _challenges(deployed: DeployedContracts) -> Iterator[str]:
    if "Challenges" not in deployed.addresses:
        return
    rail, wanted = (deployed.addresses[name] for name in ("PaymentRail", "Challenges"))
    named = deployed.view("OracleCommittee", "challengesOf", rail)
    if named != wanted:
        yield f"the committee names {named} for challenges, not Challenges {wanted}"


def _waterfalls(deployed: DeployedContracts) -> Iterator[str]:
    """Yield what is wrong with the code that all waterfalls run."""
    if WATERFALLS not in deployed.addresses:  # a rail of an earlier release
        return
    address, artifact = deployed.view(WATERFALLS, "implementation"), deployed.artifacts[_SHARED]
    if not artifact.is_code(bytes(deployed.web3.eth.get_code(address))):
        yield f"the code of waterfalls at {address} is not that of this release"
        return
    contract = deployed.web3.eth.contract(address=address, abi=artifact.abi)
    for function, other in (("rail", "PaymentRail"), ("token", "EuroToken")):
        actual, wanted = contract.functions[function]().call(), deployed.addresses[other]
        if actual != wanted:
            yield f"{function} of all waterfalls is {actual}, not {other} {wanted}"


def _watched(deployed: DeployedContracts) -> Iterator[str]:
    """Yield what is wrong where the rail would not hear that a device is no longer active."""
    rail, watchers = deployed.addresses["PaymentRail"], _watchers(deployed)
    if rail not in watchers:
        yield f"the registry reports changed devices to {watchers}, not PaymentRail {rail}"


def _no_other_watcher(deployed: DeployedContracts) -> Iterator[str]:
    """Yield the watchers that no deployment names: one that reverts keeps devices from ending."""
    rail = deployed.addresses["PaymentRail"]
    others = [watcher for watcher in _watchers(deployed) if watcher != rail]
    if others:
        yield f"the registry also reports changed devices to {others}"


def _watchers(deployed: DeployedContracts) -> list[str]:
    watchers: list[str] = []
    while True:
        try:
            watchers.append(deployed.view("DeviceRegistry", "watchers", len(watchers)))
        except ContractLogicError:  # the list has no length to ask for
            return watchers


def _closed(deployed: DeployedContracts) -> Iterator[str]:
    if deployed.view("RailAccess", "setUpOpen"):
        deployer = deployed.view("RailAccess", "deployer")
        yield f"the set-up is open: the deployer {deployer} still acts as steward without delay"


def _precompile(deployed: DeployedContracts) -> Iterator[str]:
    recorded = deployed.view("DeviceRegistry", "hasPrecompile")
    if recorded != precompile_answers(deployed.web3):
        yield (
            f"the registry {'uses' if recorded else 'does not use'} the P-256 precompile, and the "
            f"chain {'has none that answers rightly' if recorded else 'has it'}"
        )


def precompile_answers(web3: Web3) -> bool:
    """Return whether 0x100 says yes to a good P-256 signature and nothing to a bad one."""
    key = ec.generate_private_key(ec.SECP256R1())
    digest = bytes(range(32))
    signature = key.sign(digest, ec.ECDSA(utils.Prehashed(hashes.SHA256())))
    public = key.public_key().public_numbers()
    numbers = [*utils.decode_dss_signature(signature), public.x, public.y]
    rest = b"".join(number.to_bytes(32, "big") for number in numbers)
    good = web3.eth.call({"to": _PRECOMPILE, "data": digest + rest})
    bad = web3.eth.call({"to": _PRECOMPILE, "data": bytes(32) + rest})
    return bytes(good) == (1).to_bytes(32, "big") and bytes(bad) != bytes(good)


def _roles(deployed: DeployedContracts, plan: DeploymentPlan, first_block: int) -> Iterator[str]:
    delay = deployed.view("RailAccess", "delay")
    if delay != plan.delay_s:
        yield f"the steward's delay is {delay} s, not {plan.delay_s} s"
    holders = {(role, account) for role, account, _ in role_holders(deployed, first_block)}
    wanted = {(int(role), account) for role, account in plan.holders().items()}
    for role, account in sorted(holders - wanted):
        yield f"{account} holds the role {Role(role).name}, which the plan does not give it"
    for role, account in sorted(wanted - holders):
        yield f"{account} does not hold the role {Role(role).name}"
    for role in (Role.ADMIN, Role.STEWARD):
        wait = deployed.view("RailAccess", "hasRole", role, plan.steward)[1]
        if wait != plan.delay_s:
            yield f"the steward's role {role.name} waits {wait} s, not {plan.delay_s} s"


def role_holders(deployed: DeployedContracts, first_block: int) -> list[tuple[int, str, int]]:
    """Return (role, account, seconds that its calls wait) of everyone who holds a role now.

    Args:
        deployed: The contracts.
        first_block: A block at or before the one that created RailAccess.
    """
    granted = deployed.logs("RailAccess", "RoleGranted", first_block)
    given = sorted({(int(log["roleId"]), log["account"]) for log in granted})
    states = [(*pair, *deployed.view("RailAccess", "hasRole", *pair)) for pair in given]
    return [(role, account, wait) for role, account, holds, wait in states if holds]


def check_product(deployed: DeployedContracts, product: str) -> None:
    """Raise Halt unless a product's code, immutables and precompile are right.

    The rail itself may be of a former release, so its code is not looked at.

    Args:
        deployed: The contracts, the product among them.
        product: Its name.
    """
    alone = DeployedContracts(
        deployed.web3, deployed.artifacts, {product: deployed.addresses[product]}
    )
    problems = [*_code(alone)] or [*_wired(deployed, product)]
    if product == WATERFALLS:
        problems = problems or [*_waterfalls(deployed)]
    _halt([*problems, *_closed(deployed), *_precompile(deployed)])


def _seats(deployed: DeployedContracts, plan: DeploymentPlan) -> Iterator[str]:
    count = deployed.view("OracleCommittee", "memberCount")
    members = [deployed.view("OracleCommittee", "memberAt", index) for index in range(count)]
    seats = {}
    for member in members:
        domain, seated, barred, silenced, _ = deployed.view("OracleCommittee", "memberOf", member)
        seats[member] = domain if seated and not barred and not silenced else 0
    if seats != dict(plan.members):
        yield f"the committee is {seats}, not {dict(plan.members)}"
    least = deployed.view("OracleCommittee", "minDomains")
    if least != plan.min_domains:
        yield f"a quorum comes from {least} trust domains, not {plan.min_domains}"
    officers = set(deployed.view("OfficerRegistry", "officers"))
    if officers != set(plan.officers):
        yield f"the officers are {sorted(officers)}, not {sorted(plan.officers)}"


def _products(deployed: DeployedContracts, plan: DeploymentPlan, first_block: int) -> Iterator[str]:
    logs = deployed.logs("PaymentRail", "ProductAllowed", first_block)
    last = {log["product"]: log["allowed"] for log in logs}
    listed = {product for product, allowed in last.items() if allowed}
    wanted = {deployed.addresses[product] for product in plan.products}
    if listed != wanted:
        yield f"the rail lists the products {sorted(listed)}, not {sorted(wanted)}"
