"""Who may do what at a real broker: two devices against all topics, Wills, retained messages."""

from __future__ import annotations

import json
import socket
import threading

import pytest
from paho.mqtt.client import Client, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion

from device_adapters.inlets import DeviceLink, Inlet
from device_adapters.types import Rejected
from orchestrator.edges.broker import access, credentials
from tests.support.broker_process import BROKERS, HOST, PATIENCE_S, BrokerProcess, once, take, until

FOREIGN = [
    "proofrail/b/evidence/ocmf",
    "proofrail/a/receipts",
    "proofrail/b/receipts",
    "proofrail/a/evidence",
    "proofrail/a/evidence/ocmf/more",
    "proofrail//evidence/ocmf",
    "other/a/evidence/ocmf",
    "a",
    "/proofrail/a/evidence/ocmf",
    "proofrail/A/evidence/ocmf",
]
FILTERS = [
    "#",
    "+/+/+",
    "proofrail/#",
    "proofrail/+/receipts",
    "proofrail/a/receipts",
    "proofrail/a/evidence/ocmf",
    "proofrail/+/evidence/+",
    "proofrail/b/#",
    "$SYS/#",
    "$share/g/proofrail/+/receipts",
]


@pytest.fixture(params=BROKERS)
def broker(request, tmp_path):
    process = BrokerProcess(tmp_path, request.param)
    for name, role in (("rail", "rail"), ("oracle", "oracle"), ("a", "device"), ("b", "device")):
        process.password(name, role)
    yield process.start()
    process.end()


def _client(broker, name, password=None, client_id="", will=None, clean=True):
    client = Client(
        CallbackAPIVersion.VERSION2, client_id or name, protocol=MQTTv311, clean_session=clean
    )
    client.username_pw_set(name, broker.password(name, "device") if password is None else password)
    if will:
        client.will_set(*will)
    answered, codes = threading.Event(), []
    client.on_connect = lambda _c, _u, _f, reason, _p: (codes.append(reason), answered.set())
    client.on_disconnect = lambda *_: answered.set()
    client.connect(HOST, broker.port)
    client.loop_start()
    assert answered.wait(PATIENCE_S)
    return client, bool(codes) and not codes[0].is_failure


def test_publish__a_device_to_every_topic__only_its_own_evidence_arrives(broker):
    rail, oracle, a, b = (
        broker.inlet(),
        broker.inlet("oracle", "oracle"),
        *map(broker.link, ("a", "b")),
    )
    for topic in FOREIGN:
        a.publish_raw(topic, b"foreign", qos=1)
    a.publish(b"own")
    for reader in (rail, oracle):
        received = {(m.device, m.protocol, m.body) for m in take(reader, b"own")}
        assert received == {("a", "ocmf", b"own")}
    rail.publish_many([("proofrail/b/receipts", b"to b"), ("proofrail/a/receipts", b"to a")])
    assert set(b.receipts(PATIENCE_S)) == {b"to b"}
    assert set(a.receipts(PATIENCE_S)) == {b"to a"}


def test_publish__an_oracle_to_any_topic__nothing_arrives(broker):
    rail, b = broker.inlet(), broker.link("b")
    oracle, connected = _client(broker, "oracle", broker.password("oracle", "oracle"))
    assert connected
    wanted, done = [*FOREIGN, "proofrail/a/evidence/ocmf"], []
    oracle.on_publish = lambda _c, _u, number, _r, _p: done.append(number)
    for topic in wanted:
        oracle.publish(topic, b"lie", qos=1)
    assert until(lambda: len(done) >= len(wanted))  # mosquitto ends the connection each time
    b.publish(b"own")
    assert once(take(rail, b"own")) == [b"own"]
    rail.publish_many([("proofrail/b/receipts", b"true")])
    assert set(b.receipts(PATIENCE_S)) == {b"true"}
    oracle.disconnect()
    oracle.loop_stop()


def test_subscribe__a_device_to_every_filter__only_its_own_receipts_arrive(broker):
    rail, a = broker.inlet(), broker.link("a")
    b, connected = _client(broker, "b")
    seen, own = [], threading.Event()
    b.on_message = lambda _c, _u, m: (seen.append(m.topic), m.payload == b"last" and own.set())
    assert connected
    answered: list[int] = []
    b.on_subscribe = lambda _c, _u, number, _r, _p: answered.append(number)
    for topic_filter in FILTERS:
        b.subscribe(topic_filter, 1)
    _, number = b.subscribe("proofrail/b/receipts", 1)
    assert until(lambda: number in answered)
    a.publish(b"own")
    take(rail, b"own")
    rail.publish_many([("proofrail/a/receipts", b"x"), ("proofrail/b/receipts", b"last")])
    assert own.wait(PATIENCE_S)
    assert set(seen) == {"proofrail/b/receipts"}
    b.disconnect()
    b.loop_stop()


