"""Queries about the keys of contacts: the time zones and jurisdictions that they may be in."""
