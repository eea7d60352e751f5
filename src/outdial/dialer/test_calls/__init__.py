"""Test calls: a member has a campaign's agent call a phone at once, outside of the campaign."""
