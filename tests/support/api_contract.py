"""The contract of the studio's API in short: each operation, and each property of each schema with its type.

`python -m tests.support.api_contract > tests/studio/api_contract.json` writes it anew.
"""

import json
import sys
from collections.abc import Mapping
from typing import Any

from tests.support.studio_routes import app_without_database


def api_contract(document: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the operations by id, and the properties of the schemas; a question mark follows optional ones."""
    operations = {
        operation["operationId"]: f"{method.upper()} {path}"
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    schemas = {}
    for name, schema in document["components"]["schemas"].items():
        required = schema.get("required", [])
        properties = schema.get("properties", {})
        schemas[name] = {f"{each}{'' if each in required else '?'}": kind(properties[each]) for each in properties} or (
            kind(schema)
        )
    return {"operations": dict(sorted(operations.items())), "schemas": dict(sorted(schemas.items()))}


def kind(schema: Mapping[str, Any]) -> str:
    """Return the type of a schema in one word or a few."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " | ".join(kind(choice) for choice in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        return " | ".join(json.dumps(value) for value in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return f"list of {kind(schema['items'])}"
    if isinstance(values := schema.get("additionalProperties"), dict):
        return f"map of {kind(values)}"
    return str(schema.get("format") or schema.get("type", "anything"))


if __name__ == "__main__":
    json.dump(api_contract(app_without_database().openapi()), sys.stdout, indent=1)
    sys.stdout.write("\n")
