"""What a member is asked before an action on selected rows."""

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a member is asked: a title, lines of text, and the form that does it, if there is something to do."""

    title: str
    lines: Sequence[str] = ()
    stays: Sequence[str] = ()
    undo: str | None = None
    url: str | None = None
    button: str = ""
    is_danger: bool = False
    fields: Sequence[tuple[str, str]] = field(default_factory=list)
    asks_reason: bool = True
    reason_goes_to: str = "For the audit log and the contacts."
    needs_reason: bool = False
    is_export: bool = False
