"""Contacts of a campaign."""
