"""What happened to a campaign, in words: its entries of the audit log, one sentence each."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from outdial.studio.audit.details import setting_name
from outdial.studio.audit.service import AuditEntry
from outdial.studio.view.badges import humanize
from outdial.studio.view.format import money

_SENTENCES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "create_campaign": "Created the campaign",
        "start_campaign": "Started the campaign",
        "pause_campaign": "Paused the campaign",
        "resume_campaign": "Resumed the campaign",
        "cancel_campaign": "Cancelled the campaign",
        "archive_campaign": "Archived the campaign",
        "unarchive_campaign": "Unarchived the campaign",
        "close_campaign": "Closed the campaign for more contacts",
        "process_batch": "Processed the next batch",
        "import_contacts": "Imported contacts",
        "cancel_import": "Cancelled an import",
        "undo_import": "Undid an import",
        "add_contacts": "Added contacts",
        "request_test_call": "Requested a test call",
        "new_campaign": "Created the campaign from contacts of another one",
        "all_numbers_rest": "All caller numbers are resting",
        "cancel_bulk_job": "Cancelled a change of many contacts",
        "take_evidence": "Downloaded evidence",
    }
)


def activity_sentence(entry: AuditEntry) -> str:
    """Return what an entry says, without its author and its time."""
    details = entry.details
    match entry.action:
        case "start_campaign" if details.get("by") in ("schedule", "schedule_check"):
            return "Started as scheduled"
        case "edit_campaign":
            names = [setting_name(name) for name in _changed(details)]
            return f"Changed {', '.join(dict.fromkeys(names))}" if names else "Saved the settings"
        case "import_contacts" if isinstance(added := details.get("added"), int):
            return f"Imported {_contacts(added)}"
        case "add_contacts" if isinstance(added := details.get("added"), int):
            return f"Added {_contacts(added)}"
        case "cancel_import" if details.get("added") == 0:
            return "Discarded a file of contacts"
        case "undo_import" if isinstance(removed := details.get("removed"), int):
            return f"Undid an import: {_contacts(removed)} removed"
        case "budget_nearly_used":
            return _budget_sentence(details)
        case action if action.startswith("bulk_") and isinstance(selected := details.get("selected"), int):
            return f"{humanize(action.removeprefix('bulk_'))} for {_contacts(selected)}"
        case action:
            return _SENTENCES.get(action, humanize(action))


def activity_reason(entry: AuditEntry) -> str | None:
    """Return the reason that a member gave."""
    reason = entry.details.get("reason")
    return reason if isinstance(reason, str) and reason else None


def author_name(entry: AuditEntry) -> str:
    """Return who did it: a member by email address, or the process."""
    return entry.actor_email or {"dialer": "Outdial", "schedule": "Outdial", "jobs": "Outdial"}.get(
        entry.actor, entry.actor
    )


def _budget_sentence(details: Mapping[str, Any]) -> str:
    limit = money(details.get("limit_cents"))
    if "spent_cents" not in details:  # an entry of an earlier version
        return f"Spent and reserved: {money(details.get('used_cents'))} of the budget of {limit}"
    spent, reserved = money(details.get("spent_cents")), money(details.get("reserved_cents"))
    return f"Most of the budget of {limit} is taken: {spent} spent, {reserved} reserved for calls without a cost yet"


def _changed(details: Mapping[str, Any]) -> list[str]:
    changes = details.get("changes")
    return list(changes) if isinstance(changes, Mapping | list) else []


def _contacts(count: int) -> str:
    return "1 contact" if count == 1 else f"{count:,} contacts"
