"""Static files: served from memory, under URLs that change with their content."""

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from fastapi import APIRouter, Request, Response

from outdial.studio.web.errors import ResourceNotFound

STATIC: Final = Path(__file__).parents[1] / "static"
BUILT: Final = STATIC / "built"
"""The font and the icons, which hatch_build.py makes when Outdial is installed."""

_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}
router = APIRouter()


@dataclass(frozen=True, slots=True)
class StaticAsset:
    """A static file with its response headers."""

    body: bytes
    media_type: str
    etag: str


@cache
def assets() -> dict[str, StaticAsset]:
    """Return all files by name. Only these names are served, so a crafted path cannot leave the directory."""
    found = {}
    for path in sorted([*STATIC.iterdir(), *BUILT.glob("*")]):
        if path.is_file() and path.suffix in _TYPES:
            body = path.read_bytes()
            etag = f'"{hashlib.sha256(body).hexdigest()[:24]}"'
            found[path.name] = StaticAsset(body, _TYPES[path.suffix], etag)
    return found


@cache
def version() -> str:
    """Return a digest of all files. Modules import each other by relative URL, so all of them share one version."""
    return hashlib.sha256("".join(f"{name}{asset.etag}" for name, asset in assets().items()).encode()).hexdigest()[:16]


def static_url(name: str) -> str:
    """Return the URL of a static file such as "studio.css"; raises KeyError for an unknown name."""
    if name not in assets():
        raise KeyError(f"{name} is not in {STATIC} (`make setup` makes the icons and the font)")
    return f"/static/{version()}/{name}"


@router.get("/static/{requested_version}/{name}")
async def read_asset(requested_version: str, name: str, request: Request) -> Response:
    """Send a file. Browsers cache the current version forever and revalidate any other."""
    asset = assets().get(name)
    if asset is None:
        raise ResourceNotFound("File not found")
    is_current = requested_version == version()
    headers = {
        "etag": asset.etag,
        "cache-control": "public, max-age=31536000, immutable" if is_current else "no-cache",
    }
    if asset.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(asset.body, media_type=asset.media_type, headers=headers)
