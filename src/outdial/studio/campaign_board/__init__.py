"""The list of campaigns: what needs attention, what runs, and what has finished."""
