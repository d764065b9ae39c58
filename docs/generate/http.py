"""The reference of the HTTP API, from its OpenAPI description."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from docs.generate.markdown import prose, table
from fleet_q import FleetQ, create_http

Json = Mapping[str, Any]

_USUAL: Final = {"200", "400", "403", "413", "415", "422", "503"}
"""Answers that nearly every endpoint may give; the page says them once."""


def page() -> str:
    """The page."""
    description = create_http(FleetQ("memory://"), lease=True).openapi()
    schemas = description["components"]["schemas"]
    problems: dict[str, str] = {}
    parts = [
        "# HTTP",
        "Every endpoint of `fleet-q serve --lease`, from its OpenAPI description, which the server"
        " itself has at `/openapi.json` and shows at `/docs`. Keys, hosts and limits:"
        " [HTTP](../http.md).",
    ]
    endpoints: list[str] = []
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            if method == "head":
                continue
            for status, answer in operation["responses"].items():
                if answer["description"] != "Service Unavailable":  # what FastAPI says itself
                    problems.setdefault(status, answer["description"])
            endpoints.append(_endpoint(method.upper(), path, operation))
    rows = [
        (status, problems[status]) for status in sorted(_USUAL & set(problems)) if status != "200"
    ]
    parts += ["Besides 200, they may answer:", table(("status", ""), rows), *endpoints]
    parts += ["## Bodies"]
    for name in sorted(_named(schemas)):
        parts.append(_body(name, schemas[name]))
    return "\n\n".join(part for part in parts if part) + "\n"


def _named(schemas: Json) -> Iterator[str]:
    return (name for name, schema in schemas.items() if "properties" in schema)


def _endpoint(method: str, path: str, operation: Json) -> str:
    parts = [f"## {method} {path}", prose(operation.get("description"))]
    rows = [
        (f"`{p['name']}`", kind(p["schema"]), _text(p["schema"], p.get("description")))
        for p in operation.get("parameters", ())
    ]
    parts.append(table(("parameter", "value", ""), rows))
    body = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if body:
        parts.append(f"Takes {kind(body['schema'])}.")
    answer = operation["responses"]["200"].get("content", {}).get("application/json")
    if answer:
        parts.append(f"Returns {kind(answer['schema'])}.")
    special = {s: a for s, a in operation["responses"].items() if s not in _USUAL}
    parts += [f"**{status}**: {answer['description']}" for status, answer in special.items()]
    return "\n\n".join(part for part in parts if part)


def _body(name: str, schema: Json) -> str:
    required = schema.get("required", ())
    rows = [
        (
            f"`{field}`" + (" (required)" if field in required and _is_taken(name) else ""),
            kind(value),
            _text(value),
        )
        for field, value in schema["properties"].items()
    ]
    text = prose(schema.get("description"))
    return "\n\n".join([f"### {name}", text, table(("field", "value", ""), rows)])


def _is_taken(name: str) -> bool:
    return name.endswith("Request")


def _text(schema: Json, description: str | None = None) -> str:
    text = prose(description or schema.get("description") or "")
    default = schema.get("default")
    if default in (None, [], {}):
        return text
    return f"{text} Default: `{default}`.".strip()


def kind(schema: Json) -> str:
    """What values a schema allows, with their bounds."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return "any JSON" if name == "JsonValue" else f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(kind(part) for part in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    match schema.get("type"):
        case "array":
            return f"a list of {kind(schema.get('items', {}))}"
        case "object":
            values = schema.get("additionalProperties")
            return f"an object of {kind(values)}" if isinstance(values, dict) else "an object"
        case "integer":
            return f"whole number{_bounds(schema)}"
        case "number":
            return f"number{_bounds(schema)}"
        case "string":
            return "time" if schema.get("format") == "date-time" else f"text{_bounds(schema)}"
        case "boolean":
            return "true or false"
        case "null":
            return "null"
    return "any JSON"


def _bounds(schema: Json) -> str:
    words = {
        "exclusiveMinimum": "above", "minimum": "from", "exclusiveMaximum": "below",
        "maximum": "up to",
    }  # fmt: skip
    bounds = [f"{word} {schema[key]:.12g}" for key, word in words.items() if key in schema]
    if "maxLength" in schema:
        bounds.append(f"up to {schema['maxLength']} characters")
    return " " + " ".join(bounds) if bounds else ""
