"""The zygote: a process that imports what all workers need, and forks them.

It has one thread and no event loop, because neither survives a fork. It never sees a secret: those reach a worker
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

# Modules that functions use, and what those import lazily. No code of a feature.
_IMPORTS = (
    *("asyncpg", "jwt", "uvloop", "zoneinfo", "encodings.idna", "http.cookies", "email.message", "tempfile", "uuid"),
    "aiohttp",
    *("cryptography.hazmat.primitives.asymmetric.ec", "cryptography.hazmat.primitives.asymmetric.rsa"),
    *(
        "outdial.functions",
        "outdial.functions.loading",
        "outdial.db.session",
        "outdial.db.queries.audit",
        "outdial.db.queries.batches",
        "outdial.db.queries.calls",
        "outdial.db.queries.campaign_contacts",
        "outdial.db.queries.campaign_status",
        "outdial.db.queries.campaigns",
        "outdial.db.queries.do_not_call",
        "outdial.db.queries.events",
        "outdial.db.queries.organizations",
        "outdial.db.queries.reports",
    ),
    *("outdial.domain.call", "outdial.domain.campaign", "outdial.domain.contact", "outdial.domain.retry"),
)


class ForkServer:
    """Forks and kills workers on orders from `control`, and reports their exits."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._workers: dict[int, int] = {}
        self._python_paths = limits.python_paths()
        self._set_death_signal = die_with_parent(signal.SIGKILL) or (lambda: None)

    def serve(self) -> None:
        """Execute orders until the gateway closes the socket, then kill all workers and their children."""
        missing = limits.missing_layers(self._python_paths)
        self._signal_reader, self._signal_writer = socket.socketpair()
        for end in (self._signal_reader, self._signal_writer):
            end.setblocking(False)
        signal.set_wakeup_fd(self._signal_writer.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        poll = select.poll()
        for end in (self._control, self._signal_reader):
            poll.register(end, select.POLLIN)
        self._report(orders.ZygoteReady(missing))
        try:
            while True:
                ready = {descriptor for descriptor, _ in poll.poll()}
                if self._signal_reader.fileno() in ready:
                    self._signal_reader.recv(4096)
                    self._reap()
                if self._control.fileno() in ready and not self._execute_order():
                    return
        finally:
            # The death signal kills only the workers. A worker leads a group only from its call of setsid on.
            for pid in self._workers:
                for kill in (os.killpg, os.kill):
                    with suppress(OSError):
                        kill(pid, signal.SIGKILL)

    def _execute_order(self) -> bool:
        packet, descriptors, _, _ = socket.recv_fds(self._control, orders.MAX_PACKET, orders.DESCRIPTORS)
        if not packet:
            return False
        try:
            order = orders.decode_order(packet)
            if isinstance(order, orders.KillOrder):
                for pid, number in self._workers.items():
                    if number == order.number:
                        os.kill(pid, signal.SIGKILL)
                return True
            began = time.perf_counter()
            try:
                pid = os.fork()
            except OSError as error:
                self._report(orders.ForkFailed(order.number, str(error)))
                return True
            if pid == 0:
                self._become_worker(order, descriptors, began)
            self._workers[pid] = order.number
            self._report(orders.WorkerForked(order.number, pid))
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        return True

    def _become_worker(self, order: orders.SpawnOrder, descriptors: list[int], began: float) -> None:
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL)
            # These descriptors are closed soon, and their numbers may be reused.
            for end in (self._control, self._signal_reader, self._signal_writer):
                end.detach()
            frames, output, errors = descriptors
            context = ForkContext(
                frames=frames,
                output=output,
                errors=errors,
                python_paths=self._python_paths,
                set_death_signal=self._set_death_signal,
                began=began,
            )
            status = run_worker(order, context)
        except BaseException:
            os.write(2, traceback.format_exc().encode())
            raise
        finally:
            os._exit(status)

    def _reap(self) -> None:
        with suppress(ChildProcessError):
            while True:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
                if pid == 0:
                    return
                number = self._workers.pop(pid, None)
                if number is None:  # a stray child, not a worker
                    continue
                # Kill the worker's own children. Most workers may not have any.
                with suppress(OSError):
                    os.killpg(pid, signal.SIGKILL)
                self._report(orders.WorkerExited(number, status, usage.ru_utime + usage.ru_stime))

    def _report(self, report: orders.FromZygote) -> None:
        with suppress(OSError):  # the gateway is gone: the next poll ends this process
            self._control.send(orders.encode(report))


def main() -> None:
    """Import modules, then serve the socket whose descriptor is the only argument."""
    # Before hide_memory, which makes this file unwritable. Among equal scores the kernel kills the largest process.
    limits.prefer_oom_kill()
    limits.hide_memory()
    for name in _IMPORTS:
        importlib.import_module(name)
    server = ForkServer(socket.socket(fileno=int(sys.argv[1])))
    # Frozen objects are never touched by a collection, so their pages stay shared with the workers.
    gc.disable()
    gc.collect()
    gc.freeze()
    server.serve()


if __name__ == "__main__":
    main()
