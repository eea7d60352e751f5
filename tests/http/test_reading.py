"""However requests are cut on their way, they are read as they were sent."""

import asyncio
from dataclasses import dataclass
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.wire import App, served


@dataclass(frozen=True, slots=True)
class Sent:
    """A request: its body in the pieces that it is sent in, chunked or at once."""

    path: str
    pieces: tuple[bytes, ...]
    is_chunked: bool

    @property
    def wire(self) -> bytes:
        """The bytes of the request."""
        body = b"".join(self.pieces)
        framing, sent = f"content-length: {len(body)}", body
        if self.is_chunked:
            framing = "transfer-encoding: chunked"
            sent = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in self.pieces if piece) + b"0\r\n\r\n"
        return f"POST {self.path} HTTP/1.1\r\nhost: t\r\n{framing}\r\n\r\n".encode() + sent


REQUESTS = st.lists(
    st.builds(
        Sent,
        st.from_regex(r"/[a-z0-9]{0,5}", fullmatch=True),
        st.lists(st.binary(max_size=30), max_size=4).map(tuple),
        st.booleans(),
    ),
    min_size=1,
    max_size=6,
)


@given(requests=REQUESTS, cuts=st.lists(st.integers(0, 1000), max_size=12))
@settings(max_examples=60)
def test_requests_survive_any_fragmentation(requests: list[Sent], cuts: list[int]) -> None:
    async def exchange() -> None:
        wire_bytes = b"".join(request.wire for request in requests)
        places = sorted({min(cut, len(wire_bytes)) for cut in cuts} | {0, len(wire_bytes)})
        async with served(App()) as here:
            wire = await here.connect()
            for begin, end in pairwise(places):
                wire.send(wire_bytes[begin:end])
                await asyncio.sleep(0)
            for request in requests:
                expected = f"POST {request.path}  ".encode() + b"".join(request.pieces)
                assert (await wire.reply()).body == expected

    asyncio.run(exchange())
