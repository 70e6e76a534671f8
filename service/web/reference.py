"""The API reference page, made from the OpenAPI document, without scripts from other hosts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Row = tuple[str, str, str]  # name, kind, description


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One method of one path, flattened for reading."""

    id: str
    method: str
    path: str
    summary: str
    description: str
    parameters: tuple[Row, ...]
    bodies: tuple[tuple[str, tuple[Row, ...]], ...]
    responses: tuple[tuple[str, str], ...]


def operations(document: dict[str, Any]) -> tuple[Operation, ...]:
    """Every operation of a document, in its order."""
    schemas = document["components"]["schemas"]
    return tuple(
        Operation(
            id=entry["operationId"],
            method=method.upper(),
            path=path,
            summary=entry.get("description", "").split("\n")[0].split(":")[0].rstrip("."),
            description=entry.get("description", ""),
            parameters=tuple(_parameter(parameter) for parameter in entry.get("parameters", ())),
            bodies=tuple(
                (kind, _fields(body["schema"], schemas))
                for kind, body in entry.get("requestBody", {}).get("content", {}).items()
            ),
            responses=tuple(
                (status, response["description"]) for status, response in entry["responses"].items()
            ),
        )
        for path, methods in document["paths"].items()
        for method, entry in methods.items()
    )


def _parameter(parameter: dict[str, Any]) -> Row:
    kind = f"{parameter['in']}{', required' if parameter.get('required') else ''}"
    return parameter["name"], kind, parameter.get("description", "")


def _fields(schema: dict[str, Any], schemas: dict[str, Any]) -> tuple[Row, ...]:
    if "$ref" in schema:
        schema = schemas[schema["$ref"].rsplit("/", 1)[-1]]
    required = schema.get("required", ())
    return tuple(
        (name, _kind(field) + (", required" if name in required else ""), field.get("description", ""))
        for name, field in schema.get("properties", {}).items()
    )


def _kind(field: dict[str, Any]) -> str:
    choices = [_kind(choice) for choice in field.get("anyOf", ())]
    kind = " or ".join(choices) or str(field.get("type", "object"))
    if "enum" in field:
        kind = " | ".join(str(value) for value in field["enum"])
    if "const" in field:
        kind = str(field["const"])
    low, high = field.get("minimum"), field.get("maximum")
    if low is not None and high is not None:
        kind += f", {low} to {high}"
    if field.get("default") not in (None, [], ""):
        kind += f", {field['default']} if left out"
    return kind
