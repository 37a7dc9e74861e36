"""Topics, and the subjects that the broker makes of them."""

from __future__ import annotations

import pytest

from device_adapters.registry import protocol_names, read
from device_adapters.topics import (
    ACKNOWLEDGEMENT,
    acknowledgements_topic,
    client_id_of,
    evidence_topic,
    inbox_of,
    owner_of,
    receipts_topic,
    sender_of,
    subject_of,
    topic_of,
)
from device_adapters.types import Message, Reason


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "a",
        "proofrail/cp-1/receipts",
        "proofrail/cp-1/evidence",
        "proofrail//evidence/ocmf",
        "proofrail/cp-1/evidence/",
        "Proofrail/cp-1/evidence/ocmf",
        "proofrail/cp-1/evidence/ocmf/x",
        "///",
    ],
)
def test_owner__of_another_topic__none(topic):
    assert owner_of(topic) == ("", "")


@pytest.mark.parametrize("name", ["a", "a.b", "a..b", "x-1.y_2", "A" * 64])
def test_subject__of_the_topics_of_a_name__has_the_name_as_one_token_and_comes_back(name):
    topic = evidence_topic(name, "ocmf")
    subject = subject_of(topic)
    assert len(subject.split(".")) == 4
    assert owner_of(topic_of(subject)) == (name, "ocmf")
    assert topic_of(subject_of(receipts_topic(name))) == receipts_topic(name)


@pytest.mark.parametrize("name", ["a", "a.b", "outcomes"])
def test_sender__of_an_acknowledgement__is_its_device_and_no_owner_of_evidence(name):
    topic = topic_of(subject_of(acknowledgements_topic(name)))
    assert sender_of(topic) == (name, ACKNOWLEDGEMENT)
    assert owner_of(topic) == ("", "")
    assert sender_of(evidence_topic(name, "ocmf")) == (name, "ocmf")


@pytest.mark.parametrize(
    "topic", ["proofrail//outcomes/ack", "proofrail/a/outcomes", "proofrail/a/outcomes/ack/x", ""]
)
def test_sender__of_another_topic__none(topic):
    assert sender_of(topic) == ("", "")


def test_acknowledgement__in_the_place_of_a_protocol__is_the_name_of_none():
    assert ACKNOWLEDGEMENT not in protocol_names()
    (refusal,) = read(Message(ACKNOWLEDGEMENT, "a", b"{}"))
    assert refusal.reason is Reason.UNKNOWN_PROTOCOL


def test_subject__as_the_server_writes_it():
    assert subject_of("proofrail/a.b/evidence/ocmf") == "proofrail.a//b.evidence.ocmf"


def test_client_id__of_a_name_with_dots__has_none():
    assert (client_id_of("a.b"), inbox_of("a.b")) == ("a~b", "_INBOX.a~b")
