"""Makes what a development rail begins with: payer, payee, one meter, one funded agreement.

The job runs after the contracts are deployed and before the other processes start. A journal in
`sandbox/set-up.json` holds what must not differ in a second run, so that a run that was cut off is
finished by the next one, and a finished one does nothing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from orchestrator.assembly import open_chain
from orchestrator.core.identity import enrolment_digest
from orchestrator.core.references import funding_reference
from orchestrator.edges.broker.credentials import CredentialRole
from orchestrator.edges.chain import keystore
from orchestrator.edges.chain.client import Chain
from orchestrator.edges.chain.deployment import Deployment
from orchestrator.edges.chain.sender import Sender, patience
from orchestrator.edges.store import Store
from orchestrator.edges.store.agreements import PartyRow
from orchestrator.errors import Halt
from orchestrator.operations.agreements import AgreementOps, Enrolment
from orchestrator.operations.trust import DevelopmentCa, check_endorsement, save_endorsement
from orchestrator.products import products
from orchestrator.products.metered_energy.product import EnergyTerms, encode_terms
from orchestrator.settings import Settings
from services.equipment import create_broker_password, create_officers
from services.sandbox.journal import SetUpJournal, begin
from services.sandbox.meter import METER, open_meter
from services.sandbox.parties import PAYEE, PAYER, SAVINGS_CENTS, SandboxParty
from services.simulated_bank.bank import write_file

FUNDED_CENTS = 5_000_00
PRICE_MICRO, FUSE_WATTS = 300_000, 150_000  # 0.30 EUR/kWh; a fast charger
CAP_MICRO = 5_000_000_000  # 5,000 euro in 30 days
WINDOW_S = 10  # a short dispute window, so that a payout follows soon
_LATE_S = 60  # a chain's clock that is further behind is moved to now


def set_up_sandbox(settings: Settings, say: Callable[[str], None] = lambda line: None) -> None:
    """Make what is missing; return when it is on chain and the bank has its instruction.

    Args:
        settings: of a home of profile `dev` whose contracts are deployed.
        say: called with a line per step.

    Raises:
        Halt: the chain is not a local one or not the sandbox's own, or a step failed on chain.
        Retry: the node does not answer.
    """
    deployment = Deployment.load(settings.deployment)
    if deployment.chain_id != keystore.LOCAL_CHAIN:
        raise Halt(
            f"A sandbox is for the local chain {keystore.LOCAL_CHAIN} only, and the contracts are "
            f'on chain {deployment.chain_id}. Nothing was sent. Set profile = "server".'
        )
    journal = begin(settings, deployment.genesis)
    with closing(Store(settings.database)) as store:
        create_officers(settings, store)
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
        journal.save(settings)
        say(f"agreement: {journal.agreement}")
    _move_clock_to_now(chain)
    _fund(settings, journal.agreement)
    say(f"funding: {FUNDED_CENTS // 100:,} EUR ordered at the simulated bank")
    journal.done = True
    journal.save(settings)


@contextmanager
def _operations(settings: Settings, chain: Chain) -> Iterator[AgreementOps]:
    store = Store(settings.database)
    try:
        senders = {
            role: Sender(store, chain, keystore.load(settings.keys, role))
            for role in ("registrar", "sender", "warden")
        }
        parties = keystore.keys_of(settings.keys / "parties")
        yield AgreementOps(senders, lambda: int(time.time()), patience(), parties)
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
