"""What a member is asked about rows of the lists of all contacts and of calls: those selected, or all that match."""

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from outdial.db.queries.dialing import acts
from outdial.db.session import Connection
from outdial.domain.policies.selection import SelectedAction
from outdial.domain.policies.undo import MOST_UNDONE
from outdial.studio.bulk_jobs.organization import count_calls, count_contacts
from outdial.studio.calls.navigation import FILTER_NAMES, read_filters, typed_filters
from outdial.studio.calls.reviews import CallsMarked
from outdial.studio.contacts.service import contact_search
from outdial.studio.selection import words
from outdial.studio.selection.question import Question
from outdial.studio.web.context import OrganizationContext
from outdial.studio.web.errors import InvalidInput

_IN_BACKGROUND: Final = "A job in the background does it, and lists what it leaves out."
_UNDO_MARKS: Final = "You can undo this for an hour, for each call whose mark no one has changed since."
_NO_UNDO: Final = f"You cannot undo this: undo works for at most {MOST_UNDONE:,} calls."
_MARKED: Final = "They leave the list of calls that are not reviewed. Marks and notes of other members stay."


async def about_contacts(
    connection: Connection, context: OrganizationContext, query: Mapping[str, str], ids: Sequence[UUID]
) -> Question:
    """Ask about contacts of all campaigns; raises InvalidInput."""
    is_export = _is_export(query, "do_not_call")
    given = [("search", term)] if (term := query.get("search", "").strip()) else []
    if query.get("all"):
        count = await count_contacts(connection, context, contact_search(search=query.get("search")))
    elif is_export:
        count, given = len(ids), [("ids", str(id)) for id in ids]
    else:
        rows = await acts.phones_of_contacts(connection, organization_id=context.organization_id, ids=list(ids))
        count = len(rows)
        given = [("of", "contacts"), *(("chosen", str(row.id)) for row in rows)]
    if not count:
        return _nothing("contact", is_all=bool(query.get("all")))
    if is_export:
        return _export(context, "contacts", words.counted(count), given)
    action = SelectedAction.DO_NOT_CALL
    if not query.get("all"):
        return Question(
            title=words.title(action, count),
            lines=[words.effect(action)],
            undo=words.undo(action, count),
            url=f"/o/{context.organization_id}/selection",
            button=words.button(action, count),
            is_danger=True,
            fields=given,
        )
    which = "These match the search." if given else "These are all contacts of the organization."
    return Question(
        title=words.title(action, count),
        lines=[which, words.effect(action), _IN_BACKGROUND],
        undo=words.undo(action, count),
        url=f"/o/{context.organization_id}/bulk-jobs",
        button=words.button(action, count),
        is_danger=True,
        fields=[("action", "do_not_call"), *given],
        needs_reason=True,
    )


async def about_calls(
    connection: Connection,
    context: OrganizationContext,
    query: Mapping[str, str],
    ids: Sequence[UUID],
    zone: ZoneInfo,
) -> Question:
    """Ask about calls; raises InvalidInput."""
    is_export = _is_export(query, "mark_reviewed")
    if not query.get("all"):
        if not ids:
            return _nothing("call", is_all=False)
        if is_export:
            return _export(context, "calls", _counted(len(ids)), [("ids", str(id)) for id in ids])
        return _mark(
            context,
            len(ids),
            url="selection",
            fields=[("of", "calls"), *(("chosen", str(id)) for id in ids)],
        )
    typed = typed_filters(query)
    given = [(name, typed[name]) for name in FILTER_NAMES if typed[name]]
    counts = await count_calls(connection, context, read_filters(typed, zone, context.studio.clock.now()))
    if not counts.calls:
        return _nothing("call", is_all=True)
    if is_export:
        return _export(context, "calls", _counted(counts.calls), given)
    if counts.calls == counts.reviewed:
        return Question(title="Nothing to change", lines=["All calls that match are marked as reviewed."])
    return _mark(
        context,
        counts.calls - counts.reviewed,
        url="bulk-jobs",
        fields=[("action", "mark_reviewed"), *given],
        lines=["These match the filters." if given else "These are all calls of the organization.", _IN_BACKGROUND],
        stays=[f"{_counted(counts.reviewed)} already marked as reviewed"] if counts.reviewed else [],
        needs_reason=True,
    )


def marked_in_words(marked: CallsMarked) -> str:
    """Return what marking selected calls has done."""
    left = f" {_counted(marked.left_out)} had a mark already or {'is' if marked.left_out == 1 else 'are'} gone."
    return f"{_counted(marked.changed)} marked as reviewed.{left if marked.left_out else ''}"


def _mark(
    context: OrganizationContext,
    count: int,
    *,
    url: str,
    fields: Sequence[tuple[str, str]],
    lines: Sequence[str] = (),
    stays: Sequence[str] = (),
    needs_reason: bool = False,
) -> Question:
    return Question(
        title=f"Mark {_counted(count)} as reviewed?",
        lines=[*lines, _MARKED],
        stays=stays,
        undo=_UNDO_MARKS if count <= MOST_UNDONE else _NO_UNDO,
        url=f"/o/{context.organization_id}/{url}",
        button=f"Mark {_counted(count)} as reviewed",
        fields=fields,
        reason_goes_to="It becomes the note on each call.",
        needs_reason=needs_reason,
    )


def _export(context: OrganizationContext, kind: str, counted: str, fields: Sequence[tuple[str, str]]) -> Question:
    return Question(
        title=f"Export {counted}?",
        lines=[f"A file with one row per {kind.removesuffix('s')}."],
        url=f"/o/{context.organization_id}/exports",
        button=f"Export {counted}",
        fields=[("kind", kind), *fields],
        asks_reason=False,
        is_export=True,
    )


def _nothing(noun: str, *, is_all: bool) -> Question:
    if is_all:
        return Question(title="Nothing to change", lines=[f"No {noun} matches any more."])
    return Question(title=f"No {noun}s selected", lines=[f"Go back and select the {noun}s first."])


def _is_export(query: Mapping[str, str], other: str) -> bool:
    action = query.get("action", "")
    if action not in ("export", other):
        raise InvalidInput("Unknown action: choose one from the list")
    return action == "export"


def _counted(count: int) -> str:
    return "1 call" if count == 1 else f"{count:,} calls"
