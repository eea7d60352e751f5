"""How campaigns of one account take turns: by weight, so that each gets its part and none is starved.

It is start-time fair queueing. A campaign that starts n calls moves on by n over its weight, from where it is or from
where the account is, whichever is later: a campaign that waited for hours gets no credit for them. The one that is
behind goes first. Between two turns of a campaign, each other one gets at most the calls of its weight and one batch.
"""

from dataclasses import dataclass

from outdial.domain.limits import PRIORITY


@dataclass(frozen=True, slots=True)
class TurnState:
    """Where a campaign and its account are in the order of turns."""

    campaign: float
    account: float


def weight_of(priority: int, share: int) -> int:
    """Return the weight of a campaign: its share, doubled with each step of priority above the lowest."""
    return share << (priority - PRIORITY.range.least)


def next_turn(state: TurnState, calls: int, weight: int) -> TurnState:
    """Return the state after a campaign has started `calls` calls; `take_turn` in SQL does the same."""
    start = max(state.campaign, state.account)
    return TurnState(start + calls / weight, start)
