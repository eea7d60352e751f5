"""`outdial jobs`: the process that runs imports, exports and bulk jobs."""

import typer

from outdial.log import log_to_stderr
from outdial.settings import JobsSettings
from outdial.stack.local import environment


def add_to(app: typer.Typer) -> None:
    """Add the command to the root."""
    app.command()(jobs)


def jobs() -> None:
    """Run background jobs until SIGINT or SIGTERM: imports, exports, bulk jobs, and the removal of old data.

    Run as many of these as you like. On a signal, imports stop after their current chunk of rows; another process, or
    the next start, continues them.
    """
    import uvloop

    from outdial.jobs.main import run_jobs

    log_to_stderr()
    with environment() as env:
        uvloop.run(run_jobs(JobsSettings.from_env(env)))
