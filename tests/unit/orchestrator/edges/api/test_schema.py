"""The API's description is complete and true, and its page loads nothing from outside."""

from __future__ import annotations

import re

import pytest

from orchestrator.edges.api import views, wire
from orchestrator.edges.api.catalogue import CATALOGUE
from tests.support.api_rail import ApiRail, shape

PROBLEM = "application/problem+json"


@pytest.fixture(scope="module")
def rail(tmp_path_factory):
    rail = ApiRail(tmp_path_factory.mktemp("rail"))
    yield rail
    rail.close()


def operations(schema):
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            yield f"{method} {path}", operation


def contents(schema):
    """(place, media type, content) of every body and every response."""
    for place, operation in operations(schema):
        for media, content in operation.get("requestBody", {}).get("content", {}).items():
            yield f"{place} body", media, content
        for status, response in operation["responses"].items():
            for media, content in response["content"].items():
                yield f"{place} {status}", media, content


def references(node):
    if isinstance(node, dict):
        yield from [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_operations__all__have_summary_description_and_every_kind_of_answer(rail):
    for place, operation in operations(rail.schema):
        assert operation["summary"] and operation["description"], place
        done = "202" if place == "post /capture" else "200"
        expected = {done, "408", "413", "429", "500"}
        if place == "get /ready":
            expected |= {"503"}
        elif place not in ("get /health", "get /.well-known/jwks.json"):
            expected |= {"401", "403", "422"}
            assert operation["security"] == [{"ApiKey": []}], place
        assert expected <= set(operation["responses"]), place


def test_errors__all__are_problem_documents_with_examples_of_their_status(rail):
    for place, media, content in contents(rail.schema):
        if place.split()[-1] in ("200", "202", "body") or (
            place == "get /ready 503" and media == "application/json"  # an answer, not an error
        ):
            continue
        assert media == PROBLEM, place
        assert content["examples"], place
        for code, example in content["examples"].items():
            document = wire.ProblemDocument.model_validate(example["value"], strict=True)
            assert (document.code, str(document.status)) == (code, place.split()[-1])
            assert code in CATALOGUE


def test_examples__of_every_shape__have_that_shape(rail):
    models = [
        model
        for module in (wire, views)
        for model in vars(module).values()
        if isinstance(model, type)
        and "examples" in (getattr(model, "model_config", {}).get("json_schema_extra") or {})
    ]
    assert len(models) > 12
    for model in models:
        for example in model.model_config["json_schema_extra"]["examples"]:
            model.model_validate(example)


def test_examples__of_bodies__have_the_shape_they_name(rail):
    count = 0
    for _, media, content in contents(rail.schema):
        if media == "application/json" and "example" in content and "$ref" in content["schema"]:
            shape(content["schema"]).model_validate(content["example"], strict=True)
            count += 1
    assert count == 1


def test_references__all__lead_somewhere_and_every_shape_is_used(rail):
    named = {ref.rsplit("/", 1)[1] for ref in references(rail.schema)}
    assert named == set(rail.schema["components"]["schemas"])


def test_amounts__in_every_shape__are_text(rail):
    amount = rail.schema["components"]["schemas"]["Amount"]
    assert amount["properties"]["amount_minor"]["type"] == "string"
    assert "'type': 'number'" not in str(rail.schema)  # which is what OpenAPI calls a float


def test_docs__any_page__names_no_outside_address_and_runs_nothing(rail):
    page = rail.client().get("/docs")
    assert page.status_code == 200
    assert not re.search(r"https?:|//|<script|<link|<img|<iframe|@import|url\(", page.text)
    assert page.headers["content-security-policy"].startswith("default-src 'none'")


def test_docs__any_page__shows_every_route_code_and_shape(rail):
    page = rail.client().get("/docs").text
    for place, operation in operations(rail.schema):
        assert f"<h2 id={operation['operationId']}>" in page, place
    assert all(f"id=code-{code}>" in page for code in CATALOGUE)
    assert all(f"<h3 id={name}>" in page for name in rail.schema["components"]["schemas"])
    anchors = set(re.findall(r"href='#([^']+)'", page))
    assert anchors <= set(re.findall(r"id=([^ >]+)", page))


def test_schema__whole__names_no_outside_address(rail):
    assert not re.search(r"https?:", rail.client().get("/openapi.json").text)


@pytest.mark.parametrize("path", ["/redoc", "/docs/oauth2-redirect"])
def test_pages__of_the_framework__are_not_served(rail, path):
    assert rail.client().get(path).status_code == 404


def test_answers__to_a_page_of_another_origin__carry_no_permission(rail):
    answer = rail.client("auditor").get("/v1/status", headers={"Origin": "https://elsewhere.test"})
    assert not [name for name in answer.headers if name.startswith("access-control")]
