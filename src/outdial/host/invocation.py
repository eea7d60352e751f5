"""A request on its way to a function."""

from dataclasses import dataclass


@dataclass(slots=True)
class Invocation:
    """What a worker is told of a request; `path` begins with the slug, as Supabase's gateway leaves it.

    `path` and `query` are as sent (percent-encoded), header names are in lower case.
    """

    request_id: str
    method: str
    path: str
    query: str
    headers: list[tuple[bytes, bytes]]
    body: bytes
