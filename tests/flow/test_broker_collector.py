"""A collector brings the records of a partner's broker into our log, and loses none."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest
from paho.mqtt.client import Client, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion

from orchestrator.edges.broker.server import executable, free_ports
from tests.support.broker_process import HOST, PATIENCE_S, ROOT, BrokerProcess, take, until

_PARTNER = """
port: {nats_port}
host: 127.0.0.1
server_name: partner
jetstream {{
  store_dir: "{store}"
}}
mqtt {{
  host: 127.0.0.1
  port: {port}
  ack_wait: "1s"
}}
"""


@pytest.fixture
def partner(tmp_path):
    """Run a broker that is not ours: no passwords, and topics of the partner's own as well."""
    port, nats_port = free_ports(2)
    config = tmp_path / "partner.conf"
    config.write_text(_PARTNER.format(store=tmp_path / "partner", port=port, nats_port=nats_port))
    process = subprocess.Popen([executable(), "-c", config, "-l", tmp_path / "partner.log"])
    yield port
    process.terminate()
    process.wait(PATIENCE_S)


def _collector(broker: BrokerProcess, port: int) -> subprocess.Popen[bytes]:
    secret, ready = broker.home / "collector.password", broker.home / "collector.json"
    secret.write_text(broker.password("collector", "collector"))
    ready.unlink(missing_ok=True)
    command = [sys.executable, "-m", "services.collector", "--user", "collector"]
    command += ["--nats-port", str(broker.nats_port), "--password-file", str(secret)]
    command += ["--from-host", HOST, "--from-port", str(port), "--from-user", "proofrail"]
    process = subprocess.Popen([*command, "--ready-file", str(ready)], cwd=ROOT)
    assert until(lambda: ready.exists() or process.poll() is not None)
    return process


def test_records__at_a_partners_broker__come_into_our_log_over_kills_of_both(partner, tmp_path):
    broker = BrokerProcess(tmp_path).start()
    collector = _collector(broker, partner)
    device = Client(CallbackAPIVersion.VERSION2, "meters", protocol=MQTTv311)
    device.connect_async(HOST, partner)
    device.loop_start()
    published: list[bytes] = []

    def publish(topic: str = "proofrail/m.1/evidence/ocmf") -> None:
        for _ in range(50):
            published.append(b"%d" % len(published))
            device.publish(topic, published[-1], 1)

    try:
        publish()
        take(broker.inlet(), *published)
        broker.kill()
        publish()
        collector.kill()
        collector.wait(PATIENCE_S)
        publish()
        device.publish("proofrail/m.1/evidence/unknown", b"not evidence", 1)
        device.publish("proofrail/_m/evidence/ocmf", b"no name", 1)
        publish()
        broker.start()
        collector = _collector(broker, partner)
        messages = take(broker.inlet(), *published)
        assert {m.body for m in messages} == set(published)  # its order after a kill is its own
        assert {(m.device, m.protocol) for m in messages} == {("m.1", "ocmf")}
    finally:
        device.loop_stop()
        collector.send_signal(signal.SIGTERM)
        assert collector.wait(PATIENCE_S) == 0
        broker.end()
