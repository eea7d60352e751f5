"""Consents of contacts, and screening lists of numbers that must not be called."""
