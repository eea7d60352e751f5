"""What gateway and zygote say to each other: one msgpack message per packet, descriptors beside an order."""

import socket
from pathlib import Path

import msgspec

from outdial.host.wire.bundle import Bundle
from outdial.host.wire.config import FunctionConfig

# The largest packet, by far: a path or two and numbers. Environments do not pass here.
LARGEST = 64 << 10
# The socket of frames, and the pipes that become standard output and standard error.
DESCRIPTORS = 3


class SpawnOrder(msgspec.Struct, array_like=True, tag=1):
    """Gateway to zygote: fork a worker; `number` is the gateway's name for it."""

    number: int
    slug: str
    version: int
    root: str
    entrypoint: str
    config: FunctionConfig
    temporary: str
    uid: int | None

    @property
    def bundle(self) -> Bundle:
        """What the worker is to import."""
        return Bundle(self.slug, self.version, Path(self.root), self.entrypoint)


class KillOrder(msgspec.Struct, array_like=True, tag=2):
    """Gateway to zygote: end a worker at once; the zygote knows whether its pid is still its own."""

    number: int


class ZygoteReady(msgspec.Struct, array_like=True, tag=3):
    """Zygote to gateway: orders are taken from now on."""


class WorkerForked(msgspec.Struct, array_like=True, tag=4):
    """Zygote to gateway: the worker lives."""

    number: int
    pid: int


class ForkFailed(msgspec.Struct, array_like=True, tag=5):
    """Zygote to gateway: the system refused another process."""

    number: int
    reason: str


class WorkerExited(msgspec.Struct, array_like=True, tag=6):
    """Zygote to gateway: the worker ended; `wait_status` as wait(2) gives it, `cpu_s` all that it used."""

    number: int
    wait_status: int
    cpu_s: float


ToZygote = SpawnOrder | KillOrder
FromZygote = ZygoteReady | WorkerForked | ForkFailed | WorkerExited

encode = msgspec.msgpack.Encoder().encode
decode_order = msgspec.msgpack.Decoder(ToZygote).decode
decode_report = msgspec.msgpack.Decoder(FromZygote).decode


def pair() -> tuple[socket.socket, socket.socket]:
    """Return both ends of a connection that keeps packets apart, and tells when the other end is gone."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
