"""Test calls of a campaign: requesting one, and how it went."""
