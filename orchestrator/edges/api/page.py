"""Renders the OpenAPI document as one HTML page without scripts or external addresses."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import Any

from orchestrator.edges.api.catalogue import CATALOGUE

PAGE_HEADERS = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 1rem }
th, td { border: 1px solid #bbb; padding: .25rem .5rem; text-align: left; vertical-align: top }
code, pre { font: 14px/1.4 ui-monospace, monospace } pre { overflow: auto; background: #f4f4f4;
padding: .5rem } h2 { margin-top: 2.5rem } .get { color: #075 } .post { color: #a40 }
"""
Json = Mapping[str, Any]


def page(schema: Json) -> str:
    """Return an OpenAPI document as HTML: routes, parameters, bodies and responses."""
    info = schema["info"]
    operations = list(_operations(schema))
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8>",
        f"<title>{escape(info['title'])} API</title><style>{_STYLE}</style>",
        f"<h1>{escape(info['title'])} API, version {escape(info['version'])}</h1>",
        *(f"<p>{escape(text)}</p>" for text in info["description"].split("\n\n")),
        "<p>This document for programs: <a href=/openapi.json>/openapi.json</a></p>",
        "<h2>Routes</h2>",
        _routes(operations),
        *(_operation(*operation) for operation in operations),
        "<h2>Shapes</h2>",
        *_shapes(schema["components"]["schemas"]),
        "<h2 id=codes>Codes</h2>",
        _codes(),
    ]
    return "\n".join(parts)


def _operations(schema: Json) -> Iterator[tuple[str, str, Json]]:
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return an HTML table; cells are HTML already."""
    lines = ["".join(f"<td>{cell}</td>" for cell in row) for row in rows]
    if not lines:
        return ""
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    return f"<table><tr>{top}</tr>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def _routes(operations: list[tuple[str, str, Json]]) -> str:
    return _table(
        ("Method", "Route", "Purpose"),
        (
            (
                f"<b class={method}>{method.upper()}</b>",
                f"<a href='#{operation['operationId']}'><code>{escape(path)}</code></a>",
                escape(operation["summary"]),
            )
            for method, path, operation in operations
        ),
    )


def _operation(method: str, path: str, operation: Json) -> str:
    title = f"<b class={method}>{method.upper()}</b> <code>{escape(path)}</code>"
    key = "needs an API key" if operation.get("security") else "needs no key"
    return "\n".join(
        (
            f"<h2 id={operation['operationId']}>{title}</h2>",
            f"<p>{escape(operation.get('description', ''))} <i>({key})</i></p>",
            _parameters(operation.get("parameters", ())),
            _body(operation.get("requestBody")),
            _responses(operation["responses"]),
        )
    )


def _parameters(parameters: Iterable[Json]) -> str:
    return _table(
        ("Parameter", "In", "Type", "Meaning"),
        (
            (
                f"<code>{escape(p['name'])}</code>" + (" (required)" if p.get("required") else ""),
                escape(p["in"]),
                _type(p["schema"]),
                escape(p.get("description", "")),
            )
            for p in parameters
        ),
    )


def _body(body: Json | None) -> str:
    if body is None:
        return ""
    return "<h3>Body</h3>" + _table(
        ("Media type", "Type", "Example"),
        (
            (escape(media), _type(content["schema"]), _examples(content))
            for media, content in body["content"].items()
        ),
    )


def _responses(responses: Json) -> str:
    rows = []
    for status, response in responses.items():
        for media, content in response.get("content", {}).items():
            rows.append(
                (
                    f"<b>{escape(status)}</b> {escape(response['description'])}",
                    f"{escape(media)}<br>{_type(content['schema'])}",
                    _examples(content),
                )
            )
    return "<h3>Answers</h3>" + _table(("Status", "Media type", "Codes or example"), rows)


def _examples(content: Json) -> str:
    if "examples" in content:
        codes = (f"<a href='#code-{name}'><code>{name}</code></a>" for name in content["examples"])
        return ", ".join(codes)
    return _pre(content["example"]) if "example" in content else ""


def _pre(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, indent=2)
    return f"<pre>{escape(text)}</pre>"


def _type(schema: Json) -> str:
    if "$ref" in schema:
        name = escape(schema["$ref"].rsplit("/", 1)[1])
        return f"<a href='#{name}'>{name}</a>"
    if "anyOf" in schema:
        return " or ".join(map(_type, schema["anyOf"]))
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}"
    if "enum" in schema:
        return "one of " + ", ".join(f"<code>{escape(str(v))}</code>" for v in schema["enum"])
    bounds = {k: schema[k] for k in ("pattern", "minimum", "maximum", "maxLength") if k in schema}
    limits = "".join(f", {k} <code>{escape(str(v))}</code>" for k, v in bounds.items())
    return escape(schema.get("type", "anything")) + limits


def _shapes(schemas: Json) -> Iterator[str]:
    for name, shape in sorted(schemas.items()):
        title = f"<h3 id={escape(name)}>{escape(name)}</h3>"
        yield f"{title}<p>{escape(shape.get('description', ''))}</p>"
        if "enum" in shape:
            yield f"<p>{_type(shape)}</p>"
        yield _table(
            ("Field", "Type", "Meaning"),
            (
                (f"<code>{escape(field)}</code>", _type(s), escape(s.get("description", "")))
                for field, s in shape.get("properties", {}).items()
            ),
        )
        yield from map(_pre, shape.get("examples", ()))


def _codes() -> str:
    return _table(
        ("Code", "Status", "Title", "Next step"),
        (
            (
                f"<code id=code-{code}>{code}</code>",
                str(entry.status),
                escape(entry.title),
                escape(entry.next_step),
            )
            for code, entry in CATALOGUE.items()
        ),
    )
