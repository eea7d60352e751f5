"""Retention, erasures, and what is known about a phone."""
