"""Each error is answered with a problem document whose code is in the catalogue."""

from __future__ import annotations

import asyncio
import base64
import errno
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from device_adapters.types import Reason
from oracles.types import ClaimReason
from orchestrator.core.endorsement import EndorsementReason
from orchestrator.core.hold import HoldReason
from orchestrator.core.party_call import (
    ChallengeReason,
    DisputeReason,
    PayeeMoneyReason,
    SkipReason,
)
from orchestrator.core.registration import RegistrationReason
from orchestrator.edges.api.catalogue import CATALOGUE, ProblemCode, entry_of
from orchestrator.edges.api.limits import BodyLimit
from orchestrator.edges.api.wire import ProblemDocument
from orchestrator.edges.bank.types import BankReason
from orchestrator.edges.store.tables import EventRow, RejectionRow
from tests.support.api_rail import RAW, ApiRail

MEDIA = "application/problem+json"
FAMILIES = (
    *(Reason, ClaimReason, ProblemCode, EndorsementReason, RegistrationReason),
    *(ChallengeReason, DisputeReason, PayeeMoneyReason, SkipReason, HoldReason),
)


@pytest.fixture(scope="module")
def rail(tmp_path_factory):
    rail = ApiRail(tmp_path_factory.mktemp("rail"))
    yield rail
    rail.close()


def problem(answer, status, code):
    assert (answer.status_code, answer.headers["content-type"]) == (status, MEDIA)
    document = ProblemDocument.model_validate(answer.json(), strict=True)
    assert (document.code, document.status) == (code, status)
    assert (
        document.type == f"urn:proofrail:problem:{code}" and document.next_step and document.detail
    )
    return document


@pytest.mark.parametrize("family", FAMILIES)
def test_catalogue__every_code_there_is__has_title_and_next_step(family):
    assert [code for code in family if str(code) not in CATALOGUE] == []
    for code in family:
        entry = entry_of(code)
        assert entry.title and not entry.title.endswith(".")
        assert entry.next_step.endswith(".")


def test_catalogue__any_entry__is_used_and_has_a_unique_code():
    codes = [str(code) for family in FAMILIES for code in family]
    codes += [str(BankReason.IBAN_INVALID), str(BankReason.BIC_INVALID)]
    assert sorted(codes) == sorted(CATALOGUE)


def test_catalogue__a_code_from_elsewhere__is_shown_as_it_is():
    assert entry_of("fuse_exceeded").title == "Fuse exceeded"


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/evidence/", "/docs/", "/v2/\u00e9%ff", "/%2e"])
def test_route__unknown__is_a_problem(rail, path):
    problem(rail.client("operator").get(path), 404, "route_unknown")


def test_method__unknown_to_the_route__names_those_it_knows(rail):
    answer = rail.client("operator").put("/v1/evidence")
    problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize(
    "media",
    [
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/html",
        "json",
    ],
)
def test_body__of_another_media_type__is_refused(rail, media):
    headers = {"Content-Type": media}
    answer = rail.client("acme").post("/v1/evidence", content=b"a=b", headers=headers)
    problem(answer, 415, "media_type_unsupported")


def test_body__compressed__is_refused(rail):
    answer = rail.client("acme").post(
        "/v1/evidence", content=b"x", headers=RAW | {"Content-Encoding": "gzip"}
    )
    problem(answer, 415, "content_coding_unsupported")


def test_body__without_a_media_type__is_taken_as_bytes(rail):
    answer = rail.client("acme").post("/v1/evidence", content=rail.record())
    assert answer.status_code == 200


@pytest.mark.parametrize("path", ["/v1/evidence", "/v1/nothing", "/health"])
def test_body__declared_too_large__is_refused_unread(rail, path):
    answer = rail.client("acme").post(path, content=b"x" * 200_001, headers=RAW)
    problem(answer, 413, "body_too_large")
    assert answer.headers["connection"] == "close"


def test_body__too_large_in_chunks_without_a_length__is_refused_as_soon_as_it_passes(rail):
    handed_over = []

    def chunks():
        for number in range(100):
            handed_over.append(number)
            yield b"x" * 10_000

    before = len(rail.rows(RejectionRow))
    answer = rail.client("acme").post("/v1/evidence", content=chunks(), headers=RAW)
    problem(answer, 413, "body_too_large")
    assert len(rail.rows(RejectionRow)) == before


def test_limit__by_chunks__stops_reading_at_the_first_byte_beyond():
    read, sent = [], []

    async def app(scope, receive, send):
        while (await receive())["more_body"]:
            pass

    async def receive():
        read.append(1)
        return {"type": "http.request", "body": b"x" * 10, "more_body": True}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "path": "/", "headers": []}
    with pytest.raises(Exception, match="body_too_large"):
        asyncio.run(BodyLimit(app, max_bytes=35)(scope, receive, send))
    assert len(read) == 4


