"""Callbacks in the studio."""
