"""Caller numbers: the pool of a campaign, their health, and their import from the provider."""
