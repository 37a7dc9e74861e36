"""`proofrail effect`: targets with a secret that is shown once, and deliveries on request."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from orchestrator import cli
from orchestrator.core.effect import Effect, EffectKind, records_of
from orchestrator.edges.chain.deployment import Deployment
from orchestrator.edges.store import Store, effects
from orchestrator.settings import Settings
from tests.support.effect_double import PAYMENT, SCOPE

URL = "https://example.com/effects"


@pytest.fixture(params=[1])
def home(request: pytest.FixtureRequest, tmp_path: Path):
    settings = Settings(home=tmp_path)
    Deployment(request.param, "", {}, {}, True).save(settings.deployment)
    Store(settings.database).close()
    return tmp_path


def run(home: Path, *words: str) -> Any:
    return CliRunner().invoke(cli.app, ["--home", str(home), "effect", *words])


def view(home: Path, *words: str) -> Any:
    done = run(home, *words, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def add(home: Path, kind: EffectKind = EffectKind.WORK_ORDER) -> str:
    [record] = records_of(SCOPE, PAYMENT, [Effect("visit", kind, {"site": "atm-7"})])
    store = Store(Settings(home=home).database)
    with store.write() as session:
        effects.add(session, [record], 1)
    store.close()
    return record.effect_id


def test_target__added__shows_its_secret_once_and_keeps_it_for_the_owner_alone(home):
    added = view(home, "target", "add", "crm", "--url", URL, "--kind", "work_order")
    assert added["secret"].startswith("whsec_")
    file = home / "keys" / "effects" / "crm.secret"
    assert file.read_text() == added["secret"] and file.stat().st_mode & 0o077 == 0
    listed = run(home, "target", "list", "--json").stdout + run(home, "target", "list").stdout
    assert "crm" in listed and added["secret"] not in listed
    assert added["secret"].encode() not in Settings(home=home).database.read_bytes()
    assert view(home, "target", "remove", "crm")["removed"] and not file.exists()


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("crm",), "either --url or --folder"),
        (("crm", "--url", URL, "--folder", "/tmp"), "either --url or --folder"),
        (("CRM", "--url", URL), "is no name"),
        (("../crm", "--url", URL), "is no name"),
        (("crm", "--url", URL, "--kind", "letter"), "there is no kind"),
        (("crm", "--url", "http://example.com"), "not https"),
        (("crm", "--url", "http://127.0.0.1:1/x"), "not https"),
        (("crm", "--folder", "orders"), "absolute name"),
        (("crm", "--folder", "/no/such/folder"), "absolute name"),
    ],
)
def test_target__that_cannot_be_used__is_refused_with_the_reason(home, words, why):
    done = run(home, "target", "add", *words)
    assert done.exit_code == 2 and "Nothing was changed" in done.stderr
    assert why in " ".join(done.stderr.split())
    assert view(home, "target", "list") == {"targets": []}


@pytest.mark.parametrize("home", [31337], indirect=True)
def test_target__on_loopback__is_for_the_development_chain(home):
    assert view(home, "target", "add", "crm", "--url", "http://127.0.0.1:1/x")["way"] == "webhook"


def test_target__of_a_name_that_is_taken__changes_no_secret(home):
    first = view(home, "target", "add", "crm", "--url", URL)["secret"]
    assert run(home, "target", "add", "crm", "--url", URL).exit_code == 2
    assert (home / "keys" / "effects" / "crm.secret").read_text() == first


def test_effect__in_the_outbox__is_listed_shown_and_delivered_again(home):
    identity = add(home)
    assert run(home, "redeliver", identity).exit_code == 2  # no target takes it
    view(home, "target", "add", "depot", "--folder", str(home), "--kind", "cash_order")
    assert run(home, "redeliver", "--all").exit_code == 2  # not its kind
    view(home, "target", "add", "crm", "--folder", str(home))
    assert view(home, "redeliver", "--all")["due"] == [{"effect": identity, "target": "crm"}]
    assert view(home, "redeliver", identity[:12])["due"]
    [listed] = view(home, "list")["effects"]
    assert (listed["id"], listed["kind"], listed["name"]) == (identity, "work_order", "visit")
    assert listed["deliveries"] == [
        {"target": "crm", "delivered_at": None, "attempts": 0, "trouble": ""}
    ]
    assert view(home, "show", identity[2:12])["message"]["data"]["content"] == {"site": "atm-7"}
    for words in (("list",), ("show", identity), ("target", "list")):
        assert "crm" in run(home, *words).stdout
    assert view(home, "list", "--kind", "cash_order") == {"effects": []}


@pytest.mark.parametrize(
    "words",
    [
        ("redeliver", "--all", "--target", "nobody"),
        ("show", "0x123456"),
        ("show", "0x"),
        ("show", ""),
        ("redeliver",),
        ("redeliver", "x", "--all"),
    ],
)
def test_effect__unknown_or_unclear__is_refused(home, words):
    add(home)
    assert run(home, *words).exit_code == 2
