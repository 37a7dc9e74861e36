"""Who may do what at a real broker: two devices against all topics, Wills, retained messages."""

from __future__ import annotations

import asyncio
import socket
import threading
import time

import nats
import pytest
from paho.mqtt.client import Client, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion

from device_adapters.inlets.device_link import DeviceLink
from device_adapters.inlets.log_inlet import Inlet
from device_adapters.topics import ACKNOWLEDGEMENT
from orchestrator.edges.broker import credentials
from tests.support.broker_process import HOST, PATIENCE_S, BrokerProcess, once, take, until

FOREIGN = [
    "proofrail/b/evidence/ocmf",
    "proofrail/a/receipts",
    "proofrail/b/receipts",
    "proofrail/a/outcomes",
    "proofrail/b/outcomes",
    "proofrail/b/outcomes/ack",
    "proofrail/a/evidence",
    "proofrail/a/evidence/ocmf/more",
    "proofrail//evidence/ocmf",
    "other/a/evidence/ocmf",
    "a",
    "/proofrail/a/evidence/ocmf",
    "proofrail/A/evidence/ocmf",
    "proofrail/a/evidence/unknown",
    "$MQTT/msgs/proofrail/b/evidence/ocmf",
    "$JS/API/STREAM/DELETE/$MQTT_msgs",
]
FILTERS = [
    "#",
    "+/+/+",
    "proofrail/#",
    "proofrail/+/receipts",
    "proofrail/a/receipts",
    "proofrail/+/outcomes",
    "proofrail/a/outcomes",
    "proofrail/+/outcomes/ack",
    "proofrail/a/evidence/ocmf",
    "proofrail/+/evidence/+",
    "proofrail/b/#",
    "$SYS/#",
    "$MQTT/#",
    "$share/g/proofrail/+/receipts",
]


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    process = BrokerProcess(tmp_path_factory.mktemp("broker"))
    for name, role in (("rail", "rail"), ("oracle", "oracle"), ("a", "device"), ("b", "device")):
        process.password(name, role)
    yield process.start()
    process.end()


@pytest.fixture
def broker(shared):
    shared.begin_here()
    yield shared
    shared.close_all()


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
        broker.inlet(acknowledgements=True),
        broker.inlet("oracle", "oracle"),
        *map(broker.link, ("a", "b")),
    )
    for topic in FOREIGN:
        a.publish_raw(topic, b"foreign", qos=1)
    a.acknowledge(b"taken")
    a.publish(b"own")
    evidence = {("a", "ocmf", b"own")}
    for reader, wanted in (
        (rail, evidence | {("a", ACKNOWLEDGEMENT, b"taken")}),
        (oracle, evidence),
    ):
        assert {(m.device, m.protocol, m.body) for m in take(reader, b"own")} == wanted
    rail.publish_many([("proofrail/b/receipts", b"to b"), ("proofrail/a/receipts", b"to a")])
    assert set(b.receipts(PATIENCE_S)) == {b"to b"}
    assert set(a.receipts(PATIENCE_S)) == {b"to a"}


@pytest.mark.parametrize("role", ["oracle", "rail", "collector"])
def test_connect__a_reader_by_mqtt__refused(broker, role):
    client, connected = _client(broker, f"other-{role}", broker.password(f"other-{role}", role))
    client.loop_stop()
    assert not connected


def test_nats__a_device_or_an_oracle_to_every_subject__nothing_happens(broker):
    """A device cannot speak NATS at all; an oracle can read evidence, and do nothing else."""
    rail, b = broker.inlet(), broker.link("b")
    device = Inlet(HOST, broker.nats_port, "a", broker.password("a", "device"))
    assert until(lambda: device.refusal)
    assert not device.healthy()
    device.close()
    denied = asyncio.run(_try_everything(broker, "oracle", broker.password("oracle", "oracle")))
    assert {subject for subject, refused in denied.items() if not refused} == set()
    b.publish(b"own")
    assert [m.body for m in take(rail, b"own")] == [b"own"]
    rail.publish_many([("proofrail/b/receipts", b"true")])
    assert set(b.receipts(PATIENCE_S)) == {b"true"}


async def _try_everything(broker, name, password) -> dict[str, bool]:
    """Return {subject: whether the broker refused to publish or subscribe to it}."""
    refusals: list[str] = []

    async def note(error):
        refusals.append(str(error).lower())

    url = f"nats://{HOST}:{broker.nats_port}"
    client = await nats.connect(url, user=name, password=password, error_cb=note)
    publish = [
        "proofrail.b.receipts",
        "$MQTT.msgs.proofrail.b.evidence.ocmf",
        "$MQTT.msgs.proofrail.b.receipts",
        "$MQTT.msgs.proofrail.b.outcomes",
        "$MQTT.msgs.proofrail.b.outcomes.ack",
        "$JS.API.STREAM.DELETE.$MQTT_msgs",
        "$JS.API.STREAM.PURGE.$MQTT_msgs",
        "$JS.API.CONSUMER.CREATE.$MQTT_msgs.mine",
        "$JS.API.STREAM.INFO.$MQTT_sess",
        "$SYS.REQ.USER.AUTH",
        "$SYS.REQ.SERVER.PING",
    ]
    subscribe = [
        ">",
        "_INBOX.>",
        "_INBOX.rail.>",
        "$MQTT.msgs.proofrail.*.receipts",
        "$MQTT.msgs.proofrail.*.outcomes",
        "$MQTT.msgs.proofrail.*.outcomes.ack",
        "$MQTT.sess.>",
    ]
    for subject in publish:
        await client.publish(subject, b"{}")
    for subject in subscribe:
        await client.subscribe(subject)
    wanted = {f'publish to "{s.lower()}"' for s in publish}
    wanted |= {f'subscription to "{s.lower()}"' for s in subscribe}
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and not all(item in "\n".join(refusals) for item in wanted):
        await asyncio.sleep(0.05)
    await client.close()
    return {item: item in "\n".join(refusals) for item in wanted}


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
    assert connected
    a.socket().shutdown(socket.SHUT_RDWR)
    a.disconnect()
    a.loop_stop()
    again = broker.link("a")  # an earlier connection ends before this one is ready
    again.publish(b"own")
    assert once(take(rail, b"own")) == [b"own"]
    rail.publish_many([("proofrail/b/receipts", b"true")])
    assert set(b.receipts(PATIENCE_S)) == {b"true"}


