"""The process that workers are forked from: it has imported what they all need, and does nothing else.

It has one thread and no event loop, since neither survives a fork, and it never sees a secret: those reach a worker
over the worker's own socket. Run as `python -P -m outdial.host.worker.zygote <descriptor>` by
outdial.host.pool.spawning.
"""

import gc
import importlib
import os
import select
import signal
import socket
import sys
import time
import traceback
from contextlib import suppress

from outdial.host.wire import orders
from outdial.host.worker import limits
from outdial.host.worker.main import ForkContext, run_worker
from outdial.process import die_with_parent

# What functions use, and what those modules would import on first use; none of it is a feature's code.
_IMPORTS = (
    *("asyncpg", "jwt", "uvloop", "zoneinfo", "encodings.idna", "http.cookies", "email.message", "tempfile", "uuid"),
    *("cryptography.hazmat.primitives.asymmetric.ec", "cryptography.hazmat.primitives.asymmetric.rsa"),
    *(
        "outdial.functions",
        "outdial.functions.loading",
        "outdial.db.session",
        "outdial.db.queries.events",
        "outdial.db.queries.campaigns",
    ),
    *("outdial.domain.call", "outdial.domain.campaign", "outdial.domain.contact", "outdial.domain.retry"),
)


class ForkServer:
    """Forks workers as ordered over `control`, and tells of those that ended."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._workers: dict[int, int] = {}
        self._python = limits.python_paths()
        self._end_with_zygote = die_with_parent(signal.SIGKILL) or (lambda: None)

    def serve(self) -> None:
        """Take orders until the gateway is gone."""
        self._signalled, self._signals = socket.socketpair()
        for end in (self._signalled, self._signals):
            end.setblocking(False)
        signal.set_wakeup_fd(self._signals.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        poll = select.poll()
        for end in (self._control, self._signalled):
            poll.register(end, select.POLLIN)
        self._tell(orders.ZygoteReady())
        while True:
            ready = {descriptor for descriptor, _ in poll.poll()}
            if self._signalled.fileno() in ready:
                self._signalled.recv(4096)
                self._reap()
            if self._control.fileno() in ready and not self._obey():
                return

    def _obey(self) -> bool:
        packet, descriptors, _, _ = socket.recv_fds(self._control, orders.LARGEST, orders.DESCRIPTORS)
        if not packet:
            return False
        try:
            order = orders.decode_order(packet)
            if isinstance(order, orders.SpawnOrder):
                self._fork(order, descriptors)
            else:
                self._kill(order.number)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        return True

    def _fork(self, order: orders.SpawnOrder, descriptors: list[int]) -> None:
        began = time.perf_counter()
        try:
            pid = os.fork()
        except OSError as error:
            self._tell(orders.ForkFailed(order.number, str(error)))
            return
        if pid == 0:
            self._become_worker(order, descriptors, began)
        self._workers[pid] = order.number
        self._tell(orders.WorkerForked(order.number, pid))

    def _become_worker(self, order: orders.SpawnOrder, descriptors: list[int], began: float) -> None:
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL)
            # Their numbers are about to be closed, and may be given out again.
            for end in (self._control, self._signalled, self._signals):
                end.detach()
            frames, output, errors = descriptors
            status = run_worker(order, ForkContext(frames, output, errors, self._python, self._end_with_zygote, began))
        except BaseException:
            os.write(2, traceback.format_exc().encode())
            raise
        finally:
            os._exit(status)

    def _kill(self, number: int) -> None:
        for pid, worker in self._workers.items():
            if worker == number:
                os.kill(pid, signal.SIGKILL)

    def _reap(self) -> None:
        with suppress(ChildProcessError):
            while True:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
                if pid == 0:
                    return
                # What it may have started itself; nothing, for most are not allowed to.
                with suppress(OSError):
                    os.killpg(pid, signal.SIGKILL)
                self._tell(orders.WorkerExited(self._workers.pop(pid), status, usage.ru_utime + usage.ru_stime))

    def _tell(self, report: orders.FromZygote) -> None:
        with suppress(OSError):  # the gateway is gone: the next look at the socket ends this process
            self._control.send(orders.encode(report))


def main() -> None:
    """Import, freeze, and serve the socket whose descriptor is the one argument."""
    # First, for a process that is hidden may not write this any more; of equals, the kernel ends the largest.
    limits.prefer_oom_kill()
    limits.hide_memory()
    for name in _IMPORTS:
        importlib.import_module(name)
    zygote = ForkServer(socket.socket(fileno=int(sys.argv[1])))
    # Objects that no collection touches stay shared with the workers.
    gc.disable()
    gc.collect()
    gc.freeze()
    zygote.serve()


if __name__ == "__main__":
    main()
