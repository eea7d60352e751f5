"""The OpenAPI document as a contract: names that clients are generated from, and properties that change on purpose."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from fastapi.routing import APIRoute
from pydantic import BaseModel

from tests.support.api_contract import api_contract
from tests.support.studio import app_without_database
from tests.support.studio_routes import walk_routes

APP = app_without_database()
DOCUMENT = APP.openapi()
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]
OPERATIONS = [operation for methods in DOCUMENT["paths"].values() for operation in methods.values()]


def test_operations_and_properties_change_only_together_with_the_contract() -> None:
    contract = json.loads(Path(__file__).with_name("api_contract.json").read_text())

    assert api_contract(DOCUMENT) == contract, (
        "run python -m tests.support.api_contract > tests/studio/api_contract.json"
    )


def test_operation_ids_are_short_and_unique() -> None:
    ids = [operation["operationId"] for operation in OPERATIONS]

    assert [name for name, count in Counter(ids).items() if count > 1] == []
    assert [name for name in ids if len(name) > 32 or not name.replace("_", "").isalpha() or "api" in name] == []


def test_titles_are_unique_and_those_of_components() -> None:
    assert {name: schema["title"] for name, schema in SCHEMAS.items()} == {name: name for name in SCHEMAS}
    inner = [schema for schema in SCHEMAS.values() for schema in schema.values()]
    assert list(titles([inner, DOCUMENT["paths"]])) == []


def test_the_document_names_its_server_and_how_to_sign_in() -> None:
    assert DOCUMENT["servers"] == [{"url": "/", "description": "The studio that serves this document"}]
    schemes = DOCUMENT["components"]["securitySchemes"]
    assert {name: (scheme["type"], scheme.get("name")) for name, scheme in schemes.items()} == {
        "userToken": ("http", None),
        "secretKey": ("apiKey", "apikey"),
    }
    assert DOCUMENT["security"] == [{"userToken": []}, {"secretKey": []}]


def test_settings_and_records_are_typed() -> None:
    shapes = {
        ("CampaignDraft", "calling_hours"): "WeeklyHours",
        ("CampaignChanges", "retry_policy"): "RetrySettings",
        ("Campaign", "calling_hours"): "WeeklyHours",
        ("CallAttempt", "decision"): "CallDecision",
        ("CallDetail", "decision"): "CallDecision",
    }
    for (schema, name), shape in shapes.items():
        assert SCHEMAS[schema]["properties"][name]["$ref"] == f"#/components/schemas/{shape}"
    assert {"$ref": "#/components/schemas/CallAnalysis"} in SCHEMAS["CallDetail"]["properties"]["analysis"]["anyOf"]


def test_responses_are_models_of_the_api_and_no_rows_of_queries() -> None:
    found = {}
    for path, route in walk_routes(APP.routes):
        if isinstance(route, APIRoute) and path.startswith("/api/") and route.response_model is not None:
            rows = {each.__name__ for each in classes_in(route.response_model) if ".db." in each.__module__}
            if rows:
                found[path] = rows

    assert found == {}


def classes_in(annotation: Any) -> Iterator[type]:
    """Yield the classes of an annotation, and those of the fields of its models."""
    if isinstance(annotation, type):
        yield annotation
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for field in annotation.model_fields.values():
            yield from classes_in(field.annotation)
    for argument in get_args(annotation):
        yield from classes_in(argument)


def titles(part: object) -> Iterator[str]:
    """Yield the titles in a part of the document; a property named title is not one."""
    if isinstance(part, list):
        for each in part:
            yield from titles(each)
    elif isinstance(part, dict):
        if isinstance(part.get("title"), str):
            yield part["title"]
        for each in part.values():
            yield from titles(each)
