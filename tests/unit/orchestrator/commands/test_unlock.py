"""`proofrail unlock`: keys come from a file or standard input, and stay where they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from device_adapters.types import device_id
from orchestrator import cli
from orchestrator.core.effect import Effect, EffectKind, records_of, refund_of
from orchestrator.edges.store import Store, effects, tables
from orchestrator.settings import Settings
from tests.support.effect_double import PAYMENT, SCOPE
from tests.support.locked_device import library_token

KEY = "bc41ec9530f6dac86b1a29ab82edc5fb"
PUMP = "0x" + device_id("pump-1").hex()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    store = Store(Settings(home=tmp_path).database)
    device = tables.DeviceRow(
        device_id=PUMP,
        name="pump-1",
        curve="secp256r1",
        key_x="0x1",
        key_y="0x2",
        owner="0x" + "33" * 20,
        enrolled_at=1,
    )
    with store.write() as session:
        session.add(device)
    store.close()
    return tmp_path


def run(home: Path, *words: str, given: str = "") -> Any:
    return CliRunner().invoke(cli.app, ["--home", str(home), "unlock", *words], input=given)


def add(home: Path, *words: str, given: str = KEY + "\n") -> Any:
    return run(home, "device", "add", "pump-1", "--key", "-", *words, given=given)


def pay(home: Path, mode: str = "add_time", refunded: bool = False) -> str:
    content = {"device": PUMP, "mode": mode, "days": 30}
    records = records_of(SCOPE, PAYMENT, [Effect("unlock", EffectKind.UNLOCK_TOKEN, content)])
    if refunded:
        records.append(refund_of(SCOPE, records[0], 1_234, 0, PAYMENT.settled_at))
    store = Store(Settings(home=home).database)
    with store.write() as session:
        effects.add(session, records, 1)
    store.close()
    return PAYMENT.payment_id


@pytest.mark.parametrize("mode", ["add_time", "set_time"])
def test_show__a_payment__prints_the_same_digits_each_time(home, mode):
    assert add(home, "--count", "7").exit_code == 0
    payment = pay(home, mode)
    texts = [run(home, "show", payment).stdout for _ in range(2)]
    [token] = json.loads(run(home, "show", payment[:12], "--json").stdout)["tokens"]
    count = 10 if mode == "add_time" else 9
    assert token["digits"] == library_token(KEY, count, 30, mode == "add_time")
    assert (token["device"], token["number"], token["count"]) == ("pump-1", 1, count)
    assert texts[0] == texts[1] and token["digits"] in texts[0].replace(" ", "")


def test_show__a_refunded_payment__says_so_and_has_the_same_digits(home):
    add(home)
    payment = pay(home)
    before = json.loads(run(home, "show", payment, "--json").stdout)["tokens"][0]
    pay(home, refunded=True)
    [after] = json.loads(run(home, "show", payment, "--json").stdout)["tokens"]
    assert after == before | {"refunded": True}
    assert "refunded" in run(home, "show", payment).stdout


def test_show__without_a_token_or_a_key__says_what_to_do(home):
    assert "No final payment" in run(home, "show", PAYMENT.payment_id).stderr
    assert "No final payment" in run(home, "show", "0x").stderr
    payment = pay(home)
    done = run(home, "show", payment)
    assert done.exit_code == 2 and "proofrail unlock device add" in done.stderr


def test_key__added__is_for_its_owner_alone_and_is_never_replaced(home, tmp_path):
    file = tmp_path / "key.txt"
    file.write_text(KEY.upper())
    done = run(home, "device", "add", "pump-1", "--key", str(file))
    assert done.exit_code == 0 and KEY not in done.output
    kept = home / "keys" / "unlock" / "pump-1.json"
    before = kept.read_bytes()
    assert kept.stat().st_mode & 0o077 == 0
    again = add(home, "--count", "9", given="a1" * 8 + "b2" * 8)
    assert again.exit_code == 2 and "has a key already" in again.stderr
    assert kept.read_bytes() == before
    kept.chmod(0o644)
    done = run(home, "show", pay(home))
    assert done.exit_code == 2 and "chmod 600" in done.stderr and KEY not in done.output


@pytest.mark.parametrize(
    ("words", "given"),
    [
        ((), "xyz"),
        ((), "bc41"),
        ((), "0" * 32),
        ((), KEY + "00"),
        (("--count", "-1"), KEY),
        (("--count", "1000001"), KEY),
        (("--starting-code", "0"), KEY),
        (("--starting-code", "1000000000"), KEY),
    ],
)
def test_key__that_is_none__is_refused_and_not_shown(home, words, given):
    done = add(home, *words, given=given)
    assert done.exit_code == 2 and "Nothing was stored" in done.stderr
    assert given not in done.output and not (home / "keys" / "unlock").exists()


def test_key__of_an_unknown_device__is_refused(home):
    done = run(home, "device", "add", "pump-2", "--key", "-", given=KEY)
    assert done.exit_code == 2 and "No device is named" in done.stderr


def test_key__damaged__makes_no_token_and_is_not_shown(home):
    add(home)
    file = home / "keys" / "unlock" / "pump-1.json"
    for content in ("{", '{"version": 1, "key": "bc", "count": 1, "starting_code": null}', "[]"):
        file.write_text(content)
        done = run(home, "show", pay(home))
        assert done.exit_code == 2 and "damaged" in done.stderr


def test_list__devices__shows_keys_and_tokens(home):
    assert "no locked devices" in run(home, "device", "list").stdout
    pay(home)
    [listed] = json.loads(run(home, "device", "list", "--json").stdout)["devices"]
    assert listed == {"device": "pump-1", "id": PUMP, "key": False, "tokens": 1}
    add(home)
    shown = run(home, "device", "list")
    assert "pump-1" in shown.stdout and KEY not in shown.output
