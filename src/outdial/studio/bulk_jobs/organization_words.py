"""What pages say of a bulk job on contacts, or calls, of all campaigns."""

from collections.abc import Mapping
from typing import Any, Final, assert_never
from urllib.parse import urlencode
from uuid import UUID

from outdial.domain.jobs import BulkJobStatus
from outdial.domain.policies.bulk_action import BulkAction
from outdial.studio.bulk_jobs.pages import SEARCHED
from outdial.studio.bulk_jobs.service import BulkJobView
from outdial.studio.view.badges import badge_for_outcome, humanize

# Filters that a stored job has in full, with their names in the address of the list of calls.
_CALL_FILTERS: Final[Mapping[str, str]] = {
    "campaign_id": "campaign", "status": "status", "outcome": "outcome", "is_reviewed": "reviewed"
}  # fmt: skip


def filters_in_words(filters: Mapping[str, Any], action: BulkAction) -> str:
    """Return the filters of a job in one line."""
    parts = ["one campaign"] if "campaign_id" in filters else []
    if "status" in filters:
        parts.append(f"status {humanize(str(filters['status'])).lower()}")
    if "outcome" in filters:
        parts.append(f"outcome {badge_for_outcome(str(filters['outcome'])).label.lower()}")
    if "is_reviewed" in filters:
        parts.append("reviewed" if filters["is_reviewed"] else "not reviewed")
    if "since" in filters or "until" in filters:
        parts.append("some days")
    parts += [f"{SEARCHED[name]} …" for name in filters.get("searched", [])]
    return ", ".join(parts) or ("all calls" if action is BulkAction.MARK_REVIEWED else "all contacts")


def job_in_one_line(job: BulkJobView) -> str:
    """Return how far a job is, or what it has done."""
    is_of_calls = job.action is BulkAction.MARK_REVIEWED
    noun, done = ("call", "marked as reviewed") if is_of_calls else ("number", "put on the do-not-call list")
    selected = f"{job.selected:,} {noun if job.selected == 1 else noun + 's'}"
    counted = f"{job.done:,} {noun if job.done == 1 else noun + 's'} {done}"
    left = f", {job.left_out:,} left out" if job.left_out else ""
    match job.status:
        case BulkJobStatus.QUEUED:
            return f"Waiting to start: {selected} to be {done}."
        case BulkJobStatus.RUNNING:
            return f"{job.done + job.left_out:,} of {selected} done so far."
        case BulkJobStatus.COMPLETED:
            return f"{counted}{left}."
        case BulkJobStatus.CANCELLED:
            return f"A job was cancelled: {counted}{left}."
        case BulkJobStatus.FAILED:
            return f"A job has failed: {counted}{left}."
        case never:
            assert_never(never)


def url_to_start_again(job: BulkJobView, organization_id: UUID) -> str | None:
    """Return where a member is asked about the same filters again; None when the job does not keep all of them.

    What the job has done before is left out then.
    """
    if job.action is BulkAction.MARK_REVIEWED:
        of, names = "calls", _CALL_FILTERS
    else:
        of, names = "contacts", {}
    if job.filters.keys() - names.keys():
        return None
    words = {True: "yes", False: "no"}
    given = {names[name]: words.get(value, value) for name, value in job.filters.items()}
    home = f"/o/{organization_id}"
    asked = {"of": of, "all": "1", "action": job.action.value, **given, "back": f"{home}/{of}"}
    return f"{home}/selection?{urlencode(asked)}"
