"""PgBouncer in front of a test's database, as Debian packages it."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal
from urllib.parse import parse_qs, urlsplit

import pytest

from outdial.db.binaries import ServerUser
from outdial.db.passwords import ROLES
from tests.support.ports import reserved_port
from tests.support.postgres import Scratch, scratch_directory

# Debian installs it in a directory that is not on the path of ordinary users.
PGBOUNCER = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin")
needs_pgbouncer = pytest.mark.skipif(PGBOUNCER is None, reason="PgBouncer is not installed: apt install pgbouncer")

PoolMode = Literal["session", "transaction", "statement"]

# Stock settings except for the address, the users and the mode.
_SETTINGS = """\
[databases]
{database} = host={socket} port={port} {options}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_type = trust
auth_file = {users}
pool_mode = {mode}
"""


@contextmanager
def pgbouncer(database: Scratch, mode: PoolMode, options: str = "", settings: str = "") -> Iterator[str]:
    """Run PgBouncer in front of `database`, and yield the URL of its superuser.

    `options` are those of the database, such as `user=postgres`, which serves all clients as one user.
    """
    assert PGBOUNCER is not None
    server = parse_qs(urlsplit(database.dsn).query)
    user = ServerUser.current()
    with scratch_directory() as path, reserved_port() as listen:
        users, config = path / "users.txt", path / "pgbouncer.ini"
        users.write_text("".join(f'"{role}" ""\n' for role in ("postgres", *ROLES)))
        text = _SETTINGS.format(
            database=database.name,
            socket=server["host"][0],
            port=server["port"][0],
            options=options,
            listen=listen,
            users=users,
            mode=mode,
        )
        config.write_text(text + settings)
        for file in (users, config):
            if user.ids:
                os.chown(file, *user.ids)
        process = subprocess.Popen(
            [PGBOUNCER, str(config)], stderr=subprocess.PIPE, text=True, **user.process_options()
        )
        try:
            assert process.stderr is not None
            # It prints this line once it listens.
            output = []
            for line in process.stderr:
                output.append(line)
                if "process up" in line:
                    break
            else:
                raise AssertionError("".join(output))
            yield f"postgresql://postgres@127.0.0.1:{listen}/{database.name}"
        finally:
            process.kill()
            process.communicate()
