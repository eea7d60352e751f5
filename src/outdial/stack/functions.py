"""The functions process of the local stack: a host that serves supabase/functions and reloads on change."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from outdial.db.embedded import EmbeddedPostgres, default_home
from outdial.host.deployments.logins import logins_of
from outdial.host.gateway.launch import host_settings
from outdial.host.gateway.main import HostSettings
from outdial.http import url_of
from outdial.settings import read_environment
from outdial.stack.errors import StackUnavailable
from outdial.stack.local import LocalStack, local_ports, local_settings
from outdial.stack.logins import StackLogins


@contextmanager
def local_host_settings(listener: socket.socket, *, behind_proxy: bool) -> Iterator[HostSettings]:
    """Yield the settings of a host on `listener`.

    Without SUPABASE_DB_URL, the embedded database runs during the block. Raises StackUnavailable when another process
    runs it without a TCP port.
    """
    environ = read_environment()
    if environ.get("SUPABASE_DB_URL", "").strip():
        yield host_settings(environ, logins_of(environ), local=True, behind_proxy=behind_proxy)
        return
    home = default_home()
    with EmbeddedPostgres(home, listen_port=local_ports().database) as server:
        if server.tcp_dsn is None:
            raise StackUnavailable(
                f"another command runs the database of {home} without a TCP port, which functions need: "
                "wait until that command ends, or run outdial dev"
            )
        logins = StackLogins(home, server.tcp_dsn)
        asyncio.run(logins.ensure())
        stack = LocalStack.running(home) or LocalStack(api_url=url_of(listener), database_url=server.dsn)
        yield host_settings(local_settings(stack, environ), logins, local=True, behind_proxy=behind_proxy)
