"""The rights of each role, as subjects."""

from __future__ import annotations

import pytest

from device_adapters.topics import STORED
from orchestrator.edges.broker.access import CredentialRole, may_connect, rights_of


def test_rights__a_device__own_evidence_and_acknowledgements_own_receipts_and_outcomes():
    rights = rights_of("a.b", CredentialRole.DEVICE)
    assert "proofrail.a//b.evidence.ocmf" in rights.publish
    other = [s for s in rights.publish if not s.startswith("proofrail.a//b.evidence.")]
    assert other == ["proofrail.a//b.outcomes.ack"]
    assert rights.subscribe == ("proofrail.a//b.receipts", "proofrail.a//b.outcomes")


def test_rights__readers__the_rail_alone_hears_acknowledgements_and_sends_outcomes():
    rail, oracle = (rights_of("x", role) for role in (CredentialRole.RAIL, CredentialRole.ORACLE))
    outcomes, ack = f"{STORED}proofrail.*.outcomes", f"{STORED}proofrail.*.*.*"
    assert outcomes in rail.publish and ack in rail.subscribe
    assert not [s for s in (*oracle.publish, *oracle.subscribe) if "outcomes" in s or s == ack]


@pytest.mark.parametrize("role", CredentialRole)
def test_rights__any_role__no_right_to_make_delete_or_purge_anything(role):
    rights = rights_of("a", role)
    for subject in rights.publish:
        assert not subject.startswith("$JS.API.") or ".GET." in subject or ".INFO." in subject
        assert ">" not in subject


def test_rights__a_device__no_wildcard_at_all():
    rights = rights_of("a", CredentialRole.DEVICE)
    assert not any(set("*>") & set(subject) for subject in (*rights.publish, *rights.subscribe))


@pytest.mark.parametrize(
    ("name", "role", "protocol", "client_id", "allowed"),
    [
        ("a", "device", "mqtt", "a", True),
        ("a.b", "device", "mqtt", "a~b", True),
        ("a", "device", "mqtt", "b", False),
        ("a", "device", "mqtt", "", False),
        ("a", "device", "nats", "", False),
        ("rail", "rail", "nats", "", True),
        ("rail", "rail", "mqtt", "rail", False),
        ("north", "oracle", "mqtt", "north", False),
        ("north", "oracle", "nats", "", True),
        ("north", "oracle", "", "", False),
    ],
)
def test_connect__protocol_and_client_id__only_those_of_the_name(
    name, role, protocol, client_id, allowed
):
    assert may_connect(name, CredentialRole(role), protocol, client_id) is allowed
