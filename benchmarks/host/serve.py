"""Serves a `supabase` directory on the function host on a free port, and prints the URL first."""

import os
import sys
from pathlib import Path

import uvloop

from outdial.host.deployments.logins import logins_of
from outdial.host.gateway.launch import host_settings, run_host
from outdial.host.gateway.tls import open_listener
from outdial.http import url_of
from outdial.log import log_to_stderr

if __name__ == "__main__":
    log_to_stderr("error")
    # The host looks for `supabase` in its working directory.
    os.chdir(Path(sys.argv[1]).parent)
    with open_listener("127.0.0.1", 0) as listener:
        url = url_of(listener)
        settings = host_settings(dict(os.environ), logins_of(os.environ))
        uvloop.run(run_host(settings, listener, lambda _: print(url, flush=True)))
