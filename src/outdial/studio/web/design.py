"""The page of the design system: every component in every state. Only a local stack serves it."""

from typing import Final

from fastapi import APIRouter, Request, Response

from outdial.studio.view.badges import badge_for_outcome
from outdial.studio.view.charts import ChartSeries, CountedBar, RatedCalls, grouped_bars, heat_map, stacked_bars
from outdial.studio.web.appearance import LIST_COLUMNS, shown_columns
from outdial.studio.web.context import CurrentCaller, studio_state
from outdial.studio.web.errors import ResourceNotFound
from outdial.studio.web.rendering import page

_STATUSES: Final = ("draft", "scheduled", "active", "paused", "review", "completed", "failed", "cancelled")
_OUTCOMES: Final = (
    "answered", "callback_requested", "voicemail", "ivr", "no_answer", "busy", "blocked", "invalid_number", "unknown",
)  # fmt: skip
_TONES: Final = ("good", "machine", "neutral", "warn", "bad", "live", "info")
_SAMPLE: Final = (("answered", 139), ("voicemail", 88), ("no_answer", 72), ("busy", 21), ("invalid_number", 17))
_GROUPS: Final = (("good", "Reached"), ("machine", "Machine"), ("neutral", "Not reached"), ("bad", "Failed"))
_SPEAKERS: Final = {"agent": "Agent", "user": "Contact"}
_TURNS: Final = tuple(
    {"speaker": speaker, "text": text, "start_ms": 5000 * number, "end_ms": 5000 * number + 4200}
    for number, (speaker, text) in enumerate(
        (
            ("agent", "Hello, this is Riley of Acme. Do you have a moment?"),
            ("user", "Yes, what is it about?"),
            ("agent", "Your plan renews next week, and I would like to make sure that it still fits."),
        )
    )
)
router = APIRouter()


@router.get("/design")
async def show_design(request: Request, _caller: CurrentCaller) -> Response:
    """Show every component with sample values."""
    if not studio_state(request).settings.is_local:
        raise ResourceNotFound("Only a local stack shows the design system")
    badges = [(badge_for_outcome(outcome), count) for outcome, count in _SAMPLE]
    days = [(f"Nov {day}", {"good": 40 + 7 * day, "machine": 22, "neutral": 90 - 6 * day}) for day in range(1, 13)]
    rates = [
        RatedCalls(row=f"{hour} AM", column=str(attempt), calls=200 // attempt**3, answered=8 * hour // attempt**3)
        for hour in range(8, 12)
        for attempt in (1, 2, 3)
    ]
    series = {
        tone: ChartSeries(tone, label)
        for tone, label in (("good", "Reached"), ("machine", "Machine"), ("neutral", "Not reached"))
    }
    return page(
        request,
        "web/design.html",
        statuses=_STATUSES,
        outcomes=_OUTCOMES,
        tones=_TONES,
        columns=LIST_COLUMNS["calls"],
        shown=shown_columns(request, "calls"),
        turns=_TURNS,
        speakers=_SPEAKERS,
        charts=[
            grouped_bars(
                "Contacts by last outcome",
                [
                    (
                        label,
                        [
                            CountedBar(name=b.label, tone=b.tone, value=n, href="#charts")
                            for b, n in badges
                            if b.tone == t
                        ],
                    )
                    for t, label in _GROUPS
                ],
                first_head="Outcome",
            ),
            heat_map("Answer rate by hour and attempt", rates, corner="Hour", axis="attempt"),
            stacked_bars(
                "Calls per day",
                days,
                series,
                first_head="Day",
                rates=[parts["good"] / sum(parts.values()) for _, parts in days],
                rate_label="Answer rate",
                before=[sum(parts.values()) for _, parts in reversed(days)],
                before_label="Period before",
            ),
        ],
    )
