"""`outdial jobs`: the process that does imports and exports."""

from collections.abc import Mapping

import typer

from outdial.log import log_to_stderr
from outdial.stack.local import environment


def add_to(app: typer.Typer) -> None:
    """Add the command to the root."""
    app.command()(jobs)


def jobs() -> None:
    """Do background jobs: imports, exports, clearing away what is old, until SIGINT or SIGTERM.

    Any number of these may run at once. On a signal, imports under way end with their chunk of rows, and another
    process, or the next start, goes on with them.
    """
    import uvloop

    log_to_stderr()
    with environment() as env:
        uvloop.run(run_jobs(env))


async def run_jobs(env: Mapping[str, str]) -> None:
    """Do jobs until a signal comes; raises SettingError naming a setting that is missing."""
    from outdial.cli.signals import stop_event
    from outdial.clock import SystemClock
    from outdial.db.session import Database
    from outdial.jobs.worker import POOL, Worker
    from outdial.log import log
    from outdial.process import notify_ready
    from outdial.settings import DatabaseUrls

    stop, urls = stop_event(), DatabaseUrls.from_env(env)
    role = urls.role("jobs")
    async with await Database.connect(urls.jobs, application_name="outdial:jobs", max_size=POOL, role=role) as database:
        worker = Worker(database, SystemClock(), role=role)
        await worker.start()
        log("jobs.ready")
        notify_ready()
        await stop.wait()
        log("jobs.stopping")
        await worker.stop()
        log("jobs.stopped")
