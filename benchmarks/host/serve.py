"""Serves a directory like `supabase` on the function host, on a free port: the URL is the first line printed."""

import os
import sys
from pathlib import Path

from outdial.cli.serving import Offer, run_host
from outdial.host.gateway.tls import open_listener
from outdial.http import url_of
from outdial.log import log_to_stderr
from outdial.stack.logins import given_logins

if __name__ == "__main__":
    log_to_stderr("error")
    # The host looks for `supabase` where it is started.
    os.chdir(Path(sys.argv[1]).parent)
    with open_listener("127.0.0.1", 0) as listener:
        url = url_of(listener)
        run_host(Offer(dict(os.environ), given_logins(os.environ)), listener, lambda _: print(url, flush=True))
