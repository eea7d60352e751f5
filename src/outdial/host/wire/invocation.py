"""A request on its way to a worker."""

import msgspec


class Invocation(msgspec.Struct, array_like=True, gc=False):
    """One request for a function. `path` begins with the slug, as behind Supabase's gateway.

    `path` and `query` are percent-encoded, as sent. Header names are in lower case.
    """

    request_id: str
    method: str
    path: str
    query: str
    headers: list[tuple[bytes, bytes]]
    body: bytes
