"""The JSON form of evidence: the estimators' scores beside the other numbers."""

from __future__ import annotations

from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

NUMBERS = "scores"


class FlatScores:
    """Annotates a record in pydantic's models: the entries of its mapping `scores` stand beside its fields in JSON."""

    def __get_pydantic_core_schema__(self, source: type, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Reads and writes the flat form."""
        fields = set(source.__dataclass_fields__)  # type: ignore[attr-defined]  # annotates records alone

        def apart(value: Any) -> Any:
            if not isinstance(value, dict) or NUMBERS in value:
                return value
            inside = {name: number for name, number in value.items() if name in fields}
            return inside | {NUMBERS: {name: value[name] for name in value if name not in fields}}

        return core_schema.no_info_before_validator_function(
            apart,
            handler(source),
            serialization=core_schema.wrap_serializer_function_ser_schema(_beside),
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """The schema of the record without the mapping, open for its numbers."""
        found = handler(schema)
        inside = handler.resolve_ref_schema(found)
        numbers = inside["properties"].pop(NUMBERS, None)
        if numbers is not None:
            inside["additionalProperties"] = numbers["additionalProperties"]
        return found


def _beside(record: Any, serialize: core_schema.SerializerFunctionWrapHandler) -> dict[str, Any]:
    fields: dict[str, Any] = serialize(record)
    numbers: dict[str, Any] = fields.pop(NUMBERS)
    return fields | numbers
