"""Outbound AI-voice call campaigns over Retell AI, on Postgres."""

__version__ = "0.1.0"
