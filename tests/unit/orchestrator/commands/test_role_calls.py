"""Commands of steward and guardian on a real chain with a delay: plan, schedule, make, cancel."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from orchestrator import cli
from orchestrator.commands import chain as chain_commands
from orchestrator.commands import home as home_module
from orchestrator.commands import role_calls as commands
from orchestrator.edges.chain import keystore
from orchestrator.edges.chain.artifacts import load_artifacts
from orchestrator.edges.chain.client import Chain
from orchestrator.edges.chain.deployment import deploy
from orchestrator.edges.chain.plan import Role
from orchestrator.edges.store import Store
from orchestrator.edges.store.tables import AgreementRow
from services import anvil
from services.development import OFFICERS, ROLES, development_plan
from services.testnet import Testnet

pytestmark = pytest.mark.skipif(anvil.find() is None, reason="anvil is not installed")

DELAY_S = 48 * 3_600
WEEK_S = 7 * 86_400
NEW = keystore.development_account(33).address  # it has no role


class DelayedRail:
    """The home of a rail whose steward waits 48 hours, on a chain whose clock the test moves."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.testnet = Testnet(accounts=40).start()
        plan = replace(development_plan(), delay_s=DELAY_S)
        artifacts = load_artifacts()
        deployment = deploy(self.testnet.url, artifacts, plan, home / "deployment.json")
        self.chain = Chain(self.testnet.url, deployment, artifacts)
        (home / "rail.json").write_text(json.dumps({"rpc_url": self.testnet.url}))
        for role in ("steward", "guardian", "sender"):
            keystore.create(
                home / "keys", role, keystore.development_account(ROLES[role]).key.hex()
            )
        Store(home / "proofrail.sqlite3").close()
        self.now = self.chain.newest().timestamp

    def later(self, seconds: int) -> None:
        self.testnet.mine(1, seconds)
        self.now = self.chain.newest().timestamp

    def run(self, *words: object) -> Any:
        return CliRunner().invoke(cli.app, ["--home", str(self.home), *map(str, words)])

    def call(self, *words: object) -> dict[str, Any]:
        result = self.run(*words, "--yes", "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    def sent(self) -> int:
        names = ("steward", "guardian", "sender")
        accounts = (keystore.development_account(ROLES[name]).address for name in names)
        return sum(map(self.chain.nonce, accounts))

    def listed(self, *words: str) -> Any:
        result = self.run(*words, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    def close(self) -> None:
        self.testnet.stop()


@pytest.fixture(scope="module")
def delayed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DelayedRail]:
    rail = DelayedRail(tmp_path_factory.mktemp("delayed"))
    yield rail
    rail.close()


@pytest.fixture
def rail(delayed: DelayedRail, monkeypatch: pytest.MonkeyPatch) -> DelayedRail:
    """The shared rail; commands have its chain's clock."""
    delayed.now = delayed.chain.newest().timestamp

    clock = SimpleNamespace(time=lambda: delayed.now)
    for module in (home_module, commands, chain_commands):
        monkeypatch.setattr(module, "time", clock)
    return delayed


def member(rail: DelayedRail, address: str) -> tuple[Any, ...]:
    return tuple(rail.chain.view("OracleCommittee", "memberOf", address))


def state(rail: DelayedRail, name: str) -> dict[str, Any]:
    """Return where a member, an officer and a product stand, by one name each."""
    return {
        "oracle": member(rail, NEW)[1],
        "officer": rail.chain.view("OfficerRegistry", "isOfficer", NEW),
        "product": next(
            row["allowed"]
            for row in rail.listed("product", "list")
            if row["name"] == "ProofOfDelivery"
        ),
    }[name]


# (words, what they change, its value before and after)
STEWARD = [
    (("committee", "seat", NEW, "--domain", 9), "oracle", False, True),
    (("committee", "unseat", NEW), "oracle", True, False),
    (("officer", "seat", "Cleo", "--address", NEW), "officer", False, True),
    (("officer", "unseat", "Cleo"), "officer", True, False),
]


@pytest.mark.parametrize(("words", "what", "before", "after"), STEWARD)
def test_steward__each_call__is_shown_scheduled_and_made_after_the_delay(
    rail, words, what, before, after
):
    assert state(rail, what) is before
    sent = rail.sent()
    plan = rail.listed(*map(str, words), "--dry-run")
    assert (plan["state"], plan["sent"], plan["role"]) == ("to_schedule", False, "steward")
    assert NEW in plan["arguments"].values() and rail.sent() == sent
    first = rail.call(*words)
    assert (first["state"], first["sent"]) == ("waiting", True)
    assert first["at"] - rail.now in range(DELAY_S - 60, DELAY_S + 60)
    again = rail.call(*words)  # idempotent: it says when, and sends nothing
    assert (again["state"], again["sent"], again["operation"]) == (
        "waiting",
        False,
        first["operation"],
    )
    [waiting] = rail.listed("chain", "scheduled")
    assert waiting["operation"] == first["operation"] and not waiting["due"]
    assert waiting["function"] == plan["function"]
    assert waiting["arguments"] == plan["arguments"]
    assert waiting["until"] - waiting["at"] == WEEK_S
    rail.later(DELAY_S)
    assert state(rail, what) is before
    made = rail.call(*words)
    assert (made["state"], made["sent"]) == ("done", True)
    assert state(rail, what) is after
    assert rail.listed("chain", "scheduled") == []
    done = rail.call(*words)
    assert (done["state"], done["sent"]) == ("done", False)


def test_scheduled__executed_by_its_id__is_made(rail):
    operation = rail.call("committee", "seat", NEW, "--domain", 9)["operation"]
    shown = rail.call("chain", "execute", operation[:12], "--dry-run")
    assert (shown["state"], shown["sent"]) == ("waiting", False)
    early = rail.run("chain", "execute", operation[:12], "--yes")
    assert early.exit_code == 2 and "operation_not_due" in early.stderr
    assert "can be made from" in early.stderr and not member(rail, NEW)[1]
    rail.later(DELAY_S)
    assert rail.call("chain", "execute", operation[:12])["state"] == "done"
    assert member(rail, NEW)[:2] == (9, True)


def test_scheduled__cancelled_by_the_guardian__is_never_made(rail):
    """On 0.3.0 the steward alone seated a quorum at once; now there is time to see and stop it."""
    operation = rail.call("officer", "seat", "Cleo", "--address", NEW)["operation"]
    view = rail.call("chain", "cancel", operation)
    assert (view["state"], view["role"], view["function"]) == ("done", "guardian", "cancel")
    rail.later(DELAY_S)
    assert rail.listed("chain", "scheduled") == []
    refused = rail.run("chain", "execute", operation, "--yes")
    assert refused.exit_code == 2 and "chain scheduled" in refused.stderr
    assert not state(rail, "officer")
    assert rail.call("officer", "seat", "Cleo", "--address", NEW)["state"] == "waiting"
    rail.later(DELAY_S + WEEK_S)  # nobody made it in time: it has expired
    assert rail.listed("chain", "scheduled") == []
    assert rail.call("officer", "seat", "Cleo", "--address", NEW)["state"] == "waiting"
    rail.later(DELAY_S)
    assert rail.call("officer", "seat", "Cleo", "--address", NEW)["state"] == "done"


def test_guardian__each_call__is_made_at_once_and_once(rail):
    cases = [
        ("committee", "silence", NEW),
        ("committee", "stop-challenges"),
        ("officer", "silence", "Cleo"),
        ("product", "remove", "ProofOfDelivery"),
        ("chain", "pause"),
    ]
    for words in cases:
        plan = rail.listed(*words, "--dry-run")
        assert (plan["state"], plan["role"], plan["sent"]) == ("at_once", "guardian", False)
        made = rail.call(*words)
        assert (made["state"], made["sent"]) == ("done", True), words
        again = rail.call(*words)
        assert (again["state"], again["sent"]) == ("done", False), words
    members = {m["address"]: m["state"] for m in rail.listed("committee", "list")["members"]}
    assert members[NEW] == "silenced"
    assert not state(rail, "officer") and not state(rail, "product")
    assert rail.chain.view("PaymentRail", "paused") and int(challenges_of(rail), 16) == 0


def challenges_of(rail) -> str:
    rail_address = rail.chain.deployment.addresses["PaymentRail"]
    return rail.chain.view("OracleCommittee", "challengesOf", rail_address)


def test_pause__ended_by_the_steward__after_the_delay(rail):
    assert rail.call("chain", "unpause")["state"] == "waiting"
    assert rail.call("product", "add", "ProofOfDelivery")["state"] == "waiting"
    assert rail.call("committee", "seat", NEW, "--domain", 9)["state"] == "waiting"  # its silence
    assert rail.call("committee", "challenges")["state"] == "waiting"
    assert len(rail.listed("chain", "scheduled")) == 4
    rail.later(DELAY_S)
    assert rail.call("chain", "unpause")["state"] == "done"
    assert rail.call("product", "add", "ProofOfDelivery")["state"] == "done"
    assert rail.call("committee", "seat", NEW, "--domain", 9)["state"] == "done"
    assert rail.call("committee", "challenges")["state"] == "done"
    assert challenges_of(rail) == rail.chain.deployment.addresses["Challenges"]
    assert not rail.chain.view("PaymentRail", "paused") and state(rail, "product")
    assert member(rail, NEW)[3] is False
    refused = rail.run("chain", "pause", "--yes")  # the cool-down
    assert refused.exit_code == 2 and "paused lately" in refused.stderr


def test_key_rotate__role_of_a_lost_key__is_scheduled_then_made_by_the_same_command(rail):
    former = keystore.development_account(ROLES["warden"]).address
    words = ("key", "rotate", "warden")

    def holds(address: str) -> bool:
        return rail.chain.view("RailAccess", "hasRole", int(Role.WARDEN), address)[0]

    first = rail.call(*words)
    assert not first["done"] and first["former"] == former
    calls = [(call["function"], call["state"]) for call in first["calls"]]
    assert calls == [("grantRole", "waiting"), ("revokeRole", "waiting")]
    sent = rail.sent()
    again = rail.call(*words)
    assert (again["following"], rail.sent()) == (first["following"], sent)
    assert holds(former) and not holds(first["following"])
    rail.call("chain", "cancel", first["calls"][0]["operation"])  # the guardian stops the grant
    rail.later(DELAY_S)
    late = rail.call(*words)  # the grant waits again, so the former key stays in its role
    assert [call["state"] for call in late["calls"]] == ["waiting", "due"] and holds(former)
    rail.later(DELAY_S)
    last = rail.call(*words)
    assert last["done"] and last["calls"] == []
    assert holds(first["following"]) and not holds(former)
    assert keystore.load(rail.home / "keys", "warden").address == first["following"]


def test_key_rotate__steward__gives_its_power_up_when_the_new_one_has_it(rail):
    former = keystore.load(rail.home / "keys", "steward").address

    def powers(address: str) -> list[tuple[bool, int]]:
        roles = (Role.ADMIN, Role.STEWARD)
        return [tuple(rail.chain.view("RailAccess", "hasRole", int(r), address)) for r in roles]

    first = rail.call("key", "rotate", "steward")
    states = [(call["function"], call["state"]) for call in first["calls"]]
    assert states[:2] == [("grantRole", "waiting")] * 2
    assert states[2:] == [("renounceRole", "at_once")] * 2
    assert powers(former) == [(True, DELAY_S)] * 2
    rail.later(DELAY_S)
    last = rail.call("key", "rotate", "steward")
    assert last["done"] and powers(last["following"]) == [(True, DELAY_S)] * 2
    assert [has for has, _ in powers(former)] == [False, False]
    assert rail.call("committee", "unseat", NEW)["state"] == "waiting"  # signed by the new one
    rail.call("chain", "cancel", rail.listed("chain", "scheduled")[0]["operation"])


def test_committee__list__shows_everyone_with_domain_and_state(rail):
    view = rail.listed("committee", "list")
    assert [row["index"] for row in view["members"]] == list(range(len(view["members"])))
    assert view["min_domains"] == 2 and view["seats"] == 5 and view["quorum"] == 4
    assert "quorum" in rail.run("committee", "list").stdout


def test_unseat__of_a_member_that_is_needed__warns_before_anything_is_sent(rail):
    """The only member of a domain lost its seat, and agreements that require it stood still."""
    oracle = rail.listed("committee", "list")["members"][3]  # the only one of its domain
    words = ("agreement_id", "device_id", "device", "product", "product_address")
    words += ("payer", "payee", "salt", "terms", "signature", "reference", "stage")
    numbers = ("cap_micro", "period_days", "window_s", "expiry", "first_counter", "required_domain")
    columns = dict.fromkeys(words, "live") | dict.fromkeys(numbers, oracle["domain"])
    store = Store(rail.home / "proofrail.sqlite3")
    with store.write() as session:
        session.add(AgreementRow(**columns))
    store.close()
    plan = rail.listed("committee", "unseat", oracle["address"], "--dry-run")
    assert (plan["state"], plan["sent"]) == ("to_schedule", False)
    [risk] = plan["risks"]
    assert f"trust domain {oracle['domain']} has no member then" in risk
    shown = rail.run("committee", "unseat", oracle["address"], "--dry-run").stdout
    assert f"Warning: {risk}" in shown


def test_officer__list__shows_seats_of_the_chain_and_names_of_the_home(rail):
    rows = {row["address"]: row for row in rail.listed("officer", "list")}
    for index in OFFICERS.values():
        assert rows[keystore.development_account(index).address]["seated"]
    assert (rows[NEW]["name"], rows[NEW]["seated"]) == ("Cleo", False)


def test_call__with_a_key_without_the_role__is_refused_before_anything_is_sent(rail):
    sent = rail.sent()
    own = rail.home / "keys" / "sender.json"
    words = ("--keystore", own, "--password-file", own.with_name("password"), "--yes")
    for command in (("chain", "pause"), ("committee", "unseat", NEW)):
        refused = rail.run(*command, *words)
        assert refused.exit_code == 2 and "does not hold the role" in refused.stderr
    assert rail.sent() == sent


def test_call__with_a_given_keystore__needs_its_own_password(rail, tmp_path):
    given = rail.home / "keys" / "guardian" / "guardian.json"
    officer = keystore.development_account(OFFICERS["Ines Roth"]).address
    words = ("officer", "silence", officer, "--yes")
    without = rail.run(*words, "--keystore", given)
    assert without.exit_code == 2 and "--password-file" in without.stderr
    wrong = rail.run(*words, "--keystore", given, "--password-file", rail.home / "keys/password")
    assert wrong.exit_code == 2 and "does not open" in wrong.stderr
    right = given.with_name("password")
    made = rail.run(*words, "--keystore", given, "--password-file", right)
    assert made.exit_code == 0, made.output


def test_call__that_nobody_confirms__sends_nothing(rail):
    sent = rail.sent()
    answer = CliRunner().invoke(
        cli.app, ["--home", str(rail.home), "committee", "unseat", NEW], input="n\n"
    )
    assert answer.exit_code == 1 and "OracleCommittee.unseat" in answer.stderr
    assert rail.sent() == sent


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("committee", "seat", NEW.replace("0x", "0y")), "no address"),
        (("committee", "seat", keystore.development_account(34).address), "--domain"),
        (("committee", "seat", NEW, "--domain", "8"), "unseat it first"),
        (("officer", "unseat", "Nobody"), "No officer is named"),
        (("officer", "seat", "Dora", "--dry-run"), "a dry run makes none"),
        (("chain", "cancel", "0xff"), "chain scheduled"),
    ],
)
def test_command__with_words_that_name_nothing__says_so(rail, words, text):
    sent, result = rail.sent(), rail.run(*words)
    assert result.exit_code == 2 and text in result.stderr, result.output
    assert rail.sent() == sent


def test_revoke__of_a_stolen_warden_key__takes_the_role_away_at_once(rail):
    """The guardian could do so on chain, and no command signed it."""
    warden = keystore.load(rail.home / "keys", "warden").address

    def has_role() -> bool:
        return rail.chain.view("RailAccess", "hasRole", int(Role.WARDEN), warden)[0]

    plan = rail.listed("key", "revoke", "warden", "--address", warden, "--dry-run")
    assert (plan["function"], plan["state"], plan["sent"]) == ("revokeRole", "at_once", False)
    assert plan["arguments"] == {"roleId": int(Role.WARDEN), "account": warden} and has_role()
    assert rail.call("key", "revoke", "warden", "--address", warden)["sent"]
    assert not has_role()
    again = rail.call("key", "revoke", "warden", "--address", warden)
    assert (again["state"], again["sent"]) == ("done", False)
    for words, text in (
        (("steward",), "Other keys are replaced"),
        (("minter",), "Give the address that loses"),
    ):
        result = rail.run("key", "revoke", *words)
        assert result.exit_code == 2 and text in result.stderr
