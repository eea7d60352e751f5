"""Calls and their transcripts."""
