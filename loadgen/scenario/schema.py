"""A scenario for other programs: the file's JSON Schema for editors, and plain data for run directories."""

from collections.abc import Mapping
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from loadgen.scenario.catalogue import catalogue
from loadgen.scenario.document import VARIANT_NAME, Document, Scenario
from loadgen.scenario.fields import FILE_NAME, SYSCTL_NAME
from loadgen.text.units import ByteSize, Duration, PortRange, Rate


class _AsWritten(GenerateJsonSchema):
    """Defaults as people write them, no null (a key without a value is refused), no titles made of names."""

    def encode_default(self, dft: Any) -> Any:
        if isinstance(dft, ByteSize | Duration | PortRange | Rate):
            return str(dft)
        return super().encode_default(dft)

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        if schema.get("default", ...) is None:
            return self.generate_inner(schema["schema"])
        return super().default_schema(schema)

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
        return False


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a scenario file as it is written.

    Keys that a variant may leave to the top level are not required anywhere but there.
    """
    schema = Document.model_json_schema(schema_generator=_AsWritten)
    for part in schema["$defs"].values():
        part.pop("required", None)
    properties = schema["properties"]
    properties["variants"]["propertyNames"] = {"pattern": f"^(?:{VARIANT_NAME})$"}
    properties["expect"]["propertyNames"] = {"pattern": f"^(?:{VARIANT_NAME})$"}
    listed, decided = properties["claims"]["anyOf"]
    listed["items"] = decided["propertyNames"] = {"enum": list(catalogue())}
    for side in schema["$defs"]["Sysctls"]["properties"].values():
        side["propertyNames"] = {"pattern": f"^(?:{SYSCTL_NAME})$"}
    for part in ("Server", "Load", "Proxy"):
        schema["$defs"][part]["properties"]["files"]["propertyNames"] = {"pattern": f"^(?:{FILE_NAME})$"}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "churn scenario"}


def resolved(scenario: Scenario) -> dict[str, Any]:
    """A scenario as plain JSON data, every default written out, quantities as people write them."""
    return scenario.model_dump(mode="json", exclude_none=True)


def restore(data: Mapping[str, Any]) -> Scenario:
    """The scenario that `resolved` gave. Raises pydantic's ValidationError for anything else."""
    return Scenario.model_validate(data)