@pytest.mark.parametrize("qos", [0, 1])
def test_retained__on_the_own_evidence_topic__never_replayed(broker, qos):
    rail, a = broker.inlet(), broker.link("a")
    a.publish_raw("proofrail/a/evidence/ocmf", b"kept", retain=True, qos=qos)
    a.publish(b"own")
    bodies = [m.body for m in take(rail, b"own")]
    assert bodies == ([b"kept", b"own"] if qos else [b"own"])  # as any message, once
    rail.close()
    late = broker.inlet("oracle", "oracle")
    a.publish(b"after")
    assert [m.body for m in take(late, b"after")].count(b"kept") == qos
    assert not any(m.retained for m in take(broker.inlet(), b"after"))


def test_retained__on_the_own_evidence_topic__no_file_of_the_broker_keeps_it(broker):
    rail, a = broker.inlet(), broker.link("a")
    body = b"x" * 50 + b"retained"
    a.publish_raw("proofrail/a/evidence/ocmf", body, retain=True, qos=1)
    take(rail, body)
    (kept,) = (broker.home / "broker" / "jetstream").rglob("$MQTT_rmsgs")
    assert not any(body in file.read_bytes() for file in kept.rglob("*") if file.is_file())


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


@pytest.mark.parametrize("clean", [True, False])
@pytest.mark.parametrize("name", ["a", "b"])
def test_connect__with_anothers_client_id__refused_and_its_session_goes_on(broker, clean, name):
    rail, a = broker.inlet(), broker.link("a")
    connection = a._link.generation
    password = "wrong" if name == "a" else broker.password("b", "device")
    client, connected = _client(broker, name, password, client_id="a", clean=clean)
    client.loop_stop()
    assert not connected
    a.publish(b"own")
    assert once(take(rail, b"own")) == [b"own"]
    rail.publish_many([("proofrail/a/receipts", b"true")])
    assert set(a.receipts(PATIENCE_S)) == {b"true"}
    assert a._link.generation == connection  # it did not have to reconnect


def test_name__with_a_dot__publishes_reads_receipts_and_is_named_right(broker):
    rail, dotted = broker.inlet(), broker.link("a.b")
    dotted.publish(b"own")
    assert [(m.device, m.protocol) for m in take(rail, b"own")] == [("a.b", "ocmf")]
    rail.publish_many([("proofrail/a.b/receipts", b"true")])
    assert set(dotted.receipts(PATIENCE_S)) == {b"true"}


def test_revoke__while_connected__ends_without_a_restart(broker):
    revoked, oracle = broker.link("revoked"), broker.inlet("revoked-oracle", "oracle")
    for name in ("revoked", "revoked-oracle"):
        credentials.revoke(broker.home, name)
    assert until(lambda: not revoked.healthy() and revoked.refusal)
    assert until(lambda: not oracle.healthy() and oracle.refusal)
    a = broker.link("a")  # the others go on
    a.publish(b"own")
    take(broker.inlet(), b"own")


def test_issue__while_running__connects_and_ends_the_former_password(broker):
    first = broker.link("new")
    former = broker.password("new", "device")
    password = credentials.issue(broker.home, "new", "device")
    assert until(lambda: not first.healthy() and first.refusal)
    first.close()
    second = DeviceLink(HOST, broker.port, "new", password)
    assert until(lambda: second.wait_ready(1))
    second.close()
    stale = DeviceLink(HOST, broker.port, "new", former)
    assert until(lambda: stale.refusal)
    assert not stale.healthy()
    stale.close()


def test_qos_2__published__ends_the_connection_and_reaches_nobody(broker):
    rail, b = broker.inlet(), broker.link("b")
    a, connected = _client(broker, "a")
    ended = threading.Event()
    a.on_disconnect = lambda *_: ended.set()
    assert connected
    a.publish("proofrail/a/evidence/ocmf", b"twice", qos=2)
    assert ended.wait(PATIENCE_S)
    a.loop_stop()
    b.publish(b"own")
    assert once(take(rail, b"own")) == [b"own"]


def test_logins__a_thousand_at_once__all_get_in(broker):
    names = [f"d{number:04}" for number in range(1_000)]
    passwords = credentials.issue_many(broker.home, names, "device")
    assert asyncio.run(_log_in(broker.port, passwords)) == [0] * len(names)


async def _log_in(port: int, passwords: dict[str, str]) -> list[int]:
    """Log in all names at once, each on a connection of its own; return the CONNACK codes."""

    async def log_in(name: str, password: str) -> tuple[int, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(HOST, port)
        texts = [len(t).to_bytes(2, "big") + t.encode() for t in (name, name, password)]
        body = b"\x00\x04MQTT\x04\xc2\x00\x3c" + b"".join(texts)  # MQTT 3.1.1, section 3.1
        writer.write(b"\x10" + bytes([len(body)]) + body)
        answer = await asyncio.wait_for(reader.readexactly(4), PATIENCE_S)
        return answer[3], writer

    answers = await asyncio.gather(*(log_in(*item) for item in passwords.items()))
    for _, writer in answers:
        writer.close()
    return [code for code, _ in answers]
