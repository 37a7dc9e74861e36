"""Makes what a development rail begins with: payer, payee, one meter, one funded agreement.

The job runs after the contracts are deployed and before the other processes start. A journal in
`sandbox/set-up.json` holds what must not differ in a second run, so that a run that was cut off is
finished by the next one, and a finished one does nothing.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from orchestrator.assembly import open_chain
from orchestrator.commands.home import patience
from orchestrator.core.identity import enrolment_digest
from orchestrator.core.references import funding_reference
from orchestrator.edges.broker.credentials import CredentialRole
from orchestrator.edges.chain import keystore
from orchestrator.edges.chain.client import Chain
from orchestrator.edges.chain.deployment import Deployment
from orchestrator.edges.chain.sender import Sender
from orchestrator.edges.store import Store
from orchestrator.edges.store.agreements import PartyRow
from orchestrator.errors import Halt
from orchestrator.operations.agreements import AgreementOps, Enrolment
from orchestrator.operations.trust import DevelopmentCa, check_endorsement, save_endorsement
from orchestrator.products import products
from orchestrator.products.metered_energy.product import EnergyTerms, encode_terms
from orchestrator.settings import Settings
from services.equipment import create_broker_password
from services.sandbox.meter import METER, open_meter
from services.sandbox.parties import PAYEE, PAYER, SAVINGS_CENTS, SandboxParty
from services.simulated_bank.bank import write_file

JOURNAL_VERSION = 1
FUNDED_CENTS = 5_000_00
PRICE_MICRO, FUSE_WATTS = 300_000, 150_000  # 0.30 EUR/kWh; a fast charger
CAP_MICRO = 5_000_000_000  # 5,000 euro in 30 days
WINDOW_S = 10  # a short dispute window, so that a payout follows soon
_YEAR_S = 365 * 86_400
_LATE_S = 60  # a chain's clock that is further behind is moved to now


@dataclass
class SetUpJournal:
    """What a second run must find again.

    Attributes:
        genesis: the chain for which it was made, 0x-hex.
        salt: of the mandate, hex; it makes the agreement's id.
        expiry: of the mandate, Unix seconds.
        agreement: the agreement's id once it is open, else "".
        done: whether everything is there.
    """

    genesis: str
    salt: str
    expiry: int
    agreement: str = ""
    done: bool = False
    version: int = JOURNAL_VERSION


def set_up_sandbox(settings: Settings, say: Callable[[str], None] = lambda line: None) -> None:
    """Make what is missing; return when it is on chain and the bank has its instruction.

    Args:
        settings: of a home of profile `dev` whose contracts are deployed.
        say: called with a line per step.

    Raises:
        Halt: the home's sandbox belongs to another chain, or a step failed on chain.
        Retry: the node does not answer.
    """
    deployment = Deployment.load(settings.deployment)
    journal = _begin(settings, deployment.genesis)
    if journal.done:
        return
    chain = open_chain(settings.rpc_url, deployment)
    chain.check_identity()
    with _operations(settings, chain) as operations:
        for party in (PAYER, PAYEE):
            operations.save_parties([_party_row(settings, party)])
        operations.pay_to_bank(PAYEE.account(settings), PAYEE.iban)
        say(f"parties: {PAYER.name} pays, {PAYEE.name} is paid")
        _enrol(settings, chain, operations)
        say(f"device: {METER} is enrolled")
        journal.agreement = _open(settings, journal, operations)
        _save(settings, journal)
        say(f"agreement: {journal.agreement}")
    _move_clock_to_now(chain)
    _fund(settings, journal.agreement)
    say(f"funding: {FUNDED_CENTS // 100:,} EUR ordered at the simulated bank")
    journal.done = True
    _save(settings, journal)


def read_journal(settings: Settings) -> SetUpJournal | None:
    """Return the journal of the sandbox; None before the first set-up.

    Raises:
        Halt: another version of this program wrote it.
    """
    try:
        content = json.loads(_journal_file(settings).read_bytes())
    except FileNotFoundError:
        return None
    if content.get("version") != JOURNAL_VERSION:
        raise Halt(
            f"{_journal_file(settings)} has version {content.get('version')}, and this program "
            f"reads version {JOURNAL_VERSION}. Use the version of proofrail that wrote it."
        )
    return SetUpJournal(**content)


def _begin(settings: Settings, genesis: str) -> SetUpJournal:
    journal = read_journal(settings)
    if journal is None:
        journal = SetUpJournal(genesis, secrets.token_hex(32), int(time.time()) + _YEAR_S)
        _save(settings, journal)
    if journal.genesis != genesis:
        raise Halt(
            f"The sandbox of {settings.home} was set up on the chain with genesis "
            f"{journal.genesis}, and the rail is on {genesis}. Nothing was sent. Next: start the "
            "rail with its own chain, or make a new home with `proofrail init`."
        )
    return journal


def _save(settings: Settings, journal: SetUpJournal) -> None:
    keystore.write_private(_journal_file(settings), json.dumps(asdict(journal), indent=1).encode())


def _journal_file(settings: Settings) -> Path:
    return settings.home / "sandbox" / "set-up.json"


@contextmanager
def _operations(settings: Settings, chain: Chain) -> Iterator[AgreementOps]:
    store = Store(settings.database)
    try:
        senders = {
            role: Sender(store, chain, keystore.load(settings.keys, role))
            for role in ("registrar", "sender", "warden")
        }
        yield AgreementOps(senders, lambda: int(time.time()), patience())
    finally:
        store.close()


def _party_row(settings: Settings, party: SandboxParty) -> PartyRow:
    return PartyRow(
        address=party.account(settings).address,
        name=party.name,
        iban=party.iban,
        street=party.street,
        building="7",
        post_code=party.post_code,
        town=party.town,
        country="DE",
    )


def _enrol(settings: Settings, chain: Chain, operations: AgreementOps) -> None:
    """Enrol the meter: the development CA endorses its key, and it proves that it holds it."""
    meter, deployment = open_meter(settings), chain.deployment
    owner = PAYEE.account(settings).address
    endorsement = check_endorsement(
        settings,
        deployment.chain_id,
        DevelopmentCa.load(settings).issue(METER, meter.public),
        METER,
        meter.public,
        int(time.time()),
    )
    save_endorsement(settings, endorsement)
    registry = deployment.addresses["DeviceRegistry"]
    proof = meter.sign_digest(enrolment_digest(deployment.chain_id, registry, METER, owner))
    operations.enrol([Enrolment(METER, meter.public, owner, *proof, endorsement=endorsement)])
    head = chain.blocks([chain.head()])[0]
    meter.begin_at(head.timestamp + 1)
    create_broker_password(settings.home, METER, CredentialRole.DEVICE, meter.folder / "password")
    meter.close()


def _open(settings: Settings, journal: SetUpJournal, operations: AgreementOps) -> str:
    product, payer = products()["metered_energy"], PAYER.account(settings)
    mandate = operations.mandate(
        METER,
        payer.address,
        PAYEE.account(settings).address,
        product,
        cap_micro=CAP_MICRO,
        window_s=WINDOW_S,
        expiry=journal.expiry,
        salt=bytes.fromhex(journal.salt),
        terms=encode_terms(EnergyTerms(PRICE_MICRO, FUSE_WATTS)),
    )
    signed = (METER, product.NAME, mandate, operations.sign(mandate, payer))
    return operations.open([signed])[0]


def _fund(settings: Settings, agreement: str) -> None:
    """Leave instructions for the bank, which takes each name once: two accounts, one transfer."""
    accounts = [
        {
            "kind": "open",
            "iban": party.iban,
            "name": party.name,
            "closed": False,
            "balance_cents": SAVINGS_CENTS,
            "kind_of_account": "customer",
        }
        for party in (PAYER, PAYEE)
    ]
    transfer = {
        "kind": "pay",
        "from": PAYER.iban,
        "to": "",
        "text": "",
        "amount_cents": FUNDED_CENTS,
        "reference": funding_reference(bytes.fromhex(agreement[2:])),
        "currency": "EUR",
    }
    folder = settings.home / "bank" / "instructions"
    folder.mkdir(parents=True, exist_ok=True)
    for number, instruction in enumerate((*accounts, transfer)):
        name = f"{number:020}-sandbox.json"
        if not (folder / "done" / name).exists():
            write_file(folder / name, json.dumps(instruction).encode())


def _move_clock_to_now(chain: Chain) -> None:
    """End the installation: a local chain that began in the past continues at the present."""
    now = int(time.time())
    if chain.blocks([chain.head()])[0].timestamp < now - _LATE_S:
        chain.rpc("evm_setNextBlockTimestamp", [hex(now)])
        chain.rpc("evm_mine", [])
