"""Campaigns: create, edit, import contacts, start, pause, cancel, and count progress."""
