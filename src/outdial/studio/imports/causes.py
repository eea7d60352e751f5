"""Why rows of an import are skipped, in words for its pages."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from outdial.campaigns.importing.causes import MOST_EXAMPLES
from outdial.campaigns.importing.refusals import Refusal
from outdial.studio.imports.previews import MAX_ZONES_SHOWN, ImportCause, NamedZone
from outdial.studio.imports.service import ImportRefusal
from outdial.studio.view.badges import humanize


@dataclass(frozen=True, slots=True, kw_only=True)
class CauseText:
    """The rows that are skipped for one cause: a title with their number, what can be done, and examples."""

    kind: str
    title: str
    hint: str | None
    is_harmless: bool
    examples: Sequence[ImportRefusal]
    zones: Sequence[NamedZone] = ()
    more_zones: bool = False


def cause_texts(causes: Iterable[ImportCause]) -> list[CauseText]:
    """Return the causes of a preview: what can be cured first, then what has to be corrected in the file."""
    texts = [_text(cause.kind, cause.rows, cause.examples, cause.zones) for cause in causes]
    texts = [replace(text, hint=None) if text.kind in CURABLE else text for text in texts]
    return sorted(texts, key=lambda text: (text.kind not in CURABLE, text.is_harmless))


def stored_cause_texts(counts: Mapping[str, int], refused: Iterable[ImportRefusal]) -> list[CauseText]:
    """Return the causes of a finished import, with examples among its first refused rows."""
    examples: dict[str, list[ImportRefusal]] = {}
    for row in refused:
        examples.setdefault(row.kind, []).append(row)
    texts = [_text(kind, rows, examples.get(kind, ())[:MOST_EXAMPLES], ()) for kind, rows in counts.items()]
    return sorted(texts, key=lambda text: text.is_harmless)


def _text(kind: str, rows: int, examples: Sequence[ImportRefusal], zones: Sequence[NamedZone]) -> CauseText:
    one, many = TITLES.get(kind, (f"1 row: {humanize(kind)}", f"{{n}} rows: {humanize(kind)}"))
    return CauseText(
        kind=kind,
        title=one if rows == 1 else many.format(n=f"{rows:,}"),
        hint=_HINTS.get(kind),
        is_harmless=kind in _HARMLESS,
        examples=() if kind in _WITHOUT_VALUES else examples,
        zones=zones,
        more_zones=len(zones) == MAX_ZONES_SHOWN,
    )


CURABLE: Final = (Refusal.NO_COUNTRY_CODE, Refusal.UNKNOWN_TIME_ZONE, Refusal.BAD_PRIORITY)
"""Causes that a press in the preview cures."""
_HARMLESS: Final = (Refusal.DUPLICATE, Refusal.DO_NOT_CALL, Refusal.ERASED)
_WITHOUT_VALUES: Final = (Refusal.ERASED,)
TITLES: Final[Mapping[str, tuple[str, str]]] = {
    Refusal.NO_COUNTRY_CODE: ("1 number has no country code", "{n} numbers have no country code"),
    Refusal.UNKNOWN_TIME_ZONE: ("1 time zone is unknown", "{n} time zones are unknown"),
    Refusal.BAD_PHONE: ("1 number is invalid", "{n} numbers are invalid"),
    Refusal.NO_TIME_ZONE: ("1 contact has no time zone", "{n} contacts have no time zone"),
    Refusal.BAD_PLACE: ("1 place cannot be read", "{n} places cannot be read"),
    Refusal.BAD_CONSENT: ("1 consent cannot be read", "{n} consents cannot be read"),
    Refusal.BAD_PRIORITY: ("1 priority is not from 1 to 9", "{n} priorities are not from 1 to 9"),
    Refusal.WRONG_COLUMNS: ("1 row has too many cells", "{n} rows have too many cells"),
    Refusal.BROKEN_QUOTES: ("1 row has a broken quote", "{n} rows have a broken quote"),
    Refusal.TOO_LONG: ("1 row is too long", "{n} rows are too long"),
    Refusal.UNREADABLE: ("1 row cannot be read", "{n} rows cannot be read"),
    Refusal.DATABASE: ("1 row was rejected by the database", "{n} rows were rejected by the database"),
    Refusal.DUPLICATE: ("1 row repeats a number", "{n} rows repeat a number"),
    Refusal.DO_NOT_CALL: ("1 number is on the do-not-call list", "{n} numbers are on the do-not-call list"),
    Refusal.ERASED: ("1 number was erased", "{n} numbers were erased"),
}
_HINTS: Final[Mapping[str, str]] = {
    Refusal.NO_COUNTRY_CODE: "Upload these rows again and select their country in the preview.",
    Refusal.UNKNOWN_TIME_ZONE: "Upload these rows again and select the time zones in the preview.",
    Refusal.BAD_PHONE: "Download the rows to fix, correct the cells and upload that file.",
    Refusal.NO_TIME_ZONE: "Add a time zone, state or postal code.",
    Refusal.BAD_PLACE: "Write a code or a name, such as TX or Texas, and US or United States.",
    Refusal.BAD_CONSENT: "Consent needs a basis, a day and a source.",
    Refusal.BAD_PRIORITY: "Write a number from 1 to 9, where 9 is called first.",
    Refusal.DUPLICATE: "The first row with each number is imported.",
    Refusal.DO_NOT_CALL: "No campaign with this purpose may call them.",
    Refusal.ERASED: "The people asked for their data to be erased.",
}
