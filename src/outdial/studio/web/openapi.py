"""The OpenAPI document: what FastAPI derives from the routes, completed for generators of clients."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from fastapi import APIRouter, FastAPI
from fastapi.encoders import jsonable_encoder
from pydantic import GetJsonSchemaHandler, TypeAdapter
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from outdial.studio.web.errors import ERROR_RESPONSES, ErrorBody

_SECURITY: Final = {
    "userToken": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "The access token of a signed-in user, from `/auth/v1/token`",
    },
    "secretKey": {
        "type": "apiKey",
        "in": "header",
        "name": "apikey",
        "description": "A secret key of the project, for back ends: it acts for every organization",
    },
}
_FILE_UPLOAD: Final = {
    "title": "FileUpload",
    "type": "object",
    "description": "A file in a form.",
    "properties": {"file": {"type": "string", "format": "binary"}},
    "required": ["file"],
}
_SHAPE: Final = "x-outdial-shape"
_REF: Final = "#/components/schemas/"
_shapes: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class DescribedBy:
    """Annotation: the OpenAPI document shows the field as `shape`, a TypedDict; the value is not checked against it.

    For objects that the domain checks with its own messages, and for stored ones, which may have any shape.
    """

    shape: Any

    def __post_init__(self) -> None:
        _shapes[self.shape.__name__] = self.shape

    def __get_pydantic_json_schema__(self, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "object", _SHAPE: self.shape.__name__}


class ApiRouter(APIRouter):
    """Routes of the JSON API: below /api/v1, with its error responses. Their operations have the names of functions."""

    def __init__(
        self, prefix: str = "", *, tags: list[str | Enum] | None = None, include_in_schema: bool = True
    ) -> None:
        super().__init__(
            prefix=f"/api/v1{prefix}",
            tags=tags,
            responses=ERROR_RESPONSES,
            include_in_schema=include_in_schema,
            generate_unique_id_function=lambda route: route.name,
        )


def complete_openapi(app: FastAPI) -> None:
    """Complete the document for generators of clients, which name types after components and titles.

    Give components unique names without brackets, and remove the titles of fields, which repeat their names. Add
    security, and remove 422, because invalid requests get 400.
    """
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        components = document.setdefault("components", {})
        if "securitySchemes" in components:
            return document
        components["securitySchemes"] = _SECURITY
        document["security"] = [{name: []} for name in _SECURITY]
        for operations in document["paths"].values():
            for operation in operations.values():
                operation["responses"].pop("422", None)
        schemas = components.get("schemas", {})
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        schemas["FileUpload"] = _FILE_UPLOAD
        # As FastAPI describes models: without defaults that are null.
        schemas[ErrorBody.__name__] = jsonable_encoder(ErrorBody.model_json_schema(), exclude_none=True)
        for shape in _shapes.values():
            described = TypeAdapter(shape).json_schema(ref_template=f"{_REF}{{model}}")
            schemas |= described.pop("$defs", {}) | {shape.__name__: described}
        # Pydantic calls the component of a generic model Page_Call_, and the model itself CallPage.
        names = {name: schema.get("title", name) for name, schema in schemas.items()}
        components["schemas"] = {names[name]: schema for name, schema in sorted(schemas.items())}
        for schema in schemas.values():
            for part in schema.values():
                _rewrite(part, names)
        _rewrite(document["paths"], names)
        return document

    app.openapi = openapi  # type: ignore[method-assign]


def _rewrite(part: object, names: Mapping[str, str]) -> None:
    """Drop titles, and refer to components by their new names; in place."""
    if isinstance(part, list):
        for each in part:
            _rewrite(each, names)
    elif isinstance(part, dict):
        # A property may have the name "title"; its value is a schema then.
        if isinstance(part.get("title"), str):
            del part["title"]
        if (shape := part.pop(_SHAPE, None)) is not None:
            del part["type"]
            part["$ref"] = f"{_REF}{shape}"
        elif isinstance(reference := part.get("$ref"), str):
            part["$ref"] = _REF + names[reference.removeprefix(_REF)]
        for each in part.values():
            _rewrite(each, names)
