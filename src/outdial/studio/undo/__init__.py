"""Undoing what members have done."""