@pytest.mark.parametrize("topic", ["proofrail/b/evidence/ocmf", "proofrail/b/receipts"])
def test_will__on_a_foreign_topic__never_published(broker, topic):
    rail, b = broker.inlet(), broker.link("b")
    a, connected = _client(broker, "a", will=(topic, b"will", 1, False))
    if broker.kind == "amqtt":
        assert not connected
    if connected:
        a.socket().shutdown(socket.SHUT_RDWR)
    a.disconnect()
    a.loop_stop()
    again = broker.link("a")  # an earlier connection ends before this one is ready
    again.publish(b"own")
    assert once(take(rail, b"own")) == [b"own"]
    rail.publish_many([("proofrail/b/receipts", b"true")])
    assert set(b.receipts(PATIENCE_S)) == {b"true"}


def test_retained__on_the_own_evidence_topic__never_replayed(broker):
    rail, a = broker.inlet(), broker.link("a")
    a.publish_raw("proofrail/a/evidence/ocmf", b"kept", retain=True)
    assert until(a.healthy)  # mosquitto disconnects a client that retains
    a.publish(b"own")
    first = take(rail, b"own")
    if broker.kind == "amqtt":
        assert {(m.body, m.retained) for m in first} == {(b"kept", True), (b"own", False)}
    late = broker.inlet("oracle", "oracle")
    a.publish(b"after")
    assert b"kept" not in once(take(late, b"after"))


@pytest.mark.parametrize(
    ("name", "password"), [("a", "wrong"), ("a", ""), ("nobody", "x"), ("", ""), ("rail", "wrong")]
)
def test_connect__wrong_name_or_password__refused(broker, name, password):
    client, connected = _client(broker, name, password)
    client.disconnect()
    client.loop_stop()
    assert not connected


def test_connect__password_of_another_device__refused(broker):
    client, connected = _client(broker, "b", broker.password("a", "device"))
    client.loop_stop()
    assert not connected


def test_connect__wrong_password_with_the_rails_client_id__leaves_its_session_alone(broker):
    rail, a = broker.inlet(), broker.link("a")
    connection = rail._link.generation
    for clean in (True, False):
        client, connected = _client(broker, "rail", "wrong", client_id="rail", clean=clean)
        client.loop_stop()
        assert not connected
    b, connected = _client(broker, "b", client_id="rail", clean=True)
    assert connected
    a.publish(b"own")
    assert once(take(rail, b"own")) == [b"own"]
    assert rail._link.generation == connection  # it did not have to reconnect
    b.disconnect()
    b.loop_stop()


def test_revoke__while_connected__ends_without_a_restart(tmp_path):
    broker = BrokerProcess(tmp_path).start()
    try:
        a = broker.link("a")
        credentials.revoke(tmp_path, "a")
        assert until(lambda: not a.healthy() and a.refusal)
    finally:
        broker.end()


def test_issue__while_running__connects_and_ends_the_former_password(broker):
    first = broker.link("new")
    former = broker.password("new", "device")
    password = credentials.issue(broker.home, "new", "device")
    first.close()
    second = DeviceLink(HOST, broker.port, "new", password)
    assert until(lambda: second.wait_ready(1))
    second.close()
    stale = Inlet(HOST, broker.port, "new", former, topics=["proofrail/new/receipts"])
    assert until(lambda: stale.refusal)
    assert not stale.healthy()
    stale.close()


@pytest.mark.parametrize("name", ["", "+", "#", "a/b", "a+", "a b", "$SYS", "a:b", "x" * 65, "a\n"])
def test_issue__a_name_that_is_no_topic_level__refused_by_name(tmp_path, name):
    with pytest.raises(Rejected) as refused:
        credentials.issue(tmp_path, name, "device")
    assert refused.value.reason == "name_malformed"


def test_issue__a_name_of_another_role__refused_by_name(tmp_path):
    credentials.issue(tmp_path, "rail", "rail")
    with pytest.raises(Rejected) as refused:
        credentials.issue(tmp_path, "rail", "device")
    assert refused.value.reason == "name_taken"


def test_credentials__on_disk__hold_no_password_and_only_the_owner_reads_them(tmp_path):
    password = credentials.issue(tmp_path, "a", "device")
    path = credentials.path(tmp_path)
    assert password not in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    row = json.loads(path.read_text())["a"]
    assert row["role"] == "device"
    stored = credentials.load(tmp_path)
    assert credentials.verify(stored, "a", password) is access.CredentialRole.DEVICE
    assert credentials.verify(stored, "a", password + "x") is None
    assert credentials.verify(stored, None, None) is None


def test_rights__wildcards_in_a_published_topic__always_denied():
    for topic in ("proofrail/+/receipts", "proofrail/#/receipts", "proofrail/+/evidence/ocmf"):
        for role in access.CredentialRole:
            assert not access.may_publish("a", role, topic)
    assert not access.may_publish("a", access.CredentialRole.DEVICE, "proofrail/a/evidence/+")
