"""The page of the API: its OpenAPI document as a person reads it, without a script or a file of anybody else."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request, Response

from outdial.studio.web.errors import ERROR_RESPONSES
from outdial.studio.web.rendering import page

router = APIRouter(include_in_schema=False)
_EVERYWHERE = ("organization_id", "cursor", "limit")
_VERBS = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True, slots=True)
class ApiParameter:
    """One thing that a request carries beside its body."""

    name: str
    place: str
    kind: str
    required: bool
    text: str


@dataclass(frozen=True, slots=True)
class ApiOperation:
    """One method of one address; what is sent and answered names shapes at the end of the page."""

    verb: str
    path: str
    title: str
    text: str
    parameters: list[ApiParameter]
    body: str | None
    answers: list[tuple[str, str | None]]


@router.get("/docs")
async def show_docs(request: Request) -> Response:
    """Show every route of the API; the document itself is beside it, for programs."""
    document = request.app.openapi()
    groups: dict[str, list[ApiOperation]] = {}
    for operation in _operations(document):
        groups.setdefault(_group_of(operation.path), []).append(operation)
    shapes = {name: _shape(schema) for name, schema in sorted(document["components"]["schemas"].items())}
    errors = [(code, said["description"]) for code, said in ERROR_RESPONSES.items()]
    return page(request, "web/api_docs.html", groups=groups, shapes=shapes, errors=errors, url=request.app.openapi_url)


def _operations(document: Mapping[str, Any]) -> Iterator[ApiOperation]:
    for path, verbs in sorted(document["paths"].items()):
        for verb in _VERBS:
            if (found := verbs.get(verb)) is not None:
                yield ApiOperation(
                    verb.upper(),
                    path,
                    found.get("summary", ""),
                    found.get("description", ""),
                    [_parameter(each) for each in found.get("parameters", []) if each["name"] not in _EVERYWHERE],
                    _schema_in(found.get("requestBody", {})),
                    [(code, _schema_in(each)) for code, each in found["responses"].items() if int(code) < 400],
                )


def _group_of(path: str) -> str:
    parts = [part for part in path.removeprefix("/api/v1/").split("/") if not part.startswith("{")]
    return parts[1] if len(parts) > 1 else parts[0]


def _shape(schema: Mapping[str, Any]) -> str:
    """Return a shape as lines of `name: kind`, with a question mark after what may be left out."""
    needed = schema.get("required", [])
    lines = [
        f"{name}{'' if name in needed else '?'}: {_kind(told)}" for name, told in schema.get("properties", {}).items()
    ]
    return "\n".join(lines) or _kind(schema)


def _parameter(told: Mapping[str, Any]) -> ApiParameter:
    required = bool(told.get("required"))
    return ApiParameter(told["name"], told["in"], _kind(told["schema"]), required, told.get("description", ""))


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
