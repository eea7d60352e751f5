"""Callbacks: what a claim makes of them, and which are late."""
