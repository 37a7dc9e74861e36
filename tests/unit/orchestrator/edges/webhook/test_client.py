"""Webhooks: signed, to a checked address, without redirects, and never for long."""

from __future__ import annotations

import socket

import pytest

from orchestrator.core.effect_delivery import DELIVERED, DeliveryVerdict
from orchestrator.edges.webhook.address import ReachPolicy, address_trouble, read_url
from orchestrator.edges.webhook.client import WebhookTarget
from orchestrator.edges.webhook.signing import new_secret, signed_headers
from tests.support.webhook_receiver import WebhookReceiver

LOCAL, PUBLIC, INTERNAL = ReachPolicy(loopback=True), ReachPolicy(), ReachPolicy(internal=True)
ID, BODY, NOW = "0x" + "5a" * 32, b'{"type":"work_order"}', 1_760_000_000


@pytest.fixture
def receiver():
    receiver = WebhookReceiver()
    yield receiver
    receiver.close()


def deliver(receiver: WebhookReceiver, secret: str = "", **changes):
    secret = secret or new_secret()
    target = WebhookTarget(receiver.url, secret, **{"policy": LOCAL} | changes)
    return target.deliver(ID, "work_order", BODY, NOW)


def test_signature__of_the_published_example__is_the_published_one():
    """The vector of the Standard Webhooks specification's libraries."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = b'{"test": 2432232314}'
    headers = signed_headers(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body)
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_deliver__twice__is_the_same_id_and_body_under_a_signature_of_its_own_time(receiver):
    secret = new_secret()
    target = WebhookTarget(receiver.url, secret, LOCAL)
    assert target.deliver(ID, "work_order", BODY, NOW) == DELIVERED
    assert target.deliver(ID, "work_order", BODY, NOW + 60) == DELIVERED
    (first, body), (second, again) = receiver.got
    assert body == again == BODY and receiver.ids() == [ID, ID]
    assert first["webhook-signature"] != second["webhook-signature"]
    assert receiver.genuine(secret) and not receiver.genuine(new_secret())
    assert secret not in repr(target)


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (200, DeliveryVerdict.DELIVERED),
        (302, DeliveryVerdict.REFUSED),
        (400, DeliveryVerdict.REFUSED),
        (410, DeliveryVerdict.REFUSED),
        (429, DeliveryVerdict.UNREACHABLE),
        (500, DeliveryVerdict.UNREACHABLE),
        (503, DeliveryVerdict.UNREACHABLE),
    ],
)
def test_answer__each_status__is_what_it_means_for_the_target(receiver, status, verdict):
    other = WebhookReceiver()
    receiver.status, receiver.location = status, other.url
    assert deliver(receiver).verdict is verdict
    assert other.got == []  # no redirect is followed
    other.close()


def test_answer__that_drips_in__is_given_up(receiver):
    receiver.drip_s = 0.1  # for ever, and never silent for long
    assert deliver(receiver, patience_s=0.5).verdict is DeliveryVerdict.UNREACHABLE
    assert receiver.cut_off.wait(60)


def test_receiver__that_is_down__is_unreachable(receiver):
    receiver.close()
    assert deliver(receiver).verdict is DeliveryVerdict.UNREACHABLE


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "x..example", "no-such-host.invalid"])
def test_receiver__whose_name_no_resolver_takes__is_unreachable(host):
    target = WebhookTarget(f"https://{host}/x", new_secret(), PUBLIC)
    assert target.deliver(ID, "x", BODY, NOW).verdict is DeliveryVerdict.UNREACHABLE


def test_secret__that_is_damaged__sends_nothing_and_is_not_shown(receiver):
    answer = deliver(receiver, "whsec_damaged!")
    assert answer.verdict is DeliveryVerdict.UNREACHABLE and receiver.got == []
    assert "secret is damaged" in answer.detail and "whsec" not in answer.detail


def test_loopback__on_another_chain__is_never_connected_to(receiver):
    url = receiver.url.replace("http", "https")
    answer = WebhookTarget(url, new_secret(), PUBLIC).deliver(ID, "x", BODY, NOW)
    assert answer.verdict is DeliveryVerdict.UNREACHABLE and "this machine itself" in answer.detail
    assert receiver.got == []


def test_name__with_one_address_that_may_not_be_reached__is_not_used(receiver, monkeypatch):
    rows = [(2, 1, 6, "", (number, 443)) for number in ("93.184.216.34", "169.254.169.254")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: rows)
    target = WebhookTarget("https://example.com/x", new_secret(), INTERNAL)
    assert "169.254.169.254" in target.deliver(ID, "x", BODY, NOW).detail


def test_name__that_changes_after_its_check__is_not_asked_again(receiver, monkeypatch):
    """The connection goes to the number that was checked: a second answer changes nothing."""
    asked, real = [], socket.getaddrinfo

    def resolver(host, port, *rest, **named):
        asked.append(host)
        return real("127.0.0.1" if host == "receiver.test" else host, port, *rest, **named)

    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    monkeypatch.setattr("orchestrator.edges.webhook.address.is_loopback", lambda _: True)
    url = receiver.url.replace("127.0.0.1", "receiver.test")
    assert WebhookTarget(url, new_secret(), LOCAL).deliver(ID, "x", BODY, NOW) == DELIVERED
    assert asked.count("receiver.test") == 1
    assert receiver.got[0][0]["host"].startswith("receiver.test:")


@pytest.mark.parametrize(
    ("number", "reached_by"),
    [
        ("93.184.216.34", {"public", "internal", "local"}),
        ("2606:2800:220:1:248:1893:25c8:1946", {"public", "internal", "local"}),
        ("10.1.2.3", {"internal"}),
        ("192.168.1.1", {"internal"}),
        ("172.16.0.1", {"internal"}),
        ("100.64.0.1", {"internal"}),
        ("fd00::1", {"internal"}),
        ("127.0.0.1", {"local"}),
        ("::1", {"local"}),
        ("::ffff:127.0.0.1", {"local"}),
        ("::ffff:10.0.0.1", {"internal"}),
        ("169.254.169.254", set()),
        ("::ffff:169.254.169.254", set()),
        ("fe80::1", set()),
        ("0.0.0.0", set()),
        ("::", set()),
        ("224.0.0.1", set()),
        ("255.255.255.255", set()),
        ("64:ff9b::a9fe:a9fe", set()),
        ("2002:7f00:1::", set()),
    ],
)
def test_address__of_each_kind__is_reached_by_these_policies_only(number, reached_by):
    policies = {"public": PUBLIC, "internal": INTERNAL, "local": LOCAL}
    assert {
        n for n, policy in policies.items() if not address_trouble(number, policy)
    } == reached_by


@pytest.mark.parametrize(
    ("url", "policy", "allowed"),
    [
        ("https://example.com/x", PUBLIC, True),
        ("http://example.com/x", PUBLIC, False),
        ("http://example.com/x", LOCAL, False),
        ("http://localhost:8080/x", LOCAL, True),
        ("http://127.0.0.1/x", LOCAL, True),
        ("http://127.0.0.1/x", PUBLIC, False),
        ("http://127.0.0.1/x", INTERNAL, False),
        ("https://user:pw@example.com/x", PUBLIC, False),
        ("https://example.com/x#y", PUBLIC, False),
        ("https://example.com/x y", PUBLIC, False),
        ("https://example.com/\r\nx: y", PUBLIC, False),
        ("https://example.com:99999/x", PUBLIC, False),
        ("ftp://example.com/x", PUBLIC, False),
        ("file:///etc/passwd", LOCAL, False),
        ("https:///x", PUBLIC, False),
        ("", PUBLIC, False),
    ],
)
def test_url__of_each_form__is_a_target_or_is_refused_with_a_reason(url, policy, allowed):
    assert isinstance(read_url(url, policy), str) != allowed
