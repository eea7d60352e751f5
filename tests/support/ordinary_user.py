"""Runs the misbehaving functions and prints their responses as JSON, as a separate program.

It can run as another user, with a Python that this user can read. The optional argument is the uid of the workers.
"""

import asyncio
import contextlib
import json
import os
import shutil
import site
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import uvloop

from outdial.host.pool.spawning import ZygoteProcess
from outdial.host.wire import frames
from outdial.host.worker.sandbox.privileges import closed_to_others
from tests.support.hosting import KEYS, Talk, misbehaving

ROOT = Path(__file__).parents[2]
# Makes the zygote see an older version of Landlock in the kernel.
OLDER_LANDLOCK = """
import sys

if "outdial.host.worker.zygote" in sys.orig_argv:
    from outdial.host.worker.sandbox import kernel

    real = kernel.syscall
    kernel.syscall = lambda number, *rest: (
        min({version}, real(number, *rest)) if (number, *rest) == (444, 0, 0, 1) else real(number, *rest)
    )
"""
ASKED = ("gains-privileges", "reads-secrets", "meddles", "opens-sockets", "forks", "starts-threads")


def readable_python() -> str | None:
    """Return a Python of this version that any user can run, if the source tree is readable too; otherwise None."""
    if closed_to_others([ROOT, Path(sysconfig.get_path("purelib"))]):
        return None
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    of_the_system = shutil.which(name, path="/usr/bin:/usr/local/bin")
    for candidate in (sys.executable, of_the_system):
        if candidate and not closed_to_others([Path(candidate).resolve().parent]):
            return candidate
    return None


def responses_as(
    uid: int | None, python: str, *, workers_uid: int | None = None, landlock: int | None = None
) -> dict[str, Any]:
    """Run this module as the user `uid`, with an older version of Landlock if given. Return the responses by slug."""
    paths = [str(ROOT), str(ROOT / "src"), *site.getsitepackages()]
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        if landlock is not None:
            Path(directory, "sitecustomize.py").write_text(OLDER_LANDLOCK.format(version=landlock))
        done = subprocess.run(
            [python, "-m", "tests.support.ordinary_user", *([str(workers_uid)] if workers_uid else [])],
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": os.pathsep.join([directory, *paths]),
                "PYTHONDONTWRITEBYTECODE": "1",
            },
            cwd="/",
            user=uid,
            group=uid,
            extra_groups=[] if uid is not None else None,
            capture_output=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stderr.decode()
    responses: dict[str, Any] = json.loads(done.stdout)
    return responses


async def main(uid: int | None) -> None:
    """Print the response of each function. Another worker with a secret runs at the same time."""
    responses: dict[str, Any] = {}
    async with ZygoteProcess.running() as zygote:
        other = await Talk.begin(zygote, misbehaving("never-answers"), {**KEYS, "OTHER_SECRET": "hunter2"}, uid=uid)
        await other.ready()
        for slug in ASKED:
            responses[slug] = await ask(zygote, slug, uid, {"pids": [os.getpid(), zygote.pid, other.process.pid]})
    sys.stdout.write(json.dumps(responses))


async def ask(zygote: ZygoteProcess, slug: str, uid: int | None, pids: Mapping[str, Any]) -> Any:
    """Return the response of one function, with the missing sandbox features that its worker reports."""
    talk = await Talk.begin(zygote, misbehaving(slug), uid=uid)
    ready = await talk.ready()
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        reply = await talk.ask(f"/{slug}", json.dumps({**pids, "files": [], "unix": "\0nobody", "tcp": port}).encode())
    assert isinstance(reply, frames.ResponseFrame), (reply, talk.texts)
    return {**json.loads(reply.body), "missing": ready.missing}


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(main(int(sys.argv[1]) if sys.argv[1:] else None))
