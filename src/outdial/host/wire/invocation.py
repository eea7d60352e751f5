"""A request on its way to a function."""

import msgspec


class Invocation(msgspec.Struct, array_like=True, gc=False):
    """What a worker is told of a request; `path` begins with the slug, as Supabase's gateway leaves it.

    `path` and `query` are as sent (percent-encoded), header names are in lower case.
    """

    request_id: str
    method: str
    path: str
    query: str
    headers: list[tuple[bytes, bytes]]
    body: bytes
