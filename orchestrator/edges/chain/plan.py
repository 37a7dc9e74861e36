"""Who gets which role in a deployment, and which products there are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum

from web3 import Web3

from orchestrator.edges.chain.ethereum import LocalAccount
from orchestrator.edges.chain.keystore import LOCAL_CHAIN, development_account
from orchestrator.errors import Halt

WATERFALLS = "Waterfalls"  # a rail works without it as well
FIRST_CONTRACTS = (
    "RailAccess",
    "OracleCommittee",
    "DeviceRegistry",
    "EuroToken",
    "PaymentRail",
    "Challenges",
    WATERFALLS,
)
RAIL_PARTS = {"Disputes": "disputes", "Consents": "consents"}  # made by the rail -> its function
LAST_CONTRACTS = ("OfficerRegistry",)
HOUR_S = 3_600
DEFAULT_DELAY_S = 48 * HOUR_S
LEAST_DELAY_S = 24 * HOUR_S  # off the local chain; RailAccess refuses less as well
MOST_DELAY_S = 30 * 24 * HOUR_S
_PUBLIC_KEYS = 40  # of the development mnemonic; as many as our own chains give ether to


class Role(IntEnum):
    """The roles of the access manager, as contracts/libraries/Roles.sol numbers them."""

    ADMIN = 0
    STEWARD = 1
    GUARDIAN = 2
    MINTER = 3
    REGISTRAR = 4
    WARDEN = 5


@dataclass(frozen=True, slots=True)
class DeploymentPlan:
    """Who has which role. The deployer signs and pays everything and has no role at the end.

    Attributes:
        steward: Its address; it lists products, seats oracles and officers and gives roles, each
            time after the delay.
        guardian: Its address.
        minter: Its address.
        registrar: Its address.
        warden: Its address.
        members: (oracle address, trust domain from 1 to 255).
        products: Names of contracts, each created with (rail, registry); see
            `artifacts.product_contracts`.
        min_domains: The least number of trust domains in a quorum.
        officers: Addresses of those who approve payouts that need two people.
        delay_s: Seconds that each of the steward's actions waits.
        token: Address of the token that a moved rail goes on with; "" makes one.
        registry: Address of the registry that a moved rail's registry follows; "" for none.
        follows: (product, address of its former contract) where the new one asks the former one
            what was used there.
    """

    deployer: LocalAccount
    steward: str
    guardian: str
    minter: str
    registrar: str
    warden: str
    members: tuple[tuple[str, int], ...]
    products: tuple[str, ...]
    min_domains: int = 2
    officers: tuple[str, ...] = ()
    delay_s: int = DEFAULT_DELAY_S
    token: str = ""
    registry: str = ""
    follows: tuple[tuple[str, str], ...] = ()

    @property
    def contracts(self) -> tuple[str, ...]:
        """Return the names of the contracts that are created, in order."""
        first = [name for name in FIRST_CONTRACTS if not (self.token and name == "EuroToken")]
        return (*first, *self.products, *LAST_CONTRACTS)

    @property
    def kept(self) -> tuple[str, ...]:
        """Return the addresses of the former contracts that the new ones go on with."""
        return tuple(address for address in (self.token, self.registry) if address)

    def holders(self) -> dict[Role, str]:
        """Return who holds each role after the deployment."""
        return {
            Role.ADMIN: self.steward,
            Role.STEWARD: self.steward,
            Role.GUARDIAN: self.guardian,
            Role.MINTER: self.minter,
            Role.REGISTRAR: self.registrar,
            Role.WARDEN: self.warden,
        }

    def addresses(self) -> list[str]:
        """Return every address that gets a role or pays."""
        named = [self.steward, self.guardian, self.minter, self.registrar, self.warden]
        members = [member for member, _ in self.members]
        return [self.deployer.address, *named, *members, *self.officers]

    def lines(self) -> Iterator[str]:
        """Yield what the deployment will do, a line each."""
        yield f"deployer   {self.deployer.address}  signs and pays; no role at the end"
        wait = f"each action waits {self.delay_s / HOUR_S:g} hours"
        yield f"steward    {self.steward}  lists products, seats, gives roles; {wait}"
        yield f"guardian   {self.guardian}  pauses, silences, cancels; at once"
        yield f"minter     {self.minter}"
        yield f"registrar  {self.registrar}"
        yield f"warden     {self.warden}"
        for address, domain in self.members:
            yield f"oracle     {address}  trust domain {domain}"
        yield f"a quorum comes from at least {self.min_domains} trust domains"
        for address in self.officers:
            yield f"officer    {address}"
        if self.token:
            yield f"EuroToken  {self.token}  stays: the same tokens, the same minter"
        if self.registry:
            yield f"registry   {self.registry}  its devices are known to the new one"
        for product, former in self.follows:
            yield f"{product} knows its former contract {former} and what was used there"
        for number, contract in enumerate(self.contracts, 1):
            listed = ", listed at the rail" if contract in self.products else ""
            yield f"{number}. create {contract}{listed}"
        yield f"{len(self.contracts) + 1}. close the set-up: the deployer gives its power up"


def checksum(address: str) -> str:
    """Return an address in the one form that web3 takes (EIP-55)."""
    return Web3.to_checksum_address(address)


def refuse_unsafe(plan: DeploymentPlan, chain_id: int) -> None:
    """Raise Halt where a plan would make contracts that nobody should trust, or that revert."""
    problem = next(_problems(plan, chain_id), None)
    if problem:
        raise Halt(f"This plan is not deployed: {problem} Nothing was sent.")


def public_keys(addresses: Iterable[str], chain_id: int) -> Iterator[str]:
    """Yield what is wrong where a key is public and the chain is not the local one."""
    if chain_id == LOCAL_CHAIN:
        return
    public = sorted(
        set(addresses) & {development_account(index).address for index in range(_PUBLIC_KEYS)}
    )
    if public:
        yield (
            f"chain {chain_id} is not the development chain {LOCAL_CHAIN}, and the keys of "
            f"{', '.join(public)} are known to everybody. Use keys of your own."
        )


def _problems(plan: DeploymentPlan, chain_id: int) -> Iterator[str]:
    yield from public_keys(plan.addresses(), chain_id)
    least = 0 if chain_id == LOCAL_CHAIN else LEAST_DELAY_S
    if not least <= plan.delay_s <= MOST_DELAY_S:
        yield (
            f"the steward's delay is {plan.delay_s / HOUR_S:g} hours, and chain {chain_id} takes "
            f"{least // HOUR_S} to {MOST_DELAY_S // HOUR_S} hours. Change the delay."
        )
    if len({plan.deployer.address, plan.steward, plan.guardian}) < 3:
        yield "deployer, steward and guardian share a key. Give each its own."
    members = [member for member, _ in plan.members]
    if len({*members}) < len(members) or len({*plan.officers}) < len(plan.officers):
        yield "an oracle or an officer is listed twice. Correct the list."
    if len({domain for _, domain in plan.members}) < plan.min_domains:
        yield (
            f"the oracles come from fewer than {plan.min_domains} trust domains, so no claim could "
            "ever settle. Add oracles, or lower the least number of domains."
        )
