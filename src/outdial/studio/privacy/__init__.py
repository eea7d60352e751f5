"""Retention, erasures, and the export of a person's data."""
