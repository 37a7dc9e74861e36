"""Builds a rail's context from its home folder and `rail.json`, for scripts, commands and tests."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.addresses import read_addresses
from orchestrator.core import committee
from orchestrator.core.approval import Office
from orchestrator.core.committee import Committee
from orchestrator.edges.bank.channel import Channel, open_channel
from orchestrator.edges.chain import keystore
from orchestrator.edges.chain.artifacts import load_artifacts
from orchestrator.edges.chain.client import Chain
from orchestrator.edges.chain.deployment import Deployment
from orchestrator.edges.chain.ethereum import LocalAccount
from orchestrator.edges.chain.rails import COMMITTEE, emitter
from orchestrator.edges.chain.reader import Registry
from orchestrator.edges.chain.sender import Sender
from orchestrator.edges.oracles import OracleClient, OracleTls
from orchestrator.edges.store import Store, approvals, blocks
from orchestrator.errors import Halt
from orchestrator.products import deployed
from orchestrator.secret_file import read_secret
from orchestrator.settings import Settings
from orchestrator.steps import StepContext

SENDING_ROLES = ("sender", "minter", "warden")  # the keys that a running rail sends with


@dataclass(frozen=True)
class RailParts:
    """What `assemble` connects.

    Attributes:
        accounts: role -> its key, at least for `SENDING_ROLES`.
        oracles: the endpoints of the oracles; who of them may sign is on chain.
        safeguarding: the rail's own bank account (name, iban, bic, address).
        now: the clock, in Unix seconds.
        registry_depth: blocks that the registry reads again after a rewind; None: its default.
    """

    settings: Settings
    store: Store
    chain: Chain
    accounts: Mapping[str, LocalAccount]
    oracles: Sequence[OracleClient]
    bank: Channel
    safeguarding: Mapping[str, Any]
    now: Callable[[], int]
    log: Any
    registry_depth: int | None = None


def assemble(parts: RailParts) -> StepContext:
    """Connect the parts to the context that the worker's steps need.

    Raises:
        Retry: the node does not answer; the committee's number of domains is read from it.
    """
    chain, store = parts.chain, parts.store
    addresses = chain.deployment.addresses
    products = deployed(addresses)
    depth = {} if parts.registry_depth is None else {"depth": parts.registry_depth}
    senders = {role: Sender(store, chain, parts.accounts[role]) for role in SENDING_ROLES}
    return StepContext(
        settings=parts.settings,
        store=store,
        chain=chain,
        registry=Registry(chain, products, contracts=addresses.values(), **depth),
        oracles=list(parts.oracles),
        office=follow_office(store, chain, parts.settings, parts.now),
        committee=follow_committee(store, chain.deployment, chain.view(COMMITTEE, "minDomains")),
        rules={product.NAME: product for _, product in products.values()},
        bank=parts.bank,
        safeguarding=parts.safeguarding,
        now=parts.now,
        log=parts.log,
        **senders,
    )


def rail_from_home(settings: Settings, log: Any) -> StepContext:
    """Build the context of the rail whose home the settings name.

    Raises:
        Halt: the home holds no deployment, or a key is missing.
        Retry: the node or the database does not answer.
    """
    config = read_config(settings)
    return assemble(
        RailParts(
            settings=settings,
            store=Store(settings.database),
            chain=open_chain(
                config["rpc_url"], Deployment.load(settings.deployment), settings.rpc_urls
            ),
            accounts=load_accounts(settings, SENDING_ROLES),
            oracles=[oracle_endpoint(settings, oracle) for oracle in config["oracles"]],
            bank=open_channel(settings),
            safeguarding=config["safeguarding"],
            now=lambda: int(time.time()),
            log=log,
        )
    )


def read_config(settings: Settings) -> dict[str, Any]:
    """Return `rail.json`: where node, broker, oracles and the safeguarding account are.

    Raises:
        Halt: the home has no such file, or it cannot be read.
    """
    addresses = read_addresses(settings.home)
    if not addresses:
        raise Halt(
            f"{settings.home / 'rail.json'} is missing, so the parts of this rail cannot be found. "
            "`proofrail up` writes it."
        )
    return addresses


def open_chain(url: str, deployment: Deployment, others: Sequence[str] = ()) -> Chain:
    """Return the nodes' client with the contracts' interfaces; nothing is asked of a node."""
    return Chain(url, deployment, load_artifacts(), others=others)


def load_accounts(settings: Settings, roles: Iterable[str]) -> dict[str, LocalAccount]:
    """Return the keys of these roles. Raises Halt if the keystore does not hold one of them."""
    return {role: keystore.load(settings.keys, role) for role in roles}


def oracle_endpoint(settings: Settings, oracle: Mapping[str, Any]) -> OracleClient:
    """Return the endpoint of one entry of `rail.json`'s oracles, with its token from the home."""
    token = read_secret(settings.keys / f"{oracle['name']}.token")
    tls = OracleTls(settings.oracle_tls_ca, settings.oracle_tls_cert, settings.oracle_tls_key)
    name, address, domain, url = (oracle[key] for key in ("name", "address", "domain", "url"))
    return OracleClient(name, address, domain, url, token, tls=tls)


def follow_office(
    store: Store, chain: Chain, settings: Settings, now: Callable[[], int]
) -> Callable[[], Office]:
    """Return what asks the chain who its officers are, and only if an approval waits for it."""

    def current() -> Office:
        with store.read() as session:
            is_needed = approvals.has_approved(session)
        officers = read_officers(chain) if is_needed else frozenset()
        return office_of(chain.deployment, settings, officers, now())

    return current


def read_officers(chain: Chain) -> frozenset[str]:
    """Return the officers that the chain has now; none where it has no registry of officers.

    Raises:
        Retry: the node does not answer.
    """
    if "OfficerRegistry" not in chain.deployment.addresses:  # contracts of 0.5.0 and before
        return frozenset()
    return frozenset(chain.view("OfficerRegistry", "officers"))


def office_of(
    deployment: Deployment, settings: Settings, officers: frozenset[str], now: int
) -> Office:
    """Return the office with these officers at a time (Unix seconds)."""
    return Office(deployment.chain_id, officers, now, settings.approval_days * 86_400)


def follow_committee(
    store: Store, deployment: Deployment, min_domains: int
) -> Callable[[], Committee]:
    """Return what reads the committee as of the newest block that the store has.

    That of the present rail: nothing is attested for a former one.
    """

    def now() -> Committee:
        with store.read() as session:
            rows = blocks.logs_named(session, committee.EVENTS)
        own_logs = (
            (row.name, json.loads(row.args))
            for row in rows
            if emitter(deployment, COMMITTEE, row.address) == COMMITTEE
        )
        return committee.committee_of(own_logs, min_domains)

    return now
