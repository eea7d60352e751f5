"""The page of the design system: every component in every state. Only a local stack serves it."""

from typing import Final

from fastapi import APIRouter, Request, Response

from outdial.studio.view.badges import badge_for_outcome
from outdial.studio.view.charts import ChartSeries, row_bars, stacked_bars
from outdial.studio.web.context import CurrentCaller, studio_state
from outdial.studio.web.errors import ResourceNotFound
from outdial.studio.web.rendering import page

_STATUSES: Final = ("draft", "scheduled", "active", "paused", "review", "completed", "failed", "cancelled")
_OUTCOMES: Final = (
    "answered", "callback_requested", "voicemail", "ivr", "no_answer", "busy", "blocked", "invalid_number", "unknown",
)  # fmt: skip
_TONES: Final = ("good", "machine", "neutral", "warn", "bad", "live", "info")
_SAMPLE: Final = (("answered", 139), ("voicemail", 88), ("no_answer", 72), ("busy", 21), ("invalid_number", 17))
router = APIRouter()


@router.get("/design")
async def show_design(request: Request, _caller: CurrentCaller) -> Response:
    """Show every component with sample values."""
    if not studio_state(request).settings.is_local:
        raise ResourceNotFound("Only a local stack shows the design system")
    badges = [(badge_for_outcome(outcome), count) for outcome, count in _SAMPLE]
    days = [(f"Nov {day}", {"good": 40 + 7 * day, "machine": 22, "neutral": 90 - 6 * day}) for day in range(1, 13)]
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
        charts=[
            row_bars(
                "Calls by outcome", [(badge.label, badge.tone, count) for badge, count in badges], first_head="Outcome"
            ),
            stacked_bars("Calls per day", days, series, first_head="Day"),
        ],
    )
