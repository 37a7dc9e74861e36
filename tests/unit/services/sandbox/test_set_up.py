"""The set-up of a development rail: cut off anywhere, it is finished; then it does nothing."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from orchestrator import cli
from orchestrator.commands import approval
from orchestrator.commands.home import Home
from orchestrator.core.approval import Approval
from orchestrator.edges.broker import credentials
from orchestrator.edges.chain.deployment import Deployment
from orchestrator.edges.chain.keystore import development_account
from orchestrator.edges.store import Store, agreements, approvals
from orchestrator.errors import Halt
from orchestrator.operations.agreements import AgreementOps
from orchestrator.settings import Settings
from services import new_home
from services.development import OFFICERS
from services.equipment import create_officers
from services.new_home import FreePorts, development_home
from services.sandbox import set_up as job
from services.sandbox.journal import read_journal
from services.sandbox.meter import METER, open_meter
from services.sandbox.parties import PAYEE, PAYER
from services.sandbox.set_up import set_up_sandbox
from services.set_up import set_up
from services.simulated_bank.bank import SimulatedBank
from services.testnet import Testnet

PAST_S = 7_200


class CutOff(Exception):
    """The power went out."""


@pytest.fixture(scope="module")
def chain():
    with Testnet(extra=("--timestamp", str(int(job.time.time()) - PAST_S))) as chain:
        yield chain


@pytest.fixture(scope="module")
def settings(chain, tmp_path_factory):
    """A home with contracts, whose first three set-ups are cut off and whose fourth succeeds."""
    home = tmp_path_factory.mktemp("sandbox") / "home"
    ports = FreePorts(lambda port: True)
    settings = new_home.make(development_home(home, chain.url, ports))
    set_up(settings)
    for owner, name in ((AgreementOps, "enrol"), (AgreementOps, "open"), (job, "_fund")):
        with pytest.MonkeyPatch.context() as patch, pytest.raises(CutOff):
            patch.setattr(owner, name, _cut_off_after(getattr(owner, name)))
            set_up_sandbox(settings)
    set_up_sandbox(settings)
    return settings


def _cut_off_after(work):
    def cut(*arguments):
        work(*arguments)
        raise CutOff

    return cut


def test_set_up__cut_off_three_times__has_everything_once(settings):
    with _read(settings) as session:
        (agreement,) = agreements.all_agreements(session)
        assert agreement.agreement_id == read_journal(settings).agreement
        assert {party.name for party in agreements.parties(session)} == {PAYER.name, PAYEE.name}
        assert agreements.device(session, agreement.device_id).name == METER
    password = (settings.home / "sandbox" / METER / "password").read_text()
    known = credentials.load(settings.home)
    assert credentials.verify(known, METER, password) is credentials.CredentialRole.DEVICE


def test_set_up__the_chains_clock__is_moved_to_the_present(settings, chain):
    newest = int(chain.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
    assert newest > job.time.time() - PAST_S / 2
    meter = open_meter(settings)
    # the time until now is free for readings
    assert newest - 2 * PAST_S < meter.now < newest - PAST_S / 2
    meter.close()


def test_set_up__the_bank_that_starts_later__books_one_transfer(settings):
    own = settings.safeguarding
    account = {"iban": own.iban, "name": own.name, "kind": "safeguarding", "balance_cents": 0}
    job._fund(settings, read_journal(settings).agreement)  # as after a crash before the journal
    for _ in range(2):
        bank = SimulatedBank(settings.home / "bank", {"accounts": [account]})
        bank.step()
    assert bank.books.balance(own.iban) == job.FUNDED_CENTS


def test_set_up__once_more__sends_nothing(settings, chain):
    before = chain.rpc("eth_blockNumber")
    set_up_sandbox(settings)
    assert chain.rpc("eth_blockNumber") == before


def proofrail(settings, *words):
    result = CliRunner().invoke(cli.app, [*words, "--json", "--home", str(settings.home)])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_set_up__the_officers_of_the_chain__can_sign_approvals_by_command(settings):
    seated = {row["name"] for row in proofrail(settings, "officer", "list") if row["seated"]}
    assert seated == set(OFFICERS) and len(OFFICERS) == 2
    first, second = OFFICERS
    proposal = Approval("release_payout", "0x" + "ab" * 32, {"cents": 5}, int(job.time.time()))
    identity = approval.propose(Home(settings.home), proposal, first)
    assert proofrail(settings, "approval", "approve", identity, "--as", second)["approved"]
    [row] = proofrail(settings, "approval", "list", "--all")
    assert (row["stage"], row["proposed_by"], row["approved_by"]) == ("approved", first, second)


def test_set_up__names_that_the_operator_gave__stay(settings, tmp_path):
    store = Store(tmp_path / "rail.sqlite3")
    home = Settings(home=tmp_path)
    first, second = (development_account(index).address for index in OFFICERS.values())
    with store.write() as session:
        approvals.name_officer(session, first, "Mia")
        approvals.name_officer(session, "0x" + "5" * 40, list(OFFICERS)[1])
    create_officers(home, store)
    create_officers(home, store)
    with store.read() as session:
        names = approvals.officer_names(session)
    assert names[first] == "Mia" and second not in names
    store.close()


def test_set_up__contracts_elsewhere__are_refused(settings, tmp_path):
    deployment = json.loads(settings.deployment.read_text())["deployment"]
    moved = Settings(home=tmp_path, **settings.model_dump(exclude={"home"}))
    Deployment(**deployment | {"chain_id": 1}).save(tmp_path / "deployment.json")
    with pytest.raises(Halt, match="for the local chain 31337 only"):
        set_up_sandbox(moved)


def test_set_up__another_chain_under_the_same_home__is_refused(settings, tmp_path):
    content = json.loads((settings.home / "sandbox" / "set-up.json").read_text())
    moved = Settings(home=tmp_path, **settings.model_dump(exclude={"home"}))
    (tmp_path / "sandbox").mkdir()
    (tmp_path / "sandbox" / "set-up.json").write_text(json.dumps(content | {"genesis": "0x12"}))
    (tmp_path / "deployment.json").write_bytes(settings.deployment.read_bytes())
    with pytest.raises(Halt, match=r"genesis 0x12.*Nothing was sent"):
        set_up_sandbox(moved)


class _read:
    def __init__(self, settings) -> None:
        self._store = Store(settings.database)

    def __enter__(self):
        self._reading = self._store.read()
        return self._reading.__enter__()

    def __exit__(self, *error: object) -> None:
        self._reading.__exit__(*error)
        self._store.close()
