"""Screening lists: numbers from outside that must not be called."""
