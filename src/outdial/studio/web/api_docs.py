"""The API reference: the OpenAPI document rendered as two pages, without scripts or third-party files."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import Request, Response

from outdial.studio.web.errors import ERROR_RESPONSES
from outdial.studio.web.openapi import ApiRouter
from outdial.studio.web.rendering import page

router = ApiRouter(include_in_schema=False)
_COMMON = ("organization_id", "cursor", "limit")
_METHODS = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiParameter:
    """A path, query or header parameter."""

    name: str
    location: str
    kind: str
    required: bool
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiOperation:
    """One method of one path. `body` and `responses` name schemas listed at the end of the page."""

    method: str
    path: str
    title: str
    text: str
    parameters: list[ApiParameter]
    body: str | None
    responses: list[tuple[str, str | None]]


@router.get("/docs")
async def show_docs(request: Request) -> Response:
    """Show every API route, with links to the schemas and to the OpenAPI document."""
    document = request.app.openapi()
    groups: dict[str, list[ApiOperation]] = {}
    for path, methods in sorted(document["paths"].items()):
        for method in filter(methods.__contains__, _METHODS):
            found = methods[method]
            parameters = [each for each in found.get("parameters", []) if not _goes_without_saying(each)]
            [tag] = found["tags"]
            groups.setdefault(tag.replace(" ", "-"), []).append(
                ApiOperation(
                    method=method.upper(),
                    path=path,
                    title=found.get("summary", ""),
                    text=found.get("description", ""),
                    parameters=[
                        ApiParameter(
                            name=each["name"],
                            location=each["in"],
                            kind=_kind(each["schema"]),
                            required=bool(each.get("required")),
                            text=each.get("description", ""),
                        )
                        for each in parameters
                    ],
                    body=_schema_in(found.get("requestBody", {})),
                    responses=[
                        (code, _schema_in(each)) for code, each in found["responses"].items() if int(code) < 400
                    ],
                )
            )
    listed = [each for operations in groups.values() for it in operations for each in it.parameters]
    errors = [(code, response["description"]) for code, response in ERROR_RESPONSES.items()]
    return page(
        request,
        "web/api_docs.html",
        groups=groups,
        headers={each.name: each.text for each in listed if each.location == "header"},
        schemas=document["components"]["schemas"].keys(),
        errors=errors,
        url=request.app.openapi_url,
    )


@router.get("/docs/schemas")
async def show_schemas(request: Request) -> Response:
    """Show the schemas of request and response bodies."""
    document = request.app.openapi()
    schemas = {name: _schema_text(schema) for name, schema in sorted(document["components"]["schemas"].items())}
    return page(request, "web/api_schemas.html", schemas=schemas)


def _goes_without_saying(parameter: Mapping[str, Any]) -> bool:
    """Return whether the page explains a parameter for all routes: cursors, limits, and ids in paths."""
    is_id = parameter["in"] == "path" and parameter["schema"].get("format") == "uuid"
    return parameter["name"] in _COMMON or (is_id and "description" not in parameter)


def _schema_text(schema: Mapping[str, Any]) -> str:
    """Return a schema as lines of `name: type`, with a question mark after optional names."""
    required = schema.get("required", [])
    lines = [
        f"{name}{'' if name in required else '?'}: {_kind(field)}"
        for name, field in schema.get("properties", {}).items()
    ]
    return "\n".join(lines) or _kind(schema)


def _schema_in(part: Mapping[str, Any]) -> str | None:
    for media, content in part.get("content", {}).items():
        return _kind(content["schema"]) if content.get("schema") else str(media)
    return None


def _kind(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(_kind(choice) for choice in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    return str(schema.get("format") or schema.get("type", "anything"))
