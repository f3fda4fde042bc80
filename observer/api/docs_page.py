"""GET /docs: the OpenAPI document as a plain page, made here, without scripts: it needs no other server's files."""

from base64 import b64encode
from hashlib import sha256
from html import escape
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

router = APIRouter()

_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
code, pre { font-family: ui-monospace, monospace; font-size: .9em; }
pre { overflow: auto; padding: .75rem; border: 1px solid; border-radius: .4rem; }
details { border: 1px solid; border-radius: .4rem; margin: .5rem 0; padding: .5rem .75rem; }
summary { cursor: pointer; } summary b { display: inline-block; min-width: 4rem; }
table { border-collapse: collapse; width: 100%; }
td, th { text-align: left; vertical-align: top; padding: .2rem .6rem; }
"""
_STYLE_HASH = b64encode(sha256(_STYLE.encode()).digest()).decode()
_POLICY = f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; frame-ancestors 'none'; base-uri 'none'"


@router.get("/docs", include_in_schema=False)
async def docs(request: Request) -> HTMLResponse:
    """The page."""
    document = request.app.openapi()
    return HTMLResponse(render(document), headers={"Content-Security-Policy": _POLICY, "Cache-Control": "no-cache"})


def render(document: dict[str, Any]) -> str:
    """The page for an OpenAPI document."""
    info = document["info"]
    groups: dict[str, list[str]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            group = operation.get("tags", ["Other"])[0]
            groups.setdefault(group, []).append(_operation(method, path, operation))
    sections = "".join(f"<h2>{escape(group)}</h2>{''.join(found)}" for group, found in groups.items())
    schemas = "".join(_schema(name, schema) for name, schema in document["components"]["schemas"].items())
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(info["title"])}: HTTP API</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style>'
        f"<h1>{escape(info['title'])}: HTTP API</h1>{_paragraphs(info['description'])}"
        f'<p>For programs: <a href="/openapi.json">/openapi.json</a></p>'
        f"{sections}<h2>Types</h2>{schemas}</html>"
    )


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    lock = "" if "security" in operation else " (open)"
    return (
        f"<details><summary><b>{escape(method.upper())}</b> <code>{escape(path)}</code>{lock}</summary>"
        f"{_paragraphs(operation.get('description', ''))}{_parameters(operation)}{_body(operation)}"
        f"{_table('Answers', [(status, _answer(one)) for status, one in operation['responses'].items()])}</details>"
    )


def _parameters(operation: dict[str, Any]) -> str:
    rows = [
        (
            f"{one['name']} ({one['in']}{', required' if one.get('required') else ''})",
            escape(one.get("description", "")),
        )
        for one in operation.get("parameters", [])
    ]
    return _table("Parameters", rows)


def _body(operation: dict[str, Any]) -> str:
    content = operation.get("requestBody", {}).get("content", {})
    return "".join(f"<p>Body: {_type(one['schema'])}</p>" for one in content.values())


def _answer(response: dict[str, Any]) -> str:
    types = [_type(one["schema"]) for one in response.get("content", {}).values() if "schema" in one]
    return " ".join([escape(response.get("description", "")), *types])


def _schema(name: str, schema: dict[str, Any]) -> str:
    rows = [
        (
            field + (" *" if field in schema.get("required", ()) else ""),
            f"{_type(one)} {escape(one.get('description', ''))}",
        )
        for field, one in schema.get("properties", {}).items()
    ]
    return (
        f'<details id="{escape(name)}"><summary><code>{escape(name)}</code></summary>'
        f"{_paragraphs(schema.get('description', ''))}{_table('Fields (* always there)', rows)}</details>"
    )


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#{name}">{name}</a>'
    if "anyOf" in schema:
        return " or ".join(map(_type, schema["anyOf"]))
    if "enum" in schema:
        return " | ".join(f"<code>{escape(str(value))}</code>" for value in schema["enum"])
    if "items" in schema:
        return f"list of {_type(schema['items'])}"
    return f"<code>{escape(str(schema.get('type', 'any')))}</code>"


def _table(title: str, rows: list[tuple[str, str]]) -> str:
    """`rows`: plain text first, HTML second."""
    if not rows:
        return ""
    lines = "".join(f"<tr><th scope=row><code>{escape(first)}</code><td>{second}" for first, second in rows)
    return f"<p>{escape(title)}</p><table>{lines}</table>"


def _paragraphs(text: str) -> str:
    return "".join(f"<p>{escape(part)}</p>" for part in text.split("\n\n") if part.strip())
