"""Presentation of values: badges, charts and formats."""
