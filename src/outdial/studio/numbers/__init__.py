"""Caller numbers: how they fare, their caps, their rests, and their import from Retell."""
