"""The promises of Outdial: the one list of their numbers, names and texts.

The checks of the demo and of the simulation take numbers and names from here. A test compares the list in README.md
and each promise that the code and the docs name.
"""

from enum import IntEnum


class Promise(IntEnum):
    """A promise, by its number; `short` is its name in reports, `text` the sentence in README.md.

    A number is never used for another promise, because the reports of earlier versions have it too.
    """

    short: str
    text: str

    def __new__(cls, number: int, short: str, text: str) -> "Promise":
        """Create a member that equals its number."""
        member = int.__new__(cls, number)
        member._value_, member.short, member.text = number, short, text
        return member

    ONE_REQUEST = (
        1,
        "one call per attempt, however often it is requested",
        "**Each call attempt has at most one create-call request in flight**, and every request for that attempt"
        " carries the same `idempotency_key`. No crash, timeout or lost response makes Outdial request a second call.",
    )
    NO_REDIAL = (
        2,
        "an ambiguous response is never a new attempt",
        "An ambiguous response marks the call `unknown`. Outdial then asks Retell what happened; it never redials on a"
        " guess.",
    )
    ONE_LIVE_CALL = (
        3,
        "never two calls to one phone at the same time",
        "An organization has at most one live call per phone number, across all campaigns. A unique index enforces it.",
    )
    NO_CALL_WHILE_PAUSED = (
        4,
        "no create-call request for a paused or cancelled campaign",
        "Once a campaign reads `paused` or `cancelled`, Outdial sends no create-call request for it.",
    )
    COMPLETED = (
        5,
        "a completed campaign has no open contact",
        "A campaign reads `completed` only when every contact has a final status. Counts come from the rows"
        " themselves.",
    )
    EVENTS = (
        6,
        "every call ends with the provider's outcome",
        "Outdial responds 2xx to a webhook only after the event is on disk. Events that arrive twice, late, out of"
        " order or never lead to the same final call.",
    )
    ACCOUNT_LIMITS = (
        7,
        "never above the limits of the account",
        "The concurrency and calls-per-second limits of a Retell workspace hold across any number of dialer processes.",
    )
    HOURS_AND_CAPS = (
        8,
        "no call outside calling hours, to a listed number or above a cap",
        "No call is placed outside the contact's calling hours, to a number on the do-not-call list, or above a cap."
        " When in doubt, Outdial does not call.",
    )
    TENANTS = (
        9,
        "no organization sees or changes another's rows",
        "No organization can see or change another's rows: forced row level security binds every role that a process"
        " uses.",
    )
    BAD_ROWS = (
        10,
        "bad rows are reported and do not stop good ones",
        "A bad contact, event or CSV row never blocks the good ones and is never dropped silently.",
    )
    FREE_FAULTS = (
        11,
        "faults use no attempt of the contact",
        "Faults of Outdial or Retell never use up a contact's attempts.",
    )
    LAW = (
        12,
        "no call outside the law's hours",
        "No call starts outside any calling rule that may apply to the contact, in any time zone or state it may be"
        " in. Each decision names the rules.",
    )
    CALLBACKS = (
        13,
        "a contact who asks to be called back is called within a minute of that time, at most twice",
        "A contact who asks to be called back is called within a minute of that time, or the reason for the delay is"
        " reported.",
    )
    BLOCKED_NUMBERS = (
        14,
        "no fourth blocked call in a row from one number",
        "From one caller number, there is no fourth blocked call in a row: the number rests.",
    )
    STOP = (
        15,
        "no create-call request leaves after all calls read stopped",
        "Once an organization reads `stopped`, no create-call request leaves for it.",
    )
    RIGHTS = (
        16,
        "no process runs with more rights than it declares",
        "No process runs with more rights than it declares. A connection that would give it more, through a pooler too,"
        " is refused.",
    )
    BUDGETS = (
        17,
        "overspend never exceeds what was in flight when a budget was reached",
        "Overspend never exceeds the cost of the calls in flight when the budget was reached.",
    )
    FORECASTS = (
        18,
        "of 100 campaigns, 80 end and cost within p10 and p90 of their forecasts",
        "In the seeded check, at least 16 of 20 campaigns end, and at least 16 cost, between p10 and p90 of their"
        " forecast.",
    )
    OPEN_CAMPAIGNS = (
        19,
        "each contact added to an open campaign is called or skipped, and only a closed one completes",
        "An open campaign does not complete before it is closed. Each contact that was added to it is called, or is"
        " skipped or cancelled with the reason.",
    )
    VOICEMAIL = (
        20,
        "at most one voicemail message per contact and campaign",
        "A contact gets at most one voicemail message per campaign.",
    )
    DAY_PARTS = (
        21,
        "each attempt is claimed in its part of the day",
        "An attempt with a part of the day is claimed in that part, in every time zone the contact may be in, unless"
        " the contact would wait longer than 8 days.",
    )
    STRICT_READING = (
        22,
        "nothing is read as something else",
        "A phone cell, a header and a file are read as what they say, or refused with the reason.",
    )