def test_limit__a_body_that_never_ends__is_given_up():
    async def app(scope, receive, send):
        await receive()

    async def receive():
        await asyncio.Event().wait()

    scope = {"type": "http", "path": "/", "headers": []}
    with pytest.raises(Exception, match="body_too_slow"):
        asyncio.run(BodyLimit(app, 10, patience_s=0.01)(scope, receive, None))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        b"[1,]",
        b"nul",
        b"NaN",
        b'{"records": [], "records": []}',
        b"{} {}",
        b'{"records":' + b"[" * 5_000,
        b"1" + b"0" * 400,
        b"1e999999999",
        b'{"records":[{"record":"\\ud800"}]}',
        b'\xef\xbb\xbf{"records":[]}',
    ],
)
def test_json__that_is_none__is_refused_with_the_place(rail, body):
    headers = {"Content-Type": "application/json; charset=utf-8"}
    answer = rail.client("acme").post("/v1/evidence", content=body, headers=headers)
    problem(answer, 400, "json_unreadable")


@pytest.mark.parametrize(
    "path",
    [
        "/v1/payments?stage=rich",
        "/v1/payments?limit=0",
        "/v1/payments?limit=501",
        "/v1/payments?limit=x",
        "/v1/payments?agreement=0x12",
        "/v1/payments/0x12",
        "/v1/events/" + "0X" + "00" * 32,
        "/v1/rejected/0",
        "/v1/rejected/9223372036854775808",
    ],
)
def test_parameters__not_as_documented__name_the_field(rail, path):
    document = problem(rail.client("auditor").get(path), 422, "request_invalid")
    assert document.errors and document.errors[0].field.startswith(("query.", "path."))


def test_machine__short_of_something__is_asked_again_later_and_shows_no_path(rail):
    class Full:
        def take(self, messages):
            raise OSError(errno.ENOSPC, "No space left on device", "/a/secret/path")

    rail.start(intake=Full())
    answer = rail.client("acme").post("/v1/evidence", content=rail.record(), headers=RAW)
    problem(answer, 503, "try_again_later")
    assert "secret" not in answer.text
    rail.start()


def test_bug__in_a_route__is_hidden_from_callers(rail):
    class Broken:
        def take(self, messages):
            raise RuntimeError("secret of the server")

    rail.start(intake=Broken())
    try:
        answer = rail.client("acme").post("/v1/evidence", content=b"x", headers=RAW)
    finally:
        rail.start()
    problem(answer, 500, "internal_error")
    assert "secret" not in answer.text


MEDIA_TYPES = st.sampled_from(["text/plain", "application/octet-stream", "application/json"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from(["records", "record", "record_base64", "protocol"]) | st.text(), inner
        )
    ),
)
BODIES = (
    st.binary(max_size=300)
    | JSON.map(lambda value: json.dumps(value).encode())
    | st.binary(max_size=80).map(
        lambda raw: json.dumps(
            {"records": [{"record_base64": base64.b64encode(raw).decode()}]}
        ).encode()
    )
)


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(body=BODIES, media=MEDIA_TYPES, protocol=st.sampled_from(["ocmf", "x", "", "_blueprint"]))
def test_evidence__any_bytes_at_all__are_answered_as_documented_and_never_taken(
    rail, body, media, protocol
):
    events = len(rail.rows(EventRow))
    answer = rail.client("acme").post(  # its hook holds every answer against the document
        "/v1/evidence",
        content=body,
        params={"protocol": protocol},
        headers={"Content-Type": media},
    )
    assert answer.status_code in (200, 400, 422)
    assert len(rail.rows(EventRow)) == events


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    after=st.text(max_size=60)
    | st.binary(max_size=40).map(lambda raw: base64.urlsafe_b64encode(raw).decode()),
    path=st.sampled_from(["payments", "rejected", "agreements", "devices"]),
)
def test_cursor__any_text_at_all__is_a_page_or_a_problem(rail, after, path):
    try:
        after.encode()
    except UnicodeEncodeError:
        return
    answer = rail.client("auditor").get(f"/v1/{path}", params={"after": after})
    assert answer.status_code in (200, 422)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    text=st.text(st.characters(exclude_characters="/?#.", codec="utf-8"), min_size=1, max_size=70)
)
def test_trace__of_any_text_at_all__is_an_answer_or_a_problem(rail, text):
    from urllib.parse import quote

    answer = rail.client("auditor").get("/v1/trace/" + quote(text, safe=""))
    assert answer.status_code in (200, 404, 422)
