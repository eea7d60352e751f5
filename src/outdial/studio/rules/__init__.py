"""Calling rules: what the law of a place allows, and what the organization changes about it."""
