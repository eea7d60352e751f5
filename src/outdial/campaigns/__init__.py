"""Campaigns: created, filled with contacts, started, paused, and followed."""
