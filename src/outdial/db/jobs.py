"""Statements over imports and exports (`queries/jobs.sql`)."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from outdial.db.statements import Statement, Touched


@dataclass(frozen=True, slots=True)
class ImportRow:
    """An import with its campaign's name; the JSON columns as text."""

    id: UUID
    organization_id: UUID
    campaign_id: UUID
    campaign_name: str
    file_name: str
    size: int | None
    bytes_stored: int
    chunks: int
    mapping: str
    default_region: str | None
    status: str
    added: int
    already_there: int
    refused: int
    rows: int
    bytes_read: int
    refused_by_kind: str
    notices: str
    error: str | None
    created_by: UUID | None
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class ImportRun:
    """An import that a run has taken; `added` is what the runs before have brought in."""

    id: UUID
    organization_id: UUID
    campaign_id: UUID
    mapping: str
    default_region: str | None
    chunks: int
    runs: int
    added: int
    created_by: UUID | None


@dataclass(frozen=True, slots=True)
class RefusalRow:
    """A row of a file that did not go in."""

    line: int
    value: str
    kind: str
    reason: str


@dataclass(frozen=True, slots=True)
class ExportRow:
    """An export; the filters as JSON text."""

    id: UUID
    organization_id: UUID
    kind: str
    filters: str
    status: str
    rows: int
    size: int
    error: str | None
    created_by: UUID | None
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class ExportRun:
    """An export that a run has taken."""

    id: UUID
    organization_id: UUID
    kind: str
    filters: str
    runs: int


@dataclass(frozen=True, slots=True)
class LostJob:
    """A job that nobody seems to be doing."""

    kind: str
    id: UUID


@dataclass(frozen=True, slots=True)
class OutdatedJob:
    """Something of an import or an export that has been kept for long enough."""

    kind: str
    organization_id: UUID
    id: UUID


@dataclass(frozen=True, slots=True)
class ExportedContact:
    """A person, as an export tells them."""

    phone: str
    name: str | None
    email: str | None
    company: str | None
    notes: str | None
    external_id: str | None
    timezone: str | None
    zone_key: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ExportedCall:
    """A call, as an export tells it."""

    id: UUID
    campaign: str
    name: str | None
    phone: str
    from_number: str
    attempt_number: int
    status: str
    outcome: str | None
    disconnection_reason: str | None
    requested_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    duration_ms: int | None
    cost_cents: Decimal | None
    recording_url: str | None
    retell_call_id: str | None


@dataclass(frozen=True, slots=True)
class ExportedNumber:
    """A number that nobody may call, as an export tells it."""

    phone: str
    source: str
    reason: str | None
    created_at: datetime


CREATE_IMPORT: Statement[Any] = Statement("create_import")
SHOW_IMPORT = Statement("show_import", ImportRow)
LIST_IMPORTS = Statement("list_imports", ImportRow, planned_anew=True)
RESTART_UPLOAD = Statement("restart_upload", Touched)
ADVANCE_UPLOAD = Statement("advance_upload", Touched)
STORE_IMPORT_CHUNK: Statement[Any] = Statement("store_import_chunk")
FINISH_UPLOAD = Statement("finish_upload", Touched)
QUEUE_IMPORT = Statement("queue_import", Touched)
CANCEL_IMPORT = Statement("cancel_import", Touched)
DELETE_IMPORT_CHUNKS: Statement[Any] = Statement("delete_import_chunks")
IMPORT_CHUNK = Statement("import_chunk", Touched)
FIRST_IMPORT_CHUNKS = Statement("first_import_chunks", Touched)
JOB_ORGANIZATION = Statement("job_organization", Touched)
BEGIN_IMPORT = Statement("begin_import", ImportRun)
END_CANCELLED_IMPORT = Statement("end_cancelled_import", Touched)
RECORD_IMPORT = Statement("record_import", Touched)
RELEASE_IMPORT: Statement[Any] = Statement("release_import")
FINISH_IMPORT = Statement("finish_import", Touched)
FORGET_REFUSALS: Statement[Any] = Statement("forget_refusals")
KEEP_REFUSALS: Statement[Any] = Statement("keep_refusals")
LIST_REFUSALS = Statement("list_refusals", RefusalRow)
CREATE_EXPORT: Statement[Any] = Statement("create_export")
SHOW_EXPORT = Statement("show_export", ExportRow)
LIST_EXPORTS = Statement("list_exports", ExportRow, planned_anew=True)
CANCEL_EXPORT = Statement("cancel_export", Touched)
BEGIN_EXPORT = Statement("begin_export", ExportRun)
RECORD_EXPORT = Statement("record_export", Touched)
RELEASE_EXPORT: Statement[Any] = Statement("release_export")
FINISH_EXPORT = Statement("finish_export", Touched)
EXPIRE_EXPORT = Statement("expire_export", Touched)
STORE_EXPORT_CHUNK: Statement[Any] = Statement("store_export_chunk")
EXPORT_CHUNK = Statement("export_chunk", Touched)
DELETE_EXPORT_CHUNKS: Statement[Any] = Statement("delete_export_chunks")
LOST_JOBS = Statement("lost_jobs", LostJob)
OUTDATED_JOBS = Statement("outdated_jobs", OutdatedJob)
ABANDON_UPLOAD = Statement("abandon_upload", Touched)
FORGET_OLD_KEYS = Statement("forget_old_keys", Touched)
FORGET_QUEUE_LOG: Statement[Any] = Statement("forget_queue_log")
NOTIFY_JOBS: Statement[Any] = Statement("notify_jobs")
EXPORT_CONTACTS = Statement("export_contacts", ExportedContact, planned_anew=True)
EXPORT_CALLS = Statement("export_calls", ExportedCall, planned_anew=True)
EXPORT_DO_NOT_CALL = Statement("export_do_not_call", ExportedNumber)
