"""Runs `outdial` commands in forks of one process that has loaded them all.

A command that starts by itself takes a second of the processor, most of it for imports. `python -m
tests.support.command_server SOCKET` serves the program of `CLIENT`, which hands over its arguments, its environment,
its directory and its standard streams, and exits with the status of the command.
"""

import gc
import os
import signal
import socket
import sys
import traceback
from pathlib import Path

from outdial.cli.main import run, whole_command

CLIENT = """
import os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({path!r})
    variables = [f"{{name}}={{value}}" for name, value in os.environ.items()]
    parts = [os.getcwd(), str(len(sys.argv)), *sys.argv[1:], *variables]
    socket.send_fds(server, [b"-"], [0, 1, 2])
    server.sendall("\\0".join(parts).encode())
    server.shutdown(socket.SHUT_WR)
    status = server.recv(1)
sys.exit(status[0] if status else "the command server sent no status")
"""
"""The program of a command, for `str.format`: `path` is the socket."""


def serve(path: Path) -> None:
    """Accept commands at a socket until the process is killed. Prints a line when it is ready."""
    whole_command()
    # A collection in a fork would copy the pages of all modules.
    gc.freeze()
    # The kernel reaps the forks.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(16)
        os.write(1, b"ready\n")
        while True:
            client, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                _run(client)
            client.close()


def _run(client: socket.socket) -> None:
    """Run the command of a client in this fork, and exit."""
    status = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        status = _status_of(client)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        client.sendall(bytes([status & 0xFF]))
        os._exit(status)


def _status_of(client: socket.socket) -> int:
    """Read a command, run it and return its exit status."""
    _, streams, _, _ = socket.recv_fds(client, 1, 3)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    directory, count, *parts = b"".join(iter(lambda: client.recv(65536), b"")).decode().split("\0")
    arguments, variables = parts[: int(count) - 1], parts[int(count) - 1 :]
    os.chdir(directory)
    os.environ.clear()
    for name, _, value in (each.partition("=") for each in variables):
        os.environ[name] = value
    sys.argv[1:] = arguments
    try:
        run()
    except SystemExit as exited:
        if isinstance(exited.code, str):
            print(exited.code, file=sys.stderr)  # noqa: T201 - as the interpreter does
            return 1
        return exited.code or 0
    return 0


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
