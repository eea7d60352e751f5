"""Messages between gateway and zygote: one msgpack message per packet, with file descriptors beside a spawn order."""

import socket
from pathlib import Path

import msgspec

from outdial.host.wire.bundle import Bundle
from outdial.host.wire.config import FunctionConfig

# Far more than the largest packet: one or two paths and some numbers. Environments are not sent here.
MAX_PACKET = 64 << 10
# The frame socket, and the pipes that become standard output and standard error.
DESCRIPTORS = 3


class SpawnOrder(msgspec.Struct, array_like=True, tag=1, kw_only=True):
    """Gateway to zygote: fork a worker; `number` is the gateway's id for it. It joins `cgroup` unless that is empty."""

    number: int
    slug: str
    version: int
    root: str
    entrypoint: str
    config: FunctionConfig
    temporary: str
    uid: int | None
    cgroup: str = ""

    @property
    def bundle(self) -> Bundle:
        """The code that the worker imports."""
        return Bundle(self.slug, self.version, Path(self.root), self.entrypoint)


class KillOrder(msgspec.Struct, array_like=True, tag=2):
    """Gateway to zygote: kill a worker. Only the zygote knows whether its pid still belongs to the worker."""

    number: int


class ZygoteReady(msgspec.Struct, array_like=True, tag=3):
    """Zygote to gateway: the zygote accepts orders; `missing` lists sandbox layers that this machine lacks."""

    missing: list[str] = []


class WorkerForked(msgspec.Struct, array_like=True, tag=4):
    """Zygote to gateway: the worker process runs."""

    number: int
    pid: int


class ForkFailed(msgspec.Struct, array_like=True, tag=5):
    """Zygote to gateway: the system refused to fork."""

    number: int
    reason: str


class WorkerExited(msgspec.Struct, array_like=True, tag=6):
    """Zygote to gateway: the worker exited. `wait_status` is that of wait(2), `cpu_s` its total CPU time."""

    number: int
    wait_status: int
    cpu_s: float


ToZygote = SpawnOrder | KillOrder
FromZygote = ZygoteReady | WorkerForked | ForkFailed | WorkerExited

encode = msgspec.msgpack.Encoder().encode
decode_order = msgspec.msgpack.Decoder(ToZygote).decode
decode_report = msgspec.msgpack.Decoder(FromZygote).decode


def socket_pair() -> tuple[socket.socket, socket.socket]:
    """Return the two ends of a connection that preserves packet boundaries and reports when the peer is gone."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
