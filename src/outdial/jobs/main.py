"""The jobs process."""

from outdial.campaigns.erasure_keys import ErasureKeys
from outdial.clock import SystemClock
from outdial.db.session import JOB_TIMEOUTS, Database
from outdial.dialer.forecasting.record import ForecastRecorder
from outdial.jobs.worker import POOL_SIZE, JobWorker
from outdial.log import log
from outdial.process import notify_ready, stop_event
from outdial.rules.organization import rules_in_use
from outdial.settings import JobsSettings


async def run_jobs(settings: JobsSettings) -> None:
    """Run background jobs until SIGINT or SIGTERM; raises QueueMissing when the database has no queue."""
    stop, urls = stop_event(), settings.database
    role = urls.role("jobs")
    async with await Database.connect(
        urls.jobs, application_name="outdial:jobs", max_size=POOL_SIZE, role=role, timeouts=JOB_TIMEOUTS
    ) as database:
        keys = ErasureKeys.of(settings.erasure_secrets)
        clock = SystemClock()
        rules = rules_in_use(ignored=settings.ignore_rules)
        forecasts = ForecastRecorder(database, clock, rules=rules, retry_speed=settings.retry_speed)
        worker = JobWorker(database, clock, role=role, erasure_keys=keys, forecasts=forecasts)
        await worker.start()
        log("jobs.ready")
        notify_ready()
        await stop.wait()
        log("jobs.stopping")
        await worker.stop()
        log("jobs.stopped")
