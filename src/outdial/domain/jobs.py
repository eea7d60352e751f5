"""What states imports, exports and bulk jobs have, and how they follow each other."""

from enum import StrEnum
from typing import Final

from outdial.domain.machine import Machine


class ImportStatus(StrEnum):
    """The status of an import; `cancelling` lasts until the current chunk of rows is stored."""

    UPLOADING = "uploading"
    READY = "ready"
    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"


class ExportStatus(StrEnum):
    """The status of an export; an `expired` export has no file any more."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class BulkJobStatus(StrEnum):
    """The status of a bulk job."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


_I = ImportStatus
_E = ExportStatus
_B = BulkJobStatus

IMPORT: Final = Machine(
    "import",
    {
        _I.UPLOADING: (_I.READY, _I.CANCELLED),
        _I.READY: (_I.UPLOADING, _I.QUEUED, _I.CANCELLED),
        _I.QUEUED: (_I.RUNNING, _I.CANCELLED),
        _I.RUNNING: (_I.COMPLETED, _I.FAILED, _I.CANCELLING),
        _I.COMPLETED: (),
        _I.FAILED: (),
        _I.CANCELLING: (_I.CANCELLED,),
        _I.CANCELLED: (),
    },
)
EXPORT: Final = Machine(
    "export",
    {
        _E.QUEUED: (_E.RUNNING, _E.CANCELLED),
        _E.RUNNING: (_E.COMPLETED, _E.FAILED, _E.CANCELLED),
        _E.COMPLETED: (_E.EXPIRED,),
        _E.FAILED: (),
        _E.CANCELLED: (),
        _E.EXPIRED: (),
    },
)
BULK_JOB: Final = Machine(
    "bulk job",
    {
        _B.QUEUED: (_B.RUNNING, _B.CANCELLED),
        _B.RUNNING: (_B.COMPLETED, _B.FAILED, _B.CANCELLED),
        _B.COMPLETED: (),
        _B.FAILED: (),
        _B.CANCELLED: (),
    },
)
