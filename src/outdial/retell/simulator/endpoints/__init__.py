"""Retell's API over a simulated workspace."""
