"""Contacts that a member has selected in a list."""
