"""All routes of the studio, read from the application, so that tests cover new routes without a list."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from fastapi import APIRouter, FastAPI
from starlette.routing import BaseRoute, Route

_IMPLIED = frozenset({"HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True, order=True)
class StudioRoute:
    """A method and path, such as GET /o/{organization_id}/campaigns."""

    path: str
    method: str

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def is_api(self) -> bool:
        """Whether it belongs to the JSON API."""
        return self.path.startswith("/api/")

    @property
    def is_page(self) -> bool:
        """Whether it renders a page of an organization."""
        return self.method == "GET" and self.path.startswith("/o/")


def routes_of(app: FastAPI) -> list[StudioRoute]:
    """Return the routes of `app`, sorted by path."""
    return sorted(
        StudioRoute(path, method)
        for path, route in walk_routes(app.routes)
        for method in (route.methods or set()) - _IMPLIED
    )


def walk_routes(routes: Iterable[BaseRoute], prefix: str = "") -> Iterator[tuple[str, Route]]:
    """Yield every route with its whole path."""
    for route in routes:
        inner = getattr(route, "original_router", None)
        if isinstance(inner, APIRouter):
            # FastAPI keeps an included router unchanged, and its prefix in the include context.
            yield from walk_routes(inner.routes, prefix + route.include_context.prefix)  # type: ignore[attr-defined]
        elif isinstance(route, Route):
            yield prefix + route.path, route
        else:
            raise TypeError(f"unknown kind of route: {route!r}")
