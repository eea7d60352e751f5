"""Starts scheduled campaigns at their time."""

from outdial.clock import Clock
from outdial.db.queries import audit, batches, campaign_status
from outdial.db.session import Database

BATCH = 100


class Scheduler:
    """A background task: `run_once` starts the campaigns that are due and returns how many it started."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def run_once(self) -> int:
        """Start every scheduled campaign that is due."""
        now = self._clock.now()
        async with self._database.transaction() as connection:
            due = await campaign_status.scheduled_campaigns(connection, now=now, limit=BATCH)
        started = 0
        for campaign in due:
            async with self._database.for_organization(campaign.organization_id) as connection:
                rows = await campaign_status.start_scheduled_campaigns(
                    connection, now=now, organization_id=campaign.organization_id, campaign_id=campaign.campaign_id
                )
                for row in rows:
                    await audit.record_audit(
                        connection,
                        organization_id=row.organization_id,
                        actor="dialer",
                        action="start_campaign",
                        subject_type="campaign",
                        subject_id=str(row.id),
                        details='{"by": "schedule"}',
                    )
                await batches.notify_campaigns(connection, ids=[row.id for row in rows])
            started += len(rows)
        return started
