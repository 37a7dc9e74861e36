"""The configuration of nats-server: loopback, no secret, one setting a line."""

from __future__ import annotations

from pathlib import Path

from orchestrator.edges.broker.server import BrokerTls, ServerKeys, ServerPlan, config_text

_KEYS = ServerKeys("AISSUER", "XCURVE", "USYSTEM", "USETUP")


def _plan(home: Path, **more: object) -> ServerPlan:
    values = {"host": "127.0.0.1", "mqtt_port": 1883, "nats_port": 1884, "log_bytes": 10**9}
    values |= {"log_seconds": 3600, "subject_messages": 100}
    return ServerPlan(home=home, **values | more)


def test_config__as_planned__binds_both_listeners_and_syncs_each_message(tmp_path):
    lines = [
        line.strip() for line in config_text(_plan(tmp_path), _KEYS, admitting=True).splitlines()
    ]
    assert lines.count('host: "127.0.0.1"') == 2
    assert {"port: 1883", "port: 1884", "sync_interval: always"} <= set(lines)
    assert "reject_qos2_publish: true" in lines
    assert not any(line.startswith(("http", "tls", "password")) for line in lines)


def test_config__with_tls__both_listeners_and_client_certificates_for_devices_alone(tmp_path):
    tls = BrokerTls(tmp_path / "c.pem", tmp_path / "k.pem", tmp_path / "ca.pem")
    text = config_text(_plan(tmp_path, tls=tls), _KEYS, admitting=True)
    assert text.count(f'cert_file: "{tmp_path}/c.pem"') == 2
    assert text.count("verify: true") == 1
    assert text.index("mqtt {") < text.index("verify: true") < text.index("\n}\ntls {")


def test_plan__that_binds_all_addresses__reaches_its_own_server_on_loopback(tmp_path):
    assert _plan(tmp_path, host="0.0.0.0").own_url == "nats://127.0.0.1:1884"
    assert _plan(tmp_path, host="10.0.0.7").own_url == "nats://10.0.0.7:1884"


def test_config__while_nobody_answers__each_connection_waits_a_second_at_most(tmp_path):
    assert "\n  timeout: 1\n" in config_text(_plan(tmp_path), _KEYS, admitting=False)
    assert "\n  timeout: 60\n" in config_text(_plan(tmp_path), _KEYS, admitting=True)
