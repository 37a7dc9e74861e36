"""A new home: complete, private, on free ports; a second run changes nothing in it."""

from __future__ import annotations

import socket

import pytest

from orchestrator.edges.broker import credentials
from orchestrator.edges.chain import keystore
from orchestrator.errors import Halt
from orchestrator.operations.trust import DevelopmentCa
from services import new_home
from services.development import ORACLES, ROLES, development_plan
from services.new_home import FreePorts, development_home, server_home
from services.set_up import plan_of_home
from tests.support.server_answers import ACCOUNT, ORACLE


def content(folder) -> dict:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def dev(tmp_path_factory):
    home = tmp_path_factory.mktemp("dev") / "home"
    return new_home.make(development_home(home, ports=FreePorts(lambda port: True)))


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    home = tmp_path_factory.mktemp("server") / "home"
    ports = FreePorts(lambda port: True)
    return new_home.make(server_home(home, "http://node.example", [ORACLE], ACCOUNT, "", ports))


def test_make__development_home__holds_all_that_its_processes_need(dev):
    assert set(ROLES) - set(keystore.APART) <= set(keystore.names(dev.keys))
    for role in keystore.APART:  # each has a folder and a password of its own
        assert keystore.names(dev.keys / role) == [role] and keystore.load(dev.keys, role)
    for oracle in dev.oracles:
        folder = dev.home / "oracles" / oracle.name
        assert keystore.load(folder, "key").address == oracle.address
        token = (dev.keys / f"{oracle.name}.token").read_bytes()
        assert (folder / "token").read_bytes() == token
        password = (folder / "broker.password").read_text()
        known = credentials.load(dev.home)
        assert credentials.verify(known, oracle.name, password) is credentials.CredentialRole.ORACLE
    DevelopmentCa.load(dev)
    assert plan_of_home(dev) == development_plan()
    assert [oracle.name for oracle in dev.oracles] == [name for name, _ in ORACLES]


def test_plan__server_home__has_its_officers_and_waits_two_days(tmp_path):
    officer = "0x" + "5" * 40
    home = server_home(
        tmp_path / "home",
        "http://node.example",
        [ORACLE],
        ACCOUNT,
        ports=FreePorts(lambda port: True),
        officers=[officer],
    )
    plan = plan_of_home(new_home.make(home))
    assert plan.officers == (officer,)
    assert plan.delay_s == 48 * 3_600


def test_make__everything__is_readable_by_its_owner_only(dev, server):
    for settings in (dev, server):
        assert settings.home.stat().st_mode & 0o077 == 0
        secrets = [*settings.keys.rglob("*"), *settings.home.glob("oracles/*/*")]
        files = [path for path in secrets if path.is_file()]
        assert files and all(path.stat().st_mode & 0o077 == 0 for path in files)


def test_make__a_second_time__changes_nothing(dev):
    before = content(dev.home)
    new_home.make(development_home(dev.home, ports=FreePorts(lambda port: port % 2)))
    assert content(dev.home) == before


def test_make__cut_off_before_the_configuration__is_finished_with_the_same_keys(
    tmp_path, monkeypatch
):
    plan = development_home(tmp_path / "home", ports=FreePorts(lambda port: True))
    with monkeypatch.context() as patch:
        patch.setattr(new_home, "create_receipt_key", lambda settings: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            new_home.make(plan)
    keys = content(plan.home / "keys")
    assert keys and not new_home.exists(plan.home)
    settings = new_home.make(plan)
    assert keys.items() <= content(settings.keys).items() and new_home.exists(plan.home)
    assert [path.name for path in plan.home.glob(".*")] == []


def test_make__server_home__has_keys_of_its_own_and_the_secrets_for_its_oracles(server):
    public = {keystore.development_account(index).address for index in range(40)}
    addresses = {keystore.load(server.keys, role).address for role in ROLES}
    assert len(addresses) == len(ROLES) and not addresses & public
    given = server.keys / "for-oracles" / "north"
    assert (given / "token").read_bytes() == (server.keys / "north.token").read_bytes()
    assert (given / "broker.password").is_file()
    assert not (server.home / "oracles").exists() and not list(server.trust.glob("*"))
    assert not (server.keys / "device-ca.pem").exists()


def test_free_ports__a_taken_port__is_left_to_its_owner_and_said():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ports = FreePorts()
        chosen = ports.take(port, "the broker")
    assert chosen > port and ports.notes == [f"Port {port} is taken: the broker gets {chosen}."]


def test_free_ports__two_parts__never_get_the_same_one():
    ports = FreePorts(lambda port: True)
    assert ports.take(8_000, "one") != ports.take(8_000, "other")


def test_free_ports__none_free__is_refused():
    with pytest.raises(Halt, match=r"is free for the API\. Nothing was written"):
        FreePorts(lambda port: False).take(8_000, "the API")


def test_exists__a_folder_with_something_else__is_refused(tmp_path):
    assert not new_home.exists(tmp_path / "none")
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(Halt, match=r"holds no rail\. Nothing was written"):
        new_home.exists(tmp_path)
